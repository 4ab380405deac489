//! `driver_timeout`: how long one call into the manager may take. A call that takes longer is dropped.

use crate::fakes::{Of, Script, World};
use edgepool::{Error, Queue, TimeoutStep};
use std::time::Duration;

fn pool(world: &World, ms: u64) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(1).max_overflow(0).driver_timeout(Duration::from_millis(ms)))
}

#[test]
fn an_opening_that_takes_too_long_refuses_its_caller_in_time_and_frees_its_slot() {
    let world = World::new();
    let pool = pool(&world, 100);
    world.opens([Script::Hangs]);
    let Error::Timeout(timeout) = world.refused(&pool) else { panic!("it opened") };
    assert_eq!((timeout.step, timeout.option, timeout.timeout_ms), (TimeoutStep::Open, "driver_timeout", 100.0));
    world.assert_time(100.0);
    assert_eq!(pool.stats().total, 0);
}

#[test]
fn openings_of_any_length_are_ended_neither_early_nor_late() {
    for ms in [1, 7, 50, 333, 5_000] {
        let world = World::new();
        let pool = pool(&world, ms);
        world.opens([Script::takes(ms as u32 - 1), Script::Hangs]);
        drop(world.connect(&pool));
        world.run(pool.dispose());
        let start_ms = world.time.now_ms();
        assert!(matches!(world.refused(&pool), Error::Timeout(_)));
        let took_ms = world.time.now_ms() - start_ms;
        assert!(took_ms >= ms as f64 && took_ms <= ms as f64 + (ms as f64 / 50.0).max(10.0), "{ms}: {took_ms}");
    }
}

#[test]
fn the_next_waiter_is_served_as_soon_as_the_slot_is_free() {
    let world = World::new();
    let pool = pool(&world, 50);
    world.opens([Script::Hangs]);
    let _first = world.wait(&pool);
    let second = world.wait(&pool);
    world.pass(60);
    assert_eq!(world.served(second).number, 0);
}

#[test]
fn waiters_behind_a_server_that_hangs_are_refused_one_after_the_other_each_in_its_own_time() {
    let world = World::new();
    let pool = pool(&world, 50);
    world.opens([Script::Hangs, Script::Hangs, Script::Hangs]);
    let mut waiters = [world.wait(&pool), world.wait(&pool), world.wait(&pool)];
    for waiter in &mut waiters {
        world.pass(60);
        assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Timeout(_)))));
    }
}

#[test]
fn a_connection_that_would_open_too_late_is_not_opened_and_no_caller_gets_it() {
    let world = World::new();
    let pool = pool(&world, 50);
    world.opens([Script::takes(80)]);
    world.refused(&pool);
    world.pass(200);
    assert_eq!(world.trace(), "open, error(open: late)");
    assert_eq!(world.log.open.get(), 0);
}

#[test]
fn an_opening_that_fails_too_late_is_quiet_the_log_has_it_already() {
    let world = World::new();
    let pool = pool(&world, 50);
    world.opens([Script::Takes(80, Box::new(Script::Fails("down at last")))]);
    assert!(matches!(world.refused(&pool), Error::Timeout(_)));
    assert_eq!(world.trace(), "open, error(open: late)");
    world.pass(200);
    assert_eq!(world.trace(), "");
    assert_eq!((pool.stats().open_failed, pool.stats().total), (1, 0));
}

#[test]
fn an_opening_whose_caller_has_left_is_bounded_as_well() {
    let world = World::new();
    let pool = pool(&world, 50);
    world.opens([Script::Hangs]);
    drop(world.wait(&pool));
    world.pass(60);
    assert_eq!(pool.stats().opening, 0);
    assert_eq!(world.trace(), "open, error(open: late)");
}

#[test]
fn null_lets_a_creator_take_without_end() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.driver_timeout(None));
    world.opens([Script::takes(100_000_000)]);
    drop(world.connect(&pool));
}

#[test]
fn a_ping_and_a_reset_and_a_close_are_bounded_too() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| {
        builder.pool_size(1).max_overflow(0).driver_timeout(Duration::from_millis(50)).pre_ping(true)
    });
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::Hangs]);
    world.close(lease);
    drop(world.connect(&pool));
    world.pings([Script::Hangs]);
    assert_eq!(world.connect(&pool).number, 2);
    world.closes([Script::Hangs]);
    world.run(pool.close());
    assert_eq!(pool.stats().total, 0);
}

#[test]
fn in_a_slot_that_was_there_before_an_opening_that_takes_too_long_leaves_it_emptied_for_the_next() {
    let world = World::new();
    let pool = pool(&world, 50);
    world.run(world.connect(&pool).invalidate());
    world.opens([Script::Hangs]);
    world.refused(&pool);
    assert_eq!((pool.stats().total, pool.counts().checked_in), (0, 1));
    assert_eq!(world.connect(&pool).number, 1);
}

// Not here: an opening that runs out of its time is dropped, so nothing of it arrives later.
// - a connection that opens too late is closed, once, and no caller gets it
//   = a_connection_that_would_open_too_late_is_not_opened_and_no_caller_gets_it
// - the close of a connection that opened too late may fail or hang and costs nothing
//   = a_connection_that_would_open_too_late_is_not_opened_and_no_caller_gets_it
// - a creator that answers nothing too late is quiet too
// Not here: terminate() takes no time.
// - the termination of a stale connection is bounded, and the opening after it has its own time
// - what a listener threw reaches the caller, though the termination that it brings about hangs
//   = a_listener_that_fails_on_a_new_connection_terminates_it_once_and_the_slot_is_gone
// Not here: a pool has one listener, which takes no time, and there are no finalizers.
// - listeners and finalizers that were to follow one that took too long do not run later
