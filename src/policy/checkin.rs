//! The return: reset, then to the head waiter, the idle store, or closed; and its siblings, invalidate and detach. One
//! table of (state, outcome). Called through pool.rs.

use super::config::ResetStyle;
use super::kind::queue::is_surplus;
use super::operation::{Operation, State};
use super::pool::{Pool, close_step};
use super::record::Phase;
use super::ring::NIL;
use super::step::{Outcome, Return, Step};
use super::{LeaseId, OperationId};

impl Pool {
    /// Takes a lease back. `clean`: the driver knows that no transaction is open. The lease ends at once, so a second
    /// return, or one with a stale handle, does nothing.
    pub fn begin_checkin(&mut self, lease: LeaseId, clean: bool) -> Return {
        self.checkin_at_once(lease, clean).unwrap_or_else(|| self.begin_long_checkin(lease, clean))
    }

    #[inline(never)]
    fn begin_long_checkin(&mut self, lease: LeaseId, clean: bool) -> Return {
        let Some(slot) = self.end_lease(lease) else { return Return::Done };
        let reset = self.wants_reset(clean) && self.records[slot].live;
        if reset {
            return self.begin_return(State::Resetting, slot);
        }
        if self.must_discard(slot) { self.begin_return(State::Discarding, slot) } else { Return::Done }
    }

    /// The common return, in as few looks as it takes: nothing speaks against the connection, so the head waiter has it
    /// in the same instant, or the idle store. `None`, with nothing done: [`Pool::begin_checkin`] knows the long way.
    // Always: as checkout_at_once.
    #[inline(always)]
    pub fn checkin_at_once(&mut self, lease: LeaseId, clean: bool) -> Option<Return> {
        if self.wants_reset(clean) {
            return None;
        }
        let record = self.records.get_mut(lease)?;
        if record.phase != Phase::Leased || record.current_in != self.epoch {
            return None;
        }
        let slot = lease.index();
        if let Some(waiter) = self.waiters.front() {
            // The last waiter's leave may be news for the timer.
            if self.waiters.len() == 1 || self.has_news() {
                return None;
            }
            let record = &mut self.records[slot];
            record.held_since = None;
            self.counters.checkouts = self.counters.checkouts.wrapping_add(1);
            let lease = self.records.renew(slot);
            self.waiters.pop_front();
            return Some(Return::HandedOver(self.end_at(waiter), lease));
        }
        if is_surplus(&self.config, self.idle.len()) {
            return None;
        }
        let record = &mut self.records[slot];
        record.phase = Phase::Idle;
        record.held_since = None;
        self.records.renew(slot);
        self.idle.put(slot);
        Some(Return::Done)
    }

    /// Ends a lease whose connection is not to be trusted: it is terminated, and the slot goes on without it.
    pub fn begin_invalidate(&mut self, lease: LeaseId) -> Return {
        let Some(slot) = self.end_lease(lease) else { return Return::Done };
        self.counters.invalidated = self.counters.invalidated.wrapping_add(1);
        self.begin_return(State::Condemned, slot)
    }

    /// Marks the lease's connection: it is replaced at its next checkout, the lease goes on.
    pub fn invalidate_soft(&mut self, lease: LeaseId) {
        if self.is_leased(lease) {
            self.records[lease.index()].mark_stale();
        }
    }

    /// Marks every connection that is as old as this lease's, and none that was opened since the last such mark.
    pub fn invalidate_as_old(&mut self, lease: LeaseId) {
        if self.is_leased(lease) && self.records[lease.index()].invalidation == self.invalidation {
            self.invalidate_all();
        }
    }

    /// Takes the lease's connection out of the pool for good; the slot is free at once. The operation stands for the
    /// connection until [`Pool::begin_detached_close`]. `None` if the lease had ended.
    pub fn detach(&mut self, lease: LeaseId) -> Option<OperationId> {
        let slot = self.end_lease(lease)?;
        self.detached += 1;
        let id = self.begin(Operation::new(State::Detached, NIL));
        self.records[slot].empty();
        self.must_discard(slot);
        Some(id)
    }

