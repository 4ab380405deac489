//! Where slots go. There is one door each: [`Pool::take_slot`] for a checkout, [`Pool::place`] for a slot that came
//! free, [`Pool::settle`] for capacity that came free. A free slot goes to the head waiter, else to the idle store,
//! else its connection is closed. Also: whether a slot's connection may be handed out as it is.

use super::config::Span;
use super::id::{MOST, NIL, OperationId};
use super::operation::{Caller, CheckoutAt, Ending, Operation, Queue, State, Then, left_until};
use super::pool::{MOST_PRIORITY, Pool};
use super::record::{Phase, Record};
use super::ring::Track as _;
use super::share_groups::Again;
use super::step::{Notice, Refusal};

impl Pool {
    // ---- may it be handed out

    /// Whether the slot's connection may be handed out as it is.
    pub(super) fn is_current(&self, slot: u32) -> bool {
        self.is_current_but_for_age(slot) && !self.is_aged(&self.records[slot])
    }

    pub(super) fn is_current_but_for_age(&self, slot: u32) -> bool {
        let record = &self.records[slot];
        record.live && !record.stale && record.generation.invalidation() == self.family.generation().invalidation()
    }

    fn is_aged(&self, record: &Record) -> bool {
        is_aged(record, self.config.recycle, self.deadlines.age_now_ms())
    }

    // ---- a slot for a checkout

    /// Takes the slot of the next checkout: the one that callers share, an idle one whose connection is current, one in
    /// which a connection is opened, or a new one. `None`: it must wait.
    pub(super) fn take_slot(&mut self) -> Option<u32> {
        if let Some(slot) = self.joinable() {
            return Some(slot);
        }
        let idle = self.next_current().or_else(|| self.idle.next_to_open().filter(|&slot| self.may_open_in(slot)));
        if let Some(slot) = idle {
            self.take_idle_slot(slot);
            return Some(slot);
        }
        self.may_make_slot().then(|| self.records.insert(Record::new()).index())
    }

    fn next_current(&mut self) -> Option<u32> {
        let invalidation = self.family.generation().invalidation();
        let (recycle, now_ms) = (self.config.recycle, self.deadlines.age_now_ms());
        self.idle.next_current(&mut self.records, |record| {
            let is_valid = record.live && !record.stale && record.generation.invalidation() == invalidation;
            is_valid && !is_aged(record, recycle, now_ms)
        })
    }

    /// Whether this slot, which has no current connection, may be opened. After the pool has shrunk, slots whose
    /// connections are being closed may take the maximum. Only an emptied slot that is idle takes none of it.
    pub(super) fn may_open_in(&self, slot: u32) -> bool {
        let record = &self.records[slot];
        let is_beside = record.phase == Phase::Idle && !record.live;
        let taken = self.records.len() - self.idle.emptied_len() as usize + usize::from(is_beside);
        self.places.has_room() && taken <= self.most_slots()
    }

    /// Whether one more slot may be made and opened.
    pub(super) fn may_make_slot(&self) -> bool {
        self.places.has_room() && self.records.len() < self.most_slots().min(MOST)
    }

    /// The checkout has the slot, and goes on when it resumes. `patience`: how long it may queue.
    pub(super) fn reserve(&mut self, id: OperationId, slot: u32, patience: Span) {
        self.operation(id).state = State::reserved(slot);
        if self.config.kind.shares() {
            self.shares.take_turn(id);
            self.share(slot);
        } else {
            self.records[slot].phase = Phase::Reserved;
        }
        self.arrivals = self.arrivals.wrapping_add(1);
        self.records[slot].arrival = self.arrivals;
        self.records[slot].patience = patience;
        if !self.is_current(slot) && !self.shares.is_joined(slot) {
            self.opening_begins(slot);
            self.await_opening(id, slot);
        }
    }

    // ---- a slot that came free

