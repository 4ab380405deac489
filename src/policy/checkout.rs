//! The checkout: queue, take a slot, replace what is stale, open what is empty, grant. One table of (state, outcome);
//! also what an abort and the end of time do in each state. Called through pool.rs.

use super::config::{Span, UNLIMITED};
use super::id::CAPACITY;
use super::kind::queue::{Source, source};
use super::operation::{Operation, State};
use super::pool::{Limits, Pool};
use super::record::{Phase, Record};
use super::ring::NIL;
use super::step::{Begin, Notice, Outcome, Refusal, Step};
use super::{LeaseId, OperationId};

impl Pool {
    /// Asks for a lease. A caller who finds something free while nobody waits has it at once; nobody overtakes a waiter.
    /// `limits` replaces the pool's own; where the pool has a deadline, every call gives them, for the time.
    pub fn begin_checkout(&mut self, limits: Option<Limits>) -> Begin {
        let at_once = match limits {
            None => self.checkout_at_once(),
            Some(_) => self.take_idle().map(Begin::Granted),
        };
        match at_once {
            Some(begin) => begin,
            // A closed pool has no waiters.
            None if !self.waiters.is_empty() => self.begin_wait(limits),
            None => self.begin_long_checkout(limits),
        }
    }

    /// The common checkouts on the pool's own settings: a lease of the next idle connection, or a place behind those who
    /// wait. `None`, with nothing done: [`Pool::begin_checkout`] knows the long way.
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

