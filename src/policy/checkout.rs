//! The checkout: queue, take a slot, replace a stale connection, ping, call the checkout listeners, grant. Opening is
//! in opening.rs. Also what an abort and the end of time do in each state. Called through pool.rs.

use super::config::Span;
use super::id::{CAPACITY, LeaseId, OperationId};
use super::operation::{Caller, CheckoutAt, Operation, State, Then};
use super::pool::{Limits, Pool};
use super::record::Phase;
use super::step::{Begin, Condition, Event, Notice, Outcome, Refusal, Step};

/// How many connections a checkout may find dead before it gives up.
const MOST_DEATHS: u8 = 2;

impl Pool {
    /// Asks for a lease. A caller that finds a free connection while no caller waits has it at once; no caller
    /// overtakes a waiter. `limits` replaces the pool's own; if the pool has a deadline or looks at ages, every call
    /// gives them, for the time.
    pub fn begin_checkout(&mut self, limits: Option<Limits>) -> Begin {
        match limits {
            None => self.checkout_at_once().unwrap_or_else(|| self.begin_long_checkout(None)),
            Some(limits) => self.begin_within(limits, Caller::Checkout),
        }
    }

    /// The common checkouts on the pool's own settings: a lease of the next idle connection, or a place behind the
    /// waiters. `None`, with nothing done: [`Pool::begin_long_checkout`] goes the long way.
    // Always: a call would need a frame for its answer, and that is a fifth of a wait.
    #[inline(always)]
    pub fn checkout_at_once(&mut self) -> Option<Begin> {
        if self.waiters.is_empty() {
            return self.take_clean().map(Begin::Granted);
        }
        let refused = self.config.timeout == Span::Millis(0) || self.is_queue_full();
        (!refused).then(|| Begin::Pending(self.join_queue()))
    }

    /// The common checkout: no caller waits, and the state alone decides on the next idle connection. `None`, with
    /// nothing done: the checkout takes the long way.
    #[inline(always)]
    pub fn take_clean(&mut self) -> Option<LeaseId> {
        if !self.waiters.is_empty() {
            return None;
        }
        let slot = self.idle.next()?;
        if !self.is_plain {
            return None;
        }
        let generation = self.family.clean_generation();
        let entry = self.records.entry(slot);
        if !entry.value.is_clean(Phase::Idle, generation) {
            return None;
        }
        entry.value.phase = Phase::Leased;
        let lease = entry.handle();
        self.idle.take_plain();
        self.family.counters.checkouts.count();
        Some(lease)
    }

    /// The checkout if [`Pool::checkout_at_once`] has returned `None`.
    #[inline(never)]
    pub fn begin_long_checkout(&mut self, limits: Option<Limits>) -> Begin {
        self.begin_for(Caller::Checkout, limits)
    }

    /// The checkout of a caller that cannot wait: it joins no queue. If its operation would sleep, it calls
    /// [`Pool::leave`]. `counts`: whether its refusal is one for want of time.
    pub fn begin_checkout_now(&mut self, now_ms: f64, counts: bool) -> Begin {
        let limits = Limits { timeout: Some(Span::Millis(0)), deadline: Some(Span::Forever), priority: 0, now_ms };
        self.begin_within(limits, refused_as(counts))
    }

    /// `refused`: the caller as which a refusal counts.
    #[inline(never)]
    fn begin_within(&mut self, limits: Limits, refused: Caller) -> Begin {
        match self.take_clean() {
            Some(lease) => Begin::Granted(lease),
            None => self.begin_for(refused, Some(limits)),
        }
    }

    #[inline(never)]
    fn begin_for(&mut self, refused: Caller, limits: Option<Limits>) -> Begin {
        self.begin_filling();
        let begin = match self.try_checkout(limits) {
            Ok(begin) => begin,
            Err(refusal) => Begin::Refused(self.refused(refused, refusal)),
        };
        self.settle();
        begin
    }

