//! The ends of a pool: dispose, which closes idle connections and leaves the pool usable, and close, which is terminal.
//! Both act on one scope; scopes.rs reaches all scopes of a pool. Called through pool.rs.

use super::config::Span;
use super::id::OperationId;
use super::operation::{Caller, CheckoutAt, Operation, ReturnAt, State};
use super::pool::Pool;
use super::record::Phase;
use super::step::{Notice, Refusal};
use alloc::vec::Vec;

impl Pool {
    /// Closes idle connections, as spawned operations. Leases go on and are closed at their return; the pool stays
    /// usable.
    pub fn dispose(&mut self) {
        self.family.dispose();
        self.close_idle();
    }

    /// Closes the idle connections of this scope.
    pub(super) fn close_idle(&mut self) {
        let goes_on = self.suspend_filling();
        self.empty_idle();
        self.settle();
        self.filling.has_begun |= goes_on;
    }

    fn empty_idle(&mut self) {
        while let Some(slot) = self.idle.next().or_else(|| self.idle.next_to_open()) {
            self.end_idle_slot(slot);
        }
    }

    /// Ends the pool: refuses later callers, closes idle connections, and waits at most `patience` for the leases; then
    /// they are terminated. Waiters are refused, too, unless it `drains`: then all callers that came before are served,
    /// as far as the patience lasts. [`Notice::Done`] names the operation when the close is over. A further close can
    /// only hasten the first: the shortest patience counts, and one that does not drain ends the draining.
    pub fn begin_close(&mut self, patience: Span, drains: bool) -> OperationId {
        self.begin_end(patience, Caller::Other, drains)
    }

    /// Ends this scope alone, without a caller that waits for it.
    pub fn end_scope(&mut self) -> OperationId {
        self.begin_end(Span::Forever, Caller::None, false)
    }

    /// The operation of the latest close, while that waits.
    pub(super) fn closing(&self) -> Option<OperationId> {
        self.closes.last().copied()
    }

    fn begin_end(&mut self, patience: Span, caller: Caller, drains: bool) -> OperationId {
        let closing = self.begin(Operation::new(State::Draining, caller));
        if self.closed && self.closes.is_empty() {
            // All that was to be closed is closed, or was given up.
            self.notify(closing, Notice::Done);
            self.end(closing);
            return closing;
        }
        self.closes.push(closing);
        self.stop_filling();
        if !self.closed {
            self.admit_none();
            if drains {
                self.drains = true;
            } else {
                self.refuse_admitted();
            }
        }
        self.empty_idle();
        if patience == Span::Millis(0) {
            self.stop_closing();
        } else if caller != Caller::None {
            // The end of a scope has neither a caller nor an end of its patience, so it needs no timer.
            self.deadlines.arm(&mut self.operations, closing.index(), patience, false);
        }
        self.has_freed = true;
        self.settle();
        closing
    }

    /// Makes the queue full and every idle slot surplus, so that no checkout or return needs to look at a close.
    pub(super) fn admit_none(&mut self) {
        self.config.max_waiters = 0;
        self.config.max_idle = 0;
    }

    /// Refuses the callers that have no connection yet, and ends the openings in advance that have not begun.
    fn refuse_admitted(&mut self) {
        self.drains = false;
        self.closed = true;
        self.stop_opening();
        for id in self.checkouts() {
            let state = self.operation(id).state;
            match state {
                State::CheckingOut { at: CheckoutAt::Reserved, slot, .. } => {
                    if self.operation(id).is_attended() {
                        self.refuse(id, Refusal::Closed);
                    }
                    self.give_back(id, slot);
                }
                _ => {
                    self.refuse(id, Refusal::Closed);
                    self.caller_left(id, state);
                }
            }
        }
        self.refuse_waiters(Refusal::Closed);
    }

    /// The checkouts and openings under way that a close concerns.
    fn checkouts(&self) -> Vec<OperationId> {
        let is_under_way = |operation: &Operation| match operation.state {
            State::Waiting { .. } => false,
            State::CheckingOut { at: CheckoutAt::Reserved, .. } => true,
            _ => operation.is_attended(),
        };
        let under_way = self.operations.iter().filter(|(_, operation)| is_under_way(operation)).map(|(index, _)| index);
        under_way.map(|index| self.operations.handle_of(index)).collect()
    }

    /// A close has waited long enough: the connections that are still out are terminated, also those whose return does
    /// not end. Nothing waits for that.
    pub(super) fn stop_closing(&mut self) {
        if self.drains {
            self.refuse_admitted();
        }
        self.end_all_shares();
        self.expire_all(|state| matches!(state, State::Returning { at, .. } if !matches!(at, ReturnAt::Finalizing)));
        let leased: Vec<u32> =
            self.records.iter().filter(|(_, record)| record.phase == Phase::Leased).map(|(slot, _)| slot).collect();
        for slot in leased {
            if self.shares.members(slot) > 0 {
                // A caller is about to join: that checkout was refused, and ends the connection when it goes on.
                continue;
            }
            self.end_expiry(slot);
            self.records.renew(slot);
            self.records[slot].held_since = None;
            if self.records[slot].live {
                self.spawn_discard(slot, true);
            } else {
                self.free_slot(slot);
            }
        }
        self.end_closes();
    }

    /// Whether the pool has ended: no close waits for anything any more.
    pub fn has_ended(&self) -> bool {
        self.closed && self.closes.is_empty()
    }

    /// Whether the operation is opening a connection.
    pub fn is_opening(&self, id: OperationId) -> bool {
        let opens = |state: &State| matches!(state, State::CheckingOut { at: CheckoutAt::Opening, .. });
        self.operations.get(id).is_some_and(|operation| opens(&operation.state))
    }

    /// Ends every close, if nothing is left in the scope. A slot or a caller that leaves calls this.
    pub(super) fn end_closes_if_empty(&mut self) {
        let is_empty = !self.closes.is_empty() && self.records.len() == 0;
        if is_empty && !self.operations.iter().any(|(_, operation)| operation.is_attended()) {
            self.end_closes();
        }
    }

    fn end_closes(&mut self) {
        self.stop_opening();
        self.closed = true;
        self.drains = false;
        for id in core::mem::take(&mut self.closes) {
            self.notify(id, Notice::Done);
            self.end(id);
        }
    }
}
