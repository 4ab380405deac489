//! The checkout: queue, take a slot, replace what is stale, ping, show it to the checkout listeners, grant. Opening is in
//! opening.rs. Also what an abort and the end of time do in each state. Called through pool.rs.

use super::config::{Span, UNLIMITED};
use super::id::CAPACITY;
use super::kind::queue::Source;
use super::operation::{Caller, Operation, State, Then};
use super::pool::{Limits, Pool};
use super::record::{Phase, Record};
use super::step::{Begin, Event, Notice, Outcome, Refusal, Step};
use super::{LeaseId, OperationId};

/// How many connections a checkout may find dead before it gives up.
const MOST_DEATHS: u8 = 2;

impl Pool {
    /// Asks for a lease. A caller who finds something free while nobody waits has it at once; nobody overtakes a waiter.
    /// `limits` replaces the pool's own; where the pool has a deadline or looks at ages, every call gives them, for the
    /// time.
    pub fn begin_checkout(&mut self, limits: Option<Limits>) -> Begin {
        let at_once = match limits {
            None => self.checkout_at_once(),
            Some(_) => self.take_idle().map(Begin::Granted),
        };
        at_once.unwrap_or_else(|| self.begin_long_checkout(limits))
    }

    /// The common checkouts on the pool's own settings: a lease of the next idle connection, or a place behind those who
    /// wait. `None`, with nothing done: [`Pool::begin_long_checkout`] goes the long way.
    // Always: a call would need a frame for its answer, and that is a fifth of a wait.
    #[inline(always)]
    pub fn checkout_at_once(&mut self) -> Option<Begin> {
        if self.waiters.is_empty() {
            return self.take_idle().map(Begin::Granted);
        }
        let refused = self.config.timeout == Span::Millis(0) || self.is_queue_full();
        (!refused).then(|| Begin::Pending(self.join_queue()))
    }

    /// The common checkout, in as few looks as it takes: nobody waits, and nothing speaks against the next idle
    /// connection. `None`, with nothing done: the checkout takes the long way.
    #[inline]
    fn take_idle(&mut self) -> Option<LeaseId> {
        if !self.waiters.is_empty() {
            return None;
        }
        let slot = self.idle.next()?;
        let record = &mut self.records[slot];
        if record.current_in != self.epoch {
            return None;
        }
        self.idle.take();
        record.phase = Phase::Leased;
        self.counters.checkouts = self.counters.checkouts.wrapping_add(1);
        Some(self.records.handle_of(slot))
    }

    /// The same where [`Pool::checkout_at_once`] has answered `None`.
    #[inline(never)]
    pub fn begin_long_checkout(&mut self, limits: Option<Limits>) -> Begin {
        // A closed pool has no waiters.
        if !self.waiters.is_empty() && !self.config.kind.is_exclusive() {
            return self.begin_wait(limits);
        }
        if self.closed {
            return Begin::Refused(Refusal::Closed);
        }
        if self.is_crowded() {
            return Begin::Refused(Refusal::QueueFull);
        }
        if self.config.kind.is_exclusive() && self.is_taken() {
            return Begin::Refused(Refusal::InUse);
        }
        if self.config.tells_time()
            && let Some(limits) = limits
        {
            self.read_clock(limits.now_ms);
        }
        let slot = match self.joinable() {
            Some(slot) => slot,
            None => match self.source() {
                Source::Idle => self.take_from_idle(),
                Source::New => self.records.insert(Record::new()).index(),
                Source::Nowhere => return self.begin_wait(limits),
            },
        };
        if self.is_ready(slot) {
            return Begin::Granted(self.lease(slot));
        }
        let id = self.begin(Operation::new(State::Reserved, Caller::Checkout, slot));
        self.reserve(id, slot);
        self.set_limit(id, limits);
        Begin::Pending(id)
    }

    #[inline(never)]
    fn begin_wait(&mut self, limits: Option<Limits>) -> Begin {
        let timeout = limits.and_then(|limits| limits.timeout).unwrap_or(self.config.timeout);
        if timeout == Span::Millis(0) {
            self.counters.timed_out = self.counters.timed_out.wrapping_add(1);
            return Begin::Refused(Refusal::WaitTimeout);
        }
        if self.is_queue_full() {
            return Begin::Refused(Refusal::QueueFull);
        }
        if limits.is_none() {
            return Begin::Pending(self.join_queue());
        }
        self.counters.waited = self.counters.waited.wrapping_add(1);
        let id = self.begin(Operation::new(State::Waiting, Caller::Checkout, self.waiters.end()));
        self.waiters.append(id.index());
        self.set_limit(id, limits);
        let span = self.shorter_of(id, timeout);
        self.deadlines.arm(&mut self.operations, id.index(), span);
        Begin::Pending(id)
    }

