//! How a connection ends and where its slot goes then: the invalidate and close listeners, the close itself, the
//! checkin listeners. Every operation that ends a connection of a slot comes here with what follows ([`Then`]). However
//! a listener or a close goes, the operation goes on: the outcome changes nothing. Called through pool.rs.

use super::id::OperationId;
use super::operation::{Caller, EndAt, Ending, Operation, State, Then};
use super::pool::Pool;
use super::record::Phase;
use super::step::{Event, Outcome, Refusal, Return, Step};

impl Pool {
    pub(super) fn advance_ending(&mut self, id: OperationId, ending: Ending, outcome: Outcome) -> Step {
        match ending.at {
            EndAt::Closing if outcome == Outcome::StillOpen => self.await_end(id),
            // The slot was left behind when the invalidation was reported, and may hold another connection by now.
            EndAt::TellingInvalidate => self.emit_close(id, ending),
            EndAt::TellingClose => self.enter(id, State::Ending(Ending { at: EndAt::Closing, ..ending })),
            EndAt::Closing => self.ended(id, ending),
        }
    }

    /// The connection keeps its slot until its end, however long that takes, and no caller waits for it.
    fn await_end(&mut self, id: OperationId) -> Step {
        match self.operation(id).caller {
            Caller::Checkout => {
                self.operation(id).caller = Caller::None;
                Step::Reject(self.refused(Caller::Checkout, Refusal::OpenTimeout))
            }
            Caller::Return => {
                self.release(id);
                Step::Wait
            }
            Caller::Other | Caller::None => Step::Wait,
        }
    }

    /// The connection has ended.
    fn ended(&mut self, id: OperationId, Ending { refusal, then, .. }: Ending) -> Step {
        match then {
            Then::Reopen { slot, deaths } => self.reopen(id, slot, deaths),
            Then::CheckIn(slot) => self.tell_checkin(id, slot, refusal),
            Then::Drop(slot) => {
                if !self.shares.leave(slot) {
                    self.drop_slot(slot);
                }
                self.finish(id, refusal)
            }
            Then::Free(slot) => {
                self.records[slot].emptying -= 1;
                if self.records[slot].phase == Phase::Parked && self.records[slot].emptying == 0 {
                    self.free_slot(slot);
                }
                self.finish(id, None)
            }
            Then::Forget => {
                self.detached -= 1;
                self.finish(id, None)
            }
            Then::Nothing => self.finish(id, None),
        }
    }

    fn reopen(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        if !self.operation(id).is_attended() {
            self.opening_ended(slot);
            return self.tell_checkin(id, slot, None);
        }
        if self.shares.is_joined(slot) || self.shares.is_retired(slot) {
            return self.rejoin(id, slot, deaths);
        }
        self.open_in_turn(id, slot, deaths)
    }

    // ---- the ways to end a connection

    /// Ends the connection of a slot because it is not to be trusted: the invalidate and close listeners, then
    /// terminate.
    pub(super) fn invalidate_then(&mut self, id: OperationId, refusal: Option<Refusal>, then: Then) -> Step {
        let ending = Ending { at: EndAt::TellingInvalidate, abrupt: true, refusal, then };
        let Some(slot) = then.slot().filter(|&slot| self.records[slot].live) else { return self.ended(id, ending) };
        self.family.counters.invalidated.count();
        self.leave_behind(slot);
        if self.has_listener(Event::Invalidate) {
            return self.enter(id, State::Ending(ending));
        }
        self.emit_close(id, ending)
    }

    /// Ends a connection for another reason: the close listeners, then close, or terminate if that is to be abrupt.
    pub(super) fn close_then(&mut self, id: OperationId, abrupt: bool, refusal: Option<Refusal>, then: Then) -> Step {
        let ending = Ending { at: EndAt::TellingClose, abrupt, refusal, then };
        let Some(slot) = then.slot() else {
            return self.enter(id, State::Ending(Ending { at: EndAt::Closing, ..ending }));
        };
        if self.records[slot].live {
            self.leave_behind(slot);
        }
        self.emit_close(id, ending)
    }

    /// Terminates a connection that no listener knows. `is_live`: there is one.
    pub(super) fn terminate_then(
        &mut self,
        id: OperationId,
        is_live: bool,
        refusal: Option<Refusal>,
        then: Then,
    ) -> Step {
        let ending = Ending { at: EndAt::Closing, abrupt: true, refusal, then };
        if is_live { self.enter(id, State::Ending(ending)) } else { self.ended(id, ending) }
    }

    fn emit_close(&mut self, id: OperationId, ending: Ending) -> Step {
        let at = if self.has_listener(Event::Close) { EndAt::TellingClose } else { EndAt::Closing };
        self.enter(id, State::Ending(Ending { at, ..ending }))
    }

    /// From now on the slot counts as empty: no caller is given a connection that ends. Its sharers keep the slot, and
    /// the next caller has another.
    fn leave_behind(&mut self, slot: u32) {
        self.empty_record(slot);
        if self.shares.is_joined(slot) {
            self.retire(slot);
        }
    }

    // ---- without a caller

    /// Closes the slot's connection by an operation of its own.
    pub(super) fn spawn_discard(&mut self, slot: u32, abrupt: bool) {
        let id = self.begin_discard(slot);
        self.close_then(id, abrupt, None, Then::Drop(slot));
        self.outbox.spawn(id);
    }

    fn begin_discard(&mut self, slot: u32) -> OperationId {
        self.begin_ending(slot);
        self.begin(Operation::new(State::CheckingIn { slot, refusal: None }, Caller::None))
    }

    /// Puts an emptied record back by an operation of its own, if the checkin listeners want to run.
    pub(super) fn spawn_checkin(&mut self, slot: u32) {
        let id = self.begin(Operation::new(State::CheckingIn { slot, refusal: None }, Caller::None));
        if let Return::Pending(id) = Return::of(self.tell_checkin(id, slot, None), id) {
            self.outbox.spawn(id);
        }
    }

    // ---- through the record

    /// Ends the connection of a slot, with or without a lease, for a listener or a user: abruptly with the invalidate
    /// event, else politely. A lease goes on with the dead connection; the slot opens another at its next checkout.
    pub fn begin_emptying(&mut self, slot: u32, abrupt: bool) -> Return {
        let record = &self.records[slot];
        if !record.live || record.phase == Phase::Closing {
            return Return::Done;
        }
        if record.phase == Phase::Idle {
            self.take_idle_slot(slot);
            self.records[slot].phase = Phase::Parked;
        }
        self.records[slot].emptying += 1;
        let id = self.begin(Operation::new(State::CheckingIn { slot, refusal: None }, Caller::Other));
        if abrupt {
            self.invalidate_then(id, None, Then::Free(slot));
        } else {
            self.close_then(id, false, None, Then::Free(slot));
        }
        self.settle();
        Return::Pending(id)
    }
}
