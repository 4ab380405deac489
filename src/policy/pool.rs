//! The pool: its state, and the moves that every operation shares. A slot that comes free goes to the head waiter, else
//! to the idle store, else it is closed; whenever capacity appears the head waiter is served at once. The operations
//! themselves are in checkout.rs, checkin.rs and shutdown.rs.

use super::config::{Config, Span, UNLIMITED};
use super::deadlines::Deadlines;
use super::id::Slab;
use super::idle::Idle;
use super::kind::queue::{Source, is_surplus, source};
use super::operation::{Operation, Operations, Queue, State};
use super::record::{FIRST_EPOCH, Phase, Record};
use super::ring::Ring;
use super::stats::{Counters, Counts, Stats};
use super::step::{Notice, Outcome, Refusal, Step};
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
    pub const fn new(config: Config) -> Self {
        Self {
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
            invalidation: 0,
            epoch: FIRST_EPOCH,
            dispose: 0,
            detached: 0,
            closed: false,
            draining: None,
        }
    }

    /// The step that an operation must perform now: after a begin, and after [`Notice::Resume`]. A stale handle is done.
    pub fn resume(&mut self, id: OperationId) -> Step {
        let Some(operation) = self.operations.get(id) else { return Step::Done };
        match operation.state {
            State::Waiting | State::Abandoned | State::Detached | State::Draining => Step::Wait,
            State::Reserved => self.enter_slot(id),
            State::Replacing => Step::Terminate(operation.slot()),
            State::Opening => Step::Open(operation.at),
            State::Resetting | State::ResettingDetached => self.reset_step(operation.slot()),
            State::Condemned => Step::Terminate(operation.slot()),
            State::Discarding | State::ClosingDetached | State::Closing => close_step(operation),
        }
    }

    /// Tells how the step of an operation went and answers with the next one. A stale handle is done.
    pub fn advance(&mut self, id: OperationId, outcome: Outcome) -> Step {
        let Some(operation) = self.operations.get(id) else { return Step::Done };
        let is_checkout = match operation.state {
            State::Replacing | State::Opening | State::Abandoned => true,
            State::Resetting | State::Condemned | State::Discarding => false,
            State::ResettingDetached | State::ClosingDetached | State::Closing => false,
            // These perform no step: an outcome for them is a fault of the shell, and harmless.
            State::Waiting | State::Reserved | State::Detached | State::Draining => return Step::Wait,
        };
        self.deadlines.disarm(&mut self.operations, id.index());
        if is_checkout { self.advance_checkout(id, outcome) } else { self.advance_checkin(id, outcome) }
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
    pub fn has_news(&self) -> bool {
        self.notice.is_some() || !self.children.is_empty() || self.tick_wanted()
    }

    /// Whether the operation is in the queue.
    pub fn is_waiting(&self, id: OperationId) -> bool {
        self.operations.get(id).is_some_and(|operation| operation.state == State::Waiting)
    }

    /// Operations without a caller that the last call made; each runs in a flow of its own, from [`Pool::resume`] on.
    pub fn take_child(&mut self) -> Option<OperationId> {
        self.children.pop_front()
    }

    /// Whether [`Pool::tick`] is due: the host's timer is missing, set too late, or serves nobody any more.
    pub fn tick_wanted(&self) -> bool {
        self.deadlines.tick_wanted()
    }

    /// Takes the time, in milliseconds: ends what ran out of it and answers how long the host's one timer should run
    /// until the next tick, or `None` for no timer.
    pub fn tick(&mut self, now_ms: f64) -> Option<u32> {
        let stamped = self.read_clock(now_ms);
        let now = self.deadlines.now();
        for (_, record) in self.records.iter_mut() {
            if record.phase == Phase::Leased && record.held_since.is_none() {
                record.held_since = Some(now);
            }
        }
        for index in self.deadlines.take_expired_in_queue(&mut self.operations, &self.waiters) {
            self.expire_checkout(self.operations.handle_of(index));
        }
        while let Some(index) = self.deadlines.take_expired(&mut self.operations) {
            let id = self.operations.handle_of(index);
            match self.operations[index].state {
                State::Waiting | State::Replacing | State::Opening => self.expire_checkout(id),
                State::Draining => self.stop_draining(id),
                _ => self.notify(id, Notice::Expire),
            }
        }
        self.deadlines.plan(&self.operations, &self.waiters, stamped)
    }

    /// The host could not set the timer that the last [`Pool::tick`] asked for; the next operation asks again.
    pub fn timer_lost(&mut self) {
        self.deadlines.timer_lost();
    }

    /// Takes the time without ending anything; before a step of an operation that has a deadline.
    pub fn read_clock(&mut self, now_ms: f64) -> bool {
        self.deadlines.read(&mut self.operations, &self.waiters, now_ms)
    }

    /// Whether the host's timer should keep its process alive: some caller waits.
    pub fn is_attended(&self) -> bool {
        self.operations.iter().any(|(_, operation)| operation.attended && operation.state != State::Detached)
    }

    /// Whether [`Pool::begin_close`] was called.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether this lease still has its slot.
    pub fn is_leased(&self, lease: LeaseId) -> bool {
        self.records.get(lease).is_some_and(|record| record.phase == Phase::Leased)
    }

    /// Whether a lease, or its return, has this slot.
    pub fn is_in_use(&self, slot: u32) -> bool {
        matches!(self.records[slot].phase, Phase::Leased | Phase::Returning)
    }

    /// Whether the slot of this opening was made for it, so that nothing of an earlier slot may show through.
    pub fn is_new_slot(&self, id: OperationId) -> bool {
        self.operations.get(id).is_some_and(|operation| operation.new_slot)
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
        let used = count(&[Phase::Leased, Phase::Returning]);
        let opening = count(&[Phase::Reserved, Phase::Opening]);
        let closing = count(&[Phase::Closing]);
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
            leaked: 0,
        }
    }

    /// SQLAlchemy's four numbers; see [`Counts`].
    pub fn counts(&self) -> Counts {
        let size = self.config.pool_size as i32;
        let slots = self.records.len() as i32;
        let checked_in = self.idle.len() as i32;
        Counts { size, checked_in, overflow: if size == 0 { 0 } else { slots - size }, checked_out: slots - checked_in }
    }

    /// For how long the longest-held leases have been out, in milliseconds, longest first, at most five. Counted from
    /// the first reading of the clock that saw them, since a checkout reads none: what is told is at least so long.
    pub fn longest_held(&self) -> [Option<u32>; 5] {
        let mut longest = [None; 5];
        let now = self.deadlines.now();
        for held in self.records.iter().filter_map(|(_, record)| record.held_since) {
            let mut held = Some(now.wrapping_sub(held));
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

    /// Gives the operation's next call into the driver its time.
    pub(super) fn arm_driver(&mut self, id: OperationId) {
        if let Span::Millis(_) = self.config.driver_timeout {
            self.deadlines.arm(&mut self.operations, id.index(), self.config.driver_timeout);
        }
    }

    /// Whatever was current before is looked at more closely from now on.
    pub(super) fn begin_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1).max(FIRST_EPOCH);
    }

    pub(super) fn is_fresh(&self, slot: u32) -> bool {
        let record = &self.records[slot];
        record.current_in == self.epoch || record.live && !record.stale && record.invalidation == self.invalidation
    }

    /// Makes the slot a lease.
    pub(super) fn lease(&mut self, slot: u32) -> LeaseId {
        let record = &mut self.records[slot];
        record.phase = Phase::Leased;
        record.held_since = None;
        self.counters.checkouts = self.counters.checkouts.wrapping_add(1);
        self.records.handle_of(slot)
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

    /// Finds the next place of a slot that has come free. True: there is none, and its connection must be closed.
    pub(super) fn must_discard(&mut self, slot: u32) -> bool {
        let record = &self.records[slot];
        if record.live && (self.closed || record.dispose != self.dispose) {
            return true;
        }
        if self.closed {
            self.drop_slot(slot);
        } else if let Some(waiter) = self.pop_waiter() {
            self.hand_over(waiter, slot);
        } else if !is_surplus(&self.config, self.idle.len()) {
            self.records[slot].phase = Phase::Idle;
            self.idle.put(slot);
        } else if self.records[slot].live {
            return true;
        } else {
            self.drop_slot(slot);
        }
        false
    }

    /// Ends a slot that holds no connection any more; its capacity goes to the head waiter.
    pub(super) fn drop_slot(&mut self, slot: u32) {
        self.records.remove(slot);
        self.serve();
        if self.records.len() == 0
            && let Some(id) = self.draining.take()
        {
            self.end(id);
            self.notify(id, Notice::Done);
        }
    }

    /// Gives what is free to those who wait, in order. A close refuses them all and wakes nobody.
    pub(super) fn serve(&mut self) {
        while !self.closed && !self.waiters.is_empty() {
            match source(&self.config, self.idle.len(), self.records.len()) {
                Source::Idle => {
                    let Some(slot) = self.idle.take() else { return };
                    let Some(waiter) = self.pop_waiter() else { return };
                    self.hand_over(waiter, slot);
                }
                Source::New => {
                    let Some(waiter) = self.pop_waiter() else { return };
                    let slot = self.records.insert(Record::new()).index();
                    self.operation(waiter).new_slot = true;
                    self.hand_over(waiter, slot);
                }
                Source::Nowhere => return,
            }
        }
    }

    fn pop_waiter(&mut self) -> Option<OperationId> {
        let index = self.waiters.front()?;
        self.waiters.pop_front();
        self.deadlines.disarm(&mut self.operations, index);
        Some(self.operations.handle_of(index))
    }

    /// A waiter gets its slot: as a lease, or, where a connection must be opened first, as a reservation.
    fn hand_over(&mut self, waiter: OperationId, slot: u32) {
        if self.is_fresh(slot) {
            let lease = self.lease(slot);
            self.operations.remove(waiter.index());
            self.notify(waiter, Notice::Grant(lease));
        } else {
            self.records[slot].phase = Phase::Reserved;
            let operation = self.operation(waiter);
            operation.state = State::Reserved;
            operation.at = slot;
            self.notify(waiter, Notice::Resume);
        }
    }

    pub(super) fn refuse_waiter(&mut self, id: OperationId, refusal: Refusal) {
        self.waiters.remove(&mut self.operations, id.index());
        self.end(id);
        self.notify(id, Notice::Reject(refusal));
    }
}

pub(super) fn close_step(operation: &Operation) -> Step {
    if operation.abrupt { Step::Terminate(operation.slot()) } else { Step::Close(operation.slot()) }
}