    /// On the pool's own timeout.
    #[inline(always)]
    fn join_queue(&mut self) -> OperationId {
        self.counters.waited = self.counters.waited.wrapping_add(1);
        let mut waiter = Operation::new(State::Waiting, Caller::Checkout, self.waiters.end());
        self.deadlines.arm_in_queue(&mut waiter);
        let id = self.begin(waiter);
        self.waiters.append(id.index());
        id
    }

    fn is_queue_full(&self) -> bool {
        self.waiters.len() >= self.config.max_waiters || self.is_crowded()
    }

    /// Detached and abandoned connections are operations, too: room is kept for the return of every slot.
    fn is_crowded(&self) -> bool {
        self.operations.len() + self.records.len() + 1 >= CAPACITY
    }

    /// Whether a lease is out or a caller on the way to one.
    fn is_taken(&self) -> bool {
        self.records.iter().any(|(_, record)| record.phase == Phase::Leased)
            || self.operations.iter().any(|(_, operation)| operation.is_attended())
    }

    fn set_limit(&mut self, id: OperationId, limits: Option<Limits>) {
        let Some(Limits { deadline, now_ms, .. }) = limits else { return };
        let Span::Millis(deadline_ms) = deadline.unwrap_or(self.config.deadline) else { return };
        self.read_clock(now_ms);
        let limit = self.deadlines.now().wrapping_add(deadline_ms);
        let operation = self.operation(id);
        operation.has_limit = true;
        operation.limit = limit;
    }

    /// The step's own span, or what is left of the caller's deadline where that is less.
    pub(super) fn shorter_of(&mut self, id: OperationId, span: Span) -> Span {
        let now = self.deadlines.now();
        let operation = self.operation(id);
        operation.by_deadline = false;
        if !operation.has_limit || !operation.is_attended() {
            return span;
        }
        let left = operation.limit.wrapping_sub(now);
        // Past the limit the difference wraps to more than any deadline can be.
        let left = if left > super::config::LONGEST_SPAN_MS { 0 } else { left };
        match span {
            Span::Millis(ms) if ms <= left => span,
            _ => {
                operation.by_deadline = true;
                operation.rest_ms = match span {
                    Span::Millis(ms) => ms - left,
                    Span::Forever => UNLIMITED,
                };
                Span::Millis(left)
            }
        }
    }

    /// Whether the slot's connection can be handed out in this instant.
    pub(super) fn is_ready(&self, slot: u32) -> bool {
        let is_checked = self.hooks.has(Event::Checkout) || self.wants_ping(slot) || self.config.kind.shares();
        !is_checked && self.is_current(slot)
    }

    fn wants_ping(&self, slot: u32) -> bool {
        let record = &self.records[slot];
        if !self.config.pre_ping || record.fresh {
            return false;
        }
        match self.config.pre_ping_after_idle {
            Span::Millis(ms) => self.deadlines.now().wrapping_sub(record.idle_since) >= ms,
            Span::Forever => false,
        }
    }

    /// A reserved operation starts on its slot.
    pub(super) fn enter_slot(&mut self, id: OperationId) -> Step {
        let slot = self.operation(id).at;
        if self.is_joined(slot) || self.records[slot].retired {
            return self.enter_share(id, slot);
        }
        if self.records[slot].live && !self.is_current(slot) {
            self.counters.recycled = self.counters.recycled.wrapping_add(1);
            self.records[slot].phase = Phase::Opening;
            return self.replace(id);
        }
        if self.records[slot].live { self.check(id, slot) } else { self.open_in_turn(id, slot) }
    }

    /// The connection goes for a new one.
    fn replace(&mut self, id: OperationId) -> Step {
        let operation = self.operation(id);
        operation.then = Then::Reopen;
        operation.abrupt = true;
        self.tell_close(id)
    }

    /// Asks the connection, and the listeners, whether it may be handed out.
    pub(super) fn check(&mut self, id: OperationId, slot: u32) -> Step {
        if !self.is_joined(slot) {
            self.records[slot].phase = Phase::CheckingOut;
        }
        if self.wants_ping(slot) { self.enter(id, State::Pinging) } else { self.present(id, slot) }
    }

    pub(super) fn present(&mut self, id: OperationId, slot: u32) -> Step {
        if !self.is_joined(slot) {
            self.records[slot].phase = Phase::CheckingOut;
        }
        if self.hooks.has(Event::Checkout) {
            return self.enter(id, State::Emitting(Event::Checkout));
        }
        self.grant(id, slot)
    }

    pub(super) fn grant(&mut self, id: OperationId, slot: u32) -> Step {
        if self.config.kind.shares() {
            return self.grant_share(id, slot);
        }
        self.end(id);
        Step::Grant(self.lease(slot))
    }