    /// Finds the next use of a slot that has come free. Returns true if there is none, and its connection must be
    /// closed.
    #[must_use]
    pub(super) fn place(&mut self, slot: u32) -> bool {
        self.opening_ended(slot);
        let now_ms = self.deadlines.age_now_ms();
        let record = &mut self.records[slot];
        if record.emptying > 0 && !record.live {
            record.phase = Phase::Parked;
            return false;
        }
        // From here on it is unused, also if a waiter has it in the same instant.
        record.free_since_ms = now_ms;
        let record = &self.records[slot];
        let is_over = self.closed || self.shares.is_retired(slot) || self.has_too_many();
        let is_worn = record.is_too_old
            || record.generation.disposal() != self.family.generation().disposal()
            || record.uses >= self.config.max_uses;
        if record.live && (is_over || is_worn || !self.config.keeps()) {
            if record.is_too_old {
                self.family.counters.recycled.count();
            }
            return true;
        }
        if is_over {
            self.drop_slot(slot);
        } else if self.serve_opener(slot) {
            // The opening goes on, for the pool.
        } else if self.may_take(slot)
            && let Some((waiter, patience)) = self.pop_waiter()
        {
            self.hand_over(waiter, slot, patience);
        } else if !self.is_surplus() {
            self.put_idle(slot);
        } else if self.records[slot].live {
            return true;
        } else {
            self.drop_slot(slot);
        }
        false
    }

    fn may_take(&self, slot: u32) -> bool {
        self.may_open_in(slot) || self.is_current(slot)
    }

    /// Whether one more idle slot is surplus: as many as `poolSize` are idle already.
    #[inline]
    pub(super) fn is_surplus(&self) -> bool {
        self.idle.len() >= self.config.max_idle
    }

    /// The slot goes on without its connection.
    pub(super) fn free_slot(&mut self, slot: u32) {
        self.empty_record(slot);
        let discard = self.place(slot);
        debug_assert!(!discard, "an emptied slot holds nothing to close");
    }

    /// Ends a slot that holds no connection any more.
    pub(super) fn drop_slot(&mut self, slot: u32) {
        self.opening_ended(slot);
        self.has_freed = true;
        self.end_ending(slot);
        if self.records[slot].emptying > 0 {
            self.records[slot].phase = Phase::Parked;
            return;
        }
        self.shares.end(slot);
        self.records.remove(slot);
        self.outbox.end_slot(slot);
        self.look_if_plain();
    }

    // ---- checkouts that wait for an opening

    /// From now on the checkout waits for an opening in this slot. A connection that comes free before serves it, too.
    pub(super) fn await_opening(&mut self, id: OperationId, slot: u32) {
        if self.config.kind.shares() || !self.config.keeps() || !self.operation(id).is_attended() {
            return;
        }
        // Those that have had their connection stay behind. They are removed when they outnumber the rest.
        if self.places.openers.len() > 2 * self.records.len() + 16 {
            let mut openers = core::mem::take(&mut self.places.openers);
            openers.retain(|&opener| self.awaits_opening(opener));
            self.places.openers = openers;
        }
        self.places.openers.insert(self.records[slot].arrival, id);
    }

    /// Forgets the first of those that wait for no opening any more.
    pub(super) fn forget_openers(&mut self) {
        while self.places.openers.front().is_some_and(|opener| !self.awaits_opening(opener)) {
            self.places.openers.pop_front();
        }
    }

    fn awaits_opening(&self, (arrival, id): (u32, OperationId)) -> bool {
        let Some(operation) = self.operations.get(id).filter(|operation| operation.is_attended()) else { return false };
        let slot = match operation.state {
            State::CheckingOut { at: CheckoutAt::Pinging | CheckoutAt::Presenting, .. } => return false,
            State::CheckingOut { at: CheckoutAt::Reserved, slot, .. } if self.is_current(slot) => return false,
            State::CheckingOut { slot, .. } => slot,
            State::Ending(Ending { then: Then::Reopen { slot, .. }, .. }) => slot,
            _ => return false,
        };
        self.records[slot].arrival == arrival
    }

