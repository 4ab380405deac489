//! The end of a pool.

use crate::fakes::{Script, World};
use edgepool::{Error, Patience, Queue, Runtime};
use std::cell::{Cell, RefCell};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

fn within(ms: u64) -> Patience {
    Patience { time: Some(Duration::from_millis(ms)), drain: false }
}

#[test]
fn an_empty_pool_closes_at_once_without_a_clock() {
    let world = World::new();
    let pool = world.queue(1);
    let readings = world.time.readings();
    assert!(world.poll(pin!(pool.close())).is_some());
    assert_eq!((world.time.readings(), world.time.timers()), (readings, 0));
    assert!(pool.is_closed());
}

#[test]
fn idle_connections_are_closed_politely_without_a_reset_and_close_waits_for_them() {
    let world = World::new();
    let pool = world.queue(2);
    let leases = [(); 2].map(|()| world.connect(&pool));
    drop(leases);
    world.trace();
    world.closes([Script::takes(5), Script::takes(10)]);
    let mut closing = pin!(pool.close());
    assert!(world.poll(closing.as_mut()).is_none());
    assert_eq!(world.trace(), "close 0, close 1");
    world.pass(5);
    assert!(world.poll(closing.as_mut()).is_none());
    world.pass(5);
    assert!(world.poll(closing).is_some());
}

#[test]
fn a_caller_that_comes_after_it_gets_a_pool_closed_error_that_names_the_pool_and_nothing_is_opened() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.name("orders"));
    world.run(pool.close());
    let error = world.refused(&pool);
    assert_eq!(error.code(), "ERR_POOL_CLOSED");
    assert_eq!(error.to_string(), "the pool orders is closed: close() was called on it");
    assert_eq!(world.trace(), "");
}

#[test]
fn every_waiter_gets_a_pool_closed_error_in_order_and_no_caller_is_served_any_more() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let waiters = [world.wait(&pool), world.wait(&pool)];
    let mut closing = pin!(pool.close());
    assert!(world.poll(closing.as_mut()).is_none());
    for mut waiter in waiters {
        assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Closed { .. }))));
    }
    drop(held);
    assert!(world.poll(closing).is_some());
}

#[test]
fn a_waiter_that_was_woken_and_has_not_resumed_is_refused_too() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let mut waiter = world.wait(&pool);
    let _ = world.time.poll_once(pin!(held.invalidate()));
    world.run(pool.close());
    assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Closed { .. }))));
    assert_eq!(world.trace(), "open, terminate 0");
}

#[test]
fn it_waits_for_leases_each_is_reset_and_closed_at_its_return_and_with_the_last_it_is_over() {
    let world = World::new();
    let pool = world.queue(2);
    let [mut first, second] = [(); 2].map(|()| world.connect(&pool));
    first.in_transaction = true;
    let mut closing = pin!(pool.close());
    assert!(world.poll(closing.as_mut()).is_none());
    drop(first);
    assert!(world.poll(closing.as_mut()).is_none());
    drop(second);
    assert!(world.poll(closing).is_some());
    assert_eq!(world.trace(), "open, open, rollback 0, close 0, close 1");
}

#[test]
fn leases_that_are_not_back_within_the_timeout_are_ended_and_no_caller_waits_for_that() {
    let world = World::new();
    let pool = world.queue(2);
    let lease = world.connect(&pool);
    world.run(pool.close_within(within(50)));
    assert!(!lease.is_valid());
    world.assert_time(50.0);
    // A connection that its holder may be using is not touched under it.
    assert_eq!(world.trace(), "open");
    drop(lease);
    assert_eq!(world.trace(), "terminate 0");
}

#[test]
fn the_timeout_is_ten_seconds_or_what_is_given() {
    let world = World::new();
    let pool = world.queue(1);
    let _lease = world.connect(&pool);
    world.run(pool.close());
    world.assert_time(10_000.0);
}

