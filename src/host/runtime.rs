//! What a pool asks of the host that runs it: the time, timers, and tasks.

use super::signal::pair;
use core::future::Future;
use core::pin::Pin;
use core::time::Duration;

extern crate std;
use std::boxed::Box;

/// The milliseconds of a time. Whole ones stay whole, which a product of seconds does not promise.
pub(super) fn millis(time: Duration) -> f64 {
    time.as_millis() as f64 + f64::from(time.subsec_nanos() % 1_000_000) / 1e6
}

/// A task that the pool gives to its runtime.
pub type Task = Pin<Box<dyn Future<Output = ()>>>;

/// A single-threaded host.
pub trait Runtime: Clone + 'static {
    /// Ends after a time.
    type Sleep: Future<Output = ()> + Unpin;
    /// Names the place that a pool belongs to, on hosts that forbid its use elsewhere.
    type Place: Place;

    /// Milliseconds since any fixed moment. Never goes back, and must call no pool.
    fn now(&self) -> f64;

    /// Returns a future that ends in `ms` milliseconds, or later.
    fn sleep(&self, ms: u32) -> Self::Sleep;

    /// Runs a task to its end. Must not poll it before it returns.
    fn spawn(&self, task: Task);

    /// Whether it runs tasks now. A lease may be dropped after the end of its runtime: no manager is called then but to
    /// terminate.
    fn is_running(&self) -> bool {
        true
    }

    /// Returns a wait for a pool whose builder has `crosses_requests`. Default: one that ends through the waker of its
    /// task, for hosts that have only one place.
    fn crossing(&self) -> Crossing {
        let (wake, waiting) = pair();
        Crossing { end: Box::new(move || wake.wake()), ended: Box::pin(waiting) }
    }

    /// Returns the place in which the code runs. `None`: outside of all of them.
    fn place(&self) -> Option<Self::Place>;

    /// Whether a wait can be ended from another place. A pool whose builder has `crosses_requests` needs it.
    fn can_cross(&self) -> bool {
        true
    }
}

/// A wait that another place may end. Its task goes on in the place that made it.
pub struct Crossing {
    /// Ends the wait. Must not run the task.
    pub end: Box<dyn FnOnce()>,
    /// Is ready then.
    pub ended: Pin<Box<dyn Future<Output = ()>>>,
}

/// A place that a pool belongs to: an I/O context of Workers.
pub trait Place {
    /// Whether the code runs there.
    fn is_here(&self) -> bool;
}

/// The place of hosts that have only one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anywhere;

impl Place for Anywhere {
    #[inline(always)]
    fn is_here(&self) -> bool {
        true
    }
}