    /// Gives the slot's connection to the checkout that has waited longest for an opening; the opening goes on for the
    /// pool. Returns whether there is such a checkout.
    fn serve_opener(&mut self, slot: u32) -> bool {
        if self.places.openers.is_empty() || !self.is_current(slot) {
            return false;
        }
        self.forget_openers();
        let Some((arrival, id)) = self.places.openers.pop_front() else { return false };
        let state = self.operation(id).state;
        let patience = self.slot_of(id).map_or(self.config.timeout, |before| self.records[before].patience);
        let is_ready = self.is_ready(slot);
        if is_ready {
            let lease = self.lease(slot);
            self.notify(id, Notice::Grant(lease));
        }
        if let State::CheckingOut { at: CheckoutAt::Reserved, slot: reserved, .. } = state {
            // It has not begun to open.
            if is_ready {
                self.end(id);
            } else {
                self.reserve(id, slot, patience);
                self.records[slot].arrival = arrival;
            }
            self.give_up_reserved(reserved);
            return true;
        }
        if !is_ready {
            self.follow(id, State::reserved(slot));
            let record = &mut self.records[slot];
            (record.phase, record.arrival, record.patience) = (Phase::Reserved, arrival, patience);
        }
        self.caller_left(id, state);
        true
    }

    /// Lets the caller of an operation go on as another one, which the host asks for its step. The first goes on
    /// without a caller.
    pub(super) fn follow(&mut self, id: OperationId, state: State) -> OperationId {
        let operation = self.operation(id);
        operation.caller = Caller::None;
        let limit = operation.limit;
        let follower = self.begin(Operation { limit, ..Operation::new(state, Caller::Checkout) });
        self.notify(follower, Notice::Follow(id));
        follower
    }

    // ---- capacity that came free

    /// From now on the slot counts for `maxConnecting`, until [`Pool::opening_ended`].
    pub(super) fn opening_begins(&mut self, slot: u32) {
        self.places.take(&mut self.records[slot]);
    }

    pub(super) fn opening_ended(&mut self, slot: u32) {
        if self.records[slot].opens {
            self.places.give_back(&mut self.records[slot]);
            self.has_freed = true;
        }
    }

    /// Gives what has come free to the waiters, in order, and ends a close that waited for the last slot. The last act
    /// of every door through which capacity may come free.
    #[inline]
    pub(super) fn settle(&mut self) {
        if self.has_freed {
            self.serve();
        }
    }

    #[inline(never)]
    fn serve(&mut self) {
        while core::mem::take(&mut self.has_freed) {
            self.serve_reopenings();
            // A close refuses all waiters and wakes none.
            while !self.closed
                && self.waiting() > 0
                && let Some(slot) = self.take_slot()
            {
                let Some((waiter, patience)) = self.pop_waiter() else { break };
                self.hand_over(waiter, slot, patience);
            }
        }
        if self.config.min > 0 {
            self.fill();
        }
        self.end_closes_if_empty();
    }

    /// Takes the head waiter, with how long it may queue.
    fn pop_waiter(&mut self) -> Option<(OperationId, Span)> {
        let id = self.next_waiter()?;
        let index = id.index();
        let patience = self.deadlines.span_of(&self.operations[index]);
        self.leave_queue(id);
        if self.config.kind.shares() && self.operations[index].is_stamped() {
            self.shares.keep_due(id, self.operations[index].due);
        }
        self.deadlines.disarm(&mut self.operations, index);
        if self.config.retries() {
            self.keep_end_of_wait(id);
        }
        Some((id, patience))
    }

    /// A waiter gets its slot: as a lease, or, if there is something to do first, as a reservation.
    fn hand_over(&mut self, waiter: OperationId, slot: u32, patience: Span) {
        if self.is_ready(slot) {
            let lease = self.lease(slot);
            self.notify(waiter, Notice::Grant(lease));
            self.end(waiter);
        } else {
            self.reserve(waiter, slot, patience);
            self.notify(waiter, Notice::Resume);
        }
    }

    // ---- the queue

    /// How many callers wait.
    #[inline]
    pub(super) fn waiting(&self) -> u32 {
        self.waiters.len() + self.preferred.len() as u32
    }

