//! The clock and the one timer.

use crate::fakes::{Script, World};
use edgepool::{Queue, Within};
use std::pin::pin;
use std::time::Duration;

#[test]
fn reading_numbers_uses_no_time() {
    let world = World::new();
    let pool = world.queue(1);
    let readings = world.time.readings();
    let _ = (pool.stats(), pool.counts(), pool.status(), pool.is_closed());
    assert_eq!((world.time.readings(), world.time.timers()), (readings, 0));
}

#[test]
fn while_no_caller_waits_for_anything_no_timer_runs_and_no_clock_is_read() {
    let world = World::new();
    let pool = world.queue(2);
    drop(world.connect(&pool));
    world.time.run();
    let readings = world.time.readings();
    for _ in 0..100 {
        drop(world.connect(&pool));
    }
    assert_eq!((world.time.readings(), world.time.timers()), (readings, 0));
}

#[test]
fn one_timer_serves_every_waiter_opening_and_reset_whatever_their_times() {
    let world = World::new();
    let pool = world.queue(2);
    let _held = world.connect(&pool);
    world.opens([Script::Hangs]);
    let _opening = world.wait(&pool);
    let mut waiters: Vec<_> = (1..50)
        .map(|at| {
            let within = Within { timeout: Some(Duration::from_secs(at)), ..Within::default() };
            Box::pin(pool.connect_within(within))
        })
        .collect();
    for waiter in &mut waiters {
        assert!(world.poll(waiter.as_mut()).is_none());
    }
    world.time.run();
    assert_eq!(world.time.timers(), 1);
}

#[test]
fn the_timer_is_gone_when_the_last_waiter_is_served_refused_or_aborted() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let leaving = world.wait(&pool);
    let served = world.wait(&pool);
    world.time.run();
    assert_eq!(world.time.timers(), 1);
    drop(leaving);
    drop(held);
    let lease = world.served(served);
    world.pass(30_000);
    assert_eq!(world.time.timers(), 0);
    drop(lease);
}

#[test]
fn a_timer_ends_with_its_pool() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.idle_timeout(Duration::from_secs(60)));
    drop(world.connect(&pool));
    world.time.run();
    assert_eq!(world.time.timers(), 1);
    drop(pool);
    world.time.run();
    assert_eq!((world.time.timers(), world.log.open.get()), (0, 0));
}

#[test]
fn a_checkout_that_is_served_at_once_reads_the_clock_only_for_a_deadline_that_is_finite() {
    let world = World::new();
    let pool = world.queue(1);
    drop(world.connect(&pool));
    let readings = world.time.readings();
    drop(world.run(pool.connect()).unwrap());
    assert_eq!(world.time.readings(), readings);
    let within = Within { deadline: Some(Duration::from_secs(1)), ..Within::default() };
    drop(world.run(pool.connect_within(within)).unwrap());
    assert!(world.time.readings() > readings);
}

#[test]
fn timers_that_fire_late_do_no_harm() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    world.time.block(Duration::from_secs(29));
    world.pass(500);
    drop(held);
    drop(world.served(waiter));
}

#[test]
fn a_constructor_sets_no_timer_and_opens_nothing() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.min(3).idle_timeout(Duration::from_secs(1)));
    world.time.run();
    assert_eq!((world.time.timers(), world.trace().as_str()), (0, ""));
    assert!(world.poll(pin!(pool.close())).is_some());
}
