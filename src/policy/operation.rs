//! One operation: a checkout, a return, the end of a connection or the close of the pool on its way through its states.
//! The tables that say which state follows are checkout.rs, checkin.rs, ending.rs, detached.rs and shutdown.rs; this file
//! only holds what they share.

use super::deadlines::{NO_CLASS, NO_STAMP};
use super::id::Slab;
use super::ring::{NIL, Track};
use super::step::{Event, Refusal};

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Checkout: in the queue.
    Waiting,
    /// Checkout: has a slot, not resumed yet. Aborted here, it gives the slot back.
    Reserved,
    /// Checkout: the creator runs.
    Opening,
    /// Checkout: its connection is open, and the listeners of an earlier opening run for the first time.
    AwaitingFirst,
    /// Checkout: its connection was dead, and as many creators run as may.
    AwaitingPlace,
    /// Checkout: the connection is asked whether it is alive.
    Pinging,
    /// Checkout: the creator ran out of time and lost its slot; what it still opens is closed.
    Abandoned,
    /// The listeners of an event run.
    Emitting(Event),
    /// Return: the transaction is being rolled back or committed.
    Resetting,
    /// Return: the record's finalizers run.
    Finalizing,
    /// The connection is being closed, or terminated; what comes [`Then`].
    Ending,
    /// A caller holds a connection that left its slot.
    Detached,
    /// The connection of a lost lease leaves its slot.
    Detaching,
    /// A caller holds a share of its slot's connection.
    Sharing,
    /// The lease of its slot was lost; the grace before its connection is taken away.
    Lost,
    /// Its slot is idle; the time until its connection is closed for that.
    Idling,
    /// The pool's close waits for the last slot.
    Draining,
}

impl State {
    /// Whether nobody waits for the end of its time.
    pub(crate) const fn is_quiet(self) -> bool {
        matches!(self, Self::Idling | Self::Lost)
    }
}

/// What follows the end of a connection, or the event that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing: the operation ends.
    Nothing,
    /// Checkout: a new connection is opened in the slot.
    Reopen,
    /// The emptied record goes back to the pool.
    Checkin,
    /// The slot ends with its connection.
    Drop,
    /// The slot may go on without its connection, where it waits for that.
    Free,
    /// One less is detached.
    Forget,
}

/// Who waits for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Nobody,
    /// Of connect(): may abort, and is refused when the pool closes.
    Checkout,
    /// Of a return or an end: waits for it whatever comes.
    Other,
}

/// One operation of a pool. Outside the policy it is only named, by its handle.
pub struct Operation {
    pub(crate) state: State,
    pub(crate) then: Then,
    pub(crate) caller: Caller,
    /// What the caller is told when the operation ends.
    pub(crate) refusal: Option<Refusal>,
    /// Checkout: how many connections were found dead.
    pub(crate) deaths: u8,
    /// Whether its close is abrupt.
    pub(crate) abrupt: bool,
    /// Return: whether the transaction needs no reset any more.
    pub(crate) is_reset: bool,
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
    pub(crate) const fn new(state: State, caller: Caller, slot: u32) -> Self {
        Self {
            state,
            then: Then::Nothing,
            caller,
            refusal: None,
            deaths: 0,
            abrupt: false,
            is_reset: false,
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

    /// Whether connect() still waits for it.
    pub(crate) fn is_attended(&self) -> bool {
        self.caller == Caller::Checkout
    }
}

const _: () = assert!(size_of::<Operation>() <= 32, "a waiter's share of the memory");

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
