//! Leases that are out for longer than `holdLimit`: each is reported once, and taken back if the settings say so.
//! Called through pool.rs.

use super::config::Span;
use super::id::{NIL, OperationId};
use super::operation::{Caller, Operation, State};
use super::pool::Pool;
use super::step::Return;
use alloc::vec::Vec;

impl Pool {
    /// Begins the time of a lease.
    pub(super) fn limit_holding(&mut self, slot: u32) {
        if let Span::Millis(_) = self.config.hold_limit {
            let id = self.begin(Operation::new(State::Holding { slot }, Caller::None));
            self.set_expiry(slot, id, self.config.hold_limit);
        }
    }

    /// A lease has been out for `holdLimit`.
    pub(super) fn held_too_long(&mut self, id: OperationId, slot: u32) {
        self.records[slot].expiry = NIL;
        self.end(id);
        let now = self.deadlines.now();
        let held_ms = self.records[slot].held_since.map_or(0, |since| now.wrapping_sub(since));
        let limit_ms = if let Span::Millis(ms) = self.config.hold_limit { ms } else { 0 };
        self.held.push((held_ms.max(limit_ms), slot));
        if !self.config.takes_back || self.end_lease(self.records.handle_of(slot)).is_none() {
            return;
        }
        let id = self.begin(Operation::new(State::CheckingIn { slot, refusal: None }, Caller::None));
        if let Return::Pending(id) = self.begin_condemnation(id, slot) {
            self.outbox.spawn(id);
        }
    }

    /// Takes the leases that have come to be out for too long: for how many milliseconds each has been out, and its
    /// slot. The host asks after each tick, if there is a `holdLimit`.
    pub fn take_held(&mut self) -> Vec<(u32, u32)> {
        core::mem::take(&mut self.held)
    }
}
