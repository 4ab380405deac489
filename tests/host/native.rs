//! On tokio's `LocalSet`.

use edgepool::{Manager, QueuePool, Reset, Watch};
use std::convert::Infallible;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

struct Sleeps;

impl Manager for Sleeps {
    type Connection = ();
    type Error = Infallible;

    async fn open(&self, _: Watch<Self>) -> Result<(), Infallible> {
        Ok(())
    }

    async fn reset(&self, _: &mut (), _: Reset) -> Result<(), Infallible> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(())
    }
}

#[test]
fn a_lease_and_a_caller_that_outlive_the_runtime_are_dropped_without_a_panic() {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let pool =
        QueuePool::builder(Sleeps).pool_size(1).max_overflow(0).timeout(Duration::from_millis(20)).build().unwrap();
    let lease = LocalSet::new().block_on(&runtime, pool.connect()).unwrap();
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _lease = lease;
        panic!("with a lease");
    }));
    assert!(unwound.is_err());
    assert_eq!((pool.stats().total, pool.stats().used), (0, 0));
    LocalSet::new().block_on(&runtime, async {
        let _lease = pool.connect().await.unwrap();
        assert!(pool.connect().await.is_err());
    });
}

#[test]
fn times_are_those_of_a_clock_that_a_test_has_paused() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let timeout = Duration::from_secs(3);
        let pool = QueuePool::builder(Sleeps).pool_size(1).max_overflow(0).timeout(timeout).build().unwrap();
        let _lease = pool.connect().await.unwrap();
        let start = tokio::time::Instant::now();
        assert!(pool.connect().await.is_err());
        assert!((timeout..timeout * 2).contains(&start.elapsed()), "{:?}", start.elapsed());
    });
}
