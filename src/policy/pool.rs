//! The pool in one scope: its state, and the doors through which the host comes in. Every door that may free capacity
//! ends with [`Pool::settle`], which serves the waiters. The operations themselves are in the files that mod.rs names.

use super::config::{Config, Span};
use super::deadlines::Deadlines;
use super::family::{Family, MemberId};
use super::id::OperationId;
use super::idle::Idle;
use super::operation::{Caller, CheckoutAt, EndAt, Operation, Operations, Queue, ReturnAt, State};
use super::outbox::Outbox;
use super::places::{Filling, FirstUse, Line, Places};
use super::record::{Phase, Records, Staleness};
use super::ring::Ring;
use super::share_groups::ShareGroups;
use super::step::{Aside, Event, Hooks, Notice, Outcome, Refusal, Step};
use alloc::rc::Rc;
use alloc::vec::Vec;

/// The highest priority of a waiter.
pub const MOST_PRIORITY: u32 = i32::MAX as u32;

/// What one caller asks for, `None` being the pool's own setting, and the time of asking.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long to queue.
    pub timeout: Option<Span>,
    /// How long the whole may take.
    pub deadline: Option<Span>,
    /// Waiters of a higher one are served first; 0 to [`MOST_PRIORITY`].
    pub priority: u32,
    /// The host's clock, in milliseconds; read only if the deadline is finite or the pool looks at ages.
    pub now_ms: f64,
}

/// The state and rules of one pool in one scope.
///
/// Invariant: the state is consistent before a method returns. After any of them the host drains the outbox:
/// [`Pool::take_notice`] until it is empty, before any foreign code runs, then [`Pool::take_aside`]; then it asks
/// [`Pool::tick_wanted`].
pub struct Pool {
    pub(super) config: Config,
    /// Whether [`Config::is_plain`] holds, the pool has no more slots than it may have, and no waiter has a priority.
    pub(super) is_plain: bool,
    /// The same by [`Config::hands_over_plainly`].
    pub(super) hands_over_plainly: bool,
    /// How many checkouts have begun the long way: their order.
    pub(super) arrivals: u32,
    /// Whether the scope is one of at most `poolSize` that keep an idle connection.
    pub(super) counts_as_keeper: bool,
    /// The I/O context to which the scope belongs.
    pub(super) context: Option<u32>,
    /// Whether the scope lasts beyond the call that runs: it is no request's, as far as that is known.
    pub(super) lasts: bool,
    pub(super) family: Rc<Family>,
    pub(super) member: MemberId,
    pub(super) records: Records,
    pub(super) idle: Idle,
    pub(super) operations: Operations,
    /// The waiters without a priority, in order of arrival.
    pub(super) waiters: Ring<Queue>,
    /// The waiters with one, the highest first. They come before the others.
    pub(super) preferred: Line,
    pub(super) deadlines: Deadlines,
    pub(super) outbox: Outbox,
    pub(super) first: FirstUse,
    pub(super) places: Places,
    pub(super) shares: ShareGroups,
    pub(super) filling: Filling,
    /// Leases to report because they are out for too long: for how many milliseconds, and their slots.
    pub(super) held: Vec<(u32, u32)>,
    /// Whether capacity may have come free since the waiters were served.
    pub(super) has_freed: bool,
    /// How many checkouts there were when the leases were last looked at.
    pub(super) seen_checkouts: u64,
    /// The last random number that the host gave, 0 to 1.
    pub(super) random: f64,
    pub(super) detached: u32,
    /// Slots that end with their connection, which is being closed.
    pub(super) ending: u32,
    /// Whether the driver can be asked whether a connection is alive.
    pub(super) can_ping: bool,
    pub(super) closed: bool,
    /// Whether the callers that came before the close are still served; then the pool is not closed yet.
    pub(super) drains: bool,
    /// The closes under way, the latest last: the first of them that ends ends all.
    pub(super) closes: Vec<OperationId>,
}

impl Pool {
    /// An empty pool of one scope. Opens nothing.
    pub fn new(config: Config) -> Self {
        Self::numbered(config, 0)
    }

    pub(super) fn numbered(config: Config, number: u32) -> Self {
        Self::in_family(config, Rc::new(Family::new()), number, None)
    }

