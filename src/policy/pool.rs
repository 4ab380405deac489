//! The pool: its state, the doors through which the host comes in, and what every operation shares. The operations
//! themselves are in the files that mod.rs names; where slots go is in slots.rs.

use super::config::{Config, Span, UNLIMITED};
use super::deadlines::Deadlines;
use super::id::Slab;
use super::idle::Idle;
use super::opening::FirstUse;
use super::operation::{Caller, Operation, Operations, Queue, State, Then};
use super::record::{FIRST_EPOCH, Phase, Record, Staleness};
use super::ring::{NIL, Ring};
use super::stats::{Counters, Counts, Stats};
use super::step::{Event, Hooks, Notice, Outcome, Step};
use super::{LeaseId, OperationId};
use alloc::collections::VecDeque;

/// What one caller asks for, `None` being the pool's own setting, and the time of asking.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long to queue.
    pub timeout: Option<Span>,
    /// How long the whole may take.
    pub deadline: Option<Span>,
    /// The host's clock, in milliseconds; looked at only where the deadline is finite.
    pub now_ms: f64,
}

/// The books and rules of one pool in one scope.
///
/// Every method leaves the books right before it returns. After any of them, [`Pool::take_notice`] and
/// [`Pool::take_child`] hand out what else has become ready, until both are empty; then [`Pool::tick_wanted`].
pub struct Pool {
    pub(super) config: Config,
    pub(super) records: Slab<Record>,
    pub(super) idle: Idle,
    pub(super) operations: Operations,
    pub(super) waiters: Ring<Queue>,
    pub(super) deadlines: Deadlines,
    /// The first notice, apart from the queue of the others: nearly always it is the only one.
    pub(super) notice: Option<(OperationId, Notice)>,
    pub(super) notices: VecDeque<(OperationId, Notice)>,
    pub(super) children: VecDeque<OperationId>,
    pub(super) counters: Counters,
    pub(super) hooks: Hooks,
    /// Whether a checkout of something idle and its return need nothing but the books: see [`Record::current_in`].
    pub(super) plain: bool,
    pub(super) first: FirstUse,
    /// Slots that count for `maxConnecting`.
    pub(super) connecting: u32,
    /// Checkouts that have lost their connection and wait for the place of a creator, before all who queue.
    pub(super) reopenings: VecDeque<OperationId>,
    /// The slot whose connection callers share now, or [`NIL`]; and how many older ones are kept for theirs.
    pub(super) shared: u32,
    pub(super) retired: u32,
    /// The last random number that the host gave, 0 to 1.
    pub(super) random: f64,
    /// Raised by a pool-wide invalidation: connections whose opening began before are stale.
    pub(super) invalidation: u32,
    /// Raised by both, and by close: see [`Record::current_in`].
    pub(super) epoch: u32,
    /// Raised by dispose: connections from before are closed at their return.
    pub(super) dispose: u32,
    pub(super) detached: u32,
    pub(super) closed: bool,
    pub(super) draining: Option<OperationId>,
}

impl Pool {
    /// An empty pool. Opens nothing.
    pub fn new(config: Config) -> Self {
        let mut pool = Self {
            idle: Idle::new(config.use_lifo),
            deadlines: Deadlines::new(config.timeout),
            config,
            records: Slab::new(),
            operations: Slab::new(),
            waiters: Ring::new(),
            notice: None,
            notices: VecDeque::new(),
            children: VecDeque::new(),
            counters: Counters::new(),
            hooks: Hooks::default(),
            plain: false,
            first: FirstUse::default(),
            connecting: 0,
            reopenings: VecDeque::new(),
            shared: NIL,
            retired: 0,
            random: 0.0,
            invalidation: 0,
            epoch: FIRST_EPOCH,
            dispose: 0,
            detached: 0,
            closed: false,
            draining: None,
        };
        pool.set_hooks(Hooks::default());
        pool
    }

    /// Tells which events have listeners, whenever that changes.
    pub fn set_hooks(&mut self, hooks: Hooks) {
        let Config { kind, pre_ping, recycle, idle_timeout, max_uses, .. } = self.config;
        let is_heard = [Event::Checkout, Event::Reset, Event::Checkin].into_iter().any(|event| hooks.has(event));
        self.hooks = hooks;
        self.plain = !is_heard
            && !hooks.has_every_lease()
            && !pre_ping
            && !kind.shares()
            && (recycle, idle_timeout, max_uses) == (Span::Forever, Span::Forever, UNLIMITED);
        self.begin_epoch();
    }

