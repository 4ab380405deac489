//! The idle store: which idle slot is handed out next (FIFO or LIFO). Whether a slot comes here at all is decided by
//! kind/queue.rs.

use alloc::collections::VecDeque;

pub(crate) struct Idle {
    slots: VecDeque<u32>,
    lifo: bool,
}

impl Idle {
    pub(crate) const fn new(lifo: bool) -> Self {
        Self { slots: VecDeque::new(), lifo }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn put(&mut self, slot: u32) {
        self.slots.push_back(slot);
    }

    /// The slot that [`Idle::take`] takes next.
    pub(crate) fn next(&self) -> Option<u32> {
        if self.lifo { self.slots.back() } else { self.slots.front() }.copied()
    }

    pub(crate) fn take(&mut self) -> Option<u32> {
        if self.lifo { self.slots.pop_back() } else { self.slots.pop_front() }
    }

    /// Takes this slot out of its turn. Linear: for the rare connection that dies while idle.
    pub(crate) fn remove(&mut self, slot: u32) {
        self.slots.retain(|&idle| idle != slot);
    }
}
