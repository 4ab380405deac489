//! `deadline`: how long the whole of `connect()` may take.

use crate::fakes::{Of, Script, World};
use edgepool::{Error, Queue, TimeoutStep, Within};
use std::time::Duration;

/// The deadline is the pool's, the call's, or the call's over the pool's.
fn ways(world: &World, ms: u64) -> [(Of<Queue>, Within); 3] {
    let time = Duration::from_millis(ms);
    let own = Within { deadline: Some(time), ..Within::default() };
    let pool = |deadline: Option<Duration>| {
        world.listened::<Queue>(|builder| builder.pool_size(1).max_overflow(0).deadline(deadline))
    };
    [(pool(Some(time)), Within::default()), (pool(None), own), (pool(Some(Duration::from_secs(60))), own)]
}

fn refused_in(world: &World, pool: &Of<Queue>, within: Within, step: TimeoutStep, ms: f64) {
    let start_ms = world.time.now_ms();
    let Err(Error::Timeout(timeout)) = world.run(pool.connect_within(within)) else { panic!("it was in time") };
    assert_eq!((timeout.step, timeout.option, timeout.timeout_ms), (step, "deadline", ms));
    let took_ms = world.time.now_ms() - start_ms;
    assert!(took_ms >= ms && took_ms <= ms + 10.0, "{took_ms} in place of {ms}");
}

#[test]
fn the_deadline_ends_the_wait_in_the_queue() {
    for clock in [0, 12_345] {
        let world = World::new();
        world.pass(clock);
        for (pool, within) in ways(&world, 100) {
            let _held = world.connect(&pool);
            refused_in(&world, &pool, within, TimeoutStep::Wait, 100.0);
        }
    }
}

#[test]
fn the_deadline_ends_the_wait_for_a_creator_but_not_the_creator() {
    let world = World::new();
    for (pool, within) in ways(&world, 100) {
        world.opens([Script::takes(200)]);
        refused_in(&world, &pool, within, TimeoutStep::Open, 100.0);
        world.pass(100);
        assert_eq!(pool.stats().idle, 1);
    }
}

#[test]
fn the_deadline_counts_queue_and_opening_together() {
    let world = World::new();
    for (pool, within) in ways(&world, 100) {
        let held = world.connect(&pool);
        world.opens([Script::takes(80)]);
        let mut waiter = Box::pin(pool.connect_within(within));
        assert!(world.poll(waiter.as_mut()).is_none());
        world.pass(60);
        world.run(held.invalidate());
        world.pass(51);
        let Some(Err(Error::Timeout(timeout))) = world.poll(waiter.as_mut()) else { panic!("it was in time") };
        assert_eq!(timeout.step, TimeoutStep::Open);
    }
}

#[test]
fn an_idle_connection_needs_no_deadline_nothing_is_timed() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.deadline(Duration::from_millis(100)));
    drop(world.connect(&pool));
    world.time.run();
    drop(world.connect(&pool));
    world.pass(200);
    assert_eq!(world.time.timers(), 0);
}

#[test]
fn a_deadline_of_0_serves_callers_that_can_be_served_at_once_and_refuses_the_others() {
    let world = World::new();
    let pool = world.queue(1);
    let now = Within { deadline: Some(Duration::ZERO), ..Within::default() };
    let lease = world.run(pool.connect_within(now)).unwrap();
    assert!(matches!(world.run(pool.connect_within(now)), Err(Error::Timeout(_))));
    drop(lease);
    assert!(world.run(pool.connect_within(now)).is_ok());
}

#[test]
fn whichever_of_timeout_and_deadline_is_shorter_ends_the_wait_under_its_own_name() {
    for (timeout, deadline, name) in [(50, 100, "timeout"), (100, 50, "deadline")] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| {
            builder
                .pool_size(1)
                .max_overflow(0)
                .timeout(Duration::from_millis(timeout))
                .deadline(Duration::from_millis(deadline))
        });
        let _held = world.connect(&pool);
        let Error::Timeout(error) = world.refused(&pool) else { panic!("it was in time") };
        assert_eq!((error.option, error.timeout_ms), (name, 50.0));
    }
}

