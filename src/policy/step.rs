//! The vocabulary between the policy and the shell: the next act of the shell (steps), its result (outcomes), the
//! events for an operation that sleeps (notices), and why a caller is refused (refusals). Values only, no decisions.

use super::id::{LeaseId, OperationId};

/// What the shell does next for one operation. A step with a slot concerns the connection of that slot; without one it
/// concerns a connection that belongs to no slot any more, which the operation's own flow holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sleep until a [`Notice`] names this operation.
    Wait,
    /// Call the creator for this slot. Outcomes: ok, failed, unavailable, timed-out; then late-ok or late-failed.
    Open(u32),
    /// Ask whether the connection is alive. Outcomes: ok, disconnected (dead), failed, timed-out.
    Ping(u32),
    /// Roll back what the client left open. Outcomes: ok, failed, timed-out.
    Rollback(Option<u32>),
    /// Commit what the client left open. Outcomes: ok, failed, timed-out.
    Commit(Option<u32>),
    /// Reset the whole session, a transaction that the client left open included. Outcomes: ok, failed, timed-out.
    ResetSession(Option<u32>),
    /// Ask the server to stop the statement under way. Outcomes: ok (it was asked), failed, timed-out.
    Cancel(u32),
    /// Run the record's finalizers, newest first. Outcomes: ok, failed, timed-out.
    Finalize(u32),
    /// Call the listeners of an event. Outcomes: ok, failed, timed-out; of checkout also disconnected.
    Emit(Event, Option<u32>),
    /// Close politely. Outcomes: ok, failed, timed-out.
    Close(Option<u32>),
    /// Close abruptly, without trusting the connection. Outcomes: ok, failed, timed-out.
    Terminate(Option<u32>),
    /// Take the connection out of this slot into the operation's flow. Outcome: ok.
    Detach(u32),
    /// Give the caller this lease; the operation has ended.
    Grant(LeaseId),
    /// Give the caller a share of this slot's connection; the operation stands for it until its return.
    Share(u32),
    /// Refuse the caller; the operation has ended, unless it is [`Refusal::OpenTimeout`].
    Reject(Refusal),
    /// The operation has ended; a caller that waits for it is done.
    Done,
}

/// The events to which users can listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// The first connection of the pool was opened.
    FirstConnect,
    /// A connection was opened.
    Connect,
    /// A connection is about to be handed out.
    Checkout,
    /// A connection comes back and is about to be reset.
    Reset,
    /// A record goes back to the pool.
    Checkin,
    /// A connection is not to be trusted and about to be terminated.
    Invalidate,
    /// A connection was marked to be replaced later.
    SoftInvalidate,
    /// A connection that belongs to a record is about to be closed.
    Close,
    /// A connection left the pool for good.
    Detach,
    /// A detached connection is about to be closed.
    CloseDetached,
}

/// Which events have listeners: for the others no step is made. And whether the shell wants to see every lease: then
/// none is handed over at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hooks(u16);

impl Hooks {
    const EVERY_LEASE: u16 = 1 << 10;

    /// One bit for each event, in the order of [`Event`], and above them one for every lease.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    pub(crate) const fn of(events: &[Event]) -> Self {
        let (mut bits, mut index) = (0, 0);
        while index < events.len() {
            bits |= 1 << events[index] as u16;
            index += 1;
        }
        Self(bits)
    }

    pub(crate) const fn with_every_lease(self) -> Self {
        Self(self.0 | Self::EVERY_LEASE)
    }

    #[inline]
    pub(crate) const fn has_any(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    pub(crate) const fn has(self, event: Event) -> bool {
        self.0 & 1 << event as u16 != 0
    }
}

/// How the last step of an operation went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded; after [`Step::Open`] the slot holds a connection.
    Ok,
    /// It threw or rejected.
    Failed,
    /// The creator failed with an error that may pass: another attempt is worth while.
    Unavailable,
    /// The time for one call ran out (after [`Notice::Expire`]). The call may still come to an end.
    TimedOut,
    /// After a timed-out [`Step::Open`]: the connection arrived after all.
    LateOk,
    /// After a timed-out [`Step::Open`]: it failed in the end.
    LateFailed,
    /// The connection is dead: another one is to be tried.
    Disconnected,
    /// The connection is dead, and every connection of its age or older is to be replaced, too.
    DisconnectedAll,
    /// After [`Step::Open`], [`Step::Close`] or [`Step::Terminate`]: the time ran out, and the slot must wait until the
    /// call has ended.
    StillOpen,
}

/// What the loss of a connection says, in the words of its dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It is none.
    None,
    /// This connection is lost, and nothing is known of the others.
    Alone,
    /// Those that are as old or older may be lost, too.
    Others,
}