    /// Closes a detached connection, after the same reset as any return; `abrupt` without one.
    pub fn begin_detached_close(&mut self, id: OperationId, clean: bool, abrupt: bool) -> Return {
        if self.operations.get(id).is_none_or(|operation| operation.state != State::Detached) {
            return Return::Done;
        }
        let reset = self.wants_reset(clean) && !abrupt;
        let operation = self.operation(id);
        operation.abrupt = abrupt;
        operation.state = if reset { State::ResettingDetached } else { State::ClosingDetached };
        self.arm_driver(id);
        Return::Pending(id)
    }

    /// The driver says that the connection of this slot is gone. Idle, its slot ends; with a caller, it is marked.
    pub fn connection_died(&mut self, slot: u32) {
        if self.records[slot].phase == Phase::Idle && self.records[slot].live {
            self.idle.remove(slot);
            self.counters.invalidated = self.counters.invalidated.wrapping_add(1);
            self.discard_as_child(slot, true);
        } else {
            self.records[slot].mark_stale();
        }
    }

    fn wants_reset(&self, clean: bool) -> bool {
        match self.config.reset_on_return {
            ResetStyle::Rollback => !clean,
            ResetStyle::Commit => true,
            ResetStyle::None => false,
        }
    }

    pub(super) fn reset_step(&self, slot: Option<u32>) -> Step {
        match self.config.reset_on_return {
            ResetStyle::Commit => Step::Commit(slot),
            ResetStyle::Rollback | ResetStyle::None => Step::Rollback(slot),
        }
    }

    fn begin_return(&mut self, state: State, slot: u32) -> Return {
        if state == State::Discarding {
            self.records[slot].phase = Phase::Closing;
        }
        let id = self.begin(Operation::new(state, slot));
        self.arm_driver(id);
        Return::Pending(id)
    }

    /// Closes the slot's connection in a flow of its own.
    pub(super) fn discard_as_child(&mut self, slot: u32, abrupt: bool) {
        self.records[slot].phase = Phase::Closing;
        let mut operation = Operation::new(State::Discarding, slot);
        operation.attended = false;
        operation.abrupt = abrupt;
        let id = self.begin(operation);
        self.arm_driver(id);
        self.children.push_back(id);
    }

    /// Whatever an operation was, its slot is free now and this is its last act, or its last but the close.
    pub(super) fn settle(&mut self, id: OperationId, slot: u32) -> Step {
        if !self.must_discard(slot) {
            self.end(id);
            return Step::Done;
        }
        self.records[slot].phase = Phase::Closing;
        let operation = self.operation(id);
        operation.state = State::Discarding;
        let step = close_step(operation);
        self.arm_driver(id);
        step
    }

    pub(super) fn advance_checkin(&mut self, id: OperationId, outcome: Outcome) -> Step {
        let Operation { state, at: slot, .. } = *self.operation(id);
        match (state, outcome) {
            (State::Resetting, Outcome::Ok) => self.settle(id, slot),
            (State::Resetting, _) => {
                self.counters.invalidated = self.counters.invalidated.wrapping_add(1);
                self.operation(id).state = State::Condemned;
                self.arm_driver(id);
                Step::Terminate(Some(slot))
            }
            // However the termination or the close went, the connection is gone.
            (State::Condemned, _) => {
                self.records[slot].empty();
                self.settle(id, slot)
            }
            (State::Discarding, _) => {
                self.end(id);
                self.drop_slot(slot);
                Step::Done
            }
            (State::ResettingDetached, outcome) => {
                let operation = self.operation(id);
                operation.state = State::ClosingDetached;
                operation.abrupt = outcome != Outcome::Ok;
                let step = close_step(operation);
                self.arm_driver(id);
                step
            }
            (State::ClosingDetached, _) => {
                self.detached -= 1;
                self.end(id);
                Step::Done
            }
            _ => {
                self.end(id);
                Step::Done
            }
        }
    }
}