#[test]
fn with_a_timeout_of_0_leases_are_ended_at_once_without_a_clock() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.driver_timeout(None));
    let lease = world.connect(&pool);
    let readings = world.time.readings();
    assert!(world.poll(pin!(pool.close_within(within(0)))).is_some());
    assert!(!lease.is_valid());
    assert_eq!((world.time.readings(), world.time.timers()), (readings, 0));
    drop(lease);
    assert_eq!(world.trace(), "open, terminate 0");
}

#[test]
fn no_timer_is_left_when_the_leases_are_back_before_the_timeout() {
    let world = World::new();
    let pool = world.queue(1);
    let lease = world.connect(&pool);
    let mut closing = pin!(pool.close());
    assert!(world.poll(closing.as_mut()).is_none());
    drop(lease);
    assert!(world.poll(closing).is_some());
    world.time.run();
    assert_eq!(world.time.timers(), 0);
}

#[test]
fn it_is_idempotent_each_call_ends_with_the_pool() {
    let world = World::new();
    let pool = world.queue(1);
    let lease = world.connect(&pool);
    let mut first = pin!(pool.close());
    let mut second = pin!(pool.close());
    assert!(world.poll(first.as_mut()).is_none() && world.poll(second.as_mut()).is_none());
    drop(lease);
    assert!(world.poll(first).is_some() && world.poll(second).is_some());
    assert!(world.poll(pin!(pool.close())).is_some());
}

#[test]
fn a_later_call_can_shorten_the_first_and_with_a_timeout_of_0_end_it_now() {
    for ms in [20, 0] {
        let world = World::new();
        let pool = world.queue(1);
        let _lease = world.connect(&pool);
        let mut first = pin!(pool.close());
        assert!(world.poll(first.as_mut()).is_none());
        world.run(pool.close_within(within(ms)));
        assert!(world.poll(first).is_some());
        world.assert_time(ms as f64);
    }
}

#[test]
fn a_later_call_never_lengthens_the_first_also_one_that_drains() {
    let world = World::new();
    let pool = world.queue(1);
    let _lease = world.connect(&pool);
    let mut first = pin!(pool.close_within(within(20)));
    assert!(world.poll(first.as_mut()).is_none());
    let later = Patience { time: Some(Duration::from_secs(60)), drain: true };
    world.run(pool.close_within(later));
    world.assert_time(20.0);
}

#[test]
fn a_listener_that_closes_the_pool_again_while_it_closes_hastens_it() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder);
    let [idle, held] = [(); 2].map(|()| world.connect(&pool));
    drop(idle);
    let (own, time, again) = (pool.clone(), world.time.clone(), Rc::new(Cell::new(0)));
    let calls = again.clone();
    world.within(move |event| {
        if event == "closing" && calls.replace(calls.get() + 1) == 0 {
            assert!(time.poll_once(pin!(own.close_within(within(0)))).is_ready());
        }
    });
    world.trace();
    world.run(pool.close_within(within(3_600_000)));
    assert_eq!((world.time.now_ms(), again.get()), (0.0, 2));
    assert!(!held.is_valid());
    drop(held);
    assert_eq!(world.trace(), "closing(0), close 0, closing(), terminate 1");
    assert_eq!(world.log.open.get(), 0);
}

#[test]
fn an_opening_under_way_refuses_its_caller_at_once_and_its_connection_is_closed_when_it_arrives() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::takes(5)]);
    let mut waiter = world.wait(&pool);
    let mut closing = pin!(pool.close());
    assert!(world.poll(closing.as_mut()).is_none());
    assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Closed { .. }))));
    world.pass(5);
    assert!(world.poll(closing).is_some());
    assert_eq!(world.log.open.get(), 0);
}