    /// The waiter that is served next: the longest of the highest priority.
    #[inline(never)]
    pub(super) fn next_waiter(&self) -> Option<OperationId> {
        match self.preferred.front() {
            Some((_, id)) => Some(id),
            None => self.waiters.front().map(|index| self.operations.handle_of(index)),
        }
    }

    #[inline(never)]
    pub(super) fn leave_queue(&mut self, id: OperationId) {
        // A place of the ring may have this number, too.
        if Queue::place(&self.operations[id.index()]) == NIL && self.preferred.remove(id) {
            self.look_if_plain();
        } else {
            self.waiters.remove(&mut self.operations, id.index());
        }
    }

    /// Looks again whether the state alone decides on a checkout or a return.
    #[inline(never)]
    pub(super) fn look_if_plain(&mut self) {
        let is_plain = !self.has_too_many() && self.preferred.is_empty();
        self.is_plain = is_plain && self.config.is_plain();
        self.hands_over_plainly = is_plain && self.config.hands_over_plainly();
    }

    /// Puts a new operation behind the waiters of the same priority, and before those of lower ones. While it is there,
    /// every return looks for it.
    pub(super) fn wait_preferred(&mut self, priority: u32) -> OperationId {
        self.family.counters.waited.count();
        let id = self.begin(Operation::new(State::Waiting { place: NIL }, Caller::Checkout));
        self.preferred.insert(MOST_PRIORITY - priority.min(MOST_PRIORITY), id);
        self.is_plain = false;
        self.hands_over_plainly = false;
        id
    }

    /// Puts an operation that has lost its slot at the head of the queue: it came before every waiter, but those that
    /// were served before it and have lost their slot, too. It waits for what is left of its time in the queue.
    pub(super) fn wait_again(&mut self, id: OperationId) {
        let Again { timeout, has_waited, turn, due } = self.shares.queue_again(id);
        let served_before = |&other: &u32| self.shares.turn_of(self.operations.handle_of(other)) < turn;
        let others = self.waiters.iter().take_while(served_before).count() as u32;
        self.waiters.push_behind(&mut self.operations, id.index(), others);
        if !has_waited {
            self.family.counters.waited.count();
        }
        let span = match (timeout.unwrap_or(self.config.timeout), due) {
            (Span::Millis(ms), Some(due)) => Span::Millis(left_until(due, self.deadlines.now()).min(ms)),
            (span, _) => span,
        };
        let span = self.shorter_of(id, span);
        self.deadlines.arm(&mut self.operations, id.index(), span, false);
    }

    /// Puts a new operation at the end of the queue. `timeout`: its own.
    pub(super) fn wait(&mut self) -> OperationId {
        self.family.counters.waited.count();
        let id = self.begin(Operation::new(State::Waiting { place: self.waiters.end() }, Caller::Checkout));
        self.waiters.append(id.index());
        id
    }

    /// Puts a new operation that waits on the pool's own timeout at the end of the queue.
    #[inline(always)]
    pub(super) fn join_queue(&mut self) -> OperationId {
        self.family.counters.waited.count();
        let mut waiter = Operation::new(State::Waiting { place: self.waiters.end() }, Caller::Checkout);
        self.deadlines.arm_in_queue(&mut waiter);
        let id = self.operations.insert_inline(waiter);
        self.waiters.append(id.index());
        id
    }

    #[inline(never)]
    pub(super) fn refuse_waiters(&mut self, refusal: Refusal) {
        while let Some(id) = self.next_waiter() {
            self.refuse_waiter(id, refusal);
        }
    }

    pub(super) fn refuse_waiter(&mut self, id: OperationId, refusal: Refusal) {
        self.leave_queue(id);
        self.refuse(id, refusal);
        self.end(id);
        // A close may have waited for it.
        self.has_freed |= self.drains;
    }
}

fn is_aged(record: &Record, recycle: Span, now_ms: u64) -> bool {
    recycle == Span::Millis(0) || now_ms.saturating_sub(record.opened_at_ms) > record.recycle_ms
}
