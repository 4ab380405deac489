//! The ends of a pool: dispose, which closes what is idle and leaves the pool usable, and close, which is terminal.
//! Called through pool.rs.

use super::OperationId;
use super::config::Span;
use super::operation::{Caller, Operation, State};
use super::pool::Pool;
use super::record::Phase;
use super::ring::NIL;
use super::step::{Notice, Refusal};
use alloc::vec::Vec;

impl Pool {
    /// Closes what is idle, as children. Leases go on and are closed at their return; the pool stays usable.
    pub fn dispose(&mut self) {
        self.dispose = self.dispose.wrapping_add(1);
        self.begin_epoch();
        while self.idle.next().is_some() {
            let slot = self.take_from_idle();
            if self.records[slot].live {
                self.discard_as_child(slot, false);
            } else {
                self.drop_slot(slot);
            }
        }
    }

    /// Ends the pool: refuses who waits and who will come, closes what is idle, and waits at most `patience` for the
    /// leases; then they are terminated. [`Notice::Done`] names the operation when it is over. A second close answers with
    /// what is left of the first.
    pub fn begin_close(&mut self, patience: Span) -> OperationId {
        if let Some(closing) = self.draining {
            return closing;
        }
        self.closed = true;
        let closing = self.begin(Operation::new(State::Draining, Caller::Other, NIL));
        let checkouts: Vec<OperationId> = self
            .operations
            .iter()
            .filter(|(_, operation)| operation.is_attended())
            .map(|(index, _)| self.operations.handle_of(index))
            .collect();
        for id in self.in_order(checkouts) {
            match self.operation(id).state {
                State::Waiting => self.refuse_waiter(id, Refusal::Closed),
                State::Reserved => {
                    self.give_back(id);
                    self.notify(id, Notice::Reject(Refusal::Closed));
                }
                _ => {
                    self.notify(id, Notice::Reject(Refusal::Closed));
                    self.dismiss(id);
                }
            }
        }
        self.dispose();
        if self.records.len() == 0 {
            self.end(closing);
            self.notify(closing, Notice::Done);
        } else if patience == Span::Millis(0) {
            self.stop_draining(closing);
        } else {
            self.draining = Some(closing);
            self.deadlines.arm(&mut self.operations, closing.index(), patience);
        }
        closing
    }

    /// Those who wait in the order in which they came, after the others.
    fn in_order(&mut self, checkouts: Vec<OperationId>) -> Vec<OperationId> {
        let mut ordered: Vec<OperationId> =
            checkouts.into_iter().filter(|id| self.operations[id.index()].state != State::Waiting).collect();
        ordered.extend(self.waiters.iter().map(|index| self.operations.handle_of(index)));
        ordered
    }

    /// The close has waited long enough: what is still out is terminated, and nobody waits for that.
    pub(super) fn stop_draining(&mut self, id: OperationId) {
        self.draining = None;
        let leased: Vec<u32> =
            self.records.iter().filter(|(_, record)| record.phase == Phase::Leased).map(|(slot, _)| slot).collect();
        for slot in leased {
            for share in self.end_shares(slot) {
                self.leave_share(slot);
                self.end(share);
            }
            if self.records[slot].shares > 0 {
                // Somebody is about to join: that checkout was refused, and ends the connection when it hears of it.
                continue;
            }
            self.end_grace(slot);
            self.records.renew(slot);
            self.records[slot].held_since = None;
            if self.records[slot].live {
                self.discard_as_child(slot, true);
            } else {
                let discard = self.must_discard(slot);
                debug_assert!(!discard, "an emptied slot holds nothing to close");
            }
        }
        self.end(id);
        self.notify(id, Notice::Done);
    }
}
