//! Why a pool refuses, in the words and with the codes of the JavaScript package.

extern crate std;

use super::events::Taken;
use super::options::{CROSSES, PRE_PING};
use crate::policy::{Counts, Refusal, Settings, Stats};
use core::fmt::{self, Display, Formatter};
use std::boxed::Box;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

/// Why a caller gets no connection. `E` is the error of the [`Manager`](super::Manager).
#[non_exhaustive]
pub enum Error<E> {
    /// The manager failed: an opening, a ping, or a listener. Shared, since one opening may fail several callers.
    Manager(Rc<E>),
    /// Not in time.
    Timeout(Box<TimeoutError<E>>),
    /// The pool was closed, before the call or while the caller waited.
    Closed {
        /// The pool's name.
        pool: Rc<str>,
    },
    /// As many callers wait already as `max_waiters` allows.
    QueueFull {
        /// The pool's name.
        pool: Rc<str>,
        /// The pool's numbers.
        stats: Box<Stats>,
    },
    /// The connection of an assertion pool is lent already.
    InUse {
        /// The pool's name.
        pool: Rc<str>,
        /// The call of `connect()` that has it.
        taken_at: Option<Taken>,
    },
    /// One connection after the other was dead.
    Disconnected {
        /// The pool's name.
        pool: Rc<str>,
        /// The error that said so of the last one, if one did.
        last: Option<Rc<E>>,
    },
    /// The pool belongs to another request or Durable Object of Workers.
    Elsewhere {
        /// The pool's name.
        pool: Rc<str>,
    },
    /// The lease belongs to another request or Durable Object of Workers.
    LeaseElsewhere {
        /// The pool's name.
        pool: Rc<str>,
    },
    /// The pool was used outside of any request of Workers.
    Nowhere {
        /// The pool's name.
        pool: Rc<str>,
    },
    /// The lease has ended: the pool has taken it back, or it was returned.
    LeaseEnded {
        /// The pool's name.
        pool: Rc<str>,
    },
}

/// The numbers of a caller whose time ran out.
#[non_exhaustive]
pub struct TimeoutError<E> {
    /// The pool's name.
    pub pool: Rc<str>,
    /// What the checkout was doing.
    pub step: TimeoutStep,
    /// The option that ran out, for example `"timeout"`.
    pub option: &'static str,
    /// Its value in milliseconds.
    pub timeout_ms: f64,
    /// The pool's numbers, without the refused caller.
    pub stats: Stats,
    /// SQLAlchemy's four numbers.
    pub counts: Counts,
    /// The leases that have been out for longest, at most five.
    pub longest_held: Vec<LongHeld>,
    /// The error of the last opening, while openings fail and are tried again.
    pub cause: Option<Rc<E>>,
    /// For how many milliseconds a connection has been on its way back, at least.
    pub(super) returning_ms: Option<u32>,
}

/// A lease that is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LongHeld {
    /// For how many milliseconds, at least.
    pub ms: u32,
    /// The call of `connect()`.
    pub taken_at: Option<Taken>,
}

/// What a checkout was doing when its time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeoutStep {
    /// It was in the queue.
    Wait,
    /// The manager was opening a connection.
    Open,
    /// The manager was asking whether the connection is alive.
    Ping,
    /// A listener ran.
    Listener,
}

/// An option is not one of the kind of pool, or has a value that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionError {
    /// The option, by its name in JavaScript, for example `"poolSize"`.
    pub option: &'static str,
    /// Whether the kind of pool takes the option, so that only its value is wrong.
    pub is_taken: bool,
}

impl Display for OptionError {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let method = method_of(self.option);
        if self.option == CROSSES {
            return write!(formatter, "the option {method} needs the compatibility date 2025-06-30 or a later one");
        }
        if self.option == PRE_PING && self.is_taken {
            return write!(formatter, "the option {method} needs a manager that can ping");
        }
        if self.is_taken {
            write!(formatter, "the option {method} has a value that is not allowed")
        } else {
            write!(formatter, "a pool of this kind does not take the option {method}")
        }
    }
}

impl core::error::Error for OptionError {}

impl<E> Error<E> {
    /// The stable code, which is that of the JavaScript package.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Manager(_) => "ERR_POOL_MANAGER",
            Self::Timeout(_) => "ERR_POOL_TIMEOUT",
            Self::Closed { .. } => "ERR_POOL_CLOSED",
            Self::QueueFull { .. } => "ERR_POOL_QUEUE_FULL",
            Self::InUse { .. } => "ERR_POOL_ASSERTION",
            Self::Disconnected { .. }
            | Self::Elsewhere { .. }
            | Self::LeaseElsewhere { .. }
            | Self::Nowhere { .. }
            | Self::LeaseEnded { .. } => "ERR_POOL_INVALID_REQUEST",
        }
    }
}

