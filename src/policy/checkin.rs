//! The return: the reset listeners, the reset, finalizers, the checkin listeners; then to the head waiter, the idle
//! store, or closed; and its sibling, invalidate. Called through pool.rs.

use super::config::ResetStyle;
use super::id::{LeaseId, NIL, OperationId};
use super::operation::{Caller, Operation, ReturnAt, State, Then};
use super::pool::Pool;
use super::record::Phase;
use super::step::{Condition, Event, Loss, Outcome, Refusal, Return, Step};

impl Pool {
    /// Takes a lease back. The lease ends at once, so a second return, or one with a stale handle, does nothing.
    pub fn begin_checkin(&mut self, lease: LeaseId, condition: Condition) -> Return {
        let at_once =
            if condition.is_at_rest() { self.checkin_at_once(lease, condition == Condition::Clean) } else { None };
        at_once.unwrap_or_else(|| self.begin_long_checkin(lease, condition))
    }

    /// The return if [`Pool::checkin_at_once`] has returned `None`.
    #[inline(never)]
    pub fn begin_long_checkin(&mut self, lease: LeaseId, condition: Condition) -> Return {
        let Some(slot) = self.end_lease(lease) else { return Return::Done };
        let id = self.begin(Operation::new(State::Returning { at: ReturnAt::Resetting, slot }, Caller::Return));
        let result = Return::of(self.begin_return(id, slot, condition), id);
        self.settle();
        result
    }

    /// The common return of a connection at rest. `clean`: no transaction is open. The state alone decides on the
    /// connection, so the head waiter has it in the same instant, or the idle store. `None`, with nothing done:
    /// [`Pool::begin_long_checkin`] goes the long way.
    // Always: as checkout_at_once.
    #[inline(always)]
    pub fn checkin_at_once(&mut self, lease: LeaseId, clean: bool) -> Option<Return> {
        if self.wants_reset(clean) {
            return None;
        }
        // A checkout that waits for an opening comes before the waiters and the idle store.
        if !self.hands_over_plainly || !self.places.openers.is_empty() {
            return None;
        }
        let waiter = self.waiters.front();
        let may_settle_here = match waiter {
            // The last waiter's leave may concern the timer.
            Some(_) => self.waiters.len() > 1 && !self.has_output(),
            None => self.is_plain && !self.is_surplus() && !self.closed,
        };
        let generation = self.family.clean_generation();
        let place = self.idle.end();
        let entry = self.records.entry_of(lease)?;
        // The grace of a lost lease has the place of the idle time.
        let has_time = !self.is_plain && entry.value.expiry != NIL;
        if !may_settle_here || has_time || !entry.value.is_clean(Phase::Leased, generation) {
            return None;
        }
        entry.value.held_since = None;
        let lease = entry.renew();
        if let Some(waiter) = waiter {
            self.family.counters.checkouts.count();
            self.waiters.pop_front();
            self.deadlines.disarm(&mut self.operations, waiter);
            // Handed out with this very return, so its index may be used again.
            return Some(Return::HandedOver(self.operations.remove(waiter), lease));
        }
        entry.value.phase = Phase::Idle;
        entry.value.idle_place = place;
        self.idle.append_plain(lease.index());
        Some(Return::Done)
    }

    // ---- the steps of a return

    /// Begins with the first step that is wanted.
    #[inline(always)]
    fn begin_return(&mut self, id: OperationId, slot: u32, condition: Condition) -> Step {
        if !condition.is_at_rest() {
            self.begin_restless_return(id, slot, condition)
        } else if self.has_listener(Event::Reset) {
            self.enter(id, State::Returning { at: ReturnAt::TellingReset { condition }, slot })
        } else {
            self.reset(id, slot, condition)
        }
    }

    /// Its caller waits for nothing: neither for the statement under way, nor for the end of the connection.
    #[inline(never)]
    fn begin_restless_return(&mut self, id: OperationId, slot: u32, condition: Condition) -> Step {
        // From the first step on, which would else have the caller's time.
        self.operation(id).caller = Caller::None;
        let step = match condition {
            Condition::Busy => self.tell_reset(id, slot, condition),
            Condition::GivenUp => self.enter_return(id, State::Returning { at: ReturnAt::Cancelling, slot }, condition),
            _ => {
                if condition == Condition::Lost {
                    self.lose(slot, Loss::Alone);
                }
                self.condemn(id, slot, None)
            }
        };
        if step != Step::Done {
            self.release(id);
        }
        step
    }

    /// The same for a return that is not a lease's. Not inlined: it is rare.
    #[inline(never)]
    pub(super) fn begin_other_return(&mut self, id: OperationId, slot: u32, condition: Condition) -> Step {
        self.begin_return(id, slot, condition)
    }

    fn tell_reset(&mut self, id: OperationId, slot: u32, condition: Condition) -> Step {
        if self.has_listener(Event::Reset) {
            return self.enter_return(
                id,
                State::Returning { at: ReturnAt::TellingReset { condition }, slot },
                condition,
            );
        }
        self.reset(id, slot, condition)
    }