/// Why a caller gets no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The error of the creator, the ping or a listener, which the shell holds.
    Failed,
    /// The caller's signal; the shell holds its reason.
    Aborted,
    /// The pool is closed.
    Closed,
    /// `maxWaiters` callers wait already.
    QueueFull,
    /// `timeout` ran out in the queue.
    WaitTimeout,
    /// `deadline` ran out in the queue.
    WaitDeadline,
    /// `openTimeout` ran out while the creator ran, or has for as many creators as may be given up.
    OpenTimeout,
    /// `deadline` ran out while the creator ran.
    OpenDeadline,
    /// `deadline` ran out while the connection was pinged.
    PingDeadline,
    /// `driverTimeout` ran out while a listener ran.
    ListenerTimeout,
    /// `deadline` ran out while a listener ran.
    ListenerDeadline,
    /// One connection after the other was dead; the shell holds the last error.
    Disconnected,
    /// An assertion pool has lent its connection already.
    InUse,
}

impl Refusal {
    /// Whether the caller's time ran out.
    pub(crate) const fn is_timeout(self) -> bool {
        match self {
            Self::WaitTimeout | Self::WaitDeadline | Self::OpenTimeout | Self::OpenDeadline => true,
            Self::PingDeadline | Self::ListenerTimeout | Self::ListenerDeadline => true,
            Self::Failed | Self::Aborted | Self::Closed | Self::QueueFull | Self::Disconnected | Self::InUse => false,
        }
    }
}

/// A notice for an operation that sleeps. Handed out by [`super::Pool::take_notice`] after any call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Settle the caller's promise with this lease. A step that still runs goes on without its caller.
    Grant(LeaseId),
    /// Settle the caller's promise with this refusal. A step that still runs goes on without its caller.
    Reject(Refusal),
    /// Wake the flow, in its own context, to ask for its step ([`super::Pool::resume`]).
    Resume,
    /// The step under way took too long, or no caller waits for it any more: wake the flow, which advances with
    /// [`Outcome::TimedOut`].
    Expire,
    /// A [`super::Pool::begin_close`] has come to its end.
    Done,
    /// Settle the caller's promise of a return, which goes on without its caller.
    Release,
    /// It goes on with the caller of this operation, which goes on without: ask for its step
    /// ([`super::Pool::resume`]) in the context of that caller.
    Follow(OperationId),
}

/// What concerns no caller. Handed out by [`super::Pool::take_aside`] after any call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aside {
    /// An operation without a caller: it runs by itself, from [`super::Pool::resume`] on.
    Spawned(OperationId),
    /// The slot has ended. What the host knows of it has no use any more: another slot may take the index.
    SlotEnded(u32),
}

/// How [`super::Pool::begin_checkout`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// The caller has a lease at once, without an operation.
    Granted(LeaseId),
    /// An operation: ask for its first step.
    Pending(OperationId),
    /// The caller is refused at once, without an operation.
    Refused(Refusal),
}

/// What the driver says of a connection that comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It is at rest, and a transaction may be open.
    Open,
    /// It is at rest, and no transaction is open.
    Clean,
    /// A statement is under way, and may end soon.
    Busy,
    /// A statement is under way that its caller has given up.
    GivenUp,
    /// Something is open that does not end by itself: a cursor, a COPY, an iterator.
    Stuck,
    /// It is at rest, and its caller's error says that it alone is lost.
    Lost,
}

impl Condition {
    /// At rest: whether no transaction is open.
    pub const fn at_rest(is_clean: bool) -> Self {
        if is_clean { Self::Clean } else { Self::Open }
    }

    pub(crate) const fn is_at_rest(self) -> bool {
        matches!(self, Self::Open | Self::Clean)
    }

    /// Whether its caller's error says that it is lost, unless its statement can be cancelled.
    pub(crate) const fn is_lost(self) -> bool {
        matches!(self, Self::GivenUp | Self::Lost)
    }

    pub(crate) const fn is_busy(self) -> bool {
        matches!(self, Self::Busy | Self::GivenUp)
    }
}

/// How [`super::Pool::begin_checkin`] and its siblings answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// Back in the pool or with the next waiter (then there is a notice), or the lease had ended before.
    Done,
    /// With this waiter, under this lease: the common case of a grant without any other output, so not as a notice.
    HandedOver(OperationId, LeaseId),
    /// An operation: ask for its first step.
    Pending(OperationId),
}

impl Return {
    /// The answer of a return whose first step this is.
    pub(crate) const fn of(step: Step, id: OperationId) -> Self {
        if let Step::Done = step { Self::Done } else { Self::Pending(id) }
    }
}
