//! How a connection ends and where its slot goes then: the invalidate and close listeners, the close itself, the checkin
//! listeners. Whatever ends a connection that belongs to a slot comes here with what follows ([`Then`]). However a
//! listener or a close goes, the way goes on: the outcome changes nothing. Called through pool.rs.

use super::OperationId;
use super::config::Span;
use super::operation::{Caller, Operation, State, Then};
use super::pool::Pool;
use super::record::Phase;
use super::step::{Event, Notice, Return, Step};

impl Pool {
    pub(super) fn advance_ending(&mut self, id: OperationId) -> Step {
        let &mut Operation { state, then, at: slot, .. } = self.operation(id);
        match (state, then) {
            // The slot was left behind when the invalidation was told, and may hold another connection by now.
            (State::Emitting(Event::Invalidate), _) => self.emit_close(id),
            (State::Emitting(Event::Close), _) => self.enter(id, State::Ending),
            (State::Emitting(Event::Checkin), _) => self.finish(id, slot),
            (State::Ending, Then::Reopen) => self.reopen(id, slot),
            (State::Ending, Then::Checkin) => self.tell_checkin(id),
            (State::Ending, Then::Drop) => {
                let step = self.verdict(id);
                if !self.leave_share(slot) {
                    self.drop_slot(slot);
                }
                step
            }
            (State::Ending, Then::Free) => {
                self.records[slot].emptying -= 1;
                self.end(id);
                if self.records[slot].phase == Phase::Parked && self.records[slot].emptying == 0 {
                    let discard = self.must_discard(slot);
                    debug_assert!(!discard, "an emptied slot holds nothing to close");
                }
                Step::Done
            }
            (State::Ending, Then::Forget) => {
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

    fn reopen(&mut self, id: OperationId, slot: u32) -> Step {
        if !self.operation(id).is_attended() {
            self.opening_ended(slot);
            self.serve();
            return self.tell_checkin(id);
        }
        if self.is_joined(slot) || self.records[slot].retired {
            return self.rejoin(id, slot);
        }
        self.open_in_turn(id, slot)
    }

    /// Opens a connection in the slot, when a place of a creator is free.
    pub(super) fn open_in_turn(&mut self, id: OperationId, slot: u32) -> Step {
        if !self.records[slot].opens && self.connecting >= self.config.max_connecting {
            self.reopenings.push_back(id);
            self.operation(id).state = State::AwaitingPlace;
            self.arm_step(id, Span::Forever);
            return Step::Wait;
        }
        self.open(id, slot)
    }

    /// Who lost a connection on the way has the next place of a creator, before all who queue.
    pub(super) fn serve_reopenings(&mut self) {
        while self.connecting < self.config.max_connecting
            && let Some(id) = self.reopenings.pop_front()
        {
            let still_waits =
                |operation: &&Operation| operation.state == State::AwaitingPlace && operation.is_attended();
            let waits = self.operations.get(id).filter(still_waits);
            if let Some(&Operation { at: slot, .. }) = waits {
                self.opening_begins(slot);
                self.notify(id, Notice::Resume);
            }
        }
    }

    /// It has the place, or its caller has left.
    pub(super) fn await_place(&mut self, id: OperationId) -> Step {
        let &mut Operation { at: slot, .. } = self.operation(id);
        let is_attended = self.operation(id).is_attended();
        if is_attended && !self.records[slot].opens {
            return Step::Wait;
        }
        self.deadlines.disarm(&mut self.operations, id.index());
        if is_attended {
            return self.open(id, slot);
        }
        self.opening_ended(slot);
        self.serve();
        self.tell_checkin(id)
    }

    /// The connection is not to be trusted.
    pub(super) fn tell_invalidate(&mut self, id: OperationId) -> Step {
        let slot = self.operation(id).at;
        if !self.records[slot].live {
            return self.after_end(id);
        }
        self.counters.invalidated = self.counters.invalidated.wrapping_add(1);
        self.leave_behind(slot);
        if self.hooks.has(Event::Invalidate) {
            return self.enter(id, State::Emitting(Event::Invalidate));
        }
        self.emit_close(id)
    }

    pub(super) fn tell_close(&mut self, id: OperationId) -> Step {
        if let Some(slot) = self.operation(id).slot()
            && self.records[slot].live
        {
            self.leave_behind(slot);
        }
        self.emit_close(id)
    }

    fn emit_close(&mut self, id: OperationId) -> Step {
        let state = if self.hooks.has(Event::Close) { State::Emitting(Event::Close) } else { State::Ending };
        self.enter(id, state)
    }

    /// From now on the slot counts as empty: nobody is given a connection that ends. Who shares it keeps the slot, and
    /// the next caller has another.
    fn leave_behind(&mut self, slot: u32) {
        self.records[slot].empty();
        if self.records[slot].shares > 1 {
            self.retire(slot);
        }
    }

    /// There is no connection to end any more: goes on as if it had.
    pub(super) fn after_end(&mut self, id: OperationId) -> Step {
        self.operation(id).state = State::Ending;
        self.advance_ending(id)
    }

    /// The record goes back to the pool, with its connection or emptied.
    pub(super) fn tell_checkin(&mut self, id: OperationId) -> Step {
        let slot = self.operation(id).at;
        if self.records[slot].shares > 1 {
            return self.finish(id, slot);
        }
        self.records[slot].phase = Phase::Returned;
        if self.hooks.has(Event::Checkin) {
            return self.enter(id, State::Emitting(Event::Checkin));
        }
        self.finish(id, slot)
    }

    /// Whatever an operation was, its slot is free now and this is its last act, or its last but the close.
    pub(super) fn finish(&mut self, id: OperationId, slot: u32) -> Step {
        if self.leave_share(slot) || !self.must_discard(slot) {
            return self.verdict(id);
        }
        self.discard(id, slot)
    }

    /// Closes the slot's connection and ends the slot with it.
    pub(super) fn discard(&mut self, id: OperationId, slot: u32) -> Step {
        self.records[slot].phase = Phase::Closing;
        let operation = self.operation(id);
        operation.then = Then::Drop;
        operation.abrupt = false;
        self.tell_close(id)
    }

    /// Ends the operation and tells its caller how it went.
    pub(super) fn verdict(&mut self, id: OperationId) -> Step {
        let &mut Operation { refusal, caller, .. } = self.operation(id);
        self.end(id);
        match refusal {
            Some(refusal) if caller != Caller::Nobody => Step::Reject(refusal),
            _ => Step::Done,
        }
    }

    // ---- without a caller

    /// Closes the slot's connection in a flow of its own.
    pub(super) fn discard_as_child(&mut self, slot: u32, abrupt: bool) {
        let id = self.begin_discard(slot, abrupt);
        self.tell_close(id);
        self.children.push_back(id);
    }

    /// The same for one that is not to be trusted.
    pub(super) fn condemn_as_child(&mut self, slot: u32) {
        let id = self.begin_discard(slot, true);
        self.tell_invalidate(id);
        self.children.push_back(id);
    }

    fn begin_discard(&mut self, slot: u32, abrupt: bool) -> OperationId {
        self.records[slot].phase = Phase::Closing;
        let mut operation = Operation::new(State::Ending, Caller::Nobody, slot);
        operation.then = Then::Drop;
        operation.abrupt = abrupt;
        self.begin(operation)
    }

    /// The emptied record goes back to the pool in a flow of its own.
    pub(super) fn check_in_as_child(&mut self, slot: u32) {
        let id = self.begin(Operation::new(State::Ending, Caller::Nobody, slot));
        if self.tell_checkin(id) != Step::Done {
            self.children.push_back(id);
        }
    }

    // ---- through the record

    /// Ends the connection of a slot whoever has it, at a listener's or a user's word: abruptly with the invalidate
    /// event, else politely. A lease goes on with the dead connection; the slot opens another at its next checkout.
    pub fn begin_emptying(&mut self, slot: u32, abrupt: bool) -> Return {
        let record = &mut self.records[slot];
        if !record.live || record.phase == Phase::Closing {
            return Return::Done;
        }
        record.emptying += 1;
        if record.phase == Phase::Idle {
            self.remove_from_idle(slot);
            self.records[slot].phase = Phase::Parked;
        }
        let mut operation = Operation::new(State::Ending, Caller::Other, slot);
        operation.then = Then::Free;
        operation.abrupt = abrupt;
        let id = self.begin(operation);
        if abrupt {
            self.tell_invalidate(id);
        } else {
            self.tell_close(id);
        }
        Return::Pending(id)
    }
}
