//! What a pool does on its own account: it closes what has been idle for too long, down to `minIdle`, and opens
//! connections before anybody asks. Nothing of it keeps a host awake. Called through pool.rs.

use super::OperationId;
use super::config::Span;
use super::operation::{Caller, Operation, State};
use super::pool::Pool;
use super::record::{Phase, Record};
use super::ring::NIL;
use alloc::vec::Vec;

impl Pool {
    pub(super) fn put_idle(&mut self, slot: u32) {
        let now = self.deadlines.now();
        let record = &mut self.records[slot];
        record.phase = Phase::Idle;
        record.idle_since = now;
        // Who has it next uses it again, whether or not anybody has used it yet.
        record.fresh = false;
        self.refresh(slot);
        self.idle.put(slot);
        if let Span::Millis(_) = self.config.idle_timeout
            && self.records[slot].live
        {
            let id = self.begin(Operation::new(State::Idling, Caller::Nobody, slot));
            self.records[slot].reaper = id.index();
            self.deadlines.arm(&mut self.operations, id.index(), self.config.idle_timeout);
        }
    }

    /// The next of the idle store, which is not empty.
    pub(super) fn take_from_idle(&mut self) -> u32 {
        let slot = self.idle.take().unwrap_or(NIL);
        self.end_idling(slot);
        slot
    }

    pub(super) fn remove_from_idle(&mut self, slot: u32) {
        self.idle.remove(slot);
        self.end_idling(slot);
    }

    fn end_idling(&mut self, slot: u32) {
        let reaper = core::mem::replace(&mut self.records[slot].reaper, NIL);
        if reaper != NIL {
            self.end(self.operations.handle_of(reaper));
        }
    }

    /// A slot has been idle for `idleTimeout`.
    pub(super) fn reap(&mut self, id: OperationId) {
        let slot = self.operation(id).at;
        let live = self.records.iter().filter(|(_, record)| record.phase == Phase::Idle && record.live).count();
        if live <= self.config.min_idle as usize {
            self.deadlines.arm(&mut self.operations, id.index(), self.config.idle_timeout);
            return;
        }
        self.remove_from_idle(slot);
        self.discard_as_child(slot, false);
    }

    /// Opens connections for the idle store, as children, until `count` slots hold one: as many as may be opened now.
    /// Answers how many more there are to open.
    pub fn warm(&mut self, count: u32) -> u32 {
        let count = count.min(self.config.max_idle) as usize;
        let is_empty = |record: &Record| record.phase == Phase::Idle && !record.live;
        let empty: Vec<u32> =
            self.records.iter().filter(|(_, record)| is_empty(record)).map(|(slot, _)| slot).collect();
        let mut filled = self.records.len() - empty.len();
        let mut empty = empty.into_iter();
        while !self.closed && filled < count && self.connecting < self.config.max_connecting {
            let slot = match empty.next() {
                Some(slot) => {
                    self.remove_from_idle(slot);
                    slot
                }
                None => self.records.insert(Record::new()).index(),
            };
            let id = self.begin(Operation::new(State::Reserved, Caller::Other, slot));
            self.reserve(id, slot);
            self.children.push_back(id);
            filled += 1;
        }
        if self.closed { 0 } else { count.saturating_sub(filled) as u32 }
    }
}