    /// A random number from 0 to 1, for the next connection that opens; asked for where `recycleJitter` is set.
    pub const fn set_random(&mut self, random: f64) {
        self.random = random;
    }

    /// The settings.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The step that an operation must perform now: after a begin, and after [`Notice::Resume`]. A stale handle is done.
    pub fn resume(&mut self, id: OperationId) -> Step {
        let Some(operation) = self.operations.get(id) else { return Step::Done };
        match operation.state {
            State::Waiting | State::Abandoned | State::Detached | State::Sharing => Step::Wait,
            State::Lost | State::Idling | State::Draining => Step::Wait,
            State::Reserved => self.enter_slot(id),
            State::AwaitingFirst => self.await_first(id),
            State::AwaitingPlace => self.await_place(id),
            State::Opening => Step::Open(operation.at),
            State::Pinging => Step::Ping(operation.at),
            State::Emitting(event) => Step::Emit(event, operation.slot()),
            State::Resetting => self.reset_step(operation.slot()),
            State::Finalizing => Step::Finalize(operation.at),
            State::Detaching => Step::Detach(operation.at),
            State::Ending if operation.abrupt => Step::Terminate(operation.slot()),
            State::Ending => Step::Close(operation.slot()),
        }
    }

    /// Tells how the step of an operation went and answers with the next one. A stale handle is done.
    pub fn advance(&mut self, id: OperationId, outcome: Outcome) -> Step {
        let Some(operation) = self.operations.get(id) else { return Step::Done };
        let state = operation.state;
        match state {
            // These perform no step: an outcome for them is a fault of the shell, and harmless.
            State::Waiting | State::Reserved | State::AwaitingFirst => return Step::Wait,
            State::AwaitingPlace | State::Detached | State::Sharing | State::Lost => return Step::Wait,
            State::Idling | State::Draining => return Step::Wait,
            _ => self.deadlines.disarm(&mut self.operations, id.index()),
        }
        match state {
            State::Opening | State::Abandoned => self.advance_opening(id, outcome),
            State::Emitting(Event::FirstConnect | Event::Connect) => self.advance_opening(id, outcome),
            State::Pinging | State::Emitting(Event::Checkout) => self.advance_checkout(id, outcome),
            State::Emitting(Event::Reset) | State::Resetting | State::Finalizing => self.advance_checkin(id, outcome),
            State::Detaching | State::Emitting(Event::Detach | Event::CloseDetached) => self.advance_detached(id),
            _ => self.advance_ending(id),
        }
    }

    /// What has become ready for operations that sleep, in order.
    pub fn take_notice(&mut self) -> Option<(OperationId, Notice)> {
        let first = self.notice.take();
        if !self.notices.is_empty() {
            self.notice = self.notices.pop_front();
        }
        first
    }

    /// Whether a notice, a child or the tick wants attention.
    pub fn has_news(&mut self) -> bool {
        self.notice.is_some() || !self.children.is_empty() || self.tick_wanted()
    }

    /// The same, where a step under way may turn out to want the tick.
    pub(super) fn may_have_news(&self) -> bool {
        self.notice.is_some() || !self.children.is_empty() || self.deadlines.may_want_tick()
    }

    /// Whether the operation is in the queue.
    pub fn is_waiting(&self, id: OperationId) -> bool {
        self.operations.get(id).is_some_and(|operation| operation.state == State::Waiting)
    }

    /// Whether the operation's step is the reset of a return.
    pub fn is_resetting(&self, id: OperationId) -> bool {
        self.operations.get(id).is_some_and(|operation| operation.state == State::Resetting)
    }

    /// Operations without a caller that the last call made; each runs in a flow of its own, from [`Pool::resume`] on.
    pub fn take_child(&mut self) -> Option<OperationId> {
        self.children.pop_front()
    }

    /// Whether [`Pool::tick`] is due: the host's timer is missing, set too late, or serves nobody any more.
    pub fn tick_wanted(&mut self) -> bool {
        self.deadlines.tick_wanted(&mut self.operations)
    }