    fn try_checkout(&mut self, limits: Option<Limits>) -> Result<Begin, Refusal> {
        if self.is_closed() {
            return Err(Refusal::Closed);
        }
        if self.waiting() > 0 && !self.config.kind.is_exclusive() {
            return self.begin_wait(limits);
        }
        if self.is_crowded() {
            return Err(Refusal::QueueFull);
        }
        if self.config.kind.is_exclusive() && self.is_taken() {
            return Err(Refusal::InUse);
        }
        if self.config.tells_time()
            && let Some(limits) = limits
        {
            self.read_clock(limits.now_ms);
        }
        let Some(slot) = self.take_slot() else {
            if self.is_hopeless() {
                return Err(Refusal::Failed);
            }
            self.unblock_soon();
            return self.begin_wait(limits);
        };
        if self.is_ready(slot) {
            return Ok(Begin::Granted(self.lease(slot)));
        }
        let id = self.begin(Operation::new(State::reserved(slot), Caller::Checkout));
        self.reserve(id, slot, self.timeout_of(limits));
        self.keep_limits(id, limits);
        Ok(Begin::Pending(id))
    }

    #[inline(never)]
    fn begin_wait(&mut self, limits: Option<Limits>) -> Result<Begin, Refusal> {
        let timeout = self.timeout_of(limits);
        if timeout == Span::Millis(0) {
            return Err(Refusal::WaitTimeout);
        }
        if self.is_queue_full() {
            return Err(Refusal::QueueFull);
        }
        let Some(Limits { priority, .. }) = limits else {
            let id = self.join_queue();
            self.keep_limits(id, None);
            return Ok(Begin::Pending(id));
        };
        // Callers that share a connection come back to the head of the queue.
        let is_preferred = priority > 0 && !self.config.kind.shares();
        let id = if is_preferred { self.wait_preferred(priority) } else { self.wait() };
        self.keep_limits(id, limits);
        let span = self.shorter_of(id, timeout);
        self.deadlines.arm(&mut self.operations, id.index(), span, false);
        Ok(Begin::Pending(id))
    }

    fn is_queue_full(&self) -> bool {
        self.waiting() >= self.config.max_waiters || self.is_crowded()
    }

    /// Whether the operations are nearly full. Detached and abandoned connections are operations, too: room is kept for
    /// the return of every slot.
    pub(super) fn is_crowded(&self) -> bool {
        self.operations.len() + self.records.len() + 1 >= CAPACITY
    }

    /// Whether a lease is out or a caller on the way to one.
    fn is_taken(&self) -> bool {
        self.records.iter().any(|(_, record)| record.phase == Phase::Leased)
            || self.operations.iter().any(|(_, operation)| operation.is_attended())
    }

    /// How long the caller may queue.
    fn timeout_of(&self, limits: Option<Limits>) -> Span {
        limits.and_then(|limits| limits.timeout).unwrap_or(self.config.timeout)
    }

    /// Keeps what the caller asked for: its deadline, and its timeout if it may have to queue again.
    fn keep_limits(&mut self, id: OperationId, limits: Option<Limits>) {
        if self.config.kind.shares() {
            let has_waited = self.is_waiting(id);
            self.shares.keep(id, limits.and_then(|limits| limits.timeout), has_waited);
        }
        let Some(Limits { deadline, now_ms, .. }) = limits else { return };
        let Span::Millis(deadline_ms) = deadline.unwrap_or(self.config.deadline) else { return };
        self.read_clock(now_ms);
        let ends = self.deadlines.end_of(deadline_ms);
        self.operation(id).limit.set(ends);
    }

    /// Whether the slot's connection can be handed out in this instant.
    pub(super) fn is_ready(&self, slot: u32) -> bool {
        let is_checked = self.has_listener(Event::Checkout) || self.wants_ping(slot) || self.config.kind.shares();
        !is_checked && self.is_current(slot)
    }

    fn wants_ping(&self, slot: u32) -> bool {
        let record = &self.records[slot];
        if record.fresh {
            return false;
        }
        if self.is_suspect(slot) {
            return true;
        }
        if !self.config.pre_ping {
            return false;
        }
        match self.config.pre_ping_after_idle {
            // A connection that others share now is not idle.
            Span::Millis(ms) if record.phase == Phase::Leased => ms == 0,
            Span::Millis(ms) => self.deadlines.age_now_ms().saturating_sub(record.free_since_ms) >= u64::from(ms),
            Span::Forever => false,
        }
    }

    /// A reserved operation starts on its slot.
    pub(super) fn enter_slot(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        if self.shares.is_joined(slot) || self.shares.is_retired(slot) {
            return self.enter_share(id, slot, deaths);
        }
        if self.records[slot].live && !self.is_current(slot) {
            self.family.counters.recycled.count();
            self.records[slot].phase = Phase::Opening;
            self.await_opening(id, slot);
            return self.close_then(id, true, None, Then::Reopen { slot, deaths });
        }
        if self.records[slot].live { self.check(id, slot, deaths) } else { self.open_in_turn(id, slot, deaths) }
    }

