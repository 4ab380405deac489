//! `min`: the pool opens connections by itself, by spawned operations, until so many exist, in use or idle. It begins
//! with the first call of the pool. After an opening has failed it tries one at a time, each after a pause by the
//! pool's timer; what opens ends that. Nothing of it keeps a host awake. Called through pool.rs.

use super::config::Span;
use super::operation::{Caller, CheckoutAt, Operation, State};
use super::places::Filling;
use super::pool::Pool;
use super::record::Record;
use alloc::vec::Vec;

/// The pause after the first failure. Each further one is twice as long, up to the last.
const FIRST_PAUSE_MS: u32 = 100;
const LONGEST_PAUSE_MS: u32 = 30_000;

impl Pool {
    /// Begins to keep `min` connections open, before any caller asks for one.
    pub fn start(&mut self) {
        self.begin_filling();
        self.settle();
    }

    pub(super) fn begin_filling(&mut self) {
        if !core::mem::replace(&mut self.filling.has_begun, true) {
            self.has_freed |= self.config.min > 0;
        }
    }

    /// Opens nothing until the next call.
    pub(super) fn stop_filling(&mut self) {
        self.end_pause();
        self.filling = Filling::default();
    }

    /// The same for a pool that stays usable. Returns whether it is to go on after this call, because callers that have
    /// no connection yet have called already.
    pub(super) fn suspend_filling(&mut self) -> bool {
        let goes_on = self.filling.has_begun && self.operations.iter().any(|(_, operation)| operation.is_attended());
        self.stop_filling();
        let begins = |operation: &Operation| match operation.state {
            State::CheckingOut { at: CheckoutAt::Reserved, slot, .. } => {
                (operation.caller == Caller::None).then_some(slot)
            }
            _ => None,
        };
        let unbegun: Vec<(u32, u32)> =
            self.operations.iter().filter_map(|(index, it)| begins(it).map(|slot| (index, slot))).collect();
        for (index, slot) in unbegun {
            self.give_back(self.operations.handle_of(index), slot);
        }
        goes_on
    }

    /// Opens what is missing, if the last opening did not fail.
    pub(super) fn fill(&mut self) {
        if self.filling.has_begun && self.filling.failures == 0 {
            while self.is_short() && self.open_in_advance(Caller::None) {}
        }
    }

    fn is_short(&self) -> bool {
        self.config.refills && self.connections() < self.least()
    }

    /// As many are kept. A closed pool keeps none, and none keeps more idle than `poolSize`.
    pub(super) fn least(&self) -> u32 {
        self.config.min.min(self.config.max_idle)
    }

    /// The slots with a connection, or with one on its way.
    pub(super) fn connections(&self) -> u32 {
        self.records.len() as u32 - self.ending - self.idle.emptied_len()
    }

    /// Opens one more connection, by a spawned operation. Returns false if none may be opened now.
    pub(super) fn open_in_advance(&mut self, caller: Caller) -> bool {
        if !self.places.has_room() || self.is_crowded() {
            return false;
        }
        let slot = if let Some(slot) = self.idle.next_emptied().filter(|&slot| self.may_open_in(slot)) {
            self.take_idle_slot(slot);
            slot
        } else if self.may_make_slot() {
            self.records.insert(Record::new()).index()
        } else {
            return false;
        };
        let id = self.begin(Operation::new(State::reserved(slot), caller));
        self.reserve(id, slot, self.config.timeout);
        self.outbox.spawn(id);
        true
    }

    // ---- after a failure

    /// An opening has failed, whichever: the next attempt comes after a pause.
    pub(super) fn opening_went_wrong(&mut self) {
        let fills = self.config.min > 0 && self.config.refills && self.filling.has_begun && !self.is_closed();
        if fills && self.filling.pause.is_none() {
            self.filling.failures = self.filling.failures.saturating_add(1);
            self.begin_pause();
        }
    }

    fn begin_pause(&mut self) {
        let doubled = FIRST_PAUSE_MS << (self.filling.failures - 1).min(16);
        let id = self.begin(Operation::new(State::Pausing, Caller::None));
        self.deadlines.arm(&mut self.operations, id.index(), Span::Millis(doubled.min(LONGEST_PAUSE_MS)), true);
        self.filling.pause = Some(id);
    }

    fn end_pause(&mut self) {
        if let Some(pause) = self.filling.pause.take() {
            self.end(pause);
        }
    }

    /// The pause is over.
    pub(super) fn paused(&mut self) {
        self.end_pause();
        if !self.is_short() {
            self.filling.failures = 0;
        } else if !self.open_in_advance(Caller::None) {
            self.begin_pause();
        }
    }

    /// A connection was opened, and every listener has accepted it.
    pub(super) fn opening_went_well(&mut self) {
        if self.filling.failures > 0 {
            self.filling.failures = 0;
            self.end_pause();
            self.has_freed = true;
        }
    }
}
