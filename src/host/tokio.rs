//! tokio's single-threaded runtimes: a `LocalSet`, or a local runtime.

extern crate std;

use super::runtime::{Anywhere, Runtime, Task};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::boxed::Box;
use tokio::time::Instant;

/// tokio, where [`tokio::task::spawn_local`] works.
#[derive(Clone, Copy, Debug)]
pub struct Tokio {
    start: Instant,
}

impl Tokio {
    /// The clock begins now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for Tokio {
    fn default() -> Self {
        Self::new()
    }
}

impl Runtime for Tokio {
    type Sleep = Sleep;
    type Place = Anywhere;

    fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64() * 1000.0
    }

    fn sleep(&self, ms: u32) -> Sleep {
        if ms == 0 {
            return Sleep(Box::pin(tokio::task::yield_now()));
        }
        Sleep(Box::pin(tokio::time::sleep(Duration::from_millis(u64::from(ms)))))
    }

    fn spawn(&self, task: Task) {
        // Dropped, it ends without another await.
        if self.is_running() {
            drop(tokio::task::spawn_local(task));
        }
    }

    fn is_running(&self) -> bool {
        tokio::runtime::Handle::try_current().is_ok()
    }

    fn place(&self) -> Option<Anywhere> {
        Some(Anywhere)
    }
}

/// A sleep of tokio's.
pub struct Sleep(Pin<Box<dyn Future<Output = ()>>>);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}
