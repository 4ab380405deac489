//! `deadline`: how long the whole of `connect()` may take.

use crate::fakes::{Of, Script, Waiter, World};
use edgepool::{Error, Queue, TimeoutStep, Within};
use std::time::Duration;

/// Whose deadline it is: the pool's, the call's, or the call's while the pool has a longer one.
#[derive(Clone, Copy)]
enum Way {
    Pools,
    Calls,
    Over,
}

/// A pool of one connection, and a call, whose deadline is 100 ms.
fn timed(world: &World, way: Way) -> (Of<Queue>, Within) {
    let time = Duration::from_millis(100);
    let (pools, calls) = match way {
        Way::Pools => (Some(time), None),
        Way::Calls => (None, Some(time)),
        Way::Over => (Some(Duration::from_secs(60)), Some(time)),
    };
    let pool = world.listened::<Queue>(|builder| builder.pool_size(1).max_overflow(0).open_retry(0).deadline(pools));
    (pool, Within { deadline: calls, ..Within::default() })
}

fn refused_in(world: &World, pool: &Of<Queue>, within: Within, step: TimeoutStep) {
    let start_ms = world.time.now_ms();
    let Err(Error::Timeout(timeout)) = world.run(pool.connect_within(within)) else { panic!("it was in time") };
    assert_eq!((timeout.step, timeout.option, timeout.timeout_ms), (step, "deadline", 100.0));
    assert!(timeout.to_string().contains("within 100 ms (deadline)"), "{timeout}");
    expect_in_time(world, start_ms);
}

fn expect_in_time(world: &World, start_ms: f64) {
    let took_ms = world.time.now_ms() - start_ms;
    assert!((100.0..=110.0).contains(&took_ms), "{took_ms}");
}

fn queue(world: &World, pool: &Of<Queue>, within: Within) {
    let _held = world.connect(pool);
    refused_in(world, pool, within, TimeoutStep::Wait);
    assert_eq!((pool.stats().timed_out, pool.stats().waiting), (1, 0));
}

fn opening(world: &World, pool: &Of<Queue>, within: Within) {
    world.opens([Script::takes(200)]);
    refused_in(world, pool, within, TimeoutStep::Open);
    let stats = pool.stats();
    assert_eq!((stats.timed_out, stats.opening, stats.open_failed), (1, 1, 0));
    world.pass(100);
    let stats = pool.stats();
    assert_eq!((stats.opening, stats.idle, stats.opened), (0, 1, 1));
    assert_eq!(world.connect(pool).number, 0);
}

fn queue_and_opening(world: &World, pool: &Of<Queue>, within: Within) {
    let held = world.connect(pool);
    world.opens([Script::Hangs]);
    let start_ms = world.time.now_ms();
    let mut waiter = Box::pin(pool.connect_within(within));
    assert!(world.poll(waiter.as_mut()).is_none());
    world.pass(70);
    let _detached = held.detach().unwrap();
    world.time.run();
    assert_eq!((pool.stats().opening, pool.stats().waiting), (1, 0));
    let Err(Error::Timeout(timeout)) = world.run(waiter) else { panic!("it was in time") };
    assert_eq!((timeout.step, timeout.timeout_ms), (TimeoutStep::Open, 100.0));
    expect_in_time(world, start_ms);
}

/// The end of the connection that is replaced takes time in its listener, which blocks the thread.
fn replacement(world: &World, pool: &Of<Queue>, within: Within) {
    drop(world.connect(pool));
    pool.invalidate();
    let time = world.time.clone();
    world.within(move |event| {
        if event == "closing" {
            time.block(Duration::from_millis(60));
        }
    });
    world.opens([Script::Hangs]);
    refused_in(world, pool, within, TimeoutStep::Open);
}

macro_rules! each_way {
    ($($rule:ident { $($name:ident: $way:ident, $clock:literal;)* })*) => {
        $($(#[test]
        fn $name() {
            let world = World::new();
            world.pass($clock);
            let (pool, within) = timed(&world, Way::$way);
            $rule(&world, &pool, within);
        })*)*
    };
}