    /// Takes the time, in milliseconds: ends what ran out of it and answers how long the host's one timer should run
    /// until the next tick, or `None` for no timer.
    pub fn tick(&mut self, now_ms: f64) -> Option<u32> {
        let stamped = self.see_held(now_ms);
        for index in self.deadlines.take_expired_in_queue(&mut self.operations, &self.waiters) {
            self.expire(self.operations.handle_of(index));
        }
        while let Some(index) = self.deadlines.take_expired(&mut self.operations) {
            let id = self.operations.handle_of(index);
            match self.operations[index].state {
                State::Draining => self.stop_draining(id),
                State::Lost => self.reclaim(id),
                State::Idling => self.reap(id),
                _ => self.expire(id),
            }
        }
        self.deadlines.plan(&mut self.operations, &self.waiters, stamped)
    }

    /// The host could not set the timer that the last [`Pool::tick`] asked for; the next operation asks again.
    pub fn timer_lost(&mut self) {
        self.deadlines.timer_lost();
    }

    /// Takes the time without ending anything; before a step of an operation that has a deadline.
    pub fn read_clock(&mut self, now_ms: f64) -> bool {
        self.deadlines.read(&mut self.operations, &self.waiters, now_ms)
    }

    /// The same, and every lease that was not seen by a reading before counts from this one on.
    pub fn see_held(&mut self, now_ms: f64) -> bool {
        let stamped = self.read_clock(now_ms);
        let now = self.deadlines.now();
        for (_, record) in self.records.iter_mut() {
            if record.phase == Phase::Leased && record.held_since.is_none() {
                record.held_since = Some(now);
            }
        }
        stamped
    }

    /// Whether the host's timer should keep its process alive: some caller waits.
    pub fn is_attended(&self) -> bool {
        self.operations.iter().any(|(_, operation)| {
            operation.caller != Caller::Nobody && !matches!(operation.state, State::Detached | State::Sharing)
        })
    }

    /// Whether [`Pool::begin_close`] was called.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether this lease still has its slot.
    pub fn is_leased(&self, lease: LeaseId) -> bool {
        self.records.get(lease).is_some_and(|record| record.phase == Phase::Leased)
    }

    /// Whether a lease has this slot, on its way in and out included.
    pub fn is_in_use(&self, slot: u32) -> bool {
        let phase = self.records.at(slot).map(|record| record.phase);
        matches!(phase, Some(Phase::CheckingOut | Phase::Leased | Phase::Returning))
    }

    /// Whether the slot was made for the opening under way, so that nothing of an earlier slot may show through.
    pub fn is_new_slot(&self, slot: u32) -> bool {
        self.records[slot].is_new
    }

    /// The lease that the checkout of this slot will grant: what its listeners are shown.
    pub fn lease_of(&self, slot: u32) -> LeaseId {
        self.records.handle_of(slot)
    }

    /// The slot of a share, or of any operation that has one.
    pub fn slot_of(&self, id: OperationId) -> Option<u32> {
        self.operations.get(id).and_then(Operation::slot)
    }

    /// Why the operation ends its connection for a new one: age, a pool-wide invalidation, a mark. `None` where it does
    /// not, or for another reason.
    pub fn staleness(&self, id: OperationId) -> Option<Staleness> {
        let operation =
            self.operations.get(id).filter(|operation| operation.then == Then::Reopen && operation.deaths == 0)?;
        let record = &self.records[operation.at];
        Some(if record.stale {
            Staleness::Soft
        } else if record.invalidation != self.invalidation {
            Staleness::Pool
        } else {
            Staleness::Age
        })
    }

    /// The record has finalizers for its next return.
    pub fn add_finalizer(&mut self, slot: u32) {
        let record = &mut self.records[slot];
        record.has_finalizers = record.live;
        record.look_closely();
    }

    /// Makes every open connection stale: each is replaced at its next checkout.
    pub fn invalidate_all(&mut self) {
        self.invalidation = self.invalidation.wrapping_add(1);
        self.begin_epoch();
    }