    /// An empty scope of a pool that may have others.
    pub(super) fn in_family(config: Config, family: Rc<Family>, number: u32, context: Option<u32>) -> Self {
        Self {
            is_plain: config.is_plain(),
            hands_over_plainly: config.hands_over_plainly(),
            counts_as_keeper: config.kind.keeps_one_per_scope() && context.is_none(),
            context,
            lasts: context.is_none(),
            arrivals: 0,
            member: family.join(number),
            family,
            records: Records::new(),
            idle: Idle::new(config.use_lifo),
            operations: Operations::new(),
            waiters: Ring::new(),
            preferred: Line::default(),
            deadlines: Deadlines::new(config.timeout),
            outbox: Outbox::new(),
            first: FirstUse::default(),
            places: Places::new(&config),
            shares: ShareGroups::default(),
            filling: Filling::default(),
            held: Vec::new(),
            has_freed: false,
            seen_checkouts: 0,
            random: 0.0,
            detached: 0,
            ending: 0,
            can_ping: false,
            closed: false,
            drains: false,
            closes: Vec::new(),
            config,
        }
    }

    /// Says which events have listeners, in every scope of the pool.
    pub fn set_hooks(&mut self, hooks: Hooks) {
        self.family.set_events(hooks);
    }

    #[inline]
    pub(super) fn has_listener(&self, event: Event) -> bool {
        self.family.events().has(event)
    }

    /// Takes a random number from 0 to 1 for the next connection that opens; asked for if `recycleJitter` is set.
    pub const fn set_random(&mut self, random: f64) {
        self.random = random;
    }

    /// The settings.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    // ---- the steps of operations

    /// The step that an operation must perform now: after a begin, and after [`Notice::Resume`]. A stale handle is
    /// done.
    pub fn resume(&mut self, id: OperationId) -> Step {
        let step = self.resumed(id);
        self.settle();
        step
    }

    fn resumed(&mut self, id: OperationId) -> Step {
        let Some(operation) = self.operations.get(id) else { return Step::Done };
        match operation.state {
            State::CheckingOut { at: CheckoutAt::Reserved, slot, deaths } => self.enter_slot(id, slot, deaths),
            State::CheckingOut { at: CheckoutAt::AwaitingFirst, slot, deaths } => self.await_first(id, slot, deaths),
            State::CheckingOut { at: CheckoutAt::AwaitingPlace, slot, deaths } => self.await_place(id, slot, deaths),
            // The signal of the caller may have emptied the record.
            State::CheckingOut { at: CheckoutAt::Pinging | CheckoutAt::Presenting, slot, deaths }
                if !self.records[slot].live =>
            {
                self.deadlines.disarm(&mut self.operations, id.index());
                self.presented(id, slot, deaths, Outcome::Ok)
            }
            state => self.step_of(state),
        }
    }

    /// What is to be performed in this state.
    pub(super) fn step_of(&self, state: State) -> Step {
        match state {
            State::Waiting { .. } | State::Abandoned { .. } | State::Sharing { .. } | State::Detached { .. } => {
                Step::Wait
            }
            State::Lost { .. } | State::Idling { .. } | State::Holding { .. } => Step::Wait,
            State::Aging { .. } | State::Pausing | State::BackingOff | State::Draining => Step::Wait,
            State::Ended => Step::Done,
            State::CheckingOut { at, slot, .. } => match at {
                CheckoutAt::Reserved | CheckoutAt::AwaitingPlace | CheckoutAt::AwaitingFirst => Step::Wait,
                CheckoutAt::Opening => Step::Open(slot),
                CheckoutAt::TellingFirst => Step::Emit(Event::FirstConnect, Some(slot)),
                CheckoutAt::TellingConnect => Step::Emit(Event::Connect, Some(slot)),
                CheckoutAt::Pinging => Step::Ping(slot),
                CheckoutAt::Presenting => Step::Emit(Event::Checkout, Some(slot)),
            },
            State::Returning { at, slot } => match at {
                ReturnAt::TellingReset { .. } => Step::Emit(Event::Reset, Some(slot)),
                ReturnAt::Cancelling => Step::Cancel(slot),
                ReturnAt::Resetting => self.reset_step(Some(slot)),
                ReturnAt::Resting => Step::Ping(slot),
                ReturnAt::Finalizing => Step::Finalize(slot),
            },
            State::ReturningDetached { at: ReturnAt::TellingReset { .. }, .. } => Step::Emit(Event::Reset, None),
            State::ReturningDetached { .. } => self.reset_step(None),
            State::CheckingIn { slot, .. } => Step::Emit(Event::Checkin, Some(slot)),
            State::Ending(ending) => {
                let slot = ending.then.slot();
                match ending.at {
                    EndAt::TellingInvalidate => Step::Emit(Event::Invalidate, slot),
                    EndAt::TellingClose => Step::Emit(Event::Close, slot),
                    EndAt::Closing if ending.abrupt => Step::Terminate(slot),
                    EndAt::Closing => Step::Close(slot),
                }
            }
            State::Detaching { slot } => Step::Detach(slot),
            State::TellingDetach => Step::Emit(Event::Detach, None),
            State::TellingCloseDetached { .. } => Step::Emit(Event::CloseDetached, None),
            State::Telling(event) => Step::Emit(event, None),
        }
    }

