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

#[test]
fn an_opening_that_takes_too_long_is_reported_only_if_its_caller_has_left() {
    for leaves in [false, true] {
        let world = World::new();
        let pool = world.listened::<Queue>(|builder| builder.open_timeout(Duration::from_millis(50)));
        world.opens([Script::Hangs]);
        let mut waiter = world.wait(&pool);
        if leaves {
            drop(waiter);
            world.pass(60);
        } else {
            world.pass(60);
            assert!(world.poll(waiter.as_mut()).is_some_and(|result| result.is_err()));
        }
        assert_eq!(world.trace(), "open, error(open: late)", "{leaves}");
    }
}

#[test]
fn close_of_the_pool_leaves_no_opening_under_way_for_longer_than_its_time() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.open_timeout(Duration::from_millis(50)));
    world.opens([Script::Hangs, Script::Hangs]);
    let mut waiters = [world.wait(&pool), world.wait(&pool)];
    world.run(pool.close());
    for waiter in &mut waiters {
        assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Closed { .. }))));
    }
    world.assert_time(50.0);
    assert_eq!((pool.stats().total, world.time.timers()), (0, 0));
}

// Not here: an opening that is given up is dropped. It keeps no slot, has nothing to return later, and needs no signal.
// - an opening that takes too long serves the next caller, if the dialect wants that
// - if that opening fails in the end, the next caller has another one
// - the creator's signal is aborted by openTimeout, with the error that is reported
//   = an_opening_that_takes_too_long_is_reported_only_if_its_caller_has_left
// - close(), endScope() and a second scope: the signals of all openings are aborted, quietly
//   = close_of_the_pool_leaves_no_opening_under_way_for_longer_than_its_time
// - a signal that is read late is aborted already
// - creators that were given up count until they end = a_creator_that_is_given_up_is_dropped_and_counts_no_more