each_way! {
    queue {
        the_pools_deadline_ends_the_wait_in_the_queue_clock_at_0: Pools, 0;
        the_pools_deadline_ends_the_wait_in_the_queue_clock_at_12345: Pools, 12_345;
        the_calls_deadline_ends_the_wait_in_the_queue_clock_at_0: Calls, 0;
        the_calls_deadline_ends_the_wait_in_the_queue_clock_at_12345: Calls, 12_345;
        the_calls_over_the_pools_deadline_ends_the_wait_in_the_queue_clock_at_0: Over, 0;
        the_calls_over_the_pools_deadline_ends_the_wait_in_the_queue_clock_at_12345: Over, 12_345;
    }
    opening {
        the_pools_deadline_ends_the_wait_for_a_creator_but_not_the_creator_clock_at_0: Pools, 0;
        the_pools_deadline_ends_the_wait_for_a_creator_but_not_the_creator_clock_at_12345: Pools, 12_345;
        the_calls_deadline_ends_the_wait_for_a_creator_but_not_the_creator_clock_at_0: Calls, 0;
        the_calls_deadline_ends_the_wait_for_a_creator_but_not_the_creator_clock_at_12345: Calls, 12_345;
        the_calls_over_the_pools_deadline_ends_the_wait_for_a_creator_but_not_the_creator_clock_at_0: Over, 0;
        the_calls_over_the_pools_deadline_ends_the_wait_for_a_creator_but_not_the_creator_clock_at_12345: Over, 12_345;
    }
    queue_and_opening {
        the_pools_deadline_counts_queue_and_opening_together_clock_at_0: Pools, 0;
        the_pools_deadline_counts_queue_and_opening_together_clock_at_12345: Pools, 12_345;
        the_calls_deadline_counts_queue_and_opening_together_clock_at_0: Calls, 0;
        the_calls_deadline_counts_queue_and_opening_together_clock_at_12345: Calls, 12_345;
        the_calls_over_the_pools_deadline_counts_queue_and_opening_together_clock_at_0: Over, 0;
        the_calls_over_the_pools_deadline_counts_queue_and_opening_together_clock_at_12345: Over, 12_345;
    }
    replacement {
        the_pools_deadline_counts_a_replacements_end_and_opening_together_clock_at_0: Pools, 0;
        the_pools_deadline_counts_a_replacements_end_and_opening_together_clock_at_12345: Pools, 12_345;
        the_calls_deadline_counts_a_replacements_end_and_opening_together_clock_at_0: Calls, 0;
        the_calls_deadline_counts_a_replacements_end_and_opening_together_clock_at_12345: Calls, 12_345;
        the_calls_over_the_pools_deadline_counts_a_replacements_end_and_opening_together_clock_at_0: Over, 0;
        the_calls_over_the_pools_deadline_counts_a_replacements_end_and_opening_together_clock_at_12345: Over, 12_345;
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
fn the_longest_duration_is_no_deadline_even_in_a_pool_that_has_one() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| {
        builder.pool_size(1).max_overflow(0).timeout(None).deadline(Duration::from_millis(100))
    });
    let held = world.connect(&pool);
    let within = Within { deadline: Some(Duration::MAX), ..Within::default() };
    let mut patient: Waiter<'_> = Box::pin(pool.connect_within(within));
    assert!(world.waits(&mut patient));
    let mut hasty = world.wait(&pool);
    world.pass(10_000_000);
    assert!(matches!(world.poll(hasty.as_mut()), Some(Err(Error::Timeout(_)))));
    assert!(world.waits(&mut patient));
    drop(held);
    drop(world.served(patient));
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

// Not here: in a Within, None stands for the pool's own deadline.
// - null is no deadline, even in a pool that has one
//   = the_longest_duration_is_no_deadline_even_in_a_pool_that_has_one