    fn begin_long_checkout(&mut self, limits: Option<Limits>) -> Begin {
        if self.closed {
            return Begin::Refused(Refusal::Closed);
        }
        if self.is_crowded() {
            return Begin::Refused(Refusal::QueueFull);
        }
        let (slot, new_slot) = match source(&self.config, self.idle.len(), self.records.len()) {
            Source::Idle => (self.idle.take().unwrap_or(NIL), false),
            Source::New => (self.records.insert(Record::new()).index(), true),
            Source::Nowhere => return self.begin_wait(limits),
        };
        if self.is_fresh(slot) {
            return Begin::Granted(self.lease(slot));
        }
        self.records[slot].phase = Phase::Reserved;
        let mut operation = Operation::new(State::Reserved, slot);
        operation.new_slot = new_slot;
        let id = self.begin(operation);
        self.set_limit(id, limits);
        Begin::Pending(id)
    }

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
        let id = self.begin(Operation::new(State::Waiting, self.waiters.end()));
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
        let mut waiter = Operation::new(State::Waiting, self.waiters.end());
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
    fn shorter_of(&mut self, id: OperationId, span: Span) -> Span {
        let now = self.deadlines.now();
        let operation = self.operation(id);
        operation.by_deadline = false;
        if !operation.has_limit || !operation.attended {
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

    /// A reserved operation starts on its slot.
    pub(super) fn enter_slot(&mut self, id: OperationId) -> Step {
        let slot = self.operation(id).at;
        if !self.records[slot].live {
            return self.open(id, slot);
        }
        self.records[slot].phase = Phase::Opening;
        self.operation(id).state = State::Replacing;
        self.counters.recycled = self.counters.recycled.wrapping_add(1);
        self.arm_step(id);
        Step::Terminate(Some(slot))
    }

    fn open(&mut self, id: OperationId, slot: u32) -> Step {
        let (invalidation, dispose) = (self.invalidation, self.dispose);
        let record = &mut self.records[slot];
        record.phase = Phase::Opening;
        record.stale = false;
        // From the start of the opening: what was marked stale while it ran is stale.
        record.invalidation = invalidation;
        record.dispose = dispose;
        self.operation(id).state = State::Opening;
        self.arm_step(id);
        Step::Open(slot)
    }

    fn arm_step(&mut self, id: OperationId) {
        let span = self.shorter_of(id, self.config.driver_timeout);
        if let Span::Millis(_) = span {
            self.deadlines.arm(&mut self.operations, id.index(), span);
        }
    }

    pub(super) fn advance_checkout(&mut self, id: OperationId, outcome: Outcome) -> Step {
        let Operation { state, attended, at: slot, new_slot, .. } = *self.operation(id);
        match (state, outcome) {
            // However the end of the stale connection went, it is gone.
            (State::Replacing, _) => {
                self.records[slot].empty();
                if attended {
                    return self.open(id, slot);
                }
                self.end(id);
                self.must_discard(slot);
                Step::Done
            }

            (State::Opening, Outcome::Ok) => {
                self.counters.opened = self.counters.opened.wrapping_add(1);
                let (invalidation, dispose, epoch) = (self.invalidation, self.dispose, self.epoch);
                let record = &mut self.records[slot];
                record.live = true;
                // What was invalidated or disposed of while it opened, or died since, takes the long way.
                if !record.stale && record.invalidation == invalidation && record.dispose == dispose && !self.closed {
                    record.current_in = epoch;
                }
                if attended {
                    self.end(id);
                    return Step::Grant(self.lease(slot));
                }
                self.settle(id, slot)
            }
            (State::Opening, Outcome::TimedOut) => {
                let operation = self.operation(id);
                operation.state = State::Abandoned;
                operation.attended = false;
                operation.at = NIL;
                self.count_failed_open(slot, new_slot);
                if !attended {
                    return Step::Wait;
                }
                self.counters.timed_out = self.counters.timed_out.wrapping_add(1);
                Step::Reject(Refusal::OpenTimeout)
            }
            (State::Opening, _) => {
                self.end(id);
                self.count_failed_open(slot, new_slot);
                if attended { Step::Reject(Refusal::Failed) } else { Step::Done }
            }

            (State::Abandoned, Outcome::Ok | Outcome::LateOk) => {
                self.operation(id).state = State::Closing;
                self.arm_driver(id);
                Step::Close(None)
            }
            _ => {
                self.end(id);
                Step::Done
            }
        }
    }

    /// An opening came to nothing: a slot made for it ends, an older one waits emptied. Either way somebody may open now.
    fn count_failed_open(&mut self, slot: u32, new_slot: bool) {
        self.counters.open_failed = self.counters.open_failed.wrapping_add(1);
        if new_slot {
            self.drop_slot(slot);
        } else {
            self.must_discard(slot);
        }
    }

    /// The caller's signal: true if the caller is to be refused now. An opening goes on without its caller. A checkout
    /// that has ended, and whatever is not a checkout, takes no notice.
    pub fn abort(&mut self, id: OperationId) -> bool {
        let Some(&Operation { state, attended: true, .. }) = self.operations.get(id) else { return false };
        match state {
            State::Waiting => {
                self.waiters.remove(&mut self.operations, id.index());
                self.end(id);
            }
            State::Reserved => self.give_back(id),
            State::Replacing | State::Opening => self.operation(id).attended = false,
            _ => return false,
        }
        self.counters.aborted = self.counters.aborted.wrapping_add(1);
        true
    }

    /// A reserved operation ends before it resumed: its slot goes on to the next.
    pub(super) fn give_back(&mut self, id: OperationId) {
        let Operation { at: slot, new_slot, .. } = *self.operation(id);
        self.end(id);
        if new_slot {
            self.drop_slot(slot);
        } else {
            // Never true: a slot is reserved for the sake of what it does not hold, or holds stale.
            let discard = self.must_discard(slot);
            if discard {
                self.discard_as_child(slot, false);
            }
        }
    }

    /// Time has ended for a checkout.
    pub(super) fn expire_checkout(&mut self, id: OperationId) {
        let Operation { state, by_deadline, attended, .. } = *self.operation(id);
        if state == State::Waiting {
            self.counters.timed_out = self.counters.timed_out.wrapping_add(1);
            self.refuse_waiter(id, if by_deadline { Refusal::WaitDeadline } else { Refusal::WaitTimeout });
            return;
        }
        if !by_deadline {
            self.notify(id, Notice::Expire);
            return;
        }
        if attended {
            self.counters.timed_out = self.counters.timed_out.wrapping_add(1);
            self.operation(id).attended = false;
            self.notify(id, Notice::Reject(Refusal::OpenDeadline));
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