    /// Says how the step of an operation went; returns the next one. A stale handle is done.
    pub fn advance(&mut self, id: OperationId, outcome: Outcome) -> Step {
        let Some(operation) = self.operations.get(id) else { return Step::Done };
        let state = operation.state;
        if !state.performs() {
            // An outcome without a step is a fault of the host, and harmless.
            return self.step_of(state);
        }
        self.deadlines.disarm(&mut self.operations, id.index());
        let step = match state {
            State::CheckingOut { at: CheckoutAt::Pinging, slot, deaths } => self.pinged(id, slot, deaths, outcome),
            State::CheckingOut { at: CheckoutAt::Presenting, slot, deaths } => {
                self.presented(id, slot, deaths, outcome)
            }
            State::CheckingOut { at, slot, deaths } => self.advance_opening(id, at, slot, deaths, outcome),
            State::Abandoned { counts, .. } => self.advance_abandoned(id, counts, outcome),
            State::Returning { at, slot } => self.advance_return(id, at, slot, outcome),
            State::ReturningDetached { at, is_lost } => self.advance_detached_return(id, at, is_lost, outcome),
            State::CheckingIn { slot, refusal } => self.check_in(id, slot, refusal),
            State::Ending(ending) => self.advance_ending(id, ending, outcome),
            State::Detaching { slot } => self.take_out(id, slot),
            State::TellingDetach => self.close_detached(id, true),
            State::TellingCloseDetached { abrupt } => self.end_detached(id, abrupt),
            _ => self.finish(id, None),
        };
        self.settle();
        step
    }

    /// Goes on to the next step, which has the driver's time.
    pub(super) fn enter(&mut self, id: OperationId, state: State) -> Step {
        self.enter_within(id, state, self.config.driver_timeout)
    }

    pub(super) fn enter_within(&mut self, id: OperationId, state: State, span: Span) -> Step {
        self.operation(id).state = state;
        self.arm_step(id, span);
        self.step_of(state)
    }

    /// Ends the operation; returns its last step.
    pub(super) fn finish(&mut self, id: OperationId, refusal: Option<Refusal>) -> Step {
        let caller = self.operation(id).caller;
        self.end(id);
        match refusal {
            Some(refusal) if caller != Caller::None => Step::Reject(self.refused(caller, refusal)),
            _ => Step::Done,
        }
    }

    /// Counts a refusal as it leaves: the only place, so that no caller counts twice.
    pub(super) fn refused(&self, caller: Caller, refusal: Refusal) -> Refusal {
        if caller == Caller::Checkout && refusal.is_timeout() {
            self.family.counters.timed_out.count();
        }
        refusal
    }

    // ---- the outbox

    /// Takes the next notice for an operation that sleeps, in order.
    pub fn take_notice(&mut self) -> Option<(OperationId, Notice)> {
        debug_assert!(!self.has_freed, "a door that frees capacity must settle");
        while let Some((id, notice)) = self.outbox.take_notice() {
            let operation = self.operation(id);
            operation.notices -= 1;
            let has_ended = matches!(operation.state, State::Ended);
            if has_ended && operation.notices == 0 {
                self.operations.remove(id.index());
            }
            // A wake-up of an operation that has ended since concerns no caller.
            if !(has_ended && matches!(notice, Notice::Resume | Notice::Expire | Notice::Release)) {
                return Some((id, notice));
            }
        }
        None
    }

    /// Takes the next output that concerns no caller, in order.
    pub fn take_aside(&mut self) -> Option<Aside> {
        self.outbox.take_aside()
    }

    /// Whether the outbox or the tick wants attention.
    pub fn has_output(&self) -> bool {
        !self.outbox.is_empty() || self.tick_wanted()
    }

    /// Whether the outbox, the tick or another scope wants attention.
    pub fn has_news(&self) -> bool {
        self.has_output() || self.family.has_woken()
    }

