//! The part of a checkout in which a connection comes to be: a place among the creators, the creator, then the
//! firstConnect and connect listeners. Until these have succeeded once they run for one opening at a time. Called
//! through pool.rs and checkout.rs.

use super::config::Span;
use super::id::OperationId;
use super::operation::{Caller, CheckoutAt, Operation, State, Then};
use super::pool::Pool;
use super::record::Phase;
use super::step::{Event, Notice, Outcome, Refusal, Step};

impl Pool {
    // ---- a place among the creators

    /// Opens a connection in the slot as soon as one more creator may run.
    pub(super) fn open_in_turn(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        if !self.records[slot].opens && !self.places.has_room() {
            self.places.reopenings.push_back(id);
            self.operation(id).state = State::CheckingOut { at: CheckoutAt::AwaitingPlace, slot, deaths };
            self.arm_step(id, Span::Forever);
            return Step::Wait;
        }
        self.open(id, slot, deaths)
    }

    /// A checkout that lost its connection on the way has the next place of a creator, before all waiters.
    pub(super) fn serve_reopenings(&mut self) {
        while self.places.has_room()
            && let Some(id) = self.places.reopenings.pop_front()
        {
            let waiting = self.operations.get(id).filter(|operation| operation.is_attended());
            if let Some(&Operation { state: State::CheckingOut { at: CheckoutAt::AwaitingPlace, slot, .. }, .. }) =
                waiting
            {
                self.opening_begins(slot);
                self.notify(id, Notice::Resume);
            }
        }
    }

    /// The operation has its place, or its caller has left.
    pub(super) fn await_place(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        let is_attended = self.operation(id).is_attended();
        if is_attended && !self.records[slot].opens {
            return Step::Wait;
        }
        self.deadlines.disarm(&mut self.operations, id.index());
        if is_attended {
            return self.open(id, slot, deaths);
        }
        self.opening_ended(slot);
        self.tell_checkin(id, slot, None)
    }

    // ---- the creator

    fn open(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        self.opening_begins(slot);
        let generation = self.family.generation();
        let record = &mut self.records[slot];
        record.phase = Phase::Opening;
        record.stale = false;
        record.uses = 0;
        // From the start of the opening: a mark that is set while it runs makes it stale.
        record.generation = generation;
        self.enter(id, State::CheckingOut { at: CheckoutAt::Opening, slot, deaths })
    }

    pub(super) fn advance_opening(
        &mut self,
        id: OperationId,
        at: CheckoutAt,
        slot: u32,
        deaths: u8,
        outcome: Outcome,
    ) -> Step {
        match (at, outcome) {
            (CheckoutAt::Opening, Outcome::Ok) => self.opened(id, slot, deaths),
            (CheckoutAt::Opening, Outcome::TimedOut) => self.abandon(id, slot),
            (CheckoutAt::Opening, _) => {
                self.family.counters.open_failed.count();
                self.opening_went_wrong();
                self.opening_failed(id, slot)
            }
            (CheckoutAt::TellingFirst, Outcome::Ok) => {
                self.family.is_first_told.set(true);
                self.tell_connect(id, slot, deaths)
            }
            (_, Outcome::Ok) => {
                self.family.is_first_over.set(true);
                self.pass_first_on(id);
                self.connected(id, slot, deaths)
            }
            _ => {
                self.pass_first_on(id);
                self.opening_went_wrong();
                self.connect_listener_failed(id, slot, outcome)
            }
        }
    }

    fn opened(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        self.family.counters.opened.count();
        let record = &mut self.records[slot];
        record.live = true;
        record.fresh = true;
        self.begin_age(slot);
        self.opening_ended(slot);
        if !self.has_connect_listener() {
            return self.connected(id, slot, deaths);
        }
        self.await_first(id, slot, deaths)
    }

    /// The creator ran out of time: its slot goes on without it, and a connection that it still opens is closed.
    fn abandon(&mut self, id: OperationId, slot: u32) -> Step {
        self.family.counters.open_failed.count();
        self.opening_went_wrong();
        self.opening_ended(slot);
        let operation = self.operation(id);
        let caller = core::mem::replace(&mut operation.caller, Caller::None);
        operation.state = State::Abandoned;
        if self.records[slot].is_new {
            if !self.shares.leave(slot) {
                self.drop_slot(slot);
            }
        } else {
            self.spawn_checkin(slot);
        }
        if caller == Caller::None { Step::Wait } else { Step::Reject(self.refused(caller, Refusal::OpenTimeout)) }
    }