    /// How many slots are idle, growing and so on; see [`Stats`].
    pub fn stats(&self) -> Stats {
        let count =
            |phases: &[Phase]| self.records.iter().filter(|(_, record)| phases.contains(&record.phase)).count() as u32;
        let idle = self.records.iter().filter(|(_, record)| record.phase == Phase::Idle && record.live).count() as u32;
        let used = count(&[Phase::CheckingOut, Phase::Leased, Phase::Returning, Phase::Returned]);
        let opening = count(&[Phase::Reserved, Phase::Opening]);
        let closing = count(&[Phase::Closing, Phase::Parked]);
        Stats {
            total: idle + used + opening + closing,
            idle,
            used,
            opening,
            closing,
            waiting: self.waiters.len(),
            detached: self.detached,
            max: if self.config.max_slots == UNLIMITED { f64::INFINITY } else { f64::from(self.config.max_slots) },
            opened: self.counters.opened,
            open_failed: self.counters.open_failed,
            checkouts: self.counters.checkouts,
            waited: self.counters.waited,
            timed_out: self.counters.timed_out,
            aborted: self.counters.aborted,
            recycled: self.counters.recycled,
            invalidated: self.counters.invalidated,
            leaked: self.counters.leaked,
        }
    }

    /// SQLAlchemy's four numbers; see [`Counts`].
    pub fn counts(&self) -> Counts {
        let size = self.config.pool_size as i32;
        let slots = self.records.len() as i32;
        let checked_in = self.idle.len() as i32;
        Counts { size, checked_in, overflow: if size == 0 { 0 } else { slots - size }, checked_out: slots - checked_in }
    }

    /// For how long the longest-held leases have been out, in milliseconds, with their slots, longest first, at most
    /// five. Counted from the first reading of the clock that saw them, since a checkout reads none: what is told is at
    /// least so long.
    pub fn longest_held(&self) -> [Option<(u32, u32)>; 5] {
        let mut longest = [None; 5];
        let now = self.deadlines.now();
        for (slot, record) in self.records.iter() {
            let mut held = record.held_since.map(|since| (now.wrapping_sub(since), slot));
            for place in &mut longest {
                if held > *place {
                    core::mem::swap(&mut held, place);
                }
            }
        }
        longest
    }

    // ---- what the operations share

    #[inline]
    pub(super) fn begin(&mut self, operation: Operation) -> OperationId {
        self.operations.insert(operation)
    }

    pub(super) fn end(&mut self, id: OperationId) {
        self.end_at(id.index());
    }

    /// The same by index; answers the handle that it had.
    #[inline(always)]
    pub(super) fn end_at(&mut self, index: u32) -> OperationId {
        self.deadlines.disarm(&mut self.operations, index);
        self.operations.remove(index)
    }

    #[inline(never)]
    pub(super) fn notify(&mut self, id: OperationId, notice: Notice) {
        if self.notice.is_none() {
            self.notice = Some((id, notice));
        } else {
            self.notices.push_back((id, notice));
        }
    }

    pub(super) fn operation(&mut self, id: OperationId) -> &mut Operation {
        &mut self.operations[id.index()]
    }

    /// Gives a step its time: the driver's, or what is left of the caller's deadline where that is less.
    pub(super) fn arm_step(&mut self, id: OperationId, span: Span) {
        let span = self.shorter_of(id, span);
        if let Span::Millis(_) = span {
            self.deadlines.arm(&mut self.operations, id.index(), span);
        }
    }

    /// Goes on to the next step.
    pub(super) fn enter(&mut self, id: OperationId, state: State) -> Step {
        let span = if state == State::Pinging { self.config.ping_timeout } else { self.config.driver_timeout };
        self.operation(id).state = state;
        self.arm_step(id, span);
        self.resume(id)
    }

    /// Whatever was current before is looked at more closely from now on.
    pub(super) fn begin_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1).max(FIRST_EPOCH);
    }

    /// Makes the slot a lease.
    pub(super) fn lease(&mut self, slot: u32) -> LeaseId {
        self.count_checkout(slot);
        self.records[slot].phase = Phase::Leased;
        self.records.handle_of(slot)
    }

    pub(super) fn count_checkout(&mut self, slot: u32) {
        self.counters.checkouts = self.counters.checkouts.wrapping_add(1);
        let record = &mut self.records[slot];
        record.held_since = None;
        record.fresh = false;
        record.uses = record.uses.saturating_add(1);
    }

    /// Ends a lease: its handle is stale from now on, so that nobody returns it twice. `None` if it had ended.
    pub(super) fn end_lease(&mut self, lease: LeaseId) -> Option<u32> {
        if !self.is_leased(lease) {
            return None;
        }
        let slot = lease.index();
        self.records.renew(slot);
        let record = &mut self.records[slot];
        record.held_since = None;
        record.phase = Phase::Returning;
        Some(slot)
    }
}
