//! What a pool does without being asked: it closes connections that have been idle for too long, down to `minIdle`, and
//! opens connections in advance. Nothing of it keeps a host awake. Called through pool.rs.

use super::config::Span;
use super::id::{NIL, OperationId};
use super::operation::{Caller, Operation, State};
use super::pool::Pool;
use super::record::{Phase, Record};
use alloc::vec::Vec;

impl Pool {
    // ---- the idle store

    pub(super) fn put_idle(&mut self, slot: u32) {
        let record = &mut self.records[slot];
        record.phase = Phase::Idle;
        record.held_since = None;
        // Its next holder uses it again, whether or not any caller has used it yet.
        record.fresh = false;
        let is_live = record.live;
        self.idle.put(&mut self.records, slot);
        if !is_live {
            self.has_freed |= self.config.min > 0;
            return;
        }
        self.time_idle_slot(slot);
        self.reap();
        if self.counts_as_keeper {
            self.family.keep(self.member, self.config.pool_size);
        }
    }

    /// Lets the time of the idle slots begin again: `idleTimeout` is another.
    pub(super) fn time_idle_slots(&mut self) {
        let is_timed = |record: &Record| record.phase == Phase::Idle && record.live && !record.is_overdue;
        let slots: Vec<u32> =
            self.records.iter().filter(|(_, record)| is_timed(record)).map(|(slot, _)| slot).collect();
        for slot in slots {
            self.end_expiry(slot);
            self.time_idle_slot(slot);
        }
    }

    fn time_idle_slot(&mut self, slot: u32) {
        if let Span::Millis(_) = self.config.idle_timeout {
            let id = self.begin(Operation::new(State::Idling { slot }, Caller::None));
            self.set_expiry(slot, id, self.config.idle_timeout);
        }
    }

    /// Takes a slot out of the idle store.
    pub(super) fn take_idle_slot(&mut self, slot: u32) {
        self.idle.take(&mut self.records, slot);
        self.end_expiry(slot);
        if self.counts_as_keeper {
            self.family.forget_kept(self.member);
        }
    }

    /// Ends an idle slot, with its connection.
    pub(super) fn end_idle_slot(&mut self, slot: u32) {
        self.take_idle_slot(slot);
        if self.records[slot].live {
            self.spawn_discard(slot, false);
        } else {
            self.drop_slot(slot);
        }
    }

    /// Closes the idle connection of this scope, if too many other scopes keep one.
    pub(super) fn close_surplus(&mut self) {
        if self.family.is_surplus(self.member) {
            self.close_idle();
        }
    }

    // ---- the time of a slot

    /// Lets an operation end the idleness of a slot, or the grace of its lost lease, after a span.
    pub(super) fn set_expiry(&mut self, slot: u32, id: OperationId, span: Span) {
        self.records[slot].expiry = id.index();
        self.deadlines.arm(&mut self.operations, id.index(), span, true);
    }

    pub(super) fn end_expiry(&mut self, slot: u32) {
        let expiry = core::mem::replace(&mut self.records[slot].expiry, NIL);
        if expiry != NIL {
            self.end(self.operations.handle_of(expiry));
        }
    }

    /// A slot has been idle for `idleTimeout`.
    pub(super) fn idled(&mut self, id: OperationId, slot: u32) {
        self.records[slot].expiry = NIL;
        self.end(id);
        self.idle.mark_overdue(&mut self.records, slot);
        self.reap();
    }

    /// Closes the connections that have been idle for too long, the longest idle first, as long as more than `minIdle`
    /// are idle and more than `min` open. The others stay overdue, and go when another connection comes to be idle.
    pub(super) fn reap(&mut self) {
        while self.connections() > self.least()
            && let Some(slot) = self.idle.surplus(self.config.min_idle)
        {
            self.take_idle_slot(slot);
            self.spawn_discard(slot, false);
        }
    }

    // ---- warming

    /// Opens connections for the idle store, as spawned operations, until `count` slots hold one: as many as may be
    /// opened now, and at most `most`. Returns how many more there are to open.
    pub fn warm(&mut self, count: u32, most: u32) -> u32 {
        let count = count.min(self.config.max_idle);
        let mut filled = self.records.len() as u32 - self.idle.emptied_len();
        let count_now = count.min(filled.saturating_add(most));
        while !self.is_closed() && filled < count_now && self.open_in_advance(Caller::Other) {
            filled += 1;
        }
        if self.is_closed() { 0 } else { count.saturating_sub(filled) }
    }
}
