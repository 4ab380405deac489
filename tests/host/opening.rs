//! Callers whose connection is being opened.

use crate::fakes::{Script, World};
use edgepool::{Error, Queue, Within};
use std::time::Duration;

#[test]
fn a_connection_that_comes_back_serves_the_caller_of_an_opening_in_the_same_turn() {
    let world = World::new();
    let pool = world.queue(2);
    let held = world.connect(&pool);
    world.opens([Script::takes(50)]);
    let waiter = world.wait(&pool);
    drop(held);
    assert_eq!(world.served(waiter).number, 0);
    world.pass(50);
    assert_eq!(pool.stats().idle, 2);
}

#[test]
fn callers_of_openings_are_served_in_the_order_in_which_they_came_before_the_waiters() {
    let world = World::new();
    let pool = world.queue(3);
    let held = world.connect(&pool);
    world.opens([Script::Hangs, Script::Hangs]);
    let first = world.wait(&pool);
    let second = world.wait(&pool);
    let mut waiter = world.wait(&pool);
    drop(held);
    let lease = world.served(first);
    drop(lease);
    let lease = world.served(second);
    assert!(world.waits(&mut waiter));
    drop(lease);
    drop(world.served(waiter));
}

#[test]
fn an_error_of_the_creator_reaches_its_own_caller_and_error_listeners_if_that_one_was_served() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(3).max_overflow(0));
    let held = world.connect(&pool);
    world.opens([
        Script::Takes(10, Box::new(Script::Fails("first"))),
        Script::Takes(5, Box::new(Script::Fails("second"))),
    ]);
    let served = world.wait(&pool);
    let mut failing = world.wait(&pool);
    drop(held);
    let _lease = world.served(served);
    world.trace();
    world.pass(5);
    assert!(matches!(world.poll(failing.as_mut()), Some(Err(Error::Manager(error))) if error.0 == "second"));
    assert_eq!(world.trace(), "");
    world.pass(5);
    assert_eq!(world.trace(), "error(open: first)");
}

#[test]
fn what_comes_back_is_shown_to_the_checkout_listeners_for_the_caller_whose_opening_goes_on() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(2).max_overflow(0));
    let held = world.connect(&pool);
    world.opens([Script::takes(5)]);
    let waiter = world.wait(&pool);
    world.trace();
    drop(held);
    let _lease = world.served(waiter);
    world.pass(5);
    assert_eq!(world.trace(), "reset(0), checkin(0), checkout(0), connect(1)");
}

#[test]
fn a_caller_that_goes_on_with_what_came_back_keeps_its_deadline() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(2).max_overflow(0).pre_ping(true));
    let held = world.connect(&pool);
    world.opens([Script::Hangs]);
    world.pings([Script::Hangs]);
    let within = Within { deadline: Some(Duration::from_millis(100)), ..Within::default() };
    let mut waiter: crate::fakes::Waiter<'_> = Box::pin(pool.connect_within(within));
    assert!(world.waits(&mut waiter));
    drop(held);
    assert!(world.waits(&mut waiter));
    world.pass(111);
    let Some(Err(Error::Timeout(timeout))) = world.poll(waiter.as_mut()) else { panic!("it has more time") };
    assert_eq!(timeout.option, "deadline");
}

#[test]
fn a_lease_that_the_creator_itself_gives_back_serves_the_caller_of_that_creator() {
    for script in [Script::Ok, Script::takes(5)] {
        let world = World::new();
        let pool = world.queue(2);
        let lease = std::cell::RefCell::new(Some(world.connect(&pool)));
        *world.log.in_open.borrow_mut() = Some(Box::new(move || drop(lease.take())));
        world.opens([script]);
        let lease = world.connect(&pool);
        assert_eq!(lease.number, 0);
        world.pass(5);
        assert_eq!((pool.stats().used, pool.stats().idle, pool.stats().opening), (1, 1, 0));
    }
}

#[test]
fn a_caller_whose_connection_was_dead_keeps_its_place_while_another_is_opened() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).pre_ping(true));
    drop(world.connect(&pool));
    world.pings([Script::Dead]);
    world.opens([Script::takes(5)]);
    let first = world.wait(&pool);
    let mut second = world.wait(&pool);
    world.pass(5);
    assert!(world.waits(&mut second));
    let lease = world.served(first);
    assert_eq!(lease.number, 1);

    // What comes back goes to the first, though the opening of the second began before that of its second connection.
    let world = World::new();
    let pool = world
        .listened::<Queue>(|builder| builder.pool_size(5).max_overflow(0).reset_on_return(edgepool::ResetStyle::None));
    let held = world.connect(&pool);
    world.opens([Script::takes(5), Script::takes(50), Script::takes(50)]);
    let mut first = world.wait(&pool);
    let mut second = world.wait(&pool);
    world.listener_disconnects("checkout", "dead", false);
    world.pass(5);
    assert!(world.waits(&mut first));
    assert_eq!(world.log.calls.borrow().iter().filter(|call| **call == crate::fakes::Call::Open).count(), 4);
    drop(held);
    let lease = world.served(first);
    assert_eq!(lease.number, 0);
    assert!(world.waits(&mut second));
    world.pass(50);
    drop(world.served(second));
}

#[test]
fn a_caller_that_goes_on_with_what_came_back_may_leave() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(2).max_overflow(0).pre_ping(true));
    let held = world.connect(&pool);
    world.opens([Script::takes(50)]);
    world.pings([Script::Hangs]);
    let mut waiter = world.wait(&pool);
    drop(held);
    assert!(world.waits(&mut waiter));
    drop(waiter);
    world.pass(50);
    let stats = pool.stats();
    assert_eq!((stats.used, stats.opening, stats.waiting, stats.idle), (0, 0, 0, 1));
    assert_eq!(world.connect(&pool).number, 1);
}

// Not here: a caller without a signal leaves by its drop.
// - a caller that goes on with what came back keeps its signal and its deadline
//   = a_caller_that_goes_on_with_what_came_back_keeps_its_deadline
// - a signal that brings a connection back while it is listened to still aborts
//   = a_caller_that_goes_on_with_what_came_back_may_leave

// Not here: a listener returns, or panics, before anything else runs.
// - a connect listener that hangs binds no caller either
