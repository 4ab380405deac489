//! Connections that left the pool while a caller has them: detached for good, or taken from a lease that was lost. The
//! slot is free at once; the operation stands for the connection until it is closed. Called through pool.rs.

use super::config::Span;
use super::id::{LeaseId, NIL, OperationId};
use super::operation::{Caller, Operation, ReturnAt, State, Then};
use super::pool::Pool;
use super::step::{Condition, Event, Outcome, Return, Step};

/// A caller may still use the connection of a lease that it dropped: for so long it is left alone.
const LOST_GRACE_MS: u32 = 30_000;

impl Pool {
    /// Takes the lease's connection out of the pool for good; the slot is free at once. The operation stands for the
    /// connection until [`Pool::begin_detached_close`]. `None` if the lease had ended.
    pub fn detach(&mut self, lease: LeaseId) -> Option<OperationId> {
        let slot = self.end_lease(lease)?;
        let has_connection = self.take_from(slot);
        self.free_slot(slot);
        let id = self.begin(Operation::new(State::Detached { has_connection }, Caller::Other));
        self.settle();
        Some(id)
    }

    /// Counts the slot's connection as detached until it is closed. Returns whether there is one: a connection that
    /// ends already, through its record, is not closed again.
    pub(super) fn take_from(&mut self, slot: u32) -> bool {
        let is_live = self.records[slot].live;
        self.detached += u32::from(is_live);
        is_live
    }

    /// Closes a detached connection, after the same reset as any return. Without one if `abrupt`, or if it would not
    /// come to rest.
    pub fn begin_detached_close(&mut self, id: OperationId, condition: Condition, abrupt: bool) -> Return {
        let Some(&Operation { state: State::Detached { has_connection }, .. }) = self.operations.get(id) else {
            return Return::Done;
        };
        if !has_connection {
            self.end(id);
            return Return::Done;
        }
        self.operation(id).caller = if condition.is_at_rest() { Caller::Return } else { Caller::None };
        if abrupt || !matches!(condition, Condition::Open | Condition::Clean | Condition::Busy) {
            self.close_detached(id, true);
        } else if self.has_listener(Event::Reset) {
            let at = ReturnAt::TellingReset { condition };
            self.enter_return(id, State::ReturningDetached { at, is_lost: false }, condition);
        } else {
            self.reset_detached(id, condition);
        }
        if !condition.is_at_rest() {
            self.release(id);
        }
        Return::Pending(id)
    }

    pub(super) fn advance_detached_return(
        &mut self,
        id: OperationId,
        at: ReturnAt,
        is_lost: bool,
        outcome: Outcome,
    ) -> Step {
        match (at, outcome) {
            _ if is_lost => self.tell_detach(id),
            (ReturnAt::TellingReset { condition }, Outcome::Ok) => self.reset_detached(id, condition),
            // A connection that was not reset cannot be trusted.
            _ => self.close_detached(id, outcome != Outcome::Ok),
        }
    }

    fn reset_detached(&mut self, id: OperationId, condition: Condition) -> Step {
        if self.wants_reset(condition == Condition::Clean) {
            let state = State::ReturningDetached { at: ReturnAt::Resetting, is_lost: false };
            return self.enter_return(id, state, condition);
        }
        self.close_detached(id, false)
    }

    pub(super) fn close_detached(&mut self, id: OperationId, abrupt: bool) -> Step {
        if self.has_listener(Event::CloseDetached) {
            return self.enter(id, State::TellingCloseDetached { abrupt });
        }
        self.end_detached(id, abrupt)
    }

    pub(super) fn end_detached(&mut self, id: OperationId, abrupt: bool) -> Step {
        self.close_then(id, abrupt, None, Then::Forget)
    }

    // ---- lost leases

    /// Reports that the lease was dropped without a return. Its connection is taken away after a grace. Returns whether
    /// the lease had not ended otherwise, so that it is to be reported.
    pub fn lose_lease(&mut self, lease: LeaseId) -> bool {
        if !self.is_leased(lease) {
            return false;
        }
        self.family.counters.leaked.count();
        self.end_expiry(lease.index());
        let id = self.begin(Operation::new(State::Lost { lease }, Caller::None));
        self.set_expiry(lease.index(), id, Span::Millis(LOST_GRACE_MS));
        true
    }

    /// The grace is over: the connection leaves the slot.
    pub(super) fn reclaim(&mut self, id: OperationId, lease: LeaseId) {
        let slot = lease.index();
        // The operation goes on, so the end of the lease must not end it.
        self.records[slot].expiry = NIL;
        if self.end_lease(lease).is_none() {
            self.end(id);
            return;
        }
        self.operation(id).state = State::Detaching { slot };
        self.outbox.spawn(id);
    }

    pub(super) fn take_out(&mut self, id: OperationId, slot: u32) -> Step {
        if !self.take_from(slot) {
            return self.tell_checkin(id, slot, None);
        }
        self.free_slot(slot);
        // A connection that is about to be terminated is not reset.
        if self.has_listener(Event::Reset) {
            let at = ReturnAt::TellingReset { condition: Condition::Clean };
            return self.enter(id, State::ReturningDetached { at, is_lost: true });
        }
        self.tell_detach(id)
    }

    pub(super) fn tell_detach(&mut self, id: OperationId) -> Step {
        if self.has_listener(Event::Detach) {
            return self.enter(id, State::TellingDetach);
        }
        self.close_detached(id, true)
    }

    // ---- events alone

    /// Runs the listeners of an event for which nothing waits: soft invalidation, detach. They get their time like any
    /// other.
    pub fn begin_telling(&mut self, event: Event) -> Return {
        if !self.has_listener(event) {
            return Return::Done;
        }
        let id = self.begin(Operation::new(State::Telling(event), Caller::Other));
        self.enter(id, State::Telling(event));
        Return::Pending(id)
    }
}