impl<E: Display> Display for Error<E> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manager(error) => error.fmt(formatter),
            Self::Timeout(error) => error.fmt(formatter),
            Self::Closed { pool } => write!(formatter, "the pool {pool} is closed: close() was called on it"),
            Self::QueueFull { pool, stats } => write!(
                formatter,
                "the queue of the pool {pool} is full: callers waiting: {}, connections in use: {} of at most {}",
                stats.waiting,
                stats.used,
                Whole(stats.max)
            ),
            Self::InUse { pool, taken_at } => {
                write!(formatter, "the connection of the pool {pool} is already checked out")?;
                taken_at.map_or(Ok(()), |taken_at| write!(formatter, " at {taken_at}"))
            }
            Self::Disconnected { pool, .. } => {
                write!(formatter, "the pool {pool} found one dead connection after another and gave up")
            }
            Self::Elsewhere { pool } => write!(
                formatter,
                "the pool {pool} belongs to another request or Durable Object, and Workers forbid its use here. Make \
                 a pool for each request, or keep it in a field of a Durable Object"
            ),
            Self::LeaseElsewhere { pool } => write!(
                formatter,
                "this connection of the pool {pool} belongs to another request or Durable Object, and Workers forbid \
                 its use here. Call connect() in the handler that uses the connection, and keep no lease at module \
                 scope"
            ),
            Self::Nowhere { pool } => write!(
                formatter,
                "the pool {pool} was used outside of any request, and Workers allow no connections there: use the pool \
                 in a handler, not at module scope"
            ),
            Self::LeaseEnded { pool } => write!(formatter, "this lease of the pool {pool} has ended"),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Manager(error) => Some(&**error),
            Self::Timeout(timeout) => timeout.cause.as_deref().map(|cause| cause as _),
            Self::Disconnected { last, .. } => last.as_deref().map(|last| last as _),
            _ => None,
        }
    }
}

impl<E> Display for TimeoutError<E> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { pool, stats, option, timeout_ms, .. } = self;
        let what = match self.step {
            TimeoutStep::Wait => "no connection came free",
            TimeoutStep::Open => "the manager did not answer",
            TimeoutStep::Ping => "the ping was not answered",
            TimeoutStep::Listener => "a listener did not end",
        };
        write!(
            formatter,
            "{what} within {} ms ({option}) in the pool {pool}: {} in use",
            Whole(*timeout_ms),
            stats.used
        )?;
        if stats.returning > 0 {
            write!(formatter, " ({} being returned", stats.returning)?;
            self.returning_ms.map_or(Ok(()), |ms| write!(formatter, ", for at least {ms} ms"))?;
            formatter.write_str(")")?;
        }
        write!(
            formatter,
            ", {} idle, {} opening, {} closing, of at most {} connections; others waiting: {}",
            stats.idle,
            stats.opening,
            stats.closing,
            Whole(stats.max),
            stats.waiting
        )?;
        let mut separator = "; held longest, at least: ";
        for LongHeld { ms, taken_at } in &self.longest_held {
            write!(formatter, "{separator}{ms} ms")?;
            if let Some(taken_at) = taken_at {
                write!(formatter, " (taken at {taken_at})")?;
            }
            separator = ", ";
        }
        Ok(())
    }
}

impl<E> core::error::Error for TimeoutError<E> {}

// What is derived would show numbers as floating-point numbers, which take thirteen kilobytes to write.
impl<E: Display> fmt::Debug for Error<E> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {self}", self.code())
    }
}

impl<E> fmt::Debug for TimeoutError<E> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, formatter)
    }
}

/// A number that is whole, or not limited.
struct Whole(f64);

impl Display for Whole {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        if self.0 == f64::INFINITY { formatter.write_str("Infinity") } else { (self.0 as u64).fmt(formatter) }
    }
}

/// By refusal: in which step the time ran out, by which option, and how long that was. `own_ms`: the caller's own
/// `timeout` and `deadline`.
pub(super) fn time_of(refusal: Refusal, settings: &Settings, own_ms: (f64, f64)) -> (TimeoutStep, &'static str, f64) {
    let (timeout, deadline) = own_ms;
    let of_deadline = |step| {
        // With `open_retry` the timeout of a caller without a deadline bounds its opening, too.
        if deadline == f64::INFINITY { (step, "timeout", timeout) } else { (step, "deadline", deadline) }
    };
    let driver = settings.driver_timeout_ms;
    match refusal {
        Refusal::WaitTimeout => (TimeoutStep::Wait, "timeout", timeout),
        Refusal::WaitDeadline => of_deadline(TimeoutStep::Wait),
        Refusal::OpenTimeout if settings.open_timeout_ms < 0.0 => (TimeoutStep::Open, "driver_timeout", driver),
        Refusal::OpenTimeout => (TimeoutStep::Open, "open_timeout", settings.open_timeout_ms),
        Refusal::OpenDeadline => of_deadline(TimeoutStep::Open),
        Refusal::PingDeadline => of_deadline(TimeoutStep::Ping),
        Refusal::ListenerDeadline => of_deadline(TimeoutStep::Listener),
        _ => (TimeoutStep::Listener, "driver_timeout", driver),
    }
}

/// Returns the name of an option's method. Options are named as in JavaScript within the policy.
pub(super) fn method_of(option: &str) -> String {
    let mut name = String::new();
    for letter in option.chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}
