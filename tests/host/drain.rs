//! A close that serves the callers that came before it.

use crate::fakes::{Of, Script, World};
use edgepool::{Error, Patience, Queue};
use std::pin::pin;
use std::time::Duration;

fn draining(ms: u64) -> Patience {
    Patience { time: Some(Duration::from_millis(ms)), drain: true }
}

fn drain(pool: &Of<Queue>) -> impl Future<Output = ()> {
    pool.close_within(draining(10_000))
}

#[test]
fn an_empty_pool_closes_at_once_without_a_clock() {
    let world = World::new();
    let pool = world.queue(1);
    let readings = world.time.readings();
    assert!(world.poll(pin!(drain(&pool))).is_some());
    assert_eq!(world.time.readings(), readings);
}

#[test]
fn waiters_are_served_in_order_on_the_open_connections_and_after_the_last_return_they_are_closed() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let first = world.wait(&pool);
    let mut second = world.wait(&pool);
    let mut closing = pin!(drain(&pool));
    assert!(world.poll(closing.as_mut()).is_none());
    drop(held);
    assert!(world.waits(&mut second));
    drop(world.served(first));
    drop(world.served(second));
    assert!(world.poll(closing).is_some());
    assert_eq!(world.trace(), "open, close 0");
}

#[test]
fn a_later_caller_is_refused_at_once_with_the_error_of_a_closed_pool() {
    let world = World::new();
    let pool = world.queue(1);
    let _held = world.connect(&pool);
    let _ = world.poll(pin!(drain(&pool)));
    assert!(matches!(world.poll(pin!(pool.connect())), Some(Err(Error::Closed { .. }))));
}

#[test]
fn a_caller_whose_connection_is_being_opened_gets_it() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::takes(5)]);
    let waiter = world.wait(&pool);
    let mut closing = pin!(drain(&pool));
    assert!(world.poll(closing.as_mut()).is_none());
    world.pass(5);
    drop(world.served(waiter));
    assert!(world.poll(closing).is_some());
}

#[test]
fn an_opening_is_dropped_when_the_close_has_ended_and_not_before() {
    for (drain, is_dropped) in [(true, false), (true, true), (false, false), (false, true)] {
        let world = World::new();
        let pool = world.listened::<Queue>(|builder| builder.driver_timeout(None));
        world.opens([Script::Hangs]);
        let mut caller = world.wait(&pool);
        let mut closing = Box::pin(pool.close_within(Patience { drain, ..draining(2_000) }));
        assert!(world.poll(closing.as_mut()).is_none());
        // It goes on in the background.
        let mut closing = (!is_dropped).then_some(closing);
        world.pass(1_999);
        assert_eq!(world.log.opening.get(), 1);
        world.pass(50);
        assert_eq!((world.log.opening.get(), world.time.timers()), (0, 0));
        assert!(closing.as_mut().is_none_or(|closing| world.poll(closing.as_mut()).is_some()));
        assert!(matches!(world.poll(caller.as_mut()), Some(Err(Error::Closed { .. }))));
        assert_eq!((world.trace().as_str(), pool.stats().total), ("open", 0));
    }
}

#[test]
fn an_opening_of_warm_that_the_close_did_not_wait_for_refuses_warm() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.driver_timeout(None));
    world.opens([Script::Hangs]);
    let mut warming = pin!(pool.warm(1));
    assert!(world.poll(warming.as_mut()).is_none());
    world.run(pool.close_within(draining(20)));
    assert!(matches!(world.poll(warming), Some(Err(Error::Closed { .. }))));
    assert_eq!((world.log.opening.get(), pool.stats().total), (0, 0));
}

#[test]
fn a_caller_whose_ping_finds_a_dead_connection_gets_another_one() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).pre_ping(true));
    drop(world.connect(&pool));
    world.pings([Script::Takes(5, Box::new(Script::Dead))]);
    let waiter = world.wait(&pool);
    let mut closing = pin!(drain(&pool));
    assert!(world.poll(closing.as_mut()).is_none());
    world.pass(5);
    assert_eq!(world.served(waiter).number, 1);
    assert!(world.poll(closing).is_some());
}

