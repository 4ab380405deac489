//! Connections that callers share: of StaticPool all of them, of SingletonThreadPool those of one scope. The first caller
//! takes the slot as in a queue of one; who comes while it is lent joins, who comes while it is on its way waits; the
//! last return is the connection's. A connection that may not be joined any more keeps its slot for those who have it,
//! and the next caller gets another (the slot is *retired*). Asked by the operations; holds no state of its own.

use crate::policy::operation::{Caller, State, Then};
use crate::policy::pool::Pool;
use crate::policy::record::{Phase, Record};
use crate::policy::ring::NIL;
use crate::policy::step::{Return, Step};
use crate::policy::{OperationId, kind::queue::Source};
use alloc::vec::Vec;

impl Pool {
    /// The slot that a caller may join now.
    pub(in crate::policy) fn joinable(&mut self) -> Option<u32> {
        let slot = self.shared;
        if slot == NIL || self.records[slot].phase != Phase::Leased {
            return None;
        }
        let may_stay = !self.config.kind.checks_every_share() || self.is_current(slot);
        let record = &self.records[slot];
        if record.live && record.dispose == self.dispose && may_stay {
            return Some(slot);
        }
        self.retire(slot);
        None
    }

    /// One more has, or is about to have, the slot's connection.
    pub(in crate::policy) fn share(&mut self, slot: u32) {
        self.shared = slot;
        let record = &mut self.records[slot];
        record.shares += 1;
        if record.shares == 1 {
            record.phase = Phase::Reserved;
        }
    }

    /// Whether somebody else has a share of the slot, too.
    pub(in crate::policy) fn is_joined(&self, slot: u32) -> bool {
        self.records[slot].shares > 1
    }

    /// One less has the slot's connection. True: others still have it.
    pub(in crate::policy) fn leave_share(&mut self, slot: u32) -> bool {
        let shares = &mut self.records[slot].shares;
        *shares = shares.saturating_sub(1);
        *shares > 0
    }

    /// Who has the slot keeps it; nobody joins any more, and the next caller gets another.
    pub(in crate::policy) fn retire(&mut self, slot: u32) {
        if core::mem::replace(&mut self.records[slot].retired, true) {
            return;
        }
        self.retired += 1;
        if self.shared == slot {
            self.shared = NIL;
        }
        self.serve();
    }

    /// A reserved operation that joined starts.
    pub(in crate::policy) fn enter_share(&mut self, id: OperationId, slot: u32) -> Step {
        let checks = self.config.kind.checks_every_share();
        if !self.records[slot].live || checks && !self.is_current(slot) {
            return self.rejoin(id, slot);
        }
        if checks { self.check(id, slot) } else { self.grant(id, slot) }
    }

    /// The connection that the operation had joined is no good any more: it leaves it to the others.
    pub(in crate::policy) fn rejoin(&mut self, id: OperationId, slot: u32) -> Step {
        let is_left_to_others = self.leave_share(slot);
        self.retire(slot);
        if !is_left_to_others && self.must_discard(slot) {
            self.discard_as_child(slot, false);
        }
        let slot = match self.joinable() {
            Some(slot) => slot,
            None => match self.source() {
                Source::Idle => self.take_from_idle(),
                Source::New => self.records.insert(Record::new()).index(),
                Source::Nowhere => {
                    self.operation(id).state = State::Waiting;
                    self.waiters.push_back(&mut self.operations, id.index());
                    self.counters.waited = self.counters.waited.wrapping_add(1);
                    let span = self.shorter_of(id, self.config.timeout);
                    self.deadlines.arm(&mut self.operations, id.index(), span);
                    return Step::Wait;
                }
            },
        };
        self.operation(id).at = slot;
        self.reserve(id, slot);
        self.enter_slot(id)
    }

    pub(in crate::policy) fn grant_share(&mut self, id: OperationId, slot: u32) -> Step {
        self.deadlines.disarm(&mut self.operations, id.index());
        self.count_checkout(slot);
        self.records[slot].phase = Phase::Leased;
        let operation = self.operation(id);
        operation.state = State::Sharing;
        operation.caller = Caller::Other;
        operation.then = Then::Nothing;
        operation.abrupt = false;
        operation.has_limit = false;
        self.serve();
        Step::Share(slot)
    }

    /// Takes a share back; the last one is a return. `clean` as in [`Pool::begin_checkin`].
    pub fn begin_share_return(&mut self, id: OperationId, clean: bool) -> Return {
        let Some(slot) = self.end_share(id) else { return Return::Done };
        if self.leave_unless_last(id, slot) {
            return Return::Done;
        }
        if self.records[slot].is_taken {
            return self.begin_empty_return(id);
        }
        self.begin_return(id, clean)
    }

    /// Ends a share whose connection is not to be trusted: it is terminated for all who share it.
    pub fn begin_share_invalidate(&mut self, id: OperationId) -> Return {
        if self.end_share(id).is_none() {
            return Return::Done;
        }
        self.invalidate_for(id)
    }

    /// Takes the shared connection out of the pool for this caller alone. True if the share had not ended.
    pub fn detach_share(&mut self, id: OperationId) -> bool {
        let Some(slot) = self.end_share(id) else { return false };
        let then = self.take_from(slot);
        let operation = self.operation(id);
        operation.state = State::Detached;
        operation.then = then;
        operation.at = NIL;
        if self.is_joined(slot) {
            self.records[slot].empty();
            self.records[slot].is_taken = true;
            self.retire(slot);
            self.leave_share(slot);
        } else {
            self.leave_share(slot);
            self.free_slot(slot);
        }
        true
    }

    /// The share was dropped without a return: its count drops, and if it was the last the connection is returned.
    /// False where it had ended otherwise.
    pub fn lose_share(&mut self, id: OperationId) -> bool {
        let Some(slot) = self.end_share(id) else { return false };
        self.counters.leaked = self.counters.leaked.wrapping_add(1);
        if !self.leave_unless_last(id, slot) {
            self.operation(id).caller = Caller::Nobody;
            let result =
                if self.records[slot].live { self.begin_return(id, false) } else { self.begin_empty_return(id) };
            if let Return::Pending(id) = result {
                self.children.push_back(id);
            }
        }
        true
    }

    /// There is nothing to reset.
    fn begin_empty_return(&mut self, id: OperationId) -> Return {
        if self.tell_checkin(id) == Step::Done { Return::Done } else { Return::Pending(id) }
    }

    /// Ends every share of the slot; answers their operations.
    pub(in crate::policy) fn end_shares(&mut self, slot: u32) -> Vec<OperationId> {
        let is_share = |state, at| state == State::Sharing && at == slot;
        let shares: Vec<u32> = self
            .operations
            .iter()
            .filter(|(_, operation)| is_share(operation.state, operation.at))
            .map(|(index, _)| index)
            .collect();
        for &index in &shares {
            self.operations[index].state = State::Ending;
        }
        shares.into_iter().map(|index| self.operations.handle_of(index)).collect()
    }

    fn end_share(&mut self, id: OperationId) -> Option<u32> {
        let operation = self.operations.get(id).filter(|operation| operation.state == State::Sharing)?;
        let slot = operation.at;
        self.operation(id).state = State::Ending;
        if !self.is_joined(slot) {
            self.records[slot].phase = Phase::Returning;
        }
        Some(slot)
    }

    fn leave_unless_last(&mut self, id: OperationId, slot: u32) -> bool {
        let is_joined = self.is_joined(slot);
        if is_joined {
            self.leave_share(slot);
            self.end(id);
        }
        is_joined
    }
}
