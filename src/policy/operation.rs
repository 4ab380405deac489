//! One operation: a checkout, a return, the end of a connection or the close of the pool on its way through its states.
//! The tables that say which state follows are in the files of the operations; this file holds what they share.

use super::config::{LONGEST_SPAN_MS, Span};
use super::id::{LeaseId, NIL, OperationKind, Slab};
use super::ring::Track;
use super::step::{Condition, Event, Refusal};
use core::num::NonZeroU32;

/// Where an operation stands, with what belongs to that state.
#[derive(Clone, Copy)]
pub(crate) enum State {
    /// Checkout: in the queue, at this place of its ring.
    Waiting { place: u32 },
    /// Checkout: on its way with a slot. `deaths`: how many connections it found dead.
    CheckingOut { at: CheckoutAt, slot: u32, deaths: u8 },
    /// Checkout: the creator ran out of time and lost its slot; a connection that it still opens is closed.
    /// `counts`: as one of those that were given up, since then.
    Abandoned { counts: bool, since: u32 },
    /// The pause after an opening that failed.
    BackingOff,
    /// A caller holds a share of the slot's connection.
    Sharing { slot: u32 },
    /// Return: from the reset listeners to the finalizers.
    Returning { at: ReturnAt, slot: u32 },
    /// The same for a connection that left its slot. `is_lost`: with its lease, so that it is terminated.
    ReturningDetached { at: ReturnAt, is_lost: bool },
    /// The checkin listeners run. `refusal`: why the caller gets no connection.
    CheckingIn { slot: u32, refusal: Option<Refusal> },
    /// A connection ends; what comes [`Then`].
    Ending(Ending),
    /// A caller holds a connection that left its slot. `has_connection`: it was not ended before.
    Detached { has_connection: bool },
    /// The lease of its slot was lost; the grace before its connection is taken away.
    Lost { lease: LeaseId },
    /// The connection of a lost lease leaves its slot.
    Detaching { slot: u32 },
    /// The detach listeners of a lost lease's connection run.
    TellingDetach,
    /// The closeDetached listeners run.
    TellingCloseDetached { abrupt: bool },
    /// Listeners run for which nothing waits.
    Telling(Event),
    /// Its slot is idle; the time until its connection is closed for that.
    Idling { slot: u32 },
    /// An opening failed; the time until the pool tries another one for `min`.
    Pausing,
    /// The time until the connection of its slot is too old.
    Aging { slot: u32 },
    /// Its slot is leased; the time until that is reported.
    Holding { slot: u32 },
    /// The close of the pool, or of one scope, waits for the last slot.
    Draining,
    /// It has ended, and a notice about it is still to be handed out.
    Ended,
}

/// A checkout that has a slot.
#[derive(Clone, Copy)]
pub(crate) enum CheckoutAt {
    /// Not resumed yet. Aborted here, it gives the slot back.
    Reserved,
    /// Its connection was dead, or its opening failed, and as many creators run as may.
    AwaitingPlace,
    /// The creator runs.
    Opening,
    /// Its connection is open, and the connect listeners of an earlier opening run for the first time.
    AwaitingFirst,
    /// The firstConnect listeners run.
    TellingFirst,
    /// The connect listeners run.
    TellingConnect,
    /// The driver is asked whether the connection is alive.
    Pinging,
    /// The checkout listeners run.
    Presenting,
}

/// A return.
#[derive(Clone, Copy)]
pub(crate) enum ReturnAt {
    /// The reset listeners run.
    TellingReset { condition: Condition },
    /// The server is asked to stop the statement under way.
    Cancelling,
    /// The transaction is rolled back or committed.
    Resetting,
    /// A connection that is busy, and not to be reset, is pinged to see it come to rest.
    Resting,
    /// The record's finalizers run.
    Finalizing,
}

/// How a connection ends.
#[derive(Clone, Copy)]
pub(crate) struct Ending {
    pub(crate) at: EndAt,
    pub(crate) abrupt: bool,
    /// Why the caller gets no connection.
    pub(crate) refusal: Option<Refusal>,
    pub(crate) then: Then,
}

/// The steps of an end.
#[derive(Clone, Copy)]
pub(crate) enum EndAt {
    /// The invalidate listeners run.
    TellingInvalidate,
    /// The close listeners run.
    TellingClose,
    /// The driver closes or terminates the connection.
    Closing,
}

/// What follows the end of a connection.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    /// Checkout: a new connection is opened in the slot.
    Reopen { slot: u32, deaths: u8 },
    /// The emptied record goes back to the pool.
    CheckIn(u32),
    /// The slot ends with its connection.
    Drop(u32),
    /// The slot may go on without its connection, if it waits for that.
    Free(u32),
    /// One connection less is detached.
    Forget,
    /// Nothing: the connection was the late one of an abandoned opening.
    Nothing,
}

impl Then {
    /// The slot that the ending connection belongs to.
    pub(crate) const fn slot(self) -> Option<u32> {
        match self {
            Self::Reopen { slot, .. } | Self::CheckIn(slot) | Self::Drop(slot) | Self::Free(slot) => Some(slot),
            Self::Forget | Self::Nothing => None,
        }
    }
}