    #[inline(never)]
    pub(super) fn notify(&mut self, id: OperationId, notice: Notice) {
        self.operation(id).notices += 1;
        self.outbox.notify(id, notice);
    }

    /// Lets the caller of a return go: its promise is settled, and the return goes on.
    #[inline(never)]
    pub(super) fn release(&mut self, id: OperationId) {
        self.operation(id).caller = Caller::None;
        self.notify(id, Notice::Release);
    }

    /// Refuses the caller of an operation by a notice.
    pub(super) fn refuse(&mut self, id: OperationId, refusal: Refusal) {
        let refusal = self.refused(self.operations[id.index()].caller, refusal);
        self.notify(id, Notice::Reject(refusal));
    }

    // ---- time

    /// Whether [`Pool::tick`] is due: the host's timer is missing, set too late, or serves no operation any more.
    pub fn tick_wanted(&self) -> bool {
        self.deadlines.tick_wanted()
    }

    /// Takes the time, in milliseconds: ends what ran out of it and returns how long the host's one timer should run
    /// until the next tick, or `None` for no timer. A late tick ends nothing yet, so that the host may deliver what has
    /// arrived. Zero asks for one turn of the host's loop.
    pub fn tick(&mut self, now_ms: f64) -> Option<u32> {
        self.tick_at(now_ms, false)
    }

    /// The same when the host's timer has run out.
    pub fn ring(&mut self, now_ms: f64) -> Option<u32> {
        self.tick_at(now_ms, true)
    }

    fn tick_at(&mut self, now_ms: f64, rings: bool) -> Option<u32> {
        let stamped = self.deadlines.read_for_tick(&mut self.operations, &self.waiters, now_ms, rings);
        // A crowd of ticks without a checkout or return between them finds none that was not seen.
        if self.seen_checkouts != self.family.counters.checkouts.get() {
            self.see_leases();
        }
        if self.deadlines.is_late(&self.operations, &self.waiters, rings) {
            return Some(self.deadlines.plan_patience());
        }
        if self.places.is_blocked() {
            self.unblock();
        }
        for index in self.deadlines.take_expired_in_queue(&mut self.operations, &self.waiters) {
            self.expire(self.operations.handle_of(index));
        }
        while let Some(index) = self.deadlines.take_expired(&mut self.operations) {
            let id = self.operations.handle_of(index);
            match self.operations[index].state {
                State::Draining => self.stop_closing(),
                State::Lost { lease } => self.reclaim(id, lease),
                State::Idling { slot } => self.idled(id, slot),
                State::Pausing => self.paused(),
                State::Holding { slot } => self.held_too_long(id, slot),
                State::Aging { slot } => self.aged(id, slot),
                State::BackingOff => self.end_back_off(id),
                _ => self.expire(id),
            }
        }
        self.settle();
        self.deadlines.plan(&mut self.operations, &self.waiters, stamped)
    }

    /// Says that the host could not set the timer that the last [`Pool::tick`] asked for; the next operation asks
    /// again.
    pub fn timer_lost(&mut self) {
        self.deadlines.timer_lost();
    }

    /// Takes the time without ending anything; before a step of an operation that has a deadline.
    pub fn read_clock(&mut self, now_ms: f64) {
        self.deadlines.read(&mut self.operations, &self.waiters, now_ms);
    }

    /// Takes the time; every lease and return that no reading has seen before counts from this one on.
    pub fn see_held(&mut self, now_ms: f64) {
        self.read_clock(now_ms);
        self.see_leases();
    }

    fn see_leases(&mut self) {
        let now = self.deadlines.now();
        self.seen_checkouts = self.family.counters.checkouts.get();
        for (_, record) in self.records.iter_mut() {
            if (record.phase == Phase::Leased || record.phase.is_return()) && record.held_since.is_none() {
                record.held_since = Some(now);
            }
        }
    }

    /// Gives a step its time: the driver's, or what is left of the caller's deadline if that is less.
    pub(super) fn arm_step(&mut self, id: OperationId, span: Span) {
        let span = self.shorter_of(id, span);
        if let Span::Millis(_) = span {
            self.deadlines.arm(&mut self.operations, id.index(), span, false);
        }
    }

    /// Returns the step's own span, or the time of the caller if that is less: what is left of its deadline, or
    /// `returnTimeout`.
    pub(super) fn shorter_of(&mut self, id: OperationId, span: Span) -> Span {
        let now = self.deadlines.now();
        let patience = self.config.return_timeout;
        let operation = self.operation(id);
        match operation.caller {
            Caller::Checkout => operation.limit.shorter(span, now),
            Caller::Return => operation.limit.shorter_for(span, patience),
            Caller::Other | Caller::None => {
                operation.limit.clear();
                span
            }
        }
    }

