//! The ends of a pool: dispose, which closes idle connections and leaves the pool usable, and close, which is terminal.
//! Both act on one scope; scopes.rs reaches all scopes of a pool. Called through pool.rs.

use super::config::Span;
use super::id::OperationId;
use super::operation::{Caller, CheckoutAt, Operation, State};
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
        while let Some(slot) = self.idle.next().or_else(|| self.idle.next_to_open()) {
            self.take_idle_slot(slot);
            if self.records[slot].live {
                self.spawn_discard(slot, false);
            } else {
                self.drop_slot(slot);
            }
        }
        self.settle();
    }

    /// Ends the pool: refuses waiters and later callers, closes idle connections, and waits at most `patience` for the
    /// leases; then they are terminated. [`Notice::Done`] names the operation when it is over. A second close returns
    /// the operation of the first while that waits.
    pub fn begin_close(&mut self, patience: Span) -> OperationId {
        self.begin_end(patience, Caller::Other)
    }

    /// Ends this scope alone, without a caller that waits for it.
    pub fn end_scope(&mut self) -> OperationId {
        self.begin_end(Span::Forever, Caller::None)
    }

    /// The operation of the close, while that waits.
    pub(super) const fn closing(&self) -> Option<OperationId> {
        self.draining
    }

    fn begin_end(&mut self, patience: Span, caller: Caller) -> OperationId {
        if let Some(closing) = self.draining {
            self.hasten(closing, patience, caller);
            return closing;
        }
        if self.closed {
            // All that was to be closed is closed, or was given up.
            let closing = self.begin(Operation::new(State::Draining, caller));
            self.notify(closing, Notice::Done);
            self.end(closing);
            return closing;
        }
        self.closed = true;
        let closing = self.begin(Operation::new(State::Draining, caller));
        for id in self.checkouts() {
            let state = self.operation(id).state;
            match state {
                State::Waiting { .. } => self.refuse_waiter(id, Refusal::Closed),
                State::CheckingOut { at: CheckoutAt::Reserved, slot, .. } => {
                    self.refuse(id, Refusal::Closed);
                    self.give_back(id, slot);
                }
                _ => {
                    self.refuse(id, Refusal::Closed);
                    self.caller_left(id, state);
                }
            }
        }
        self.close_idle();
        if self.records.len() == 0 {
            self.notify(closing, Notice::Done);
            self.end(closing);
        } else if patience == Span::Millis(0) {
            self.stop_draining(closing);
        } else {
            self.draining = Some(closing);
            // The end of a scope has neither a caller nor an end of its patience, so it needs no timer.
            if caller != Caller::None {
                self.deadlines.arm(&mut self.operations, closing.index(), patience, false);
            }
        }
        self.settle();
        closing
    }

    /// The pool closes after the scope has ended: from now on its leases have the patience of the close.
    fn hasten(&mut self, closing: OperationId, patience: Span, caller: Caller) {
        if caller == Caller::None || self.operation(closing).caller != Caller::None {
            return;
        }
        self.operation(closing).caller = caller;
        match patience {
            Span::Millis(0) => self.stop_draining(closing),
            _ => self.deadlines.arm(&mut self.operations, closing.index(), patience, false),
        }
        self.settle();
    }

    /// The checkouts under way, then the waiters in the order in which they came.
    fn checkouts(&self) -> Vec<OperationId> {
        let is_under_way =
            |operation: &Operation| operation.is_attended() && !matches!(operation.state, State::Waiting { .. });
        let under_way = self.operations.iter().filter(|(_, operation)| is_under_way(operation)).map(|(index, _)| index);
        under_way.chain(self.waiters.iter()).map(|index| self.operations.handle_of(index)).collect()
    }

    /// The close has waited long enough: the connections that are still out are terminated, and nothing waits for that.
    pub(super) fn stop_draining(&mut self, id: OperationId) {
        self.draining = None;
        self.end_all_shares();
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
        self.notify(id, Notice::Done);
        self.end(id);
    }
}