impl State {
    /// Whether the host performs a step, or still waits for the outcome of one.
    #[inline]
    pub(crate) const fn performs(self) -> bool {
        match self {
            Self::CheckingOut { at, .. } => {
                !matches!(at, CheckoutAt::Reserved | CheckoutAt::AwaitingPlace | CheckoutAt::AwaitingFirst)
            }
            Self::Waiting { .. } | Self::Sharing { .. } | Self::Detached { .. } | Self::Lost { .. } => false,
            Self::Idling { .. }
            | Self::Aging { .. }
            | Self::Holding { .. }
            | Self::Pausing
            | Self::BackingOff
            | Self::Draining
            | Self::Ended => false,
            _ => true,
        }
    }

    pub(crate) const fn reserved(slot: u32) -> Self {
        Self::CheckingOut { at: CheckoutAt::Reserved, slot, deaths: 0 }
    }
}

/// Which kind of caller waits for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    None,
    /// Of connect(): may abort, and is refused when the pool closes.
    Checkout,
    /// Of a return: waits for each step at most `returnTimeout`.
    Return,
    /// Of an end or a warm-up: waits for it whatever comes.
    Other,
}

/// In no time class.
pub(crate) const NO_CLASS: u16 = u16::MAX;
/// Not stamped yet.
pub(crate) const NO_STAMP: u32 = 0;

/// One operation of a pool.
pub(crate) struct Operation {
    pub(crate) state: State,
    pub(crate) limit: Limit,
    /// Its time class, or [`NO_CLASS`]; its place in the ring of that class; when its time ends, or [`NO_STAMP`] before
    /// a tick has stamped it. Kept by deadlines.rs.
    pub(crate) class: u16,
    pub(crate) timer: u32,
    pub(crate) due: u32,
    pub(crate) caller: Caller,
    /// Notices about it that were not handed out yet. Invariant: until then its index is not used again.
    pub(crate) notices: u8,
}

impl Operation {
    #[inline(always)]
    pub(crate) const fn new(state: State, caller: Caller) -> Self {
        Self { state, limit: Limit::NONE, class: NO_CLASS, timer: 0, due: NO_STAMP, caller, notices: 0 }
    }

    pub(crate) const fn is_stamped(&self) -> bool {
        self.due != NO_STAMP
    }

    /// Whether connect() still waits for it.
    pub(crate) fn is_attended(&self) -> bool {
        self.caller == Caller::Checkout
    }
}

const _: () = assert!(size_of::<Operation>() <= 32, "a waiter's share of the memory");

/// The caller's own deadline.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    /// When it ends, on the clock of deadlines.rs.
    ends: Option<NonZeroU32>,
    /// While the deadline is the time that runs: what the step's own time leaves after it.
    rest: Rest,
}

/// How much of a span is left that ends then.
pub(crate) const fn left_until(ends: u32, now: u32) -> u32 {
    let left = ends.wrapping_sub(now);
    // Past the end the difference wraps to more than any span can be.
    if left > LONGEST_SPAN_MS { 0 } else { left }
}

/// A span, or none, in four bytes: a hundred thousand of these may wait.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Rest(u32);

impl Rest {
    const NONE: Self = Self(u32::MAX);
    const FOREVER: Self = Self(u32::MAX - 1);
}

impl Limit {
    const NONE: Self = Self { ends: None, rest: Rest::NONE };

    pub(crate) fn is_set(&self) -> bool {
        self.ends.is_some()
    }

    pub(crate) fn set(&mut self, ends: u32) {
        // A moment is never 0, which would be none: a millisecond later is late enough.
        self.ends = NonZeroU32::new(ends.max(1));
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::NONE;
    }

    /// Returns the shorter of a step's own span and what is left of the deadline, and notes which of them that is.
    pub(crate) fn shorter(&mut self, span: Span, now: u32) -> Span {
        self.rest = Rest::NONE;
        let Some(ends) = self.ends else { return span };
        let left = left_until(ends.get(), now);
        self.rest = match span {
            Span::Millis(ms) if ms <= left => return span,
            Span::Millis(ms) => Rest(ms - left),
            Span::Forever => Rest::FOREVER,
        };
        Span::Millis(left)
    }

    /// The same for a caller that waits for each step at most this long.
    pub(crate) fn shorter_for(&mut self, span: Span, patience: Span) -> Span {
        self.rest = match (span, patience) {
            (Span::Millis(ms), Span::Millis(patience_ms)) if patience_ms < ms => Rest(ms - patience_ms),
            (Span::Forever, Span::Millis(_)) => Rest::FOREVER,
            _ => Rest::NONE,
        };
        span.min(patience)
    }

    /// Whether the time that runs is the caller's, not the step's own.
    pub(crate) fn runs(&self) -> bool {
        self.rest != Rest::NONE
    }

    /// Ends the caller's time, which has run out; returns what is left of the step's own time.
    pub(crate) fn take_rest(&mut self) -> Span {
        let rest = core::mem::replace(&mut self.rest, Rest::NONE);
        if rest == Rest::FOREVER { Span::Forever } else { Span::Millis(rest.0) }
    }
}

pub(crate) type Operations = Slab<Operation, OperationKind>;

/// The waiters, in order of arrival.
pub(crate) struct Queue;

impl Track for Queue {
    type Entry = Operation;

    fn place(operation: &Operation) -> u32 {
        match operation.state {
            State::Waiting { place } => place,
            _ => NIL,
        }
    }

    fn set_place(operation: &mut Operation, place: u32) {
        operation.state = State::Waiting { place };
    }
}

/// The operations of one time class, in order of arming.
pub(crate) struct Timer;

impl Track for Timer {
    type Entry = Operation;

    fn place(operation: &Operation) -> u32 {
        operation.timer
    }

    fn set_place(operation: &mut Operation, place: u32) {
        operation.timer = place;
    }
}