#[test]
fn an_opening_that_fails_after_its_caller_was_refused_is_logged_and_the_close_goes_on() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder);
    world.opens([Script::Takes(5, Box::new(Script::Fails("no route")))]);
    let _waiter = world.wait(&pool);
    world.run(pool.close());
    assert_eq!(world.trace(), "open, error(open: no route)");
}

#[test]
fn an_opening_that_outlives_the_timeout_is_not_waited_for_and_is_dropped() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::takes(100)]);
    let _waiter = world.wait(&pool);
    world.run(pool.close_within(within(20)));
    world.assert_time(20.0);
    assert_eq!(world.log.opening.get(), 0);
    world.pass(100);
    let stats = pool.stats();
    assert_eq!((world.log.open.get(), stats.opened, stats.total), (0, 0, 0));
}

#[test]
fn an_opening_that_outlives_driver_timeout_ends_with_it_and_the_close_is_over() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.driver_timeout(Duration::from_secs(5)));
    world.opens([Script::takes(6_000)]);
    let mut waiter = world.wait(&pool);
    world.run(pool.close());
    world.assert_time(5_000.0);
    assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Closed { .. }))));
    world.pass(2_000);
    assert_eq!((world.log.open.get(), pool.stats().opened, pool.stats().total), (0, 0, 0));
}

#[test]
fn a_replacement_under_way_opens_nothing_more() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(1).max_overflow(0));
    drop(world.connect(&pool));
    pool.invalidate();
    let (own, time) = (pool.clone(), world.time.clone());
    let closing = Rc::new(RefCell::new(None));
    let kept = closing.clone();
    world.within(move |event| {
        if event == "closing" {
            let pool = own.clone();
            let mut closes: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async move { pool.close().await });
            assert!(time.poll_once(closes.as_mut()).is_pending());
            kept.replace(Some(closes));
        }
    });
    world.trace();
    assert!(matches!(world.refused(&pool), Error::Closed { .. }));
    let closing = closing.take().expect("it has begun");
    assert!(world.poll(pin!(closing)).is_some());
    assert_eq!(world.trace(), "closing(0), terminate 0, checkin()");
    assert_eq!((world.log.open.get(), pool.stats().total), (0, 0));
}

#[test]
fn a_reset_under_way_is_waited_for_then_its_connection_is_closed() {
    let world = World::new();
    let pool = world.queue(1);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::takes(5)]);
    drop(lease);
    world.run(pool.close());
    assert_eq!((world.time.now_ms(), world.trace().as_str()), (5.0, "open, rollback 0, close 0"));
}

#[test]
fn a_connection_whose_reset_hangs_at_the_end_of_the_timeout_is_terminated() {
    let world = World::new();
    let pool = world.queue(1);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::Hangs]);
    drop(lease);
    world.run(pool.close_within(within(20)));
    assert_eq!(world.trace(), "open, rollback 0, terminate 0");
}

#[test]
fn it_settles_whatever_hangs_opening_reset_close_and_termination_at_once() {
    let world = World::new();
    let pool = world.queue(4);
    let [mut resetting, _out, idle] = [(); 3].map(|()| world.connect(&pool));
    resetting.in_transaction = true;
    world.resets([Script::Hangs]);
    world.closes([Script::Hangs]);
    world.opens([Script::Hangs]);
    drop(resetting);
    let mut opening = world.wait(&pool);
    drop(idle);
    // The connection that came back serves the caller of the opening.
    drop(world.poll(opening.as_mut()));
    world.run(pool.close_within(within(20)));
    world.assert_time(20.0);
}

#[test]
fn failing_closes_are_logged_and_it_resolves() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder);
    drop(world.connect(&pool));
    world.trace();
    world.closes([Script::Fails("bye")]);
    world.run(pool.close());
    assert_eq!(world.trace(), "closing(0), close 0, error(close: bye)");
}

