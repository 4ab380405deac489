//! Connections that left the pool while a caller has them: detached for good, or taken from a lease that was lost. The
//! slot is free at once; the operation stands for the connection until it is closed. Called through pool.rs.

use super::config::Span;
use super::operation::{Caller, Operation, State, Then};
use super::pool::Pool;
use super::ring::NIL;
use super::step::{Event, Return, Step};
use super::{LeaseId, OperationId};

/// A caller may still use the connection of a lease that it dropped: so long it is left alone.
const LOST_GRACE_MS: u32 = 30_000;

impl Pool {
    /// Takes the lease's connection out of the pool for good; the slot is free at once. The operation stands for the
    /// connection until [`Pool::begin_detached_close`]. `None` if the lease had ended.
    pub fn detach(&mut self, lease: LeaseId) -> Option<OperationId> {
        let slot = self.end_lease(lease)?;
        let mut operation = Operation::new(State::Detached, Caller::Other, NIL);
        operation.then = self.take_from(slot);
        self.free_slot(slot);
        Some(self.begin(operation))
    }

    /// The slot's connection leaves it, and is counted as detached until it is closed. One that ends already, through its
    /// record, is not closed again.
    pub(super) fn take_from(&mut self, slot: u32) -> Then {
        let is_live = self.records[slot].live;
        self.detached += u32::from(is_live);
        if is_live { Then::Forget } else { Then::Nothing }
    }

    /// The slot goes on without its connection.
    pub(super) fn free_slot(&mut self, slot: u32) {
        self.records[slot].empty();
        let discard = self.must_discard(slot);
        debug_assert!(!discard, "an emptied slot holds nothing to close");
    }

    /// Closes a detached connection, after the same reset as any return; `abrupt` without one.
    pub fn begin_detached_close(&mut self, id: OperationId, clean: bool, abrupt: bool) -> Return {
        let Some(Operation { state: State::Detached, then, .. }) = self.operations.get(id) else { return Return::Done };
        if *then == Then::Nothing {
            self.end(id);
            return Return::Done;
        }
        if !abrupt {
            return self.begin_return(id, clean);
        }
        self.close_detached(id, true);
        Return::Pending(id)
    }

    pub(super) fn close_detached(&mut self, id: OperationId, abrupt: bool) -> Step {
        let operation = self.operation(id);
        operation.abrupt = abrupt;
        if self.hooks.has(Event::CloseDetached) {
            return self.enter(id, State::Emitting(Event::CloseDetached));
        }
        self.enter(id, State::Ending)
    }

    pub(super) fn advance_detached(&mut self, id: OperationId) -> Step {
        let &mut Operation { state, abrupt, .. } = self.operation(id);
        match state {
            State::Detaching => self.take_out(id),
            // Told of a lease that goes on with its connection: see begin_telling.
            State::Emitting(Event::Detach) if !abrupt => self.verdict(id),
            State::Emitting(Event::Detach) => self.close_detached(id, true),
            _ => self.enter(id, State::Ending),
        }
    }

    // ---- lost leases

    /// The lease was dropped without a return. Its connection is taken away after a grace; true where the lease had not
    /// ended otherwise, and somebody should be told.
    pub fn lose_lease(&mut self, lease: LeaseId) -> bool {
        if !self.is_leased(lease) {
            return false;
        }
        self.counters.leaked = self.counters.leaked.wrapping_add(1);
        let mut operation = Operation::new(State::Lost, Caller::Nobody, lease.index());
        operation.limit = lease.to_bits();
        let id = self.begin(operation);
        self.deadlines.arm(&mut self.operations, id.index(), Span::Millis(LOST_GRACE_MS));
        true
    }

    /// The lost lease of this slot, if it is one, ends by other means.
    pub(super) fn end_grace(&mut self, slot: u32) {
        let lost = |operation: &Operation| operation.state == State::Lost && operation.at == slot;
        let grace = self.operations.iter().find(|(_, operation)| lost(operation)).map(|(index, _)| index);
        if let Some(index) = grace {
            self.end_at(index);
        }
    }

    /// The grace is over: where the lease did not end by other means, its connection leaves the slot.
    pub(super) fn reclaim(&mut self, id: OperationId) {
        let lease = LeaseId::from_bits(self.operation(id).limit);
        if self.end_lease(lease).is_none() {
            self.end(id);
            return;
        }
        self.operation(id).state = State::Detaching;
        self.children.push_back(id);
    }

    fn take_out(&mut self, id: OperationId) -> Step {
        let slot = self.operation(id).at;
        if !self.records[slot].live {
            return self.tell_checkin(id);
        }
        let then = self.take_from(slot);
        let operation = self.operation(id);
        operation.at = NIL;
        operation.then = then;
        // Nothing is reset that is about to be terminated.
        operation.abrupt = true;
        self.free_slot(slot);
        if self.hooks.has(Event::Reset) {
            return self.enter(id, State::Emitting(Event::Reset));
        }
        self.tell_detach(id)
    }

    pub(super) fn tell_detach(&mut self, id: OperationId) -> Step {
        if self.hooks.has(Event::Detach) {
            return self.enter(id, State::Emitting(Event::Detach));
        }
        self.close_detached(id, true)
    }

    // ---- what is only told

    /// An event that nothing else depends on: soft invalidation, detach. Its listeners get their time like any other.
    pub fn begin_telling(&mut self, event: Event) -> Return {
        if !self.hooks.has(event) {
            return Return::Done;
        }
        let id = self.begin(Operation::new(State::Ending, Caller::Other, NIL));
        self.enter(id, State::Emitting(event));
        Return::Pending(id)
    }
}
