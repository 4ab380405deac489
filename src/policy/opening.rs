//! The part of a checkout in which a connection comes to be: a place among the creators, the creator, then the
//! firstConnect and connect listeners. Until these have succeeded once they run for one opening at a time. Called
//! through pool.rs and checkout.rs.

use super::config::{LONGEST_SPAN_MS, Span};
use super::id::OperationId;
use super::operation::{Caller, CheckoutAt, Operation, State, Then};
use super::places::{GIVEN_UP_MS, LONGEST_PAUSE_MS};
use super::pool::Pool;
use super::record::Phase;
use super::step::{Event, Notice, Outcome, Refusal, Step};

impl Pool {
    // ---- a place among the creators

    /// Opens a connection in the slot as soon as one more creator may run.
    pub(super) fn open_in_turn(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        self.await_opening(id, slot);
        self.records[slot].phase = Phase::Opening;
        if !self.records[slot].opens && !self.places.has_room() {
            self.operation(id).state = State::CheckingOut { at: CheckoutAt::AwaitingPlace, slot, deaths };
            self.await_turn(id, slot);
            return Step::Wait;
        }
        self.open(id, slot, deaths)
    }

    fn await_turn(&mut self, id: OperationId, slot: u32) {
        if self.places.reopenings.len() > 2 * self.records.len() + 16 {
            let mut reopenings = core::mem::take(&mut self.places.reopenings);
            reopenings.retain(|&(_, id)| self.reopening_slot(id).is_some());
            self.places.reopenings = reopenings;
        }
        self.places.reopenings.insert(self.records[slot].arrival, id);
        self.arm_step(id, Span::Forever);
        self.unblock_soon();
    }

    /// Creators that were given up may take every place. Nothing else may tell the time, by which they cease to count.
    pub(super) fn unblock_soon(&mut self) {
        if self.places.is_blocked() {
            self.deadlines.want_tick();
        }
    }

    /// The slot of a checkout that still waits for a place.
    fn reopening_slot(&self, id: OperationId) -> Option<u32> {
        match self.operations.get(id).filter(|operation| operation.is_attended())?.state {
            State::CheckingOut { at: CheckoutAt::AwaitingPlace, slot, .. } if !self.records[slot].opens => Some(slot),
            _ => None,
        }
    }