    pub(super) fn advance_checkout(&mut self, id: OperationId, outcome: Outcome) -> Step {
        let &mut Operation { state, at: slot, .. } = self.operation(id);
        if !self.operation(id).is_attended() {
            return self.condemn(id, None);
        }
        // A listener may have emptied the record.
        let is_lost = !self.records[slot].live;
        match (state, outcome) {
            (State::Pinging, Outcome::Ok) if !is_lost => self.present(id, slot),
            (State::Pinging, Outcome::Failed) => self.condemn(id, Some(Refusal::Failed)),
            (State::Emitting(_), Outcome::Ok) if !is_lost => self.grant(id, slot),
            (_, Outcome::Ok) => self.disconnected(id, slot, false),
            (State::Pinging, _) => self.disconnected(id, slot, true),
            (_, Outcome::Disconnected) => self.disconnected(id, slot, false),
            (_, Outcome::DisconnectedAll) => self.disconnected(id, slot, true),
            (_, Outcome::TimedOut) => {
                self.counters.timed_out = self.counters.timed_out.wrapping_add(1);
                self.condemn(id, Some(Refusal::ListenerTimeout))
            }
            _ => self.condemn(id, Some(Refusal::Failed)),
        }
    }

    /// The connection is dead: another one in the same slot, until that has happened too often.
    pub(super) fn disconnected(&mut self, id: OperationId, slot: u32, all: bool) -> Step {
        if all && self.records[slot].invalidation == self.invalidation {
            self.invalidate_all();
        }
        let operation = self.operation(id);
        operation.deaths += 1;
        operation.then = Then::Reopen;
        operation.abrupt = true;
        self.tell_invalidate(id)
    }

    /// Whether the checkout has seen too many dead connections to try another.
    pub(super) fn has_given_up(&self, id: OperationId) -> bool {
        self.operations[id.index()].deaths >= MOST_DEATHS
    }

    /// The checkout ends without its connection: it is terminated, and the emptied record goes back.
    pub(super) fn condemn(&mut self, id: OperationId, refusal: Option<Refusal>) -> Step {
        let operation = self.operation(id);
        operation.refusal = refusal;
        operation.then = Then::Checkin;
        operation.abrupt = true;
        self.tell_invalidate(id)
    }

    /// The caller's signal: true if the caller is to be refused now. An opening goes on without its caller. A checkout
    /// that has ended, and whatever is not a checkout, takes no notice.
    pub fn abort(&mut self, id: OperationId) -> bool {
        let Some(operation) = self.operations.get(id).filter(|operation| operation.is_attended()) else { return false };
        match operation.state {
            State::Waiting => {
                self.waiters.remove(&mut self.operations, id.index());
                self.end(id);
            }
            State::Reserved => self.give_back(id),
            _ => self.dismiss(id),
        }
        self.counters.aborted = self.counters.aborted.wrapping_add(1);
        true
    }

    /// The caller leaves, the step goes on: an opening for somebody else, a ping or a checkout listener for nobody.
    pub(super) fn dismiss(&mut self, id: OperationId) {
        let operation = self.operation(id);
        operation.caller = Caller::Nobody;
        match operation.state {
            State::Pinging | State::Emitting(Event::Checkout) => self.notify(id, Notice::Expire),
            State::AwaitingPlace => self.notify(id, Notice::Resume),
            _ => {}
        }
    }

    /// A reserved operation ends before it resumed: its slot goes on to the next.
    pub(super) fn give_back(&mut self, id: OperationId) {
        let slot = self.operation(id).at;
        self.end(id);
        if self.leave_share(slot) {
            return;
        }
        self.opening_ended(slot);
        if self.records[slot].is_new {
            self.drop_slot(slot);
        } else if self.must_discard(slot) {
            self.discard_as_child(slot, false);
        }
        // The place of its creator is free, whatever became of the slot.
        self.serve();
    }

    /// Time has ended for a step.
    pub(super) fn expire(&mut self, id: OperationId) {
        let &mut Operation { state, by_deadline, .. } = self.operation(id);
        if state == State::Waiting {
            self.counters.timed_out = self.counters.timed_out.wrapping_add(1);
            self.refuse_waiter(id, if by_deadline { Refusal::WaitDeadline } else { Refusal::WaitTimeout });
            return;
        }
        if !by_deadline {
            self.notify(id, Notice::Expire);
            return;
        }
        if self.operation(id).is_attended() {
            self.counters.timed_out = self.counters.timed_out.wrapping_add(1);
            let refusal = match state {
                State::Pinging => Refusal::PingDeadline,
                State::Emitting(_) | State::AwaitingFirst => Refusal::ListenerDeadline,
                _ => Refusal::OpenDeadline,
            };
            self.notify(id, Notice::Reject(refusal));
            self.dismiss(id);
        }
        // The step goes on, for what is left of its own time.
        let operation = self.operation(id);
        operation.by_deadline = false;
        let rest_ms = operation.rest_ms;
        if rest_ms != UNLIMITED {
            self.deadlines.arm(&mut self.operations, id.index(), Span::Millis(rest_ms));
        }
    }
}
