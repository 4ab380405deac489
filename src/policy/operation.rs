//! One operation: a checkout, a return, a discard or the close of the pool on its way through its states. The tables
//! that say which state follows are checkout.rs, checkin.rs and shutdown.rs; this file only holds what they share.

use super::deadlines::{NO_CLASS, NO_STAMP};
use super::id::Slab;
use super::ring::{NIL, Track};

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Checkout: in the queue.
    Waiting,
    /// Checkout: woken with a slot, not resumed yet. Aborted here, it gives the slot back.
    Reserved,
    /// Checkout: the stale connection of its slot is being terminated.
    Replacing,
    /// Checkout: the creator runs.
    Opening,
    /// Checkout: the creator ran out of time and lost its slot; what it still opens is closed.
    Abandoned,
    /// Return: the transaction is being rolled back or committed.
    Resetting,
    /// Return, invalidation: the connection is not to be trusted and is being terminated; the slot stays.
    Condemned,
    /// Return, dispose, death while idle: the connection is being closed and its slot ends with it.
    Discarding,
    /// Detached: a caller holds a connection that left its slot.
    Detached,
    /// Detached, at its close: the transaction is being rolled back or committed.
    ResettingDetached,
    /// Detached: the connection is being closed.
    ClosingDetached,
    /// A connection that was opened too late for its slot is being closed.
    Closing,
    /// The pool's close waits for the last slot.
    Draining,
}

/// One operation of a pool. Outside the policy it is only named, by its handle.
pub struct Operation {
    pub(crate) state: State,
    /// Whether a caller still waits for this operation.
    pub(crate) attended: bool,
    /// Whether its close is abrupt.
    pub(crate) abrupt: bool,
    /// Whether its slot was made for it: then a failed opening takes the slot away again.
    pub(crate) new_slot: bool,
    /// Whether the caller gave a deadline, and when it ends on the clock of deadlines.rs.
    pub(crate) has_limit: bool,
    pub(crate) limit: u32,
    /// Whether the time that runs is that deadline, and what the step's own time leaves after it, in
    /// milliseconds, `UNLIMITED` for ever.
    pub(crate) by_deadline: bool,
    pub(crate) rest_ms: u32,
    /// Where it is: of a waiter its place in the queue, else the index of its slot, or [`NIL`]. One field for both,
    /// because a hundred thousand of these may wait.
    pub(crate) at: u32,
    /// Its time class, its place there, and when its time ends, [`NO_STAMP`] before a tick has stamped it.
    pub(crate) class: u16,
    pub(crate) timer: u32,
    pub(crate) due: u32,
}

impl Operation {
    pub(crate) const fn new(state: State, slot: u32) -> Self {
        Self {
            state,
            attended: true,
            abrupt: false,
            new_slot: false,
            has_limit: false,
            limit: 0,
            by_deadline: false,
            rest_ms: 0,
            at: slot,
            class: NO_CLASS,
            timer: 0,
            due: NO_STAMP,
        }
    }

    /// The slot as steps carry it.
    pub(crate) fn slot(&self) -> Option<u32> {
        (self.at != NIL).then_some(self.at)
    }
}

const _: () = assert!(size_of::<Operation>() <= 28, "a waiter's share of the memory");

pub(crate) type Operations = Slab<Operation>;

/// The waiters, in order of arrival.
pub(crate) struct Queue;
/// The operations of one time class, in order of arming.
pub(crate) struct Timer;

impl Track for Queue {
    fn place(operation: &mut Operation) -> &mut u32 {
        &mut operation.at
    }
}

impl Track for Timer {
    fn place(operation: &mut Operation) -> &mut u32 {
        &mut operation.timer
    }
}
