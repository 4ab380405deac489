//! `open_timeout`: how long one opening may take.

use crate::fakes::{Script, World};
use edgepool::{Error, Queue};
use std::time::Duration;

#[test]
fn an_opening_ends_in_its_time_and_a_reset_has_driver_timeout() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| {
        builder
            .pool_size(1)
            .max_overflow(0)
            .open_timeout(Duration::from_millis(50))
            .driver_timeout(Duration::from_millis(500))
    });
    world.opens([Script::Hangs]);
    let Error::Timeout(timeout) = world.refused(&pool) else { panic!("it opened") };
    assert_eq!((timeout.option, timeout.timeout_ms), ("open_timeout", 50.0));
    world.assert_time(50.0);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::Hangs]);
    drop(lease);
    world.pass(400);
    assert_eq!(pool.stats().returning, 1);
    world.pass(120);
    assert_eq!(pool.stats().returning, 0);
}

#[test]
fn null_is_no_limit_and_without_it_the_opening_has_driver_timeout() {
    let world = World::new();
    let driver = Duration::from_millis(50);
    let pool = world.pool::<Queue>(|builder| builder.open_timeout(None).driver_timeout(driver));
    world.opens([Script::takes(10_000)]);
    drop(world.connect(&pool));
    let pool = world.pool::<Queue>(|builder| builder.driver_timeout(driver));
    world.opens([Script::Hangs]);
    assert!(matches!(world.refused(&pool), Error::Timeout(timeout) if timeout.option == "driver_timeout"));
}

#[test]
fn a_caller_that_leaves_aborts_no_creator() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.open_timeout(Duration::from_millis(50)));
    world.opens([Script::takes(20)]);
    drop(world.wait(&pool));
    world.pass(20);
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn a_creator_that_is_given_up_is_dropped_and_counts_no_more() {
    let world = World::new();
    let pool =
        world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).open_timeout(Duration::from_millis(50)));
    world.opens((0..5).map(|_| Script::Hangs));
    for _ in 0..5 {
        assert!(matches!(world.refused(&pool), Error::Timeout(_)));
    }
    assert_eq!((world.log.most_opening.get(), pool.stats().opening), (1, 0));
    drop(world.connect(&pool));
}
