//! The part of a checkout in which a connection comes to be: the creator, then the firstConnect and connect listeners.
//! Until these have succeeded once they run for one opening at a time. One table of (state, outcome). Called through
//! pool.rs and checkout.rs.

use super::OperationId;
use super::config::Span;
use super::operation::{Caller, Operation, State, Then};
use super::pool::Pool;
use super::record::{Phase, Record};
use super::ring::NIL;
use super::step::{Event, Notice, Outcome, Refusal, Step};
use alloc::collections::VecDeque;

/// Who runs the first listeners, and who waits for that.
#[derive(Default)]
pub(super) struct FirstUse {
    /// Whether the firstConnect listeners have succeeded.
    pub(super) is_told: bool,
    /// Whether the connect listeners have, too.
    pub(super) is_over: bool,
    holder: Option<OperationId>,
    queue: VecDeque<OperationId>,
}

impl Pool {
    pub(super) fn open(&mut self, id: OperationId, slot: u32) -> Step {
        self.opening_begins(slot);
        let (invalidation, dispose) = (self.invalidation, self.dispose);
        let record = &mut self.records[slot];
        record.phase = Phase::Opening;
        record.stale = false;
        record.uses = 0;
        // From the start of the opening: what was marked stale while it ran is stale.
        record.invalidation = invalidation;
        record.dispose = dispose;
        self.enter(id, State::Opening)
    }

    pub(super) fn advance_opening(&mut self, id: OperationId, outcome: Outcome) -> Step {
        let &mut Operation { state, at: slot, .. } = self.operation(id);
        match (state, outcome) {
            (State::Opening, Outcome::Ok) => self.opened(id, slot),
            (State::Opening, Outcome::TimedOut) => self.abandon(id, slot),
            (State::Opening, _) => {
                self.counters.open_failed = self.counters.open_failed.wrapping_add(1);
                self.opening_failed(id, slot)
            }

            (State::Abandoned, Outcome::Ok | Outcome::LateOk) => self.enter(id, State::Ending),
            (State::Abandoned, _) => {
                self.end(id);
                Step::Done
            }

            (State::Emitting(Event::FirstConnect), Outcome::Ok) => {
                self.first.is_told = true;
                self.tell_connect(id)
            }
            (_, Outcome::Ok) => {
                self.first.is_over = true;
                self.pass_first_on(id);
                self.connected(id, slot)
            }
            (_, outcome) => {
                self.pass_first_on(id);
                self.strand(id, slot, outcome == Outcome::TimedOut)
            }
        }
    }

    fn opened(&mut self, id: OperationId, slot: u32) -> Step {
        self.counters.opened = self.counters.opened.wrapping_add(1);
        let opened_at = self.deadlines.now();
        let recycle_ms = match self.config.recycle {
            Span::Millis(ms) => (f64::from(ms) * (1.0 - self.config.recycle_jitter * self.random)) as u32,
            Span::Forever => 0,
        };
        let record = &mut self.records[slot];
        record.live = true;
        record.fresh = true;
        record.opened_at = opened_at;
        record.recycle_ms = recycle_ms;
        self.opening_ended(slot);
        if self.operation(id).is_attended() {
            self.serve();
        }
        if !self.hears_connect() {
            return self.connected(id, slot);
        }
        self.await_first(id)
    }

    fn hears_connect(&self) -> bool {
        self.hooks.has(Event::Connect) || self.hooks.has(Event::FirstConnect) && !self.first.is_told
    }

    /// Runs the listeners now, or after those of an earlier opening where they run for the first time.
    pub(super) fn await_first(&mut self, id: OperationId) -> Step {
        let slot = self.operation(id).at;
        if !self.records[slot].live {
            return self.emptied_meanwhile(id, slot);
        }
        if !self.first.is_over && self.first.holder != Some(id) {
            if self.first.holder.is_some() {
                self.first.queue.push_back(id);
                self.operation(id).state = State::AwaitingFirst;
                self.arm_step(id, Span::Forever);
                return Step::Wait;
            }
            self.first.holder = Some(id);
        }
        self.deadlines.disarm(&mut self.operations, id.index());
        if self.hooks.has(Event::FirstConnect) && !self.first.is_told {
            return self.enter(id, State::Emitting(Event::FirstConnect));
        }
        self.tell_connect(id)
    }