    /// A step on a connection that may be busy: then it has a time of its own.
    pub(super) fn enter_return(&mut self, id: OperationId, state: State, condition: Condition) -> Step {
        let driver_timeout = self.config.driver_timeout;
        let span = if condition.is_busy() { driver_timeout.min(self.config.return_timeout) } else { driver_timeout };
        self.enter_within(id, state, span)
    }

    #[inline(always)]
    pub(super) fn advance_return(&mut self, id: OperationId, at: ReturnAt, slot: u32, outcome: Outcome) -> Step {
        match (at, outcome) {
            (ReturnAt::TellingReset { .. }, Outcome::Ok) if self.is_in_vain(id, slot) => {
                self.tell_checkin(id, slot, None)
            }
            (ReturnAt::TellingReset { condition }, Outcome::Ok) => self.reset(id, slot, condition),
            (ReturnAt::Cancelling, Outcome::Ok) => self.tell_reset(id, slot, Condition::Busy),
            (ReturnAt::Resetting | ReturnAt::Resting, Outcome::Ok) => self.finalize(id, slot),
            (ReturnAt::Finalizing, _) => self.tell_checkin(id, slot, None),
            // A connection that was not reset cannot be trusted. One that does not answer is lost.
            _ => {
                let asks = matches!(at, ReturnAt::Cancelling | ReturnAt::Resetting | ReturnAt::Resting);
                if asks
                    && (outcome == Outcome::TimedOut || matches!(at, ReturnAt::Cancelling))
                    && self.records[slot].live
                {
                    self.lose(slot, Loss::Alone);
                }
                self.condemn(id, slot, None)
            }
        }
    }

    #[inline(always)]
    fn reset(&mut self, id: OperationId, slot: u32, condition: Condition) -> Step {
        if self.wants_reset(condition == Condition::Clean) {
            return self.enter_return(id, State::Returning { at: ReturnAt::Resetting, slot }, condition);
        }
        if condition.is_busy() {
            return self.enter_return(id, State::Returning { at: ReturnAt::Resting, slot }, condition);
        }
        self.finalize(id, slot)
    }

    #[inline(always)]
    fn finalize(&mut self, id: OperationId, slot: u32) -> Step {
        let record = &mut self.records[slot];
        if record.has_finalizers {
            record.has_finalizers = false;
            return self.enter(id, State::Returning { at: ReturnAt::Finalizing, slot });
        }
        self.tell_checkin(id, slot, None)
    }

    pub(super) fn wants_reset(&self, clean: bool) -> bool {
        match self.config.reset_on_return {
            ResetStyle::Rollback => !clean,
            ResetStyle::Commit | ResetStyle::Session => true,
            ResetStyle::None => false,
        }
    }

    pub(super) fn reset_step(&self, slot: Option<u32>) -> Step {
        match self.config.reset_on_return {
            ResetStyle::Commit => Step::Commit(slot),
            ResetStyle::Session => Step::ResetSession(slot),
            ResetStyle::Rollback | ResetStyle::None => Step::Rollback(slot),
        }
    }

    /// Whether the connection that was to be reset has died, or is held by no caller: its share was lost, and its
    /// record emptied since.
    fn is_in_vain(&self, id: OperationId, slot: u32) -> bool {
        let record = &self.records[slot];
        !record.live && (record.stale || self.operations[id.index()].caller == Caller::None)
    }

    /// Runs the checkin listeners for a record that goes back to the pool, with its connection or emptied.
    pub(super) fn tell_checkin(&mut self, id: OperationId, slot: u32, refusal: Option<Refusal>) -> Step {
        if self.shares.is_joined(slot) {
            return self.check_in(id, slot, refusal);
        }
        self.records[slot].phase = Phase::Returned;
        if self.has_listener(Event::Checkin) {
            return self.enter(id, State::CheckingIn { slot, refusal });
        }
        self.check_in(id, slot, refusal)
    }

    /// Puts the slot back: whatever the operation was, this is its last act, or its last but the close.
    pub(super) fn check_in(&mut self, id: OperationId, slot: u32, refusal: Option<Refusal>) -> Step {
        if self.shares.leave(slot) || !self.place(slot) {
            return self.finish(id, refusal);
        }
        self.begin_ending(slot);
        self.close_then(id, false, refusal, Then::Drop(slot))
    }

    // ---- invalidation

    /// Ends a lease whose connection is not to be trusted: it is terminated, and the slot goes on without it.
    pub fn begin_invalidate(&mut self, lease: LeaseId) -> Return {
        let Some(slot) = self.end_lease(lease) else { return Return::Done };
        let id = self.begin(Operation::new(State::Returning { at: ReturnAt::Resetting, slot }, Caller::Return));
        let result = self.begin_condemnation(id, slot);
        self.settle();
        result
    }

    pub(super) fn begin_condemnation(&mut self, id: OperationId, slot: u32) -> Return {
        Return::of(self.condemn(id, slot, None), id)
    }

    /// Marks the slot's connection: it is replaced at its next checkout, the lease goes on.
    pub fn invalidate_soft(&mut self, slot: u32) {
        self.records[slot].stale = true;
    }

    /// Marks every connection of the age of this slot's or older, and none that was opened since the last such mark.
    pub fn invalidate_as_old(&mut self, slot: u32) {
        if self.records[slot].generation.invalidation() == self.family.generation().invalidation() {
            self.family.invalidate();
        }
    }
}
