//! Managers that panic, never answer or answer late, and other faults of a program.

use crate::fakes::{Call, Failure, Script, World};
use edgepool::{Error, Lease, Manager, NullPool, Queue, QueuePool, Runtime, VirtualTime, Watch};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

/// Runs what panics, without a word. Returns whether it did.
fn panics<T>(run: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(|| drop(run()))).is_err()
}

fn expect_sound(world: &World, pool: &crate::fakes::Of<Queue>) {
    world.pass(120_000);
    let stats = pool.stats();
    assert_eq!((stats.total, stats.waiting, stats.detached), (stats.idle, 0, 0), "{stats:?}");
    assert_eq!(world.log.open.get(), stats.idle);
    let leases: Vec<_> = (0..stats.max as u32).map(|_| world.connect(pool)).collect();
    drop(leases);
    world.run(pool.close());
    assert_eq!(world.log.open.get(), 0);
    assert!(!world.log.take().iter().any(|call| matches!(call, Call::Dropped(_))));
}

#[test]
fn an_open_that_panics_at_once_or_later_costs_no_slot() {
    for script in [Script::Panics, Script::Takes(5, Box::new(Script::Panics))] {
        let world = World::new();
        let pool = world.queue(2);
        world.opens([script]);
        assert!(panics(|| world.run(pool.connect())));
        expect_sound(&world, &pool);
    }
}

#[test]
fn an_open_that_panics_after_its_caller_has_left_costs_no_slot() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::Takes(5, Box::new(Script::Panics))]);
    drop(world.wait(&pool));
    assert!(panics(|| world.pass(5)));
    expect_sound(&world, &pool);
}

#[test]
fn an_open_that_panics_serves_the_next_waiter() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::Takes(5, Box::new(Script::Panics))]);
    let mut first = world.wait(&pool);
    let second = world.wait(&pool);
    world.pass(5);
    assert!(panics(|| world.poll(first.as_mut())));
    drop(first);
    drop(world.run(second).unwrap());
    expect_sound(&world, &pool);
}

#[test]
fn a_reset_that_panics_costs_the_connection_and_no_slot() {
    for script in [Script::Panics, Script::Takes(5, Box::new(Script::Panics))] {
        for awaits in [false, true] {
            let world = World::new();
            let pool = world.queue(1);
            let mut lease = world.connect(&pool);
            lease.in_transaction = true;
            world.resets([script.clone()]);
            let panicked = panics(|| {
                if awaits {
                    world.run(lease.close());
                } else {
                    drop(lease);
                    world.pass(5);
                }
            });
            assert!(panicked);
            expect_sound(&world, &pool);
        }
    }
}

#[test]
fn a_ping_that_panics_costs_the_connection_and_no_slot() {
    for script in [Script::Panics, Script::Takes(5, Box::new(Script::Panics))] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).pre_ping(true));
        drop(world.connect(&pool));
        world.pings([script]);
        assert!(panics(|| world.run(pool.connect())));
        expect_sound(&world, &pool);
    }
}

#[test]
fn a_close_that_panics_costs_no_slot() {
    for script in [Script::Panics, Script::Takes(5, Box::new(Script::Panics))] {
        let world = World::new();
        let pool = world.queue(1);
        drop(world.connect(&pool));
        world.closes([script]);
        assert!(panics(|| world.run(pool.dispose())));
        expect_sound(&world, &pool);
    }
}

#[test]
fn openings_in_advance_that_panic_cost_no_slot() {
    for crosses in [false, true] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| {
            let builder = builder.pool_size(3).max_overflow(0);
            if crosses { builder.crosses_requests() } else { builder }
        });
        world.opens([Script::Panics]);
        assert!(panics(|| world.run(pool.warm(3))));
        world.time.run();
        assert_eq!((pool.stats().opening, pool.stats().total), (0, world.log.open.get()), "crosses: {crosses}");
        let _leases = [(); 3].map(|()| world.connect(&pool));
    }
}

#[test]
fn a_task_that_panics_while_it_has_a_lease_returns_it() {
    let world = World::new();
    let pool = world.queue(1);
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut lease = world.connect(&pool);
        lease.in_transaction = true;
        panic!("a program");
    }));
    assert!(result.is_err());
    assert_eq!(world.trace(), "open, rollback 0");
    expect_sound(&world, &pool);
}

/// A manager whose questions panic.
#[derive(Default)]
struct Rude {
    about: Cell<&'static str>,
}

impl Rude {
    fn ask(&self, about: &'static str) {
        assert!(self.about.get() != about, "a manager");
    }
}

impl Manager for Rude {
    type Connection = u32;
    type Error = Failure;

    async fn open(&self, _: Watch<Self>) -> Result<u32, Failure> {
        if self.about.get() == "is_transient" { Err(Failure("no route")) } else { Ok(0) }
    }

    fn terminate(&self, _: u32) {
        self.ask("terminate");
    }

    fn in_transaction(&self, _: &u32) -> bool {
        self.ask("in_transaction");
        false
    }

    fn is_busy(&self, _: &u32) -> bool {
        self.ask("is_busy");
        false
    }

    fn is_stuck(&self, _: &u32) -> bool {
        self.ask("is_stuck");
        false
    }

    fn is_transient(&self, _: &Failure) -> bool {
        self.ask("is_transient");
        false
    }

    fn is_disconnect(&self, _: &Failure, _: &u32) -> bool {
        self.ask("is_disconnect");
        true
    }
}

