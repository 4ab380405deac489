//! What callers do with a connection that they share: of StaticPool all callers, of SingletonThreadPool those of one
//! scope. The first caller takes the slot as in a queue of one; a caller that comes while it is lent joins, one that
//! comes while it is on its way waits; the last return is the connection's. A connection that may not be joined any
//! more keeps its slot for its holders, and the next caller gets another. Called through pool.rs.

use super::id::OperationId;
use super::operation::{Caller, Operation, State};
use super::pool::Pool;
use super::record::Phase;
use super::step::{Condition, Return, Step};
use alloc::vec::Vec;

impl Pool {
    /// The slot that a caller may join now. Age does not end a group: a connection that merely grows old serves its
    /// holders and their joiners to the end, so that the pool stays one of one connection.
    pub(super) fn joinable(&mut self) -> Option<u32> {
        let slot = self.shares.current()?;
        if self.records[slot].phase != Phase::Leased {
            return None;
        }
        let record = &self.records[slot];
        let is_disposed = record.generation.disposal() != self.family.generation().disposal();
        if record.live && !is_disposed && self.may_be_joined(slot) {
            return Some(slot);
        }
        self.retire(slot);
        None
    }

    fn may_be_joined(&self, slot: u32) -> bool {
        !self.config.kind.checks_every_share() || self.is_current_but_for_age(slot)
    }

    /// Adds a share of the slot's connection, granted or on its way.
    pub(super) fn share(&mut self, slot: u32) {
        if self.shares.join(slot) {
            self.records[slot].phase = Phase::Reserved;
        }
    }

    /// Lets no caller join the slot's group any more.
    pub(super) fn retire(&mut self, slot: u32) {
        if self.shares.retire(slot) {
            self.has_freed = true;
        }
    }

    /// A reserved operation that joined starts.
    pub(super) fn enter_share(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        if !self.records[slot].live || !self.may_be_joined(slot) {
            return self.rejoin(id, slot, deaths);
        }
        if self.config.kind.checks_every_share() { self.check(id, slot, deaths) } else { self.grant(id, slot) }
    }

    /// The connection that the operation had joined is no good any more: it leaves it to the others and asks again,
    /// before every waiter.
    pub(super) fn rejoin(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        let is_left_to_others = self.shares.leave(slot);
        self.retire(slot);
        if !is_left_to_others && self.place(slot) {
            self.spawn_discard(slot, false);
        }
        let Some(slot) = self.take_slot() else {
            self.wait_again(id);
            return Step::Wait;
        };
        self.reserve(id, slot, self.config.timeout);
        self.enter_slot(id, slot, deaths)
    }

    pub(super) fn grant_share(&mut self, id: OperationId, slot: u32) -> Step {
        self.deadlines.disarm(&mut self.operations, id.index());
        self.count_checkout(slot);
        self.records[slot].phase = Phase::Leased;
        let operation = self.operation(id);
        operation.state = State::Sharing { slot };
        operation.caller = Caller::Other;
        operation.limit.clear();
        // Waiters may join it.
        self.has_freed = true;
        Step::Share(slot)
    }

    // ---- the end of a share

    /// Takes a share back; the last one is a return. What another sharer does is no fault of this one, unless the
    /// connection is lost.
    pub fn begin_share_return(&mut self, id: OperationId, condition: Condition) -> Return {
        let Some(slot) = self.end_share(id) else { return Return::Done };
        let result = if self.shares.is_joined(slot) && condition.is_lost() {
            self.begin_condemnation(id, slot)
        } else if self.leave_unless_last(id, slot) {
            Return::Done
        } else if self.shares.is_taken(slot) {
            self.begin_empty_return(id, slot)
        } else {
            Return::of(self.begin_other_return(id, slot, condition), id)
        };
        self.settle();
        result
    }

    /// Ends a share whose connection is not to be trusted: it is terminated for all its holders.
    pub fn begin_share_invalidate(&mut self, id: OperationId) -> Return {
        let Some(slot) = self.end_share(id) else { return Return::Done };
        let result = self.begin_condemnation(id, slot);
        self.settle();
        result
    }

    /// Takes the shared connection out of the pool for this caller alone. Returns whether the share had not ended.
    pub fn detach_share(&mut self, id: OperationId) -> bool {
        let Some(slot) = self.end_share(id) else { return false };
        let has_connection = self.take_from(slot);
        self.operation(id).state = State::Detached { has_connection };
        if self.shares.is_joined(slot) {
            self.empty_record(slot);
            self.shares.mark_taken(slot);
            self.retire(slot);
            self.shares.leave(slot);
        } else {
            self.shares.leave(slot);
            self.free_slot(slot);
        }
        self.settle();
        true
    }

    /// Reports that the share was dropped without a return: it counts as returned. Returns whether it had not ended
    /// otherwise.
    pub fn lose_share(&mut self, id: OperationId) -> bool {
        let Some(slot) = self.end_share(id) else { return false };
        self.family.counters.leaked.count();
        if !self.leave_unless_last(id, slot) {
            self.operation(id).caller = Caller::None;
            let result = if self.records[slot].live {
                Return::of(self.begin_other_return(id, slot, Condition::Open), id)
            } else {
                self.begin_empty_return(id, slot)
            };
            if let Return::Pending(id) = result {
                self.outbox.spawn(id);
            }
        }
        self.settle();
        true
    }

    /// There is nothing to reset.
    fn begin_empty_return(&mut self, id: OperationId, slot: u32) -> Return {
        Return::of(self.tell_checkin(id, slot, None), id)
    }

    /// Ends every share, at the end of a close.
    pub(super) fn end_all_shares(&mut self) {
        if !self.config.kind.shares() {
            return;
        }
        let share = |(index, operation): (u32, &Operation)| match operation.state {
            State::Sharing { slot } => Some((index, slot)),
            _ => None,
        };
        let shares: Vec<(u32, u32)> = self.operations.iter().filter_map(share).collect();
        for (index, slot) in shares {
            self.shares.leave(slot);
            self.end(self.operations.handle_of(index));
        }
    }

    fn end_share(&mut self, id: OperationId) -> Option<u32> {
        let &Operation { state: State::Sharing { slot }, .. } = self.operations.get(id)? else { return None };
        let operation = self.operation(id);
        operation.state = State::CheckingIn { slot, refusal: None };
        operation.caller = Caller::Return;
        if !self.shares.is_joined(slot) {
            self.records[slot].phase = Phase::Returning;
        }
        Some(slot)
    }

    fn leave_unless_last(&mut self, id: OperationId, slot: u32) -> bool {
        let is_joined = self.shares.is_joined(slot);
        if is_joined {
            self.shares.leave(slot);
            self.end(id);
        }
        is_joined
    }
}
