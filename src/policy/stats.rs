//! The pool's numbers: the counters that it keeps and the snapshot that it gives. See [`Stats`] for what each means.

use super::config::UNLIMITED;
use super::pool::Pool;
use super::record::Phase;

/// A snapshot: gauges of one scope, or of several added up, and counters of the whole pool. `total` = `idle` + `used` +
/// `opening` + `closing`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Slots that hold or are opening a connection.
    pub total: u32,
    /// Open and free.
    pub idle: u32,
    /// With a caller, or on the way back from one.
    pub used: u32,
    /// Of the used ones: on the way back from a caller.
    pub returning: u32,
    /// Being opened, or about to be for a woken waiter.
    pub opening: u32,
    /// Being closed.
    pub closing: u32,
    /// Callers in the queue.
    pub waiting: u32,
    /// Leases whose connection was taken out of the pool and is not closed yet.
    pub detached: u32,
    /// The most slots at once; infinity = no limit.
    pub max: f64,
    /// The most idle connections that are kept; infinity = no limit.
    pub max_idle: f64,
    /// So many idle connections stay open, however long they are idle.
    pub min_idle: u32,
    /// Connections opened.
    pub opened: u64,
    /// Openings that failed or ran out of time.
    pub open_failed: u64,
    /// Leases given.
    pub checkouts: u64,
    /// Callers that had to queue.
    pub waited: u64,
    /// Callers refused because their time ran out, in any step; each counts once.
    pub timed_out: u64,
    /// Callers that left through their signal.
    pub aborted: u64,
    /// Connections replaced at checkout because they were stale, or closed because of `maxAge`.
    pub recycled: u64,
    /// Connections terminated because they were not to be trusted.
    pub invalidated: u64,
    /// Leases that were lost.
    pub leaked: u64,
}

/// The four numbers of SQLAlchemy's QueuePool, by its formulas: negative overflow until `size` slots exist, emptied
/// slots counted as checked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The configured size.
    pub size: i64,
    /// Idle slots, emptied ones too.
    pub checked_in: i64,
    /// Slots beyond `size`; 0 if `size` is 0.
    pub overflow: i64,
    /// Slots that are not idle.
    pub checked_out: i64,
}

fn limit(count: u32) -> f64 {
    if count == UNLIMITED { f64::INFINITY } else { f64::from(count) }
}

impl Stats {
    /// Adds the gauges of another scope of the same pool.
    pub(crate) fn add_gauges(&mut self, other: &Self) {
        self.total += other.total;
        self.idle += other.idle;
        self.used += other.used;
        self.returning += other.returning;
        self.opening += other.opening;
        self.closing += other.closing;
        self.waiting += other.waiting;
        self.detached += other.detached;
    }
}

impl Pool {
    /// How many slots are idle, growing and so on; see [`Stats`].
    pub fn stats(&self) -> Stats {
        let (mut idle, mut lent, mut returning, mut opening, mut closing) = (0, 0, 0, 0, 0);
        for (_, record) in self.records.iter() {
            match record.phase {
                Phase::Idle => idle += u32::from(record.live),
                Phase::CheckingOut | Phase::Leased => lent += 1,
                Phase::Returning | Phase::Returned => returning += 1,
                Phase::Reserved | Phase::Opening => opening += 1,
                Phase::Closing | Phase::Parked => closing += 1,
            }
        }
        let used = lent + returning;
        let counters = &self.family.counters;
        Stats {
            total: idle + used + opening + closing,
            idle,
            used,
            returning,
            opening,
            closing,
            waiting: self.waiting(),
            detached: self.detached,
            max: limit(self.config.max_slots),
            max_idle: limit(self.config.max_idle),
            min_idle: self.config.min_idle.min(self.config.max_idle),
            opened: counters.opened.get(),
            open_failed: counters.open_failed.get(),
            checkouts: counters.checkouts.get(),
            waited: counters.waited.get(),
            timed_out: counters.timed_out.get(),
            aborted: counters.aborted.get(),
            recycled: counters.recycled.get(),
            invalidated: counters.invalidated.get(),
            leaked: counters.leaked.get(),
        }
    }

    /// Whether what the scope holds is certainly there.
    pub(super) fn is_certain(&self) -> bool {
        self.lasts || !self.is_at_rest()
    }

    /// SQLAlchemy's four numbers; see [`Counts`].
    pub fn counts(&self) -> Counts {
        let size = i64::from(self.config.pool_size);
        let slots = self.records.len() as i64;
        let checked_in = i64::from(self.idle.len());
        Counts { size, checked_in, overflow: if size == 0 { 0 } else { slots - size }, checked_out: slots - checked_in }
    }

    /// For how long the longest-held leases have been out, in milliseconds, with their slots, longest first, at most
    /// five. Counted from the first reading of the clock that saw them, since a checkout reads none: the true time is
    /// at least so long.
    pub fn longest_held(&self) -> [Option<(u32, u32)>; 5] {
        let mut longest = [None; 5];
        let now = self.deadlines.now();
        for (slot, record) in self.records.iter() {
            let is_lent = record.phase == Phase::Leased;
            let mut held = record.held_since.filter(|_| is_lent).map(|since| (now.wrapping_sub(since), slot));
            for place in &mut longest {
                if held > *place {
                    core::mem::swap(&mut held, place);
                }
            }
        }
        longest
    }

    /// For how long the connection that has been on its way back for longest has been so, in milliseconds. Counted as
    /// [`Pool::longest_held`] counts.
    pub fn longest_return(&self) -> Option<u32> {
        let now = self.deadlines.now();
        let returning = self.records.iter().filter(|(_, record)| record.phase.is_return());
        returning.filter_map(|(_, record)| record.held_since).map(|since| now.wrapping_sub(since)).max()
    }

    /// For how long the first in the queue has waited, in milliseconds, if the pool's own timeout runs for it. Counted
    /// as [`Pool::longest_held`] counts.
    pub fn longest_wait(&self) -> Option<u32> {
        self.deadlines.longest_in_queue(&self.operations, &self.waiters)
    }
}
