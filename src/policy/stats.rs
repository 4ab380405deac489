//! The pool's numbers: the counters it keeps and the snapshot it gives. See [`Stats`] for what each means.

/// Counters since construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) opened: u32,
    pub(crate) open_failed: u32,
    pub(crate) checkouts: u32,
    pub(crate) waited: u32,
    pub(crate) timed_out: u32,
    pub(crate) aborted: u32,
    pub(crate) recycled: u32,
    pub(crate) invalidated: u32,
    pub(crate) leaked: u32,
}

impl Counters {
    pub(crate) const fn new() -> Self {
        Self {
            opened: 0,
            open_failed: 0,
            checkouts: 0,
            waited: 0,
            timed_out: 0,
            aborted: 0,
            recycled: 0,
            invalidated: 0,
            leaked: 0,
        }
    }

    /// Counts what another scope of the same pool has counted, too.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { opened, open_failed, checkouts, waited, timed_out, aborted, recycled, invalidated, leaked } = other;
        for (sum, more) in [
            (&mut self.opened, opened),
            (&mut self.open_failed, open_failed),
            (&mut self.checkouts, checkouts),
            (&mut self.waited, waited),
            (&mut self.timed_out, timed_out),
            (&mut self.aborted, aborted),
            (&mut self.recycled, recycled),
            (&mut self.invalidated, invalidated),
            (&mut self.leaked, leaked),
        ] {
            *sum = sum.wrapping_add(*more);
        }
    }
}

/// A snapshot of the pool. `total` = `idle` + `used` + `opening` + `closing`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// Slots that hold or are opening a connection.
    pub total: u32,
    /// Open and free.
    pub idle: u32,
    /// With a caller, or on the way back from one.
    pub used: u32,
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
    /// Connections opened.
    pub opened: u32,
    /// Openings that failed or ran out of time.
    pub open_failed: u32,
    /// Leases given.
    pub checkouts: u32,
    /// Callers who had to queue.
    pub waited: u32,
    /// Callers refused because their time ran out, in any step.
    pub timed_out: u32,
    /// Callers who left through their signal.
    pub aborted: u32,
    /// Connections replaced at checkout because they were stale.
    pub recycled: u32,
    /// Connections terminated because they were not to be trusted.
    pub invalidated: u32,
    /// Leases that were lost.
    pub leaked: u32,
}

/// The four numbers of SQLAlchemy's QueuePool, by its formulas: negative overflow until `size` slots exist, emptied
/// slots counted as checked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The configured size.
    pub size: i32,
    /// Idle slots, emptied ones too.
    pub checked_in: i32,
    /// Slots beyond `size`; 0 where `size` is 0.
    pub overflow: i32,
    /// Slots that are not idle.
    pub checked_out: i32,
}
