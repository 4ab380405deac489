//! A record is the pool's long-lived slot for one connection at a time: it survives reconnects. This file holds what a
//! record knows and the ways to call its connection stale; what happens then is decided by the operations.

/// What a record's slot is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// In the idle store, with a connection or emptied.
    Idle,
    /// Held for a woken waiter that has not resumed.
    Reserved,
    /// Its creator runs, or its stale connection is being terminated for a new one.
    Opening,
    /// With a caller.
    Leased,
    /// Between a caller and the pool: reset, and where that failed terminated.
    Returning,
    /// Its connection is being closed and the slot ends with it.
    Closing,
}

/// One slot of a pool. Outside the policy only a lease of it is named, by its handle.
pub struct Record {
    pub(crate) phase: Phase,
    /// Whether it holds a connection.
    pub(crate) live: bool,
    /// Marked one by one: soft invalidation, death reported by the driver.
    pub(crate) stale: bool,
    /// The pool's invalidation count when the opening of its connection began.
    pub(crate) invalidation: u32,
    /// The pool's dispose count then.
    pub(crate) dispose: u32,
    /// The pool's epoch in which nothing speaks against its connection, or [`NEVER`]: one comparison for all of the
    /// above on the hot path. Where it fails, the fields above say why.
    pub(crate) current_in: u32,
    /// When the current lease was first seen by a clock reading; see [`super::Pool::longest_held`].
    pub(crate) held_since: Option<u32>,
}

/// No epoch.
const NEVER: u32 = 0;
/// The first epoch of a pool.
pub(crate) const FIRST_EPOCH: u32 = 1;

impl Record {
    pub(crate) const fn new() -> Self {
        Self {
            phase: Phase::Opening,
            live: false,
            stale: false,
            invalidation: 0,
            dispose: 0,
            current_in: NEVER,
            held_since: None,
        }
    }

    /// Its connection is gone.
    pub(crate) fn empty(&mut self) {
        self.live = false;
        self.current_in = NEVER;
    }

    /// Its connection is to be replaced.
    pub(crate) fn mark_stale(&mut self) {
        self.stale = true;
        self.current_in = NEVER;
    }
}