    fn tell_connect(&mut self, id: OperationId) -> Step {
        let slot = self.operation(id).at;
        if !self.records[slot].live {
            return self.emptied_meanwhile(id, slot);
        }
        if self.hooks.has(Event::Connect) {
            return self.enter(id, State::Emitting(Event::Connect));
        }
        self.pass_first_on(id);
        self.connected(id, slot)
    }

    /// A listener has emptied the record: there is nothing to show to the next.
    fn emptied_meanwhile(&mut self, id: OperationId, slot: u32) -> Step {
        self.deadlines.disarm(&mut self.operations, id.index());
        self.pass_first_on(id);
        self.connected(id, slot)
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

    /// The connection is made and known: to its caller, or to whoever is next.
    fn connected(&mut self, id: OperationId, slot: u32) -> Step {
        self.records[slot].is_new = false;
        self.refresh(slot);
        if !self.operation(id).is_attended() {
            let step = self.finish(id, slot);
            // The place of its creator is free: only now, since the head waiter takes the connection itself.
            self.serve();
            return step;
        }
        if self.has_given_up(id) {
            if !self.is_joined(slot) {
                self.records[slot].phase = Phase::CheckingOut;
            }
            return self.condemn(id, Some(Refusal::Disconnected));
        }
        if !self.records[slot].live {
            // A connect listener has emptied the record.
            return self.disconnected(id, slot, false);
        }
        self.present(id, slot)
    }

    /// The creator ran out of time: its slot goes on without it, and what it still opens is closed.
    fn abandon(&mut self, id: OperationId, slot: u32) -> Step {
        self.counters.open_failed = self.counters.open_failed.wrapping_add(1);
        self.opening_ended(slot);
        let operation = self.operation(id);
        let caller = core::mem::replace(&mut operation.caller, Caller::Nobody);
        operation.state = State::Abandoned;
        operation.at = NIL;
        operation.then = Then::Nothing;
        operation.abrupt = false;
        if self.records[slot].is_new {
            if !self.leave_share(slot) {
                self.drop_slot(slot);
            }
        } else {
            self.check_in_as_child(slot);
            self.serve();
        }
        if caller == Caller::Nobody {
            return Step::Wait;
        }
        self.counters.timed_out = self.counters.timed_out.wrapping_add(u32::from(caller == Caller::Checkout));
        Step::Reject(Refusal::OpenTimeout)
    }

    /// A slot made for the opening ends with it, an older one goes back emptied. Either way somebody may open now.
    fn opening_failed(&mut self, id: OperationId, slot: u32) -> Step {
        self.opening_ended(slot);
        self.operation(id).refusal = Some(Refusal::Failed);
        if !self.records[slot].is_new {
            self.serve();
            return self.tell_checkin(id);
        }
        let step = self.verdict(id);
        if !self.leave_share(slot) {
            self.drop_slot(slot);
        }
        step
    }

    /// A connect listener failed: nobody has heard of the connection, so it ends without a word.
    fn strand(&mut self, id: OperationId, slot: u32, is_timeout: bool) -> Step {
        let Record { is_new, live, .. } = self.records[slot];
        self.records[slot].empty();
        if is_timeout && self.operation(id).is_attended() {
            self.counters.timed_out = self.counters.timed_out.wrapping_add(1);
        }
        let operation = self.operation(id);
        operation.refusal = Some(if is_timeout { Refusal::ListenerTimeout } else { Refusal::Failed });
        operation.abrupt = true;
        operation.then = if is_new { Then::Drop } else { Then::Checkin };
        if live { self.enter(id, State::Ending) } else { self.after_end(id) }
    }
}
