//! What a call leaves for others: notices for operations that sleep, and asides, which concern no caller. The host
//! takes all of them before any foreign code runs (ARCHITECTURE.md, the contract).

use super::id::OperationId;
use super::step::{Aside, Notice};
use alloc::collections::VecDeque;

pub(crate) struct Outbox {
    /// The first notice, apart from the queue of the others: nearly always it is the only one.
    notice: Option<(OperationId, Notice)>,
    notices: VecDeque<(OperationId, Notice)>,
    /// In one queue, so that the hot path asks one question.
    asides: VecDeque<Aside>,
}

impl Outbox {
    pub(crate) const fn new() -> Self {
        Self { notice: None, notices: VecDeque::new(), asides: VecDeque::new() }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.notice.is_none() && self.asides.is_empty()
    }

    #[inline(never)]
    pub(crate) fn notify(&mut self, id: OperationId, notice: Notice) {
        if self.notice.is_none() {
            self.notice = Some((id, notice));
        } else {
            self.notices.push_back((id, notice));
        }
    }

    pub(crate) fn take_notice(&mut self) -> Option<(OperationId, Notice)> {
        let first = self.notice.take();
        if !self.notices.is_empty() {
            self.notice = self.notices.pop_front();
        }
        first
    }

    pub(crate) fn spawn(&mut self, id: OperationId) {
        self.asides.push_back(Aside::Spawned(id));
    }

    pub(crate) fn end_slot(&mut self, slot: u32) {
        self.asides.push_back(Aside::SlotEnded(slot));
    }

    pub(crate) fn take_aside(&mut self) -> Option<Aside> {
        self.asides.pop_front()
    }
}