#[test]
fn whichever_of_driver_timeout_and_deadline_is_shorter_ends_the_opening_under_its_own_name() {
    for (driver, deadline, name) in [(50, 100, "driver_timeout"), (100, 50, "deadline")] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| {
            builder
                .driver_timeout(Duration::from_millis(driver))
                .open_retry(0)
                .deadline(Duration::from_millis(deadline))
        });
        world.opens([Script::Hangs]);
        let Error::Timeout(error) = world.refused(&pool) else { panic!("it was in time") };
        assert_eq!((error.step, error.option, error.timeout_ms), (TimeoutStep::Open, name, 50.0));
    }
}

#[test]
fn after_the_deadline_driver_timeout_still_bounds_the_opening_counted_from_its_start() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| {
        builder.driver_timeout(Duration::from_millis(100)).deadline(Duration::from_millis(50))
    });
    world.opens([Script::Hangs]);
    world.refused(&pool);
    assert_eq!(pool.stats().opening, 1);
    world.pass(60);
    assert_eq!(pool.stats().opening, 0);
}

#[test]
fn a_caller_that_is_served_before_the_deadline_keeps_the_lease_after_it() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.deadline(Duration::from_millis(50)));
    world.opens([Script::takes(20)]);
    let lease = world.connect(&pool);
    world.pass(100);
    assert!(lease.is_valid());
}

#[test]
fn deadlines_of_single_calls_end_each_in_its_time_in_whatever_order_they_were_asked_for() {
    let world = World::new();
    let pool = world.queue(1);
    let _held = world.connect(&pool);
    let times = [300, 100, 500, 200, 400];
    let mut waiters: Vec<_> = times
        .iter()
        .map(|&ms| {
            let within = Within { deadline: Some(Duration::from_millis(ms)), ..Within::default() };
            (ms, Box::pin(pool.connect_within(within)))
        })
        .collect();
    for (_, waiter) in &mut waiters {
        assert!(world.poll(waiter.as_mut()).is_none());
    }
    for end in [100, 200, 300, 400, 500] {
        world.pass(99);
        for (ms, waiter) in waiters.iter_mut().filter(|(ms, _)| *ms >= end) {
            assert!(world.poll(waiter.as_mut()).is_none(), "{ms} ended early");
        }
        world.pass(1);
        world.pass(if end == 500 { 10 } else { 0 });
    }
    assert_eq!(pool.stats().timed_out, 5);
}

#[test]
fn an_opening_whose_caller_ran_out_of_time_serves_the_next_waiter() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::takes(100)]);
    let within = Within { deadline: Some(Duration::from_millis(50)), ..Within::default() };
    assert!(matches!(world.run(pool.connect_within(within)), Err(Error::Timeout(_))));
    assert_eq!(world.connect(&pool).number, 0);
    assert_eq!(world.trace(), "open");
}

#[test]
fn an_opening_that_fails_after_its_caller_ran_out_of_time_is_logged_and_the_next_waiter_opens() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(1).max_overflow(0));
    world.opens([Script::Takes(100, Box::new(Script::Fails("no route")))]);
    let within = Within { deadline: Some(Duration::from_millis(50)), ..Within::default() };
    assert!(matches!(world.run(pool.connect_within(within)), Err(Error::Timeout(_))));
    let lease = world.connect(&pool);
    assert_eq!(lease.number, 0);
    assert!(world.trace().starts_with("open, error(open: no route), open, "));
}

#[test]
fn use_has_the_same_deadline() {
    let world = World::new();
    let pool = world.queue(1);
    let _held = world.connect(&pool);
    let within = Within { deadline: Some(Duration::from_millis(50)), ..Within::default() };
    let result = world.run(pool.use_within(within, async |_| Ok::<_, Error<_>>(())));
    assert!(matches!(result, Err(Error::Timeout(timeout)) if timeout.option == "deadline"));
    world.assert_time(50.0);
}
