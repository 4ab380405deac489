//! A record is the pool's long-lived slot for one connection at a time: it survives reconnects. This file holds what a
//! record knows and the ways to call its connection stale; what happens then is decided by the operations.

use super::ring::NIL;

/// What a record's slot is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// In the idle store, with a connection or emptied.
    Idle,
    /// Held for a checkout that has not resumed.
    Reserved,
    /// Its creator or its connect listeners run, or its stale connection is being terminated for a new one.
    Opening,
    /// Its connection is pinged or shown to the checkout listeners.
    CheckingOut,
    /// With a caller.
    Leased,
    /// Between a caller and the pool: reset, and where that failed terminated.
    Returning,
    /// The same, no longer in use: the checkin listeners run.
    Returned,
    /// Free, but the connection that it held is still being closed.
    Parked,
    /// Its connection is being closed and the slot ends with it.
    Closing,
}

/// Why a connection was not handed out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staleness {
    /// Older than `recycle`.
    Age,
    /// From before a pool-wide invalidation.
    Pool,
    /// Marked one by one.
    Soft,
}

/// One slot of a pool. Outside the policy only a lease of it is named, by its handle.
pub struct Record {
    pub(crate) phase: Phase,
    /// Whether it holds a connection.
    pub(crate) live: bool,
    /// Marked one by one: soft invalidation, death reported by the driver.
    pub(crate) stale: bool,
    /// Whether its connection goes straight from its opening to a caller: then it needs no ping.
    pub(crate) fresh: bool,
    /// Whether it was made for the opening under way: if that fails the slot ends.
    pub(crate) is_new: bool,
    /// Whether it counts for `maxConnecting`.
    pub(crate) opens: bool,
    /// How many connections that it held are being closed by operations of their own.
    pub(crate) emptying: u8,
    /// Whether one of those who share it has taken its connection away for good.
    pub(crate) is_taken: bool,
    /// Whether callers who share its connection keep it beside its successor.
    pub(crate) retired: bool,
    pub(crate) has_finalizers: bool,
    /// The pool's invalidation count when the opening of its connection began.
    pub(crate) invalidation: u32,
    /// The pool's dispose count then.
    pub(crate) dispose: u32,
    /// The pool's epoch in which nothing speaks against its connection, or [`NEVER`]: one comparison for all of the
    /// above on the hot path. Where it fails, the fields above say why.
    pub(crate) current_in: u32,
    /// When the current lease was first seen by a clock reading; see [`super::Pool::longest_held`].
    pub(crate) held_since: Option<u32>,
    /// How often its connection was handed out. Counted where `maxUses` is set.
    pub(crate) uses: u32,
    /// How many callers share its connection, those on their way in and out included.
    pub(crate) shares: u32,
    /// On the clock of deadlines.rs: when its connection was open, how old it may grow, and since when it is idle.
    pub(crate) opened_at: u32,
    pub(crate) recycle_ms: u32,
    pub(crate) idle_since: u32,
    /// The operation that ends its idle time, or [`NIL`].
    pub(crate) reaper: u32,
}

/// No epoch.
const NEVER: u32 = 0;
/// The first epoch of a pool.
pub(crate) const FIRST_EPOCH: u32 = 1;

impl Record {
    /// Made for an opening.
    pub(crate) const fn new() -> Self {
        Self {
            phase: Phase::Opening,
            live: false,
            stale: false,
            fresh: false,
            is_new: true,
            opens: false,
            emptying: 0,
            is_taken: false,
            retired: false,
            has_finalizers: false,
            invalidation: 0,
            dispose: 0,
            current_in: NEVER,
            held_since: None,
            uses: 0,
            shares: 0,
            opened_at: 0,
            recycle_ms: 0,
            idle_since: 0,
            reaper: NIL,
        }
    }

    /// Its connection is gone, or on its way out.
    pub(crate) fn empty(&mut self) {
        self.live = false;
        self.has_finalizers = false;
        self.current_in = NEVER;
    }

    /// Its connection is to be replaced.
    pub(crate) fn mark_stale(&mut self) {
        self.stale = true;
        self.current_in = NEVER;
    }

    /// The next checkout and the next return must look closely.
    pub(crate) fn look_closely(&mut self) {
        self.current_in = NEVER;
    }
}