#[test]
fn a_lease_may_be_invalidated_while_the_pool_drains() {
    let world = World::new();
    let pool = world.queue(1);
    let lease = world.connect(&pool);
    let mut closing = pin!(pool.close());
    assert!(world.poll(closing.as_mut()).is_none());
    world.run(lease.invalidate());
    assert!(world.poll(closing).is_some());
    assert_eq!(world.trace(), "open, terminate 0");
}

#[test]
fn a_lease_that_is_detached_while_the_pool_drains_is_no_longer_waited_for() {
    let world = World::new();
    let pool = world.queue(1);
    let lease = world.connect(&pool);
    let mut closing = pin!(pool.close());
    assert!(world.poll(closing.as_mut()).is_none());
    let detached = lease.detach().unwrap();
    assert!(world.poll(closing).is_some());
    world.run(detached.close());
    assert_eq!(world.trace(), "open, close 0");
}

#[test]
fn awaited_inside_use_it_waits_for_itself_until_its_timeout() {
    let world = World::new();
    let pool = world.queue(1);
    world
        .run(pool.use_with(async |_| {
            pool.close_within(within(30)).await;
            Ok::<_, Error<_>>(())
        }))
        .unwrap();
    world.assert_time(30.0);
    assert_eq!(pool.stats().total, 0);
}

#[test]
fn not_awaited_inside_use_it_lets_the_function_end_first() {
    let world = World::new();
    let pool = world.queue(1);
    let (result, mut closing) = world
        .run(pool.use_with(async |lease| {
            let mut closing = Box::pin(pool.close());
            assert!(world.time.poll_once(closing.as_mut()).is_pending());
            lease.in_transaction = true;
            Runtime::sleep(&world.time, 5).await;
            assert!(lease.is_valid());
            Ok::<_, Error<_>>(("result", closing))
        }))
        .unwrap();
    assert!(world.poll(closing.as_mut()).is_some());
    assert_eq!((result, world.trace().as_str()), ("result", "open, rollback 0, close 0"));
}

#[test]
fn the_numbers_stay_readable() {
    let world = World::new();
    let pool = world.queue(1);
    drop(world.connect(&pool));
    world.run(pool.close());
    assert_eq!((pool.stats().opened, pool.stats().total, pool.counts().checked_out), (1, 0, 0));
}

// Not here: a signal is JavaScript's; a dropped caller gets nothing.
// - a caller that has aborted already gets the signal's reason
// Not here: a connection that its holder may be using is not touched under it. It is terminated when it comes back.
// - leases that are not back within the timeout are terminated, and no caller waits for that
//   = leases_that_are_not_back_within_the_timeout_are_ended_and_no_caller_waits_for_that
// - with a timeout of 0 leases are terminated at once, without a clock
//   = with_a_timeout_of_0_leases_are_ended_at_once_without_a_clock
// Not here: each call has a future of its own.
// - it is idempotent: always the same promise, whatever the later calls ask for
//   = it_is_idempotent_each_call_ends_with_the_pool
// Not here: no drop can be awaited. The drop of a pool closes what is idle, and at its return what is lent.
// - the end of a scope closes the pool: Symbol.asyncDispose is close(), not dispose()
//   = what_is_idle_ends_with_a_pool_that_is_dropped
// Not here: an opening that runs out of its time, or that no close waits for any more, is dropped. Nothing arrives.
// - an opening that outlives the timeout is not waited for; its connection is closed when it arrives
//   = an_opening_that_outlives_the_timeout_is_not_waited_for_and_is_dropped
// - an opening that outlives driverTimeout and the close is closed when it arrives
//   = an_opening_that_outlives_driver_timeout_ends_with_it_and_the_close_is_over
// Not here: listeners take no time, and terminate() returns nothing, so it cannot fail.
// - a connection whose reset or reset listener hangs at the end of the timeout is terminated
//   = a_connection_whose_reset_hangs_at_the_end_of_the_timeout_is_terminated
// - failing closes and terminations are logged, and it resolves
//   = failing_closes_are_logged_and_it_resolves
