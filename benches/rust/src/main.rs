//! A checkout and a return in nanoseconds, on one thread, without I/O: this crate beside deadpool and bb8, in turn.

use std::convert::Infallible;
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::task::LocalSet;

struct Numbers;

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

impl bb8::ManageConnection for Numbers {
    type Connection = u64;
    type Error = Infallible;

    async fn connect(&self) -> Result<u64, Infallible> {
        Ok(0)
    }

    async fn is_valid(&self, _: &mut u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _: &mut u64) -> bool {
        false
    }
}

const SIZE: u32 = 10;

/// One checkout and return.
trait Cycle: Clone + 'static {
    fn cycle(&self, yields: bool) -> impl Future<Output = ()>;
}

#[derive(Clone)]
struct Edgepool(edgepool::QueuePool<Numbers>);

impl Cycle for Edgepool {
    async fn cycle(&self, yields: bool) {
        let mut lease = self.0.connect().await.expect("a number");
        *lease += 1;
        if yields {
            tokio::task::yield_now().await;
        }
    }
}

#[derive(Clone)]
struct Deadpool(deadpool::managed::Pool<Numbers>);

impl Cycle for Deadpool {
    async fn cycle(&self, yields: bool) {
        let mut lease = self.0.get().await.expect("a number");
        *lease += 1;
        if yields {
            tokio::task::yield_now().await;
        }
    }
}

#[derive(Clone)]
struct Bb8(bb8::Pool<Numbers>);

impl Cycle for Bb8 {
    async fn cycle(&self, yields: bool) {
        let mut lease = self.0.get().await.expect("a number");
        *lease += 1;
        if yields {
            tokio::task::yield_now().await;
        }
    }
}

async fn uncontended(pool: impl Cycle, cycles: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..cycles {
        pool.cycle(false).await;
    }
    start.elapsed().as_nanos() as f64 / f64::from(cycles)
}

async fn contended(pool: impl Cycle, cycles: u32) -> f64 {
    const TASKS: u32 = 1000;
    let each = cycles / TASKS;
    let start = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let pool = pool.clone();
            tokio::task::spawn_local(async move {
                for _ in 0..each {
                    pool.cycle(true).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
    start.elapsed().as_nanos() as f64 / f64::from(each * TASKS)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let rounds: usize = std::env::args().nth(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(25);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async move {
        let time = Some(Duration::from_secs(30));
        let edgepool = Edgepool(
            edgepool::QueuePool::builder(Numbers).pool_size(SIZE).max_overflow(0).build().expect("valid options"),
        );
        let bare = Deadpool(
            deadpool::managed::Pool::builder(Numbers).max_size(SIZE as usize).build().expect("valid options"),
        );
        let timed = Deadpool(
            deadpool::managed::Pool::builder(Numbers)
                .max_size(SIZE as usize)
                .wait_timeout(time)
                .create_timeout(time)
                .recycle_timeout(time)
                .runtime(deadpool::Runtime::Tokio1)
                .build()
                .expect("valid options"),
        );
        let bb8 = Bb8(
            bb8::Pool::builder().max_size(SIZE).test_on_check_out(false).build(Numbers).await.expect("valid options"),
        );
        let names = ["edgepool", "deadpool", "deadpool, time-outs", "bb8"];
        let mut alone = vec![Vec::new(); names.len()];
        let mut together = vec![Vec::new(); names.len()];
        for round in 0..rounds {
            for turn in 0..names.len() {
                let pool = (turn + round) % names.len();
                let (one, many) = match pool {
                    0 => (uncontended(edgepool.clone(), 200_000).await, contended(edgepool.clone(), 200_000).await),
                    1 => (uncontended(bare.clone(), 200_000).await, contended(bare.clone(), 200_000).await),
                    2 => (uncontended(timed.clone(), 200_000).await, contended(timed.clone(), 200_000).await),
                    _ => (uncontended(bb8.clone(), 200_000).await, contended(bb8.clone(), 200_000).await),
                };
                alone[pool].push(one);
                together[pool].push(many);
            }
        }
        for (name, (alone, together)) in names.iter().zip(alone.into_iter().zip(together)) {
            println!("{name}: {:.0} ns alone, {:.0} ns as one of 1,000 tasks", median(alone), median(together));
        }
    });
}
