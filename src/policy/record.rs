//! A record is the pool's long-lived slot for one connection at a time: it survives reconnects. This file holds what a
//! record knows and the ways to call its connection stale; what happens then is decided by the operations.

use super::config::Span;
use super::family::Generation;
use super::id::{LeaseKind, NIL, Slab};
use super::ring::Track;

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
    /// Between a caller and the pool, no longer in use: the checkin listeners run.
    Returned,
    /// Free, but the connection that it held is still being closed.
    Parked,
    /// Its connection is being closed and the slot ends with it.
    Closing,
}

impl Phase {
    /// Whether the slot is between a caller and the pool.
    pub(crate) fn is_return(self) -> bool {
        matches!(self, Self::Returning | Self::Returned)
    }
}

/// Why a connection was not handed out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staleness {
    /// Older than `recycle` or `maxAge`.
    Age,
    /// From before a pool-wide invalidation.
    Pool,
    /// Marked one by one.
    Soft,
}

/// One slot of a pool. In this order in memory: the hot path compares the first four fields at once.
#[repr(C)]
pub(crate) struct Record {
    pub(crate) phase: Phase,
    /// Whether it holds a connection.
    pub(crate) live: bool,
    /// Marked one by one: soft invalidation, death reported by the driver.
    pub(crate) stale: bool,
    pub(crate) has_finalizers: bool,
    /// Whether its connection goes straight from its opening to a caller: then it needs no ping.
    pub(crate) fresh: bool,
    /// Whether it was made for the opening under way: if that fails the slot ends.
    pub(crate) is_new: bool,
    /// Whether it counts for `maxConnecting`.
    pub(crate) opens: bool,
    /// Whether it has been idle for `idleTimeout` and stays as one of `minIdle`.
    pub(crate) is_overdue: bool,
    /// Whether its connection is as old as `maxAge` allows.
    pub(crate) is_too_old: bool,
    /// Whether it is idle and its connection was seen to be stale.
    pub(crate) is_passed_over: bool,
    /// Whether its creator has returned, and the host has not said yet how the opening went.
    pub(crate) is_adopted: bool,
    /// The pool-wide counts when the opening of its connection began.
    pub(crate) generation: Generation,
    /// On the clock of deadlines.rs: when its connection was open, since when it is free, and how old it may grow.
    pub(crate) opened_at_ms: u64,
    pub(crate) free_since_ms: u64,
    pub(crate) recycle_ms: u64,
    /// When the opening in it took its place, counted in pauses; and when its checkout came, to compare with others.
    pub(crate) round: u32,
    pub(crate) arrival: u32,
    /// How long that checkout may queue.
    pub(crate) patience: Span,
    /// How often its connection was handed out. Counted if `maxUses` is set.
    pub(crate) uses: u32,
    /// When the current lease or return was first seen by a clock reading; see [`super::Pool::longest_held`].
    pub(crate) held_since: Option<u32>,
    /// How many connections that it held are being closed by operations of their own.
    pub(crate) emptying: u32,
    /// The operation whose time ends the idleness of the slot, its lease, or the grace of its lost lease; or [`NIL`].
    pub(crate) expiry: u32,
    /// The operation whose time is the age of its connection, or [`NIL`].
    pub(crate) aging: u32,
    /// Its places in the rings of idle.rs.
    pub(crate) idle_place: u32,
    pub(crate) overdue_place: u32,
}

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
            has_finalizers: false,
            is_overdue: false,
            is_too_old: false,
            is_passed_over: false,
            is_adopted: false,
            emptying: 0,
            generation: Generation::FIRST,
            held_since: None,
            uses: 0,
            round: 0,
            arrival: 0,
            patience: Span::Forever,
            opened_at_ms: 0,
            recycle_ms: u64::MAX,
            free_since_ms: 0,
            expiry: NIL,
            aging: NIL,
            idle_place: NIL,
            overdue_place: NIL,
        }
    }

    /// Whether it is in this phase and its connection is of this generation, not marked, and without a finalizer. One
    /// comparison of four bytes, and one of eight.
    #[inline(always)]
    pub(crate) fn is_clean(&self, phase: Phase, generation: Generation) -> bool {
        let flags = [self.phase as u8, self.live as u8, self.stale as u8, self.has_finalizers as u8];
        u32::from_le_bytes(flags) == u32::from_le_bytes([phase as u8, 1, 0, 0]) && self.generation == generation
    }
}

pub(crate) type Records = Slab<Record, LeaseKind>;

/// The idle slots: those with a current, with a stale, or without a connection.
pub(crate) struct IdleRow;
/// The idle slots that have been so for `idleTimeout`.
pub(crate) struct OverdueRow;

macro_rules! track {
    ($row:ident, $place:ident) => {
        impl Track for $row {
            type Entry = Record;

            fn place(record: &Record) -> u32 {
                record.$place
            }

            fn set_place(record: &mut Record, place: u32) {
                record.$place = place;
            }
        }
    };
}

track!(IdleRow, idle_place);
track!(OverdueRow, overdue_place);