    // ---- what the host asks

    /// Whether the operation is in the queue.
    pub fn is_waiting(&self, id: OperationId) -> bool {
        self.operations.get(id).is_some_and(|operation| matches!(operation.state, State::Waiting { .. }))
    }

    /// Whether the operation's step is the reset of a return, and there is no notice about it.
    pub fn is_resetting(&self, id: OperationId) -> bool {
        self.operations.get(id).is_some_and(|operation| {
            let is_resetting = matches!(
                operation.state,
                State::Returning { at: ReturnAt::Resetting, .. }
                    | State::ReturningDetached { at: ReturnAt::Resetting, .. }
            );
            is_resetting && operation.notices == 0
        })
    }

    /// Whether the host's timer should keep its process alive: a caller waits.
    pub fn is_attended(&self) -> bool {
        self.operations.iter().any(|(_, operation)| {
            operation.caller != Caller::None
                && !matches!(operation.state, State::Detached { .. } | State::Sharing { .. } | State::Ended)
        })
    }

    /// Whether new callers are refused: this scope was ended, or the pool closed.
    pub fn is_closed(&self) -> bool {
        self.closed || self.drains || self.family.is_closed()
    }

    /// Whether a lease has this slot, on its way in and out included.
    pub fn is_in_use(&self, slot: u32) -> bool {
        let phase = self.records.at(slot).map(|record| record.phase);
        matches!(phase, Some(Phase::CheckingOut | Phase::Leased | Phase::Returning))
    }

    /// Whether every slot is idle: no caller has a connection, or wants one.
    pub fn is_at_rest(&self) -> bool {
        self.records.len() == self.idle.len() as usize
            && self.operations.iter().all(|(_, operation)| {
                matches!(
                    operation.state,
                    State::Idling { .. } | State::Aging { .. } | State::Pausing | State::BackingOff
                )
            })
    }

    /// Whether the scope holds nothing: no connection, and no caller that wants one.
    pub fn is_empty(&self) -> bool {
        self.records.len() + self.operations.len() == 0
    }

    /// The slot of an operation that has one.
    pub fn slot_of(&self, id: OperationId) -> Option<u32> {
        match self.operations.get(id)?.state {
            State::CheckingOut { slot, .. } | State::Sharing { slot } => Some(slot),
            State::CheckingIn { slot, .. } | State::Detaching { slot } | State::Idling { slot } => Some(slot),
            State::Returning { slot, .. } => Some(slot),
            State::Ending(ending) => ending.then.slot(),
            _ => None,
        }
    }

    /// Why the operation replaces its connection: age, a pool-wide invalidation, a mark. `None` if it does not, or for
    /// another reason.
    pub fn staleness(&self, id: OperationId) -> Option<Staleness> {
        let State::Ending(ending) = self.operations.get(id)?.state else { return None };
        let super::operation::Then::Reopen { slot, deaths: 0 } = ending.then else { return None };
        let record = &self.records[slot];
        Some(if record.stale {
            Staleness::Soft
        } else if record.generation.invalidation() != self.family.generation().invalidation() {
            Staleness::Pool
        } else {
            Staleness::Age
        })
    }

    /// Says that the record has finalizers for its next return.
    pub fn add_finalizer(&mut self, slot: u32) {
        let record = &mut self.records[slot];
        record.has_finalizers = record.live;
    }

    /// Makes every open connection of the pool stale: each is replaced at its next checkout.
    pub fn invalidate_all(&mut self) {
        self.family.invalidate();
    }

    // ---- what the operations share

    #[inline]
    pub(super) fn begin(&mut self, operation: Operation) -> OperationId {
        self.operations.insert(operation)
    }

    pub(super) fn operation(&mut self, id: OperationId) -> &mut Operation {
        &mut self.operations[id.index()]
    }

    /// Ends an operation. Its index is free once every notice about it was handed out.
    pub(super) fn end(&mut self, id: OperationId) {
        self.deadlines.disarm(&mut self.operations, id.index());
        let operation = self.operation(id);
        if operation.notices > 0 {
            operation.state = State::Ended;
            operation.caller = Caller::None;
        } else {
            self.operations.remove(id.index());
        }
        if !self.places.openers.is_empty() {
            self.forget_openers();
        }
    }
}