#[test]
fn a_question_to_the_manager_that_panics_costs_no_slot() {
    for about in ["terminate", "in_transaction", "is_busy", "is_stuck", "is_transient", "is_disconnect"] {
        let time = VirtualTime::new();
        let pool = QueuePool::builder(Rude::default()).pool_size(1).max_overflow(0).build_on(time.clone()).unwrap();
        let cycle = || {
            let lease: Lease<Rude, VirtualTime> = time.run_until(pool.connect()).expect("it answers").ok()?;
            time.run_until(lease.close_after(&Failure("lost")));
            let lease = time.run_until(pool.connect()).expect("it answers").ok()?;
            time.run_until(lease.invalidate());
            drop(time.run_until(pool.connect()).expect("it answers").ok()?);
            Some(())
        };
        pool.manager().about.set(about);
        assert!(panics(cycle), "{about} is not asked");
        pool.manager().about.set("");
        time.run();
        assert!(cycle().is_some(), "{about}");
        let stats = pool.stats();
        assert_eq!((stats.total, stats.used, stats.waiting), (stats.idle, 0, 0), "{about}: {stats:?}");
    }
}

#[test]
fn a_manager_that_never_answers_holds_up_its_callers_for_their_times_and_nothing_more() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| {
        builder.pool_size(2).max_overflow(0).driver_timeout(Duration::from_millis(50)).pre_ping(true)
    });
    world.opens([Script::Hangs]);
    assert!(matches!(world.refused(&pool), Error::Timeout(_)));
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::Hangs]);
    world.close(lease);
    drop(world.connect(&pool));
    world.pings([Script::Hangs]);
    drop(world.connect(&pool));
    world.closes([Script::Hangs]);
    world.run(pool.dispose());
    expect_sound(&world, &pool);
}

#[test]
fn a_manager_that_answers_after_its_time_is_dropped_and_leaves_nothing_open() {
    let world = World::new();
    let pool =
        world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).driver_timeout(Duration::from_millis(50)));
    world.opens([Script::takes(200)]);
    assert!(matches!(world.refused(&pool), Error::Timeout(_)));
    world.pass(500);
    assert_eq!(world.log.open.get(), 0);
    expect_sound(&world, &pool);
}

#[test]
fn connect_inside_open_has_another_connection_or_a_refusal_in_time() {
    struct Nested {
        pool: RefCell<Option<QueuePool<Self, VirtualTime>>>,
        depth: Cell<u32>,
    }
    impl Manager for Nested {
        type Connection = u32;
        type Error = Failure;

        async fn open(&self, _: Watch<Self>) -> Result<u32, Failure> {
            let depth = self.depth.replace(self.depth.get() + 1);
            let pool = self.pool.borrow().clone().filter(|_| depth < 3);
            let Some(pool) = pool else { return Ok(depth) };
            pool.connect().await.map(|lease| *lease + 10).map_err(|_| Failure("full"))
        }
    }
    for size in [1, 4] {
        let time = VirtualTime::new();
        let manager = Nested { pool: RefCell::default(), depth: Cell::new(0) };
        let pool = QueuePool::builder(manager)
            .pool_size(size)
            .max_overflow(0)
            .timeout(Duration::from_millis(50))
            .build_on(time.clone())
            .unwrap();
        *pool.manager().pool.borrow_mut() = Some(pool.clone());
        let result = time.run_until(pool.connect()).expect("it ends");
        assert_eq!(result.is_ok(), size == 4);
        drop(result);
        time.run();
        assert_eq!((pool.stats().used, pool.stats().opening), (0, 0));
        // The pool and its manager have each other.
        pool.manager().pool.take();
    }
}

#[test]
fn a_connection_whose_drop_calls_the_pool_finds_it_in_order() {
    type Own = NullPool<Dropping, VirtualTime>;
    struct Dropping(RefCell<Option<Own>>);
    struct Noisy(Option<Own>);
    impl Drop for Noisy {
        fn drop(&mut self) {
            if let Some(pool) = &self.0 {
                drop(pool.dispose());
                let _ = (pool.stats(), pool.status());
            }
        }
    }
    impl Manager for Dropping {
        type Connection = Noisy;
        type Error = Failure;

        async fn open(&self, _: Watch<Self>) -> Result<Noisy, Failure> {
            Ok(Noisy(self.0.borrow().clone()))
        }
    }
    let time = VirtualTime::new();
    let pool = NullPool::builder(Dropping(RefCell::default())).build_on(time.clone()).unwrap();
    *pool.manager().0.borrow_mut() = Some(pool.clone());
    for _ in 0..3 {
        drop(time.run_until(pool.connect()).unwrap().ok());
        time.run();
    }
    assert_eq!(pool.stats().total, 0);
    pool.manager().0.take();
}

#[test]
fn a_waiter_may_be_polled_by_another_task_than_before() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let mut waiter: crate::fakes::Waiter<'static> = {
        let pool = pool.clone();
        Box::pin(async move { pool.connect().await })
    };
    assert!(world.time.poll_once(waiter.as_mut()).is_pending());
    let served = Rc::new(Cell::new(false));
    let flag = served.clone();
    world.time.spawn(Box::pin(async move {
        drop(waiter.await.unwrap());
        flag.set(true);
    }));
    world.time.run();
    drop(held);
    world.time.run();
    assert!(served.get());
}
