//! `timeout`: how long a caller waits for a connection.

use crate::fakes::{Of, Script, Waiter, World};
use edgepool::{Error, Queue, TimeoutStep, Within};
use std::time::Duration;

fn pool(world: &World, timeout: impl Into<Option<Duration>>) -> Of<Queue> {
    world.pool(|builder| builder.pool_size(1).max_overflow(0).timeout(timeout))
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn own(time: Duration) -> Within {
    Within { timeout: Some(time), ..Within::default() }
}

#[test]
fn a_waiter_is_refused_after_the_timeout_with_the_pools_own_error() {
    let world = World::new();
    let pool = pool(&world, ms(5_000));
    let _held = world.connect(&pool);
    let error = world.refused(&pool);
    assert_eq!(error.code(), "ERR_POOL_TIMEOUT");
    world.assert_time(5_000.0);
    assert_eq!(pool.stats().timed_out, 1);
}

#[test]
fn a_timeout_of_any_length_is_never_early_and_late_by_at_most_a_fiftieth_or_10_ms() {
    for length in [1, 7, 60, 999, 30_000, 3_600_000] {
        for of_call in [false, true] {
            let world = World::new();
            let pool = pool(&world, if of_call { ms(1) } else { ms(length) });
            let _held = world.connect(&pool);
            let within = if of_call { own(ms(length)) } else { Within::default() };
            assert!(matches!(world.run(pool.connect_within(within)), Err(Error::Timeout(_))));
            world.assert_time(length as f64);
        }
    }
}

#[test]
fn each_of_many_waiters_that_come_at_odd_times_has_its_own_full_time() {
    let world = World::new();
    let pool = pool(&world, ms(1_000));
    let _held = world.connect(&pool);
    let mut waiters: Vec<(f64, Waiter<'_>)> = Vec::new();
    for at in 0..20 {
        waiters.push((world.time.now_ms(), world.wait(&pool)));
        world.pass(7 * at % 40);
    }
    while let Some((from_ms, mut waiter)) = (!waiters.is_empty()).then(|| waiters.remove(0)) {
        while world.poll(waiter.as_mut()).is_none() {
            world.pass(1);
        }
        let waited_ms = world.time.now_ms() - from_ms;
        assert!((1_000.0..=1_021.0).contains(&waited_ms), "{waited_ms}");
    }
}

#[test]
fn timeouts_of_single_calls_end_each_in_its_time_in_whatever_order_they_were_asked_for() {
    let world = World::new();
    let pool = pool(&world, None);
    let _held = world.connect(&pool);
    let mut waiters: Vec<(u64, Waiter<'_>)> =
        [300, 100, 200].map(|time| (time, Box::pin(pool.connect_within(own(ms(time)))) as Waiter<'_>)).into();
    for (_, waiter) in &mut waiters {
        assert!(world.waits(waiter));
    }
    waiters.sort_by_key(|(time, _)| *time);
    for (time, mut waiter) in waiters {
        while world.poll(waiter.as_mut()).is_none() {
            world.pass(1);
        }
        world.assert_time(time as f64);
    }
    assert_eq!(pool.stats().timed_out, 3);
}

#[test]
fn a_caller_that_is_served_in_time_is_not_refused_afterwards() {
    let world = World::new();
    let pool = pool(&world, ms(100));
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    world.pass(90);
    drop(held);
    world.pass(1_000);
    assert_eq!(world.served(waiter).number, 0);
}

#[test]
fn a_time_out_in_the_middle_of_the_queue_leaves_the_others_in_their_order() {
    let world = World::new();
    let pool = pool(&world, None);
    let held = world.connect(&pool);
    let first = world.wait(&pool);
    let mut middle: Waiter<'_> = Box::pin(pool.connect_within(own(ms(50))));
    assert!(world.waits(&mut middle));
    let mut last = world.wait(&pool);
    world.pass(60);
    assert!(matches!(world.poll(middle.as_mut()), Some(Err(Error::Timeout(_)))));
    drop(held);
    assert!(world.waits(&mut last));
    drop(world.served(first));
    drop(world.served(last));
}

#[test]
fn a_timeout_of_0_does_not_queue_at_all_an_idle_or_a_new_connection_or_the_error_at_once() {
    let world = World::new();
    let pool = pool(&world, Duration::ZERO);
    let lease = world.connect(&pool);
    assert!(matches!(world.refused(&pool), Error::Timeout(_)));
    assert_eq!((world.time.now_ms(), pool.stats().waited), (0.0, 0));
    drop(lease);
    drop(world.connect(&pool));
}

#[test]
fn a_calls_own_0_refuses_at_once_and_its_own_long_time_waits_on_whatever_the_pools_timeout() {
    let world = World::new();
    let pool = pool(&world, ms(100));
    let held = world.connect(&pool);
    assert!(matches!(world.run(pool.connect_within(own(Duration::ZERO))), Err(Error::Timeout(_))));
    assert_eq!(world.time.now_ms(), 0.0);
    let mut waiter: Waiter<'_> = Box::pin(pool.connect_within(own(Duration::MAX)));
    assert!(world.waits(&mut waiter));
    world.pass(100_000);
    assert!(world.waits(&mut waiter));
    drop(held);
    drop(world.served(waiter));
}

#[test]
fn a_timeout_of_null_waits_without_end_a_month_and_more() {
    let world = World::new();
    let pool = pool(&world, None);
    let held = world.connect(&pool);
    let mut waiter = world.wait(&pool);
    world.pass(40 * 24 * 3_600_000);
    assert!(world.waits(&mut waiter));
    drop(held);
    drop(world.served(waiter));
}

#[test]
fn the_timeout_covers_the_queue_not_the_opening() {
    let world = World::new();
    let pool = pool(&world, ms(100));
    world.opens([Script::takes(500)]);
    assert_eq!(world.connect(&pool).number, 0);
}

#[test]
fn the_timeout_ends_where_the_queue_ends_a_woken_waiter_may_open_for_longer() {
    let world = World::new();
    let pool = pool(&world, ms(100));
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    world.pass(90);
    world.opens([Script::takes(500)]);
    world.run(held.invalidate());
    world.pass(500);
    assert_eq!(world.served(waiter).number, 1);
}

#[test]
fn the_error_says_where_the_caller_stood_and_how_the_pool_did() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).timeout(ms(5_000)).name("orders"));
    let line = line!() + 1;
    let _held = world.run(pool.connect()).unwrap();
    let _other = world.wait(&pool);
    let Error::Timeout(timeout) = world.refused(&pool) else { panic!("it was in time") };
    assert_eq!((timeout.step, timeout.option, timeout.timeout_ms), (TimeoutStep::Wait, "timeout", 5_000.0));
    assert_eq!((timeout.stats.used, timeout.stats.max, timeout.counts.size), (1, 1.0, 1));
    let [held] = timeout.longest_held[..] else { panic!("one lease is out") };
    assert_eq!(held.taken_at.map(|taken_at| taken_at.line()), Some(line));
    let text = timeout.to_string();
    assert!(
        text.starts_with("no connection came free within 5000 ms (timeout) in the pool orders: 1 in use"),
        "{text}"
    );
    assert!(text.contains(&format!("(taken at {}:{line}:", file!())), "{text}");
}

#[test]
fn the_error_names_the_pools_timeout_or_the_calls_own_whichever_ran_out() {
    let world = World::new();
    let pool = pool(&world, ms(5_000));
    let _held = world.connect(&pool);
    let Err(Error::Timeout(timeout)) = world.run(pool.connect_within(own(ms(50)))) else { panic!("it was in time") };
    assert_eq!(timeout.timeout_ms, 50.0);
}

#[test]
fn the_error_lists_for_how_long_the_longest_held_leases_have_been_out_five_at_most() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(8).max_overflow(0).timeout(ms(1_000)));
    let _leases: Vec<_> = (0..8).map(|_| world.connect(&pool)).collect();
    let Error::Timeout(timeout) = world.refused(&pool) else { panic!("it was in time") };
    assert_eq!(timeout.longest_held.len(), 5);
    assert!(timeout.longest_held.iter().all(|held| held.ms >= 990), "{:?}", timeout.longest_held);
}

