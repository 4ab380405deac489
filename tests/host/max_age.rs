//! `max_age`: the age past which a connection ends as soon as no caller has it.

use crate::fakes::{Of, Script, World};
use edgepool::{Assertion, Null, PoolKind, Queue, Singleton, Static};
use std::time::Duration;

fn pool(world: &World, size: u32) -> Of<Queue> {
    world.pool(|builder| builder.pool_size(size).max_overflow(0).max_age(Duration::from_millis(1_000)))
}

#[test]
fn an_idle_connection_is_closed_at_its_age_and_not_before_however_often_it_was_used() {
    let world = World::new();
    let pool = pool(&world, 1);
    for _ in 0..3 {
        drop(world.connect(&pool));
        world.pass(333);
    }
    assert_eq!(pool.stats().idle, 1);
    world.pass(126);
    assert_eq!((pool.stats().idle, world.trace().as_str()), (0, "open, close 0"));
}

#[test]
fn a_connection_in_use_goes_on_and_is_closed_at_its_return_a_waiter_gets_another() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = world.connect(&pool);
    world.pass(1_500);
    assert!(lease.is_valid());
    let waiter = world.wait(&pool);
    drop(lease);
    assert_eq!(world.served(waiter).number, 1);
}

#[test]
fn after_a_freeze_no_caller_gets_a_connection_that_is_too_old() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    world.time.block(Duration::from_secs(60));
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn min_idle_keeps_no_connection_that_is_too_old_min_opens_another() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.max_age(Duration::from_millis(1_000)).min(1).min_idle(1));
    drop(world.connect(&pool));
    world.pass(1_200);
    assert_eq!((pool.stats().idle, pool.stats().opened), (1, 2));
}

#[test]
fn recycle_jitter_spreads_the_ages() {
    let world = World::new();
    let pool =
        world.pool::<Queue>(|builder| builder.pool_size(20).max_age(Duration::from_millis(10_000)).recycle_jitter(0.5));
    let leases: Vec<_> = (0..20).map(|_| world.connect(&pool)).collect();
    drop(leases);
    world.pass(4_900);
    assert_eq!(pool.stats().idle, 20);
    world.pass(2_600);
    let half = pool.stats().idle;
    assert!((1..20).contains(&half), "{half}");
    world.pass(2_900);
    assert_eq!(pool.stats().idle, 0);
}

#[test]
fn a_close_that_never_ends_keeps_its_slot_for_driver_timeout_and_no_longer() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| {
        builder.max_age(Duration::from_millis(1_000)).driver_timeout(Duration::from_millis(500))
    });
    drop(world.connect(&pool));
    world.closes([Script::Hangs]);
    world.pass(1_200);
    assert_eq!(pool.stats().closing, 1);
    world.pass(500);
    assert_eq!(pool.stats().closing, 0);
}

#[test]
fn no_timer_runs_once_the_pool_is_empty() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    world.pass(1_500);
    assert_eq!(world.time.timers(), 0);
}

fn ages<K: PoolKind>() {
    let world = World::new();
    let pool = world.pool::<K>(|builder| builder.max_age(Duration::from_millis(1_000)));
    drop(world.connect(&pool));
    world.pass(950);
    assert_eq!(pool.stats().idle, 1);
    world.pass(150);
    assert_eq!((pool.stats().total, pool.stats().opened), (0, 1));
    assert_eq!(world.trace(), "open, close 0");
    assert_eq!(world.time.timers(), 0);
}

#[test]
fn every_kind_that_keeps_a_connection_has_the_limit() {
    ages::<Static>();
    ages::<Singleton>();
    ages::<Assertion>();
    let world = World::new();
    let pool = world.pool::<Null>(|builder| builder.max_age(Duration::from_millis(1_000)));
    let _lease = world.connect(&pool);
    world.time.run();
    assert_eq!(world.time.timers(), 0);
}

#[test]
fn holders_of_a_shared_connection_keep_it_and_its_last_return_closes_it() {
    let world = World::new();
    let pool = world.pool::<Static>(|builder| builder.max_age(Duration::from_millis(1_000)));
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    world.pass(1_500);
    drop(first);
    assert_eq!(world.trace(), "open");
    assert!(second.is_valid());
    drop(second);
    assert!(world.trace().ends_with("close 0"));
}

// Not here: a runtime ends with the future that it runs, whatever task still sleeps.
// - the timer lets the process end, and no timer runs once the pool is empty =
//     no_timer_runs_once_the_pool_is_empty
