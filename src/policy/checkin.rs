//! The return: the reset listeners, the reset, finalizers, the checkin listeners; then to the head waiter, the idle
//! store, or closed; and its sibling, invalidate. One table of (state, outcome). Called through pool.rs.

use super::config::ResetStyle;
use super::kind::queue::is_surplus;
use super::operation::{Caller, Operation, State, Then};
use super::pool::Pool;
use super::record::Phase;
use super::step::{Event, Outcome, Return, Step};
use super::{LeaseId, OperationId};

impl Pool {
    /// Takes a lease back. `clean`: the driver knows that no transaction is open. The lease ends at once, so a second
    /// return, or one with a stale handle, does nothing.
    pub fn begin_checkin(&mut self, lease: LeaseId, clean: bool) -> Return {
        self.checkin_at_once(lease, clean).unwrap_or_else(|| self.begin_long_checkin(lease, clean))
    }

    /// The same where [`Pool::checkin_at_once`] has answered `None`.
    #[inline(never)]
    pub fn begin_long_checkin(&mut self, lease: LeaseId, clean: bool) -> Return {
        let Some(slot) = self.end_lease(lease) else { return Return::Done };
        let id = self.begin(Operation::new(State::Resetting, Caller::Other, slot));
        self.begin_return(id, clean)
    }

    /// The steps of a return, from the first that is wanted.
    pub(super) fn begin_return(&mut self, id: OperationId, clean: bool) -> Return {
        self.operation(id).is_reset = clean;
        let step =
            if self.hooks.has(Event::Reset) { self.enter(id, State::Emitting(Event::Reset)) } else { self.reset(id) };
        if step == Step::Done { Return::Done } else { Return::Pending(id) }
    }

    /// The common return, in as few looks as it takes: nothing speaks against the connection, so the head waiter has it
    /// in the same instant, or the idle store. `None`, with nothing done: [`Pool::begin_long_checkin`] goes the
    /// long way.
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
            if self.waiters.len() == 1 || self.may_have_news() {
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
        let id = self.begin(Operation::new(State::Ending, Caller::Other, slot));
        self.invalidate_for(id)
    }

    pub(super) fn invalidate_for(&mut self, id: OperationId) -> Return {
        if self.condemn(id, None) == Step::Done { Return::Done } else { Return::Pending(id) }
    }

    /// Marks the lease's connection: it is replaced at its next checkout, the lease goes on.
    pub fn invalidate_soft(&mut self, slot: u32) {
        self.records[slot].mark_stale();
    }

    /// Marks every connection that is as old as this slot's, and none that was opened since the last such mark.
    pub fn invalidate_as_old(&mut self, slot: u32) {
        if self.records[slot].invalidation == self.invalidation {
            self.invalidate_all();
        }
    }

    /// The driver says that the connection of this slot is gone. Idle, its slot ends; else it is marked: true.
    pub fn connection_died(&mut self, slot: u32) -> bool {
        if self.records[slot].phase == Phase::Idle && self.records[slot].live {
            self.remove_from_idle(slot);
            self.condemn_as_child(slot);
            return false;
        }
        self.records[slot].mark_stale();
        self.records[slot].live
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

    fn reset(&mut self, id: OperationId) -> Step {
        let &mut Operation { is_reset, .. } = self.operation(id);
        if self.wants_reset(is_reset) { self.enter(id, State::Resetting) } else { self.after_reset(id) }
    }

    fn after_reset(&mut self, id: OperationId) -> Step {
        let Some(slot) = self.operation(id).slot() else { return self.close_detached(id, false) };
        let record = &mut self.records[slot];
        if record.has_finalizers {
            record.has_finalizers = false;
            return self.enter(id, State::Finalizing);
        }
        self.tell_checkin(id)
    }

    /// Whether nobody holds the connection that was to be reset: its share was lost, and its record emptied since.
    fn is_in_vain(&self, id: OperationId) -> bool {
        let operation = &self.operations[id.index()];
        operation.caller == Caller::Nobody && operation.slot().is_some_and(|slot| !self.records[slot].live)
    }

    pub(super) fn advance_checkin(&mut self, id: OperationId, outcome: Outcome) -> Step {
        let state = self.operation(id).state;
        match (state, outcome) {
            // Of a lost lease: its connection is terminated.
            (State::Emitting(_), _) if self.operation(id).abrupt => self.tell_detach(id),
            (State::Emitting(_), Outcome::Ok) if self.is_in_vain(id) => self.tell_checkin(id),
            (State::Emitting(_), Outcome::Ok) => self.reset(id),
            (State::Resetting, Outcome::Ok) => self.after_reset(id),
            (State::Finalizing, _) => self.tell_checkin(id),
            // What was not reset cannot be trusted.
            _ => match self.operation(id).slot() {
                None => self.close_detached(id, true),
                Some(_) => {
                    let operation = self.operation(id);
                    operation.then = Then::Checkin;
                    operation.abrupt = true;
                    self.tell_invalidate(id)
                }
            },
        }
    }
}