    /// Asks the driver and the listeners, as far as they want to be asked.
    pub(super) fn check(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        let wants_ping = self.wants_ping(slot);
        if !self.shares.is_joined(slot) {
            self.records[slot].phase = Phase::CheckingOut;
        }
        if wants_ping {
            let state = State::CheckingOut { at: CheckoutAt::Pinging, slot, deaths };
            return self.enter_within(id, state, self.config.ping_timeout);
        }
        self.present(id, slot, deaths)
    }

    pub(super) fn present(&mut self, id: OperationId, slot: u32, deaths: u8) -> Step {
        if !self.shares.is_joined(slot) {
            self.records[slot].phase = Phase::CheckingOut;
        }
        if self.has_listener(Event::Checkout) {
            return self.enter(id, State::CheckingOut { at: CheckoutAt::Presenting, slot, deaths });
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

    pub(super) fn pinged(&mut self, id: OperationId, slot: u32, deaths: u8, outcome: Outcome) -> Step {
        if !self.operation(id).is_attended() {
            return self.checked_for_none(id, slot, outcome, false);
        }
        // Another operation, or its death, may have emptied the record.
        let is_live = self.records[slot].live;
        // The caller has not asked for the ping of a suspect, so no error of the ping refuses it.
        let is_suspect = self.is_suspect(slot);
        match outcome {
            Outcome::Ok if is_live => {
                self.acquit(slot);
                self.present(id, slot, deaths)
            }
            Outcome::Failed if is_live && !is_suspect => self.condemn(id, slot, Some(Refusal::Failed)),
            _ => self.disconnected(id, slot, deaths, is_live && !is_suspect && outcome != Outcome::Ok),
        }
    }

    pub(super) fn presented(&mut self, id: OperationId, slot: u32, deaths: u8, outcome: Outcome) -> Step {
        if !self.operation(id).is_attended() {
            return self.checked_for_none(id, slot, outcome, true);
        }
        match outcome {
            // A listener may have emptied the record.
            Outcome::Ok if self.records[slot].live => self.grant(id, slot),
            Outcome::Ok | Outcome::Disconnected => self.disconnected(id, slot, deaths, false),
            Outcome::DisconnectedAll => self.disconnected(id, slot, deaths, true),
            Outcome::TimedOut => self.condemn(id, slot, Some(Refusal::ListenerTimeout)),
            _ => self.condemn(id, slot, Some(Refusal::Failed)),
        }
    }

    /// The caller has left, and the check has ended without it. A connection that listeners have had comes back as
    /// after any lease.
    #[inline(never)]
    fn checked_for_none(&mut self, id: OperationId, slot: u32, outcome: Outcome, was_presented: bool) -> Step {
        if outcome != Outcome::Ok || !self.records[slot].live {
            return self.condemn(id, slot, None);
        }
        self.acquit(slot);
        if !was_presented || self.shares.is_joined(slot) {
            return self.check_in(id, slot, None);
        }
        self.records[slot].phase = Phase::Returning;
        self.begin_other_return(id, slot, Condition::Open)
    }

    /// The connection is dead: another one in the same slot, until that has happened too often.
    pub(super) fn disconnected(&mut self, id: OperationId, slot: u32, deaths: u8, all: bool) -> Step {
        if all {
            self.invalidate_as_old(slot);
        }
        self.await_opening(id, slot);
        self.invalidate_then(id, None, Then::Reopen { slot, deaths: deaths + 1 })
    }

    /// Whether the checkout has seen too many dead connections to try another.
    pub(super) const fn has_given_up(deaths: u8) -> bool {
        deaths >= MOST_DEATHS
    }

    /// The checkout ends without its connection: it is terminated, and the emptied record goes back.
    pub(super) fn condemn(&mut self, id: OperationId, slot: u32, refusal: Option<Refusal>) -> Step {
        self.invalidate_then(id, refusal, Then::CheckIn(slot))
    }

    // ---- aborts and the end of time

    /// The caller's signal was aborted. Returns whether the caller is to be refused now. An opening goes on without its
    /// caller. A checkout that has ended, and an operation that is no checkout, ignore it.
    pub fn abort(&mut self, id: OperationId) -> bool {
        let Some(operation) = self.operations.get(id).filter(|operation| operation.is_attended()) else { return false };
        self.part(id, operation.state);
        self.family.counters.aborted.count();
        self.settle();
        true
    }

    /// The caller cannot wait for the end of the step under way, and is refused. What was begun goes on for the pool: a
    /// connection that is opened, found alive or presented to the listeners is the next caller's. `counts`: whether the
    /// refusal is one for want of time. `None` if the operation has no such caller.
    pub fn leave(&mut self, id: OperationId, counts: bool) -> Option<Refusal> {
        let state = self.operations.get(id).filter(|operation| operation.is_attended())?.state;
        match state {
            State::CheckingOut { at: CheckoutAt::Pinging | CheckoutAt::Presenting, .. } => {
                self.operation(id).caller = Caller::None;
            }
            state => self.part(id, state),
        }
        self.settle();
        Some(self.refused(refused_as(counts), deadline_refusal(self.step_of(state), state)))
    }

    #[inline(never)]
    fn part(&mut self, id: OperationId, state: State) {
        match state {
            State::Waiting { .. } => {
                self.leave_queue(id);
                self.end(id);
                self.has_freed |= self.drains;
            }
            State::CheckingOut { at: CheckoutAt::Reserved, slot, .. } => self.give_back(id, slot),
            state => self.caller_left(id, state),
        }
    }

    /// The caller leaves, the step goes on: an opening for another caller, a ping or a checkout listener for none.
    pub(super) fn caller_left(&mut self, id: OperationId, state: State) {
        self.operation(id).caller = Caller::None;
        match state {
            State::CheckingOut { at: CheckoutAt::Pinging | CheckoutAt::Presenting, .. } => {
                self.notify(id, Notice::Expire);
            }
            State::CheckingOut { at: CheckoutAt::AwaitingPlace, .. } => self.notify(id, Notice::Resume),
            _ => {}
        }
    }

    /// A reserved operation ends before it resumed: its slot goes on to the next.
    pub(super) fn give_back(&mut self, id: OperationId, slot: u32) {
        self.end(id);
        self.give_up_reserved(slot);
    }

    pub(super) fn give_up_reserved(&mut self, slot: u32) {
        if self.shares.leave(slot) {
            return;
        }
        self.opening_ended(slot);
        if self.records[slot].is_new {
            self.drop_slot(slot);
        } else if self.place(slot) {
            self.spawn_discard(slot, false);
        }
    }

    /// Time has ended for a step.
    pub(super) fn expire(&mut self, id: OperationId) {
        let &mut Operation { state, limit, .. } = self.operation(id);
        if let State::Waiting { .. } = state {
            return self.refuse_waiter(id, if limit.runs() { Refusal::WaitDeadline } else { Refusal::WaitTimeout });
        }
        if !limit.runs() {
            return self.notify(id, Notice::Expire);
        }
        match self.operation(id).caller {
            Caller::Checkout => {
                self.refuse(id, deadline_refusal(self.step_of(state), state));
                self.caller_left(id, state);
            }
            Caller::Return => self.release(id),
            Caller::Other | Caller::None => {}
        }
        // The step goes on, for what is left of its own time.
        if let Span::Millis(rest_ms) = self.operation(id).limit.take_rest() {
            self.deadlines.arm(&mut self.operations, id.index(), Span::Millis(rest_ms), false);
        }
    }
}

/// The caller as which a refusal counts.
const fn refused_as(counts: bool) -> Caller {
    if counts { Caller::Checkout } else { Caller::None }
}

/// Which refusal says that the caller's time ended in this step.
fn deadline_refusal(step: Step, state: State) -> Refusal {
    match step {
        Step::Ping(_) => Refusal::PingDeadline,
        Step::Emit(..) => Refusal::ListenerDeadline,
        _ if matches!(state, State::CheckingOut { at: CheckoutAt::AwaitingFirst, .. }) => Refusal::ListenerDeadline,
        _ if matches!(
            state,
            State::Waiting { .. } | State::CheckingOut { at: CheckoutAt::Reserved | CheckoutAt::AwaitingPlace, .. }
        ) =>
        {
            Refusal::WaitDeadline
        }
        _ => Refusal::OpenDeadline,
    }
}
