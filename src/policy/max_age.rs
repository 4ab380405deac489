//! How old a connection may grow: with `recycle` its age counts at a checkout, with `maxAge` at any time. Each has a
//! time of its own from its opening on. When that has passed, an idle connection is closed, and one in use at its
//! return. Called through pool.rs.

use super::config::Span;
use super::id::{NIL, OperationId};
use super::operation::{Caller, Operation, State};
use super::pool::Pool;
use super::record::Phase;

impl Pool {
    /// Begins the age of a connection that has opened.
    pub(super) fn begin_age(&mut self, slot: u32) {
        let max_age = self.less_jitter(self.config.max_age);
        let recycle = self.less_jitter(self.config.recycle);
        let now_ms = self.deadlines.age_now_ms();
        let record = &mut self.records[slot];
        record.opened_at_ms = now_ms;
        record.recycle_ms = [max_age, recycle].into_iter().fold(u64::MAX, |least, span| match span {
            Span::Millis(ms) => least.min(u64::from(ms)),
            Span::Forever => least,
        });
        record.is_too_old = false;
        if max_age != Span::Forever {
            let id = self.begin(Operation::new(State::Aging { slot }, Caller::None));
            self.records[slot].aging = id.index();
            self.deadlines.arm(&mut self.operations, id.index(), max_age, true);
        }
    }

    fn less_jitter(&self, span: Span) -> Span {
        match span {
            Span::Millis(ms) => Span::Millis((f64::from(ms) * (1.0 - self.config.recycle_jitter * self.random)) as u32),
            Span::Forever => Span::Forever,
        }
    }

    /// The connection of a slot is gone, or on its way out.
    pub(super) fn empty_record(&mut self, slot: u32) {
        let record = &mut self.records[slot];
        record.live = false;
        record.has_finalizers = false;
        let aging = core::mem::replace(&mut record.aging, NIL);
        if aging != NIL {
            self.end(self.operations.handle_of(aging));
        }
    }

    /// The connection of a slot is as old as `maxAge` allows.
    pub(super) fn aged(&mut self, id: OperationId, slot: u32) {
        self.records[slot].aging = NIL;
        self.end(id);
        self.records[slot].is_too_old = true;
        if self.records[slot].phase == Phase::Idle {
            self.family.counters.recycled.count();
            self.end_idle_slot(slot);
        }
    }
}
