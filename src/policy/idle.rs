//! The idle store: which idle slot is handed out next (FIFO or LIFO), which may be had without an opening, how many
//! hold a connection, and which have been idle for too long. Whether a slot comes here is decided in slots.rs.

use super::id::NIL;
use super::record::{IdleRow, OverdueRow, Record, Records, UsableRow};
use super::ring::{Ring, Track};

pub(crate) struct Idle {
    lifo: bool,
    slots: Ring<IdleRow>,
    /// Kept only if `maxConnecting` is limited: else every slot may be had. Invariant: a slot that was seen to be stale
    /// is not in it, and an idle slot never ceases to be stale.
    usable: Option<Ring<UsableRow>>,
    overdue: Ring<OverdueRow>,
    /// How many of the slots hold no connection.
    empty: u32,
}

impl Idle {
    pub(crate) const fn new(lifo: bool, limits_openings: bool) -> Self {
        let usable = if limits_openings { Some(Ring::new()) } else { None };
        Self { lifo, slots: Ring::new(), usable, overdue: Ring::new(), empty: 0 }
    }

    pub(crate) fn len(&self) -> u32 {
        self.slots.len()
    }

    #[inline]
    pub(crate) fn put(&mut self, records: &mut Records, slot: u32) {
        self.slots.push_back(records, slot);
        if !records[slot].live {
            self.empty += 1;
        } else if self.usable.is_some() {
            self.join_usable(records, slot);
        }
    }

    /// The slot that is handed out next.
    #[inline(always)]
    pub(crate) fn next(&self) -> Option<u32> {
        next(&self.slots, self.lifo)
    }

    /// The slot that is handed out next among those whose connection is current.
    pub(crate) fn next_current(&mut self, records: &mut Records, is_current: impl Fn(&Record) -> bool) -> Option<u32> {
        let usable = self.usable.as_mut()?;
        while let Some(slot) = next(usable, self.lifo) {
            if is_current(&records[slot]) {
                return Some(slot);
            }
            usable.remove(records, slot);
            records[slot].usable_place = NIL;
        }
        None
    }

    /// Takes the slot that [`Idle::next`] names, in a plain pool, if it is live.
    #[inline(always)]
    pub(crate) fn take_plain(&mut self) {
        self.pop_next();
    }

    #[inline(always)]
    fn pop_next(&mut self) {
        if self.lifo {
            self.slots.pop_back();
        } else {
            self.slots.pop_front();
        }
    }

    /// The place of the slot that is put next.
    #[inline(always)]
    pub(crate) fn end(&self) -> u32 {
        self.slots.end()
    }

    /// Puts a live slot that has been given its place, in a plain pool.
    #[inline(always)]
    pub(crate) fn append_plain(&mut self, slot: u32) {
        self.slots.append(slot);
    }

    #[inline(never)]
    fn join_usable(&mut self, records: &mut Records, slot: u32) {
        if let Some(usable) = &mut self.usable {
            usable.push_back(records, slot);
        }
    }

    #[inline(never)]
    fn leave_usable(&mut self, records: &mut Records, slot: u32) {
        if let Some(usable) = &mut self.usable
            && records[slot].usable_place != NIL
        {
            usable.remove(records, slot);
            records[slot].usable_place = NIL;
        }
    }

    /// Takes the slot that [`Idle::next`] names.
    #[inline]
    pub(crate) fn take_next(&mut self, records: &mut Records, slot: u32) {
        self.pop_next();
        self.left(records, slot);
    }

    /// Takes any idle slot.
    pub(crate) fn remove(&mut self, records: &mut Records, slot: u32) {
        self.slots.remove(records, slot);
        self.left(records, slot);
    }

    #[inline]
    fn left(&mut self, records: &mut Records, slot: u32) {
        self.empty -= u32::from(!records[slot].live);
        self.leave_usable(records, slot);
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
        if self.len() - self.empty > least { self.overdue.front() } else { None }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.slots.iter()
    }
}

#[inline(always)]
fn next<T: Track>(row: &Ring<T>, lifo: bool) -> Option<u32> {
    if lifo { row.back() } else { row.front() }
}