    /// What the creator of an abandoned opening delivers late is closed.
    pub(super) fn advance_abandoned(&mut self, id: OperationId, outcome: Outcome) -> Step {
        match outcome {
            Outcome::Ok | Outcome::LateOk => self.close_then(id, false, None, Then::Nothing),
            _ => self.finish(id, None),
        }
    }

    /// A slot made for the opening ends with it, an older one goes back emptied.
    fn opening_failed(&mut self, id: OperationId, slot: u32) -> Step {
        self.opening_ended(slot);
        if !self.records[slot].is_new {
            return self.tell_checkin(id, slot, Some(Refusal::Failed));
        }
        if !self.shares.leave(slot) {
            self.drop_slot(slot);
        }
        self.finish(id, Some(Refusal::Failed))
    }

    // ---- the connect listeners

    fn has_connect_listener(&self) -> bool {
        self.has_listener(Event::Connect) || self.has_listener(Event::FirstConnect) && !self.family.is_first_told.get()
    }

    /// Runs the listeners now, or after those of an earlier opening if they run for the first time.
    pub(super) fn await_first(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        if !self.records[slot].live {
            return self.emptied_on_the_way(id, slot, deaths);
        }
        if !self.family.is_first_over.get() && self.first.holder != Some(id) {
            if self.first.holder.is_some() {
                self.first.queue.push_back(id);
                self.operation(id).state = State::CheckingOut { at: CheckoutAt::AwaitingFirst, slot, deaths };
                self.arm_step(id, Span::Forever);
                return Step::Wait;
            }
            self.first.holder = Some(id);
        }
        self.deadlines.disarm(&mut self.operations, id.index());
        if self.has_listener(Event::FirstConnect) && !self.family.is_first_told.get() {
            return self.enter(id, State::CheckingOut { at: CheckoutAt::TellingFirst, slot, deaths });
        }
        self.tell_connect(id, slot, deaths)
    }

    fn tell_connect(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        if !self.records[slot].live {
            return self.emptied_on_the_way(id, slot, deaths);
        }
        if self.has_listener(Event::Connect) {
            return self.enter(id, State::CheckingOut { at: CheckoutAt::TellingConnect, slot, deaths });
        }
        self.pass_first_on(id);
        self.connected(id, slot, deaths)
    }

    /// A listener has emptied the record: there is nothing to show to the next.
    fn emptied_on_the_way(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        self.deadlines.disarm(&mut self.operations, id.index());
        self.pass_first_on(id);
        self.connected(id, slot, deaths)
    }

    /// The next opening may run the listeners.
    fn pass_first_on(&mut self, id: OperationId) {
        if self.first.holder != Some(id) {
            return;
        }
        self.first.holder = self.first.queue.pop_front();
        if let Some(next) = self.first.holder {
            self.notify(next, Notice::Resume);
        }
    }

    /// The connection is open and presented: it goes to its caller, or to the next one.
    fn connected(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        self.records[slot].is_new = false;
        self.opening_went_well();
        if !self.operation(id).is_attended() {
            return self.check_in(id, slot, None);
        }
        if Self::has_given_up(deaths) {
            if !self.shares.is_joined(slot) {
                self.records[slot].phase = Phase::CheckingOut;
            }
            return self.condemn(id, slot, Some(Refusal::Disconnected));
        }
        if !self.records[slot].live {
            // A connect listener has emptied the record.
            return self.disconnected(id, slot, deaths, false);
        }
        self.present(id, slot, deaths)
    }

    /// A connect listener failed: no other listener was called for the connection, so it ends without events.
    fn connect_listener_failed(&mut self, id: OperationId, slot: u32, outcome: Outcome) -> Step {
        let refusal = if outcome == Outcome::TimedOut { Refusal::ListenerTimeout } else { Refusal::Failed };
        let then = if self.records[slot].is_new { Then::Drop(slot) } else { Then::CheckIn(slot) };
        let is_live = self.records[slot].live;
        self.empty_record(slot);
        self.terminate_then(id, is_live, Some(refusal), then)
    }
}