#[test]
fn max_waiters_refuses_one_caller_too_many_at_once_and_lets_the_next_in_when_a_place_is_free() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).max_waiters(1));
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    let Error::QueueFull { stats, .. } = world.refused(&pool) else { panic!("it has a place") };
    assert_eq!(stats.waiting, 1);
    drop(waiter);
    let waiter = world.wait(&pool);
    drop(held);
    drop(world.served(waiter));
}

#[test]
fn a_caller_that_would_be_refused_for_want_of_time_is_refused_so_even_if_the_queue_is_full() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).max_waiters(0));
    let _held = world.connect(&pool);
    assert!(matches!(world.run(pool.connect_within(own(Duration::ZERO))), Err(Error::Timeout(_))));
}

#[test]
fn a_duration_of_a_fraction_of_a_millisecond_is_rounded_up() {
    let world = World::new();
    let pool = pool(&world, Duration::from_micros(1_500));
    let _held = world.connect(&pool);
    world.refused(&pool);
    assert!(world.time.now_ms() >= 2.0);
}

#[test]
fn ten_thousand_waiters_that_time_out_together_all_do_and_the_pool_goes_on() {
    let world = World::new();
    let pool = pool(&world, ms(1_000));
    let held = world.connect(&pool);
    let mut waiters: Vec<_> = (0..10_000).map(|_| world.wait(&pool)).collect();
    world.pass(1_020);
    for waiter in &mut waiters {
        assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Timeout(_)))));
    }
    drop(held);
    drop(world.connect(&pool));
    assert_eq!((pool.stats().timed_out, pool.stats().waiting), (10_000, 0));
}