#[test]
fn at_the_end_of_its_timeout_waiters_are_refused_leases_ended_and_openings_not_waited_for() {
    let world = World::new();
    let pool = world.queue(2);
    let lease = world.connect(&pool);
    world.opens([Script::Hangs]);
    let mut opening = world.wait(&pool);
    let mut waiter = world.wait(&pool);
    world.run(pool.close_within(draining(20)));
    world.assert_time(20.0);
    for waiter in [&mut opening, &mut waiter] {
        assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Closed { .. }))));
    }
    assert!(!lease.is_valid());
}

#[test]
fn a_later_call_without_drain_refuses_the_waiters_and_goes_on_with_its_own_or_the_first_timeout() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let mut waiter = world.wait(&pool);
    let mut first = pin!(drain(&pool));
    assert!(world.poll(first.as_mut()).is_none());
    let mut second = pin!(pool.close());
    assert!(world.poll(second.as_mut()).is_none());
    assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Closed { .. }))));
    drop(held);
    assert!(world.poll(first).is_some() && world.poll(second).is_some());
}

#[test]
fn a_later_call_with_drain_and_a_timeout_of_0_ends_it_now() {
    let world = World::new();
    let pool = world.queue(1);
    let _held = world.connect(&pool);
    let mut first = pin!(drain(&pool));
    assert!(world.poll(first.as_mut()).is_none());
    assert!(world.poll(pin!(pool.close_within(draining(0)))).is_some());
    assert!(world.poll(first).is_some());
}

#[test]
fn a_waiter_that_times_out_or_aborts_while_it_drains_leaves_and_the_close_does_not_wait_for_it() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).timeout(Duration::from_millis(50)));
    let held = world.connect(&pool);
    let mut late = world.wait(&pool);
    let leaving = world.wait(&pool);
    let mut closing = pin!(drain(&pool));
    assert!(world.poll(closing.as_mut()).is_none());
    drop(leaving);
    world.pass(60);
    assert!(matches!(world.poll(late.as_mut()), Some(Err(Error::Timeout(_)))));
    drop(held);
    assert!(world.poll(closing).is_some());
}

#[test]
fn a_creator_that_fails_refuses_its_caller_and_the_next_waiter_opens_its_own() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::Takes(5, Box::new(Script::Fails("no route")))]);
    let mut first = world.wait(&pool);
    let second = world.wait(&pool);
    let mut closing = pin!(drain(&pool));
    assert!(world.poll(closing.as_mut()).is_none());
    world.pass(5);
    assert!(matches!(world.poll(first.as_mut()), Some(Err(Error::Manager(_)))));
    drop(world.served(second));
    assert!(world.poll(closing).is_some());
}

#[test]
fn a_driver_that_never_answers_is_waited_for_until_the_timeout() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::Hangs]);
    let _waiter = world.wait(&pool);
    world.run(pool.close_within(draining(50)));
    world.assert_time(50.0);
}

#[test]
fn not_awaited_inside_use_it_lets_the_function_and_the_waiters_end_first() {
    let world = World::new();
    let pool = world.queue(1);
    let closing = world.run(pool.use_with(async |lease| {
        let mut closing = Box::pin(pool.close_within(draining(10_000)));
        assert!(world.time.poll_once(closing.as_mut()).is_pending());
        assert!(lease.is_valid());
        Ok::<_, Error<_>>(closing)
    }));
    assert!(world.poll(closing.unwrap().as_mut()).is_some());
    assert_eq!(pool.stats().total, 0);
}

// Not here: an opening has no signal. The pool drops its future.
// - the signal of an opening is aborted when the close has ended, and not before
//   = an_opening_is_dropped_when_the_close_has_ended_and_not_before
// Not here: a connection that its holder may be using is not touched under it. It is terminated when it comes back.
// - at the end of its timeout waiters are refused, leases terminated, and openings not waited for
//   = at_the_end_of_its_timeout_waiters_are_refused_leases_ended_and_openings_not_waited_for
// Not here: a pool of the Rust host has one scope.
// - each scope serves its own callers
// Not here: drain is a bool, which the compiler checks.
// - drain must be true or false, and a wrong value closes nothing
