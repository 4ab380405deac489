//! The native half: writes the nanoseconds of each round as JSON. Arguments: the rounds, and the cycles of each.

use edgepool_rust_bench::{Cycle, Deadpool, Edgepool, SIZE, TASKS, alone, as_one_of_many};
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::task::LocalSet;

impl bb8::ManageConnection for Own {
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

/// The manager of bb8's pool.
struct Own;

#[derive(Clone)]
struct Bb8(bb8::Pool<Own>);

impl Cycle for Bb8 {
    async fn cycle(&self, yields: bool) {
        let mut lease = self.0.get().await.expect("a number");
        *lease += 1;
        if yields {
            tokio::task::yield_now().await;
        }
    }
}

async fn time_alone(pool: &impl Cycle, cycles: u32) -> f64 {
    let start = Instant::now();
    alone(pool, cycles).await;
    start.elapsed().as_nanos() as f64 / f64::from(cycles)
}

async fn time_together(pool: &impl Cycle, cycles: u32) -> f64 {
    let start = Instant::now();
    let run = |_| tokio::task::spawn_local(as_one_of_many(pool.clone(), cycles));
    let tasks: Vec<_> = (0..TASKS).map(run).collect();
    for task in tasks {
        task.await.expect("a task");
    }
    start.elapsed().as_nanos() as f64 / f64::from(cycles)
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let (rounds, cycles) = (arguments.next().unwrap_or(25), arguments.next().unwrap_or(200_000));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async move {
        let edgepool = Edgepool::new();
        let (bare, timed) = (Deadpool::new(None), Deadpool::new(Some(Duration::from_secs(30))));
        let builder = bb8::Pool::builder().max_size(SIZE).test_on_check_out(false);
        let bb8 = Bb8(builder.build(Own).await.expect("valid options"));
        let mut results = vec![(Vec::new(), Vec::new()); 4];
        for round in 0..rounds {
            for turn in 0..4 {
                let pool = ((turn + round) % 4) as usize;
                let (one, many) = match pool {
                    0 => (time_alone(&edgepool, cycles).await, time_together(&edgepool, cycles).await),
                    1 => (time_alone(&bare, cycles).await, time_together(&bare, cycles).await),
                    2 => (time_alone(&timed, cycles).await, time_together(&timed, cycles).await),
                    _ => (time_alone(&bb8, cycles).await, time_together(&bb8, cycles).await),
                };
                results[pool].0.push(one);
                results[pool].1.push(many);
            }
        }
        let names = ["edgepool", "deadpool", "deadpool, with time-outs", "bb8"];
        let rows = names.iter().zip(results).map(|(name, (alone, together))| {
            format!("{{\"name\":\"{name}\",\"alone\":{alone:?},\"together\":{together:?}}}")
        });
        println!("[{}]", rows.collect::<Vec<_>>().join(","));
    });
}
