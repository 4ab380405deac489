//! A checkout and a return, on one thread, without I/O: this crate beside deadpool and bb8. The same code runs natively
//! and in WebAssembly.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How many connections each pool has.
pub const SIZE: u32 = 10;
/// How many tasks use them at once.
pub const TASKS: u32 = 1000;

/// Opens numbers.
pub struct Numbers;

impl edgepool::Manager for Numbers {
    type Connection = u64;
    type Error = Infallible;

    async fn open(&self, _: edgepool::Watch<Self>) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn in_transaction(&self, _: &u64) -> bool {
        false
    }
}

impl deadpool::managed::Manager for Numbers {
    type Type = u64;
    type Error = Infallible;

    async fn create(&self) -> Result<u64, Infallible> {
        Ok(0)
    }

    async fn recycle(
        &self,
        _: &mut u64,
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<Infallible> {
        Ok(())
    }
}

/// One turn of the other tasks.
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A checkout and a return, with a turn in between if `yields`.
pub trait Cycle: Clone + 'static {
    /// Runs one.
    fn cycle(&self, yields: bool) -> impl Future<Output = ()>;
}

/// Of this crate, with its time-outs, as they are by default.
#[derive(Clone)]
pub struct Edgepool(pub edgepool::QueuePool<Numbers>);

impl Edgepool {
    /// A pool on the runtime of the target.
    #[expect(clippy::new_without_default, reason = "a benchmark makes it once")]
    pub fn new() -> Self {
        Self(edgepool::QueuePool::builder(Numbers).pool_size(SIZE).max_overflow(0).build().expect("valid options"))
    }
}

impl Cycle for Edgepool {
    async fn cycle(&self, yields: bool) {
        let mut lease = self.0.connect().await.expect("a number");
        *lease += 1;
        if yields {
            Yield(false).await;
        }
    }
}

/// Of deadpool.
#[derive(Clone)]
pub struct Deadpool(pub deadpool::managed::Pool<Numbers>);

impl Deadpool {
    /// `time`: its three time-outs. Without one it has none.
    pub fn new(time: Option<Duration>) -> Self {
        let builder = deadpool::managed::Pool::builder(Numbers).max_size(SIZE as usize);
        #[cfg(not(target_arch = "wasm32"))]
        let builder = match time {
            Some(_) => {
                let builder = builder.wait_timeout(time).create_timeout(time).recycle_timeout(time);
                builder.runtime(deadpool::Runtime::Tokio1)
            }
            None => builder,
        };
        #[cfg(target_arch = "wasm32")]
        let _ = time;
        Self(builder.build().expect("valid options"))
    }
}

impl Cycle for Deadpool {
    async fn cycle(&self, yields: bool) {
        let mut lease = self.0.get().await.expect("a number");
        *lease += 1;
        if yields {
            Yield(false).await;
        }
    }
}

/// One after the other.
pub async fn alone(pool: &impl Cycle, cycles: u32) {
    for _ in 0..cycles {
        pool.cycle(false).await;
    }
}

/// The cycles of one of the tasks.
pub async fn as_one_of_many(pool: impl Cycle, cycles: u32) {
    for _ in 0..cycles / TASKS {
        pool.cycle(true).await;
    }
}

#[cfg(target_arch = "wasm32")]
mod wasm;