    /// A checkout that lost its connection on the way, or whose opening failed, has the next place of a creator, before
    /// all waiters.
    pub(super) fn serve_reopenings(&mut self) {
        while self.places.has_room()
            && let Some((_, id)) = self.places.reopenings.pop_front()
        {
            if let Some(slot) = self.reopening_slot(id) {
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
        self.leave_unopened(id, slot, None)
    }

    // ---- the creator

    fn open(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        self.opening_begins(slot);
        let generation = self.family.generation();
        let record = &mut self.records[slot];
        record.stale = false;
        record.uses = 0;
        // From the start of the opening: a mark that is set while it runs makes it stale.
        record.generation = generation;
        let span = self.config.opening_span();
        self.enter_within(id, State::CheckingOut { at: CheckoutAt::Opening, slot, deaths }, span)
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
            (CheckoutAt::Opening, Outcome::TimedOut) => self.abandon(id, slot, deaths),
            (CheckoutAt::Opening, Outcome::StillOpen) => self.refuse_opener(id),
            (CheckoutAt::Opening, _) => self.opening_failed(id, slot, deaths, outcome == Outcome::Unavailable),
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

    /// Takes that the creator has returned the slot's connection, before the host calls any foreign code with it: from
    /// now on its record can end it.
    pub fn adopt(&mut self, slot: u32) {
        self.family.counters.opened.count();
        self.records[slot].live = true;
        self.records[slot].is_adopted = true;
    }

    fn opened(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        if !core::mem::take(&mut self.records[slot].is_adopted) {
            self.adopt(slot);
            self.records[slot].is_adopted = false;
        }
        let record = &mut self.records[slot];
        record.fresh = true;
        if record.live {
            self.begin_age(slot);
        }
        self.opening_ended(slot);
        // If its record was closed since, there is nothing to terminate.
        if self.records[slot].stale && self.records[slot].live {
            return self.died_on_arrival(id, slot, deaths);
        }
        self.end_failing();
        if !self.has_connect_listener() {
            return self.connected(id, slot, deaths);
        }
        self.await_first(id, slot, deaths)
    }

    /// The driver has reported the death of the connection before the listeners were called for it: it ends without
    /// events, and another one is opened.
    fn died_on_arrival(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        self.opening_went_wrong();
        self.records[slot].is_new = false;
        self.empty_record(slot);
        let (refusal, then) = if Self::has_given_up(deaths) {
            self.records[slot].phase = Phase::CheckingOut;
            (Some(Refusal::Disconnected), Then::CheckIn(slot))
        } else {
            (None, Then::Reopen { slot, deaths: deaths + 1 })
        };
        self.terminate_then(id, true, refusal, then)
    }

    /// The creator ran out of time: its slot goes on without it, and a connection that it still opens is closed.
    fn abandon(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        self.family.counters.open_failed.count();
        self.opening_went_wrong();
        self.opening_ended(slot);
        let now = self.deadlines.now();
        let counts = self.places.give_up(now);
        self.unblock_soon();
        self.begin_back_off(true);
        let is_tried_again = self.may_try_again(id, slot);
        self.operation(id).state = State::Abandoned { counts, since: now };
        if is_tried_again {
            let follower = self.follow(id, State::CheckingOut { at: CheckoutAt::AwaitingPlace, slot, deaths });
            self.await_opening(follower, slot);
            self.await_turn(follower, slot);
            return Step::Wait;
        }
        let caller = core::mem::replace(&mut self.operation(id).caller, Caller::None);
        if self.records[slot].is_new {
            if !self.shares.leave(slot) {
                self.drop_slot(slot);
            }
        } else {
            self.spawn_checkin(slot);
        }
        self.refuse_late(caller)
    }

    /// The creator ran out of time, and no other may run before it ends: it goes on for the pool, and keeps its slot.
    fn refuse_opener(&mut self, id: OperationId) -> Step {
        let caller = core::mem::replace(&mut self.operation(id).caller, Caller::None);
        self.refuse_late(caller)
    }

    fn refuse_late(&mut self, caller: Caller) -> Step {
        if caller == Caller::None { Step::Wait } else { Step::Reject(self.refused(caller, Refusal::OpenTimeout)) }
    }

    /// What the creator of an abandoned opening delivers late is closed.
    pub(super) fn advance_abandoned(&mut self, id: OperationId, counts: bool, outcome: Outcome) -> Step {
        if counts {
            self.places.forget_given_up();
            self.has_freed = true;
        }
        match outcome {
            Outcome::Ok | Outcome::LateOk => self.close_then(id, false, None, Then::Nothing),
            _ => self.finish(id, None),
        }
    }

    /// Creators that were given up long ago and have not answered count no more.
    fn forget_given_up(&mut self) {
        let now = self.deadlines.now();
        if !self.places.has_old(now) {
            return;
        }
        let mut first_ago = 0;
        for (_, operation) in self.operations.iter_mut() {
            let State::Abandoned { counts: counts @ true, since } = &mut operation.state else { continue };
            let ago = now.wrapping_sub(*since);
            if ago > GIVEN_UP_MS {
                *counts = false;
                self.places.forget_given_up();
                self.has_freed = true;
            } else {
                first_ago = first_ago.max(ago);
            }
        }
        self.places.keep_given_up(now.wrapping_sub(first_ago));
    }

    fn opening_failed(&mut self, id: OperationId, slot: u32, deaths: u8, may_pass: bool) -> Step {
        self.family.counters.open_failed.count();
        self.opening_went_wrong();
        self.opening_ended(slot);
        self.begin_back_off(may_pass);
        if self.may_try_again(id, slot) {
            return self.open_in_turn(id, slot, deaths);
        }
        self.leave_unopened(id, slot, Some(Refusal::Failed))
    }

    /// A slot made for the opening ends with it, an older one goes back emptied.
    fn leave_unopened(&mut self, id: OperationId, slot: u32, refusal: Option<Refusal>) -> Step {
        self.opening_ended(slot);
        if !self.records[slot].is_new {
            return self.tell_checkin(id, slot, refusal);
        }
        if !self.shares.leave(slot) {
            self.drop_slot(slot);
        }
        self.finish(id, refusal)
    }

    // ---- openings that fail

    /// Spaces the openings out after one that failed, if openings are tried again at all.
    fn begin_back_off(&mut self, may_pass: bool) {
        if let Some(span) = self.places.fail(may_pass, self.random)
            && !self.closed
        {
            self.stop_opening();
            let id = self.begin(Operation::new(State::BackingOff, Caller::None));
            self.places.back_off = Some(id);
            self.deadlines.arm(&mut self.operations, id.index(), span, true);
        }
        if self.places.is_hopeless {
            self.refuse_in_vain(Refusal::Failed);
        }
    }

    /// The pause is over. A scope of an I/O context is dropped when nothing is left in it, and its failures with it. So
    /// it remembers them for as long as the next pause could last.
    pub(super) fn end_back_off(&mut self, id: OperationId) {
        if self.places.memory == Some(id) {
            return self.stop_opening();
        }
        self.places.probe();
        self.has_freed = true;
        if self.context.is_some() {
            self.places.memory = Some(id);
            self.deadlines.arm(&mut self.operations, id.index(), Span::Millis(LONGEST_PAUSE_MS), true);
        } else {
            self.end(id);
        }
    }

    /// Ends the pause between openings that fail, and the memory of failures.
    pub(super) fn stop_opening(&mut self) {
        for id in [self.places.back_off.take(), self.places.memory.take()].into_iter().flatten() {
            self.end(id);
        }
    }

    fn end_failing(&mut self) {
        if self.places.is_failing() {
            self.places.succeed();
            self.stop_opening();
            self.has_freed = true;
        }
    }

    /// Whether the caller waits for another attempt.
    fn may_try_again(&self, id: OperationId, slot: u32) -> bool {
        let operation = &self.operations[id.index()];
        let has_time = operation.limit.is_set() || self.patience_of(id, slot) != Span::Millis(0);
        self.config.retries() && !self.places.is_hopeless && !self.closed && operation.is_attended() && has_time
    }

    /// How long the checkout in this slot may queue. Callers that share have a slot together.
    fn patience_of(&self, id: OperationId, slot: u32) -> Span {
        if self.config.kind.shares() {
            return self.shares.timeout_of(id).unwrap_or(self.config.timeout);
        }
        self.records[slot].patience
    }

    /// Takes that an opening that may be tried again begins now: a reading of the clock came before. Its caller has its
    /// deadline for the whole, or its timeout.
    pub fn time_opening(&mut self, id: OperationId) {
        let Some(operation) = self.operations.get(id) else { return };
        let State::CheckingOut { at: CheckoutAt::Opening, slot, .. } = operation.state else { return };
        if !operation.is_attended() || operation.limit.is_set() {
            return;
        }
        if let Span::Millis(ms @ 1..) = self.patience_of(id, slot) {
            let ends = self.deadlines.end_of(ms);
            self.operation(id).limit.set(ends);
            self.deadlines.disarm(&mut self.operations, id.index());
            self.arm_step(id, self.config.opening_span());
        }
    }

    /// The same for a waiter that leaves the queue: its time began when it came.
    pub(super) fn keep_end_of_wait(&mut self, id: OperationId) {
        let now = self.deadlines.now();
        let operation = self.operation(id);
        let left = operation.due.wrapping_sub(now);
        if operation.is_stamped() && !operation.limit.is_set() && left < LONGEST_SPAN_MS - 1 {
            let ends = operation.due;
            operation.limit.set(ends);
        }
    }

    /// Whether a caller that would have to wait is refused with the error of the last opening: no connection can
    /// come back, and none will be opened for now.
    pub(super) fn is_hopeless(&self) -> bool {
        self.places.is_hopeless && self.places.back_off.is_some() && !self.has_live()
    }

    /// Creators that were given up take every place. Those of them that are old count no more. If that does not help,
    /// and no connection can come back either, no caller waits for them.
    pub(super) fn unblock(&mut self) {
        self.forget_given_up();
        if self.places.is_blocked() && !self.config.retries() {
            self.refuse_in_vain(Refusal::OpenTimeout);
        }
    }

    fn has_live(&self) -> bool {
        self.records.iter().any(|(_, record)| record.live)
    }

    /// No attempt will help those that wait: if no connection can come back either, they are refused.
    fn refuse_in_vain(&mut self, refusal: Refusal) {
        if self.has_live() {
            return;
        }
        while let Some((_, id)) = self.places.reopenings.pop_front() {
            if self.reopening_slot(id).is_some() {
                self.refuse(id, refusal);
                let state = self.operation(id).state;
                self.caller_left(id, state);
            }
        }
        self.refuse_waiters(refusal);
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
