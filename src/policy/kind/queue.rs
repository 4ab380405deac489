//! QueuePool's allocation: idle before new, new up to the maximum, surplus closed at return. NullPool is one that keeps
//! nothing and AssertionPool one of a single slot (config.rs says so in numbers). Waiters come first everywhere, but that
//! is no matter of the kind: pool.rs serves them before it asks here.

use crate::policy::config::Config;
use crate::policy::id::MOST;

/// Where a checkout gets its slot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The next of the idle store.
    Idle,
    /// A slot made for it.
    New,
    /// None is free and none may be made.
    Nowhere,
}

pub(crate) fn source(config: &Config, idle: usize, slots: usize) -> Source {
    if idle > 0 {
        Source::Idle
    } else if slots < config.max_slots as usize && slots < MOST {
        Source::New
    } else {
        Source::Nowhere
    }
}

/// Whether a returned slot is surplus: as many as `poolSize` are idle already.
pub(crate) fn is_surplus(config: &Config, idle: usize) -> bool {
    idle >= config.max_idle as usize
}
