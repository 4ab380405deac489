//! What becomes of a lost connection, and what its loss says of the others. One loss is the loss of one connection. Two
//! losses in a row, or one that concerns the server, make the connections of that age or older *suspects*: each is
//! pinged at its next checkout, and replaced alone if it does not answer. Called through pool.rs.

use super::id::OperationId;
use super::operation::{Caller, CheckoutAt, Operation, ReturnAt, State, Then};
use super::pool::Pool;
use super::record::Phase;
use super::step::{Loss, Notice, Return};
use alloc::vec::Vec;

impl Pool {
    /// Takes that the driver can be asked whether a connection is alive.
    pub const fn set_can_ping(&mut self, can_ping: bool) {
        self.can_ping = can_ping;
    }

    /// Takes what the loss of the slot's connection says of the others. If the driver cannot ping, those that would be
    /// suspects are replaced.
    pub fn lose(&mut self, slot: u32, loss: Loss) {
        let age = self.records[slot].generation;
        if !self.family.is_present_age(age) {
            // It was older than the last suspicion or invalidation, which said the same.
            return;
        }
        // Two losses are in a row if fewer connections were lent in between than there are: some had no turn.
        let is_second = self.family.is_second_loss(self.records.len() as u64);
        if loss != Loss::Others && !is_second {
            return;
        }
        if self.can_ping {
            self.family.suspect();
        } else {
            self.family.invalidate();
        }
    }

    /// Whether the slot's connection must be pinged before it is lent again, because others of its age were lost.
    pub fn is_suspect(&self, slot: u32) -> bool {
        self.records[slot].generation.suspicion() != self.family.generation().suspicion()
    }

    /// The slot's connection has answered.
    pub(super) fn acquit(&mut self, slot: u32) {
        let record = &mut self.records[slot];
        record.generation = record.generation.as_trusted_as(self.family.generation());
    }

    // ---- a death that the driver reports

    /// Takes the driver's report that the connection of this slot is gone: it is terminated, and its slot is free after
    /// that. The slot of an idle one ends. A lease of it ends, too, and its return does nothing.
    pub fn connection_died(&mut self, slot: u32, loss: Loss) -> Return {
        let record = &mut self.records[slot];
        if !record.live {
            // It died as it arrived, before the outcome of its opening; else it has ended already.
            record.stale |= record.phase == Phase::Opening;
            return Return::Done;
        }
        let phase = record.phase;
        // A driver that cannot ping reports each of its dead connections by itself.
        if self.can_ping {
            self.lose(slot, loss);
        }
        let id = self.begin(Operation::new(State::CheckingIn { slot, refusal: None }, Caller::None));
        match phase {
            Phase::Idle => {
                self.take_idle_slot(slot);
                self.begin_ending(slot);
                self.invalidate_then(id, None, Then::Drop(slot));
            }
            Phase::Leased if !self.config.kind.shares() => {
                self.end_lease(self.lease_of(slot));
                self.condemn(id, slot, None);
            }
            _ => self.die_in_use(id, slot, phase),
        }
        self.settle();
        Return::Pending(id)
    }

    /// An operation, or the callers that share the connection, go on without it.
    fn die_in_use(&mut self, id: OperationId, slot: u32, phase: Phase) {
        // Nothing is to be reset any more.
        self.records[slot].stale = true;
        self.records[slot].emptying += 1;
        self.invalidate_then(id, None, Then::Free(slot));
        if phase == Phase::Leased {
            // Its holders keep the slot, beside the count, and have nothing to reset.
            self.shares.mark_taken(slot);
            self.retire(slot);
        }
        // A call into a dead connection may never answer.
        self.expire_all(|state| match state {
            State::CheckingOut { at: CheckoutAt::Pinging, slot: asked, .. }
            | State::Returning { at: ReturnAt::Cancelling | ReturnAt::Resetting | ReturnAt::Resting, slot: asked } => {
                asked == slot
            }
            _ => false,
        });
    }

    /// Ends the time of the steps of these operations.
    pub(super) fn expire_all(&mut self, is_concerned: impl Fn(State) -> bool) {
        let concerned = self.operations.iter().filter(|(_, operation)| is_concerned(operation.state));
        for index in concerned.map(|(index, _)| index).collect::<Vec<u32>>() {
            self.deadlines.disarm(&mut self.operations, index);
            self.notify(self.operations.handle_of(index), Notice::Expire);
        }
    }
}
