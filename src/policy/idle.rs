//! The idle store: which idle slot is handed out next (FIFO or LIFO), which of them need an opening, and which have
//! been idle for too long. Whether a slot comes here is decided in slots.rs.

use super::record::{IdleRow, OverdueRow, Record, Records};
use super::ring::{Ring, Track};

pub(crate) struct Idle {
    lifo: bool,
    /// Those whose connection was not seen to be stale.
    ready: Ring<IdleRow>,
    /// Those whose connection was, in the order of that. Invariant: an idle slot never ceases to be stale.
    stale: Ring<IdleRow>,
    /// Those without a connection.
    emptied: Ring<IdleRow>,
    overdue: Ring<OverdueRow>,
}

impl Idle {
    pub(crate) const fn new(lifo: bool) -> Self {
        Self { lifo, ready: Ring::new(), stale: Ring::new(), emptied: Ring::new(), overdue: Ring::new() }
    }

    pub(crate) fn len(&self) -> u32 {
        self.live() + self.emptied.len()
    }

    /// How many hold a connection.
    fn live(&self) -> u32 {
        self.ready.len() + self.stale.len()
    }

    #[inline]
    pub(crate) fn put(&mut self, records: &mut Records, slot: u32) {
        let row = if records[slot].live { &mut self.ready } else { &mut self.emptied };
        row.push_back(records, slot);
    }

    /// The slot that is handed out next, if its connection is not seen to be stale then.
    #[inline(always)]
    pub(crate) fn next(&self) -> Option<u32> {
        next(&self.ready, self.lifo)
    }

    /// The slot that is handed out next among those whose connection is current.
    pub(crate) fn next_current(&mut self, records: &mut Records, is_current: impl Fn(&Record) -> bool) -> Option<u32> {
        while let Some(slot) = self.next() {
            if is_current(&records[slot]) {
                return Some(slot);
            }
            self.pop_next();
            records[slot].is_passed_over = true;
            self.stale.push_back(records, slot);
        }
        None
    }

    /// The slot in which a connection is opened next. One whose stale connection ends for that comes first.
    pub(crate) fn next_to_open(&self) -> Option<u32> {
        self.stale.front().or_else(|| self.next_emptied())
    }

    /// Takes the slot that [`Idle::next`] names, in a plain pool, if it is live.
    #[inline(always)]
    pub(crate) fn take_plain(&mut self) {
        self.pop_next();
    }

    #[inline(always)]
    fn pop_next(&mut self) {
        if self.lifo {
            self.ready.pop_back();
        } else {
            self.ready.pop_front();
        }
    }

    /// The place of the slot that is put next.
    #[inline(always)]
    pub(crate) fn end(&self) -> u32 {
        self.ready.end()
    }

    /// Puts a live slot that has been given its place, in a plain pool.
    #[inline(always)]
    pub(crate) fn append_plain(&mut self, slot: u32) {
        self.ready.append(slot);
    }

    /// Takes an idle slot.
    #[inline]
    pub(crate) fn take(&mut self, records: &mut Records, slot: u32) {
        if self.next() == Some(slot) {
            self.pop_next();
        } else if !records[slot].live {
            self.emptied.remove(records, slot);
        } else if core::mem::take(&mut records[slot].is_passed_over) {
            self.stale.remove(records, slot);
        } else {
            self.ready.remove(records, slot);
        }
        if records[slot].is_overdue {
            records[slot].is_overdue = false;
            self.overdue.remove(records, slot);
        }
    }

    /// The slot has been idle for `idleTimeout`.
    pub(crate) fn mark_overdue(&mut self, records: &mut Records, slot: u32) {
        records[slot].is_overdue = true;
        self.overdue.push_back(records, slot);
    }

    /// The slot that has been overdue for longest, if more than `least` hold a connection.
    pub(crate) fn surplus(&self, least: u32) -> Option<u32> {
        if self.live() > least { self.overdue.front() } else { None }
    }

    /// The slot that is missed least: one without a connection, one with a stale one, else the longest idle.
    pub(crate) fn first_to_go(&self) -> Option<u32> {
        self.emptied.front().or_else(|| self.stale.front()).or_else(|| self.ready.front())
    }

    pub(crate) fn emptied_len(&self) -> u32 {
        self.emptied.len()
    }

    pub(crate) fn next_emptied(&self) -> Option<u32> {
        next(&self.emptied, self.lifo)
    }
}

#[inline(always)]
fn next<T: Track>(row: &Ring<T>, lifo: bool) -> Option<u32> {
    if lifo { row.back() } else { row.front() }
}
