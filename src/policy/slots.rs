//! Where slots go. One that comes free goes to the head waiter, else to the idle store, else its connection is closed;
//! whenever capacity appears the head waiter is served at once. And whether a slot's connection may be handed out as it is.
//! Asked by every operation.

use super::OperationId;
use super::config::Span;
use super::kind::queue::{Source, is_surplus, source};
use super::operation::State;
use super::pool::Pool;
use super::record::{Phase, Record};
use super::ring::NIL;
use super::step::{Notice, Refusal};

impl Pool {
    /// Whether the slot's connection may be handed out as it is.
    pub(super) fn is_current(&self, slot: u32) -> bool {
        let record = &self.records[slot];
        record.current_in == self.epoch
            || record.live && !record.stale && record.invalidation == self.invalidation && !self.is_aged(record)
    }

    fn is_aged(&self, record: &Record) -> bool {
        match self.config.recycle {
            Span::Forever => false,
            Span::Millis(0) => true,
            Span::Millis(_) => self.deadlines.now().wrapping_sub(record.opened_at) > record.recycle_ms,
        }
    }

    /// Lets the hot path have the slot's connection again, where nothing speaks against it.
    pub(super) fn refresh(&mut self, slot: u32) {
        let (invalidation, dispose, epoch) = (self.invalidation, self.dispose, self.epoch);
        let record = &mut self.records[slot];
        let is_current = record.live && !record.stale && !record.has_finalizers;
        if self.plain && !self.closed && is_current && (record.invalidation, record.dispose) == (invalidation, dispose)
        {
            record.current_in = epoch;
        }
    }

    /// Finds the next place of a slot that has come free. True: there is none, and its connection must be closed.
    pub(super) fn must_discard(&mut self, slot: u32) -> bool {
        let record = &self.records[slot];
        if record.emptying > 0 && !record.live {
            self.records[slot].phase = Phase::Parked;
            return false;
        }
        let is_over = self.closed || record.retired;
        let is_worn = record.dispose != self.dispose || record.uses >= self.config.max_uses;
        if record.live && (is_over || is_worn) {
            return true;
        }
        if is_over {
            self.drop_slot(slot);
        } else if self.may_take(slot)
            && let Some(waiter) = self.pop_waiter()
        {
            self.hand_over(waiter, slot);
        } else if !is_surplus(&self.config, self.idle.len()) {
            self.put_idle(slot);
        } else if self.records[slot].live {
            return true;
        } else {
            self.drop_slot(slot);
        }
        false
    }

    /// Ends a slot that holds no connection any more; its capacity goes to the head waiter.
    pub(super) fn drop_slot(&mut self, slot: u32) {
        self.opening_ended(slot);
        if self.records[slot].emptying > 0 {
            self.records[slot].phase = Phase::Parked;
            self.serve();
            return;
        }
        if self.records[slot].retired {
            self.retired -= 1;
        }
        if self.shared == slot {
            self.shared = NIL;
        }
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
        self.serve_reopenings();
        while !self.closed && !self.waiters.is_empty() {
            let slot = match self.joinable() {
                Some(slot) => slot,
                None => match self.source() {
                    Source::Idle => self.take_from_idle(),
                    Source::New => self.records.insert(Record::new()).index(),
                    Source::Nowhere => return,
                },
            };
            let Some(waiter) = self.pop_waiter() else { return };
            self.hand_over(waiter, slot);
        }
    }

    /// Where a checkout gets its slot now. What must be opened waits where `maxConnecting` creators run.
    pub(super) fn source(&self) -> Source {
        match source(&self.config, self.idle.len(), self.records.len() - self.retired as usize) {
            Source::Idle if self.idle.next().is_some_and(|slot| !self.may_take(slot)) => Source::Nowhere,
            Source::New if self.connecting >= self.config.max_connecting => Source::Nowhere,
            source => source,
        }
    }

    fn may_take(&self, slot: u32) -> bool {
        self.connecting < self.config.max_connecting || self.is_current(slot)
    }

    /// From now on the slot counts for `maxConnecting`, until [`Pool::opening_ended`].
    pub(super) fn opening_begins(&mut self, slot: u32) {
        self.connecting += u32::from(!self.records[slot].opens);
        self.records[slot].opens = true;
    }

    pub(super) fn opening_ended(&mut self, slot: u32) {
        self.connecting -= u32::from(self.records[slot].opens);
        self.records[slot].opens = false;
    }

    fn pop_waiter(&mut self) -> Option<OperationId> {
        let index = self.waiters.front()?;
        self.waiters.pop_front();
        self.deadlines.disarm(&mut self.operations, index);
        Some(self.operations.handle_of(index))
    }

    /// A waiter gets its slot: as a lease, or, where something is to be done first, as a reservation.
    fn hand_over(&mut self, waiter: OperationId, slot: u32) {
        if self.is_ready(slot) {
            self.refresh(slot);
            let lease = self.lease(slot);
            self.operations.remove(waiter.index());
            self.notify(waiter, Notice::Grant(lease));
        } else {
            self.operation(waiter).at = slot;
            self.reserve(waiter, slot);
            self.notify(waiter, Notice::Resume);
        }
    }

    /// The checkout has the slot, and goes on when it resumes.
    pub(super) fn reserve(&mut self, id: OperationId, slot: u32) {
        self.operation(id).state = State::Reserved;
        if self.config.kind.shares() {
            self.share(slot);
        } else {
            self.records[slot].phase = Phase::Reserved;
        }
        if !self.is_current(slot) && !self.is_joined(slot) {
            self.opening_begins(slot);
        }
    }

    pub(super) fn refuse_waiter(&mut self, id: OperationId, refusal: Refusal) {
        self.waiters.remove(&mut self.operations, id.index());
        self.end(id);
        self.notify(id, Notice::Reject(refusal));
    }
}
