//! Callers that leave: a dropped `connect()` is what a signal is in JavaScript.

use crate::fakes::{Call, Of, Script, World};
use edgepool::{Queue, Runtime};
use std::cell::Cell;
use std::pin::{Pin, pin};
use std::rc::Rc;

#[test]
fn an_abort_in_the_queue_leaves_the_counts_as_they_were_and_the_pool_works_on() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let before = pool.counts();
    let waiter = world.wait(&pool);
    drop(waiter);
    assert_eq!((pool.counts(), pool.stats().waiting, pool.stats().aborted), (before, 0, 1));
    drop(held);
    assert_eq!(world.connect(&pool).number, 0);
}

#[test]
fn an_abort_while_opening_rejects_now_the_connection_that_then_arrives_becomes_idle() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::takes(10)]);
    drop(world.wait(&pool));
    assert_eq!((pool.stats().opening, pool.stats().aborted), (1, 1));
    world.pass(10);
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn an_abort_before_the_call_rejects_with_the_reason_and_nothing_is_opened_or_queued() {
    let world = World::new();
    let pool = world.queue(1);
    drop(pool.connect());
    assert_eq!(world.trace(), "");
    assert_eq!((pool.stats().total, pool.stats().aborted), (0, 0));
}

#[test]
fn an_abort_in_the_tick_of_the_return_before_it_the_waiter_is_refused_the_connection_idle() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    drop(world.wait(&pool));
    drop(held);
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn an_abort_in_the_tick_of_the_return_after_it_the_connection_is_idle_again() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    drop(held);
    assert_eq!(pool.stats().used, 1);
    drop(waiter);
    assert_eq!((pool.stats().idle, pool.stats().used), (1, 0));
}

#[test]
fn an_abort_between_the_wake_up_and_the_opening_rejects_opens_nothing_and_passes_the_place_on() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let first = world.wait(&pool);
    let second = world.wait(&pool);
    // Without a poll of the first: it is woken, and has not gone on.
    world.time.poll_once(pin!(held.invalidate()).as_mut()).is_ready();
    drop(first);
    assert_eq!(world.served(second).number, 1);
    assert_eq!(world.log.take().iter().filter(|call| **call == Call::Open).count(), 2);
}

#[test]
fn an_abort_between_the_wake_up_and_the_opening_with_no_waiter_behind_gives_the_place_back() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    world.time.poll_once(pin!(held.invalidate()).as_mut()).is_ready();
    drop(waiter);
    assert_eq!(world.trace(), "open, terminate 0");
    assert_eq!(pool.stats().opening, 0);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn an_abort_while_opening_the_connection_that_arrives_goes_to_the_next_waiter() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::takes(10)]);
    let first = world.wait(&pool);
    let second = world.wait(&pool);
    drop(first);
    world.pass(10);
    assert_eq!(world.served(second).number, 0);
    assert_eq!(world.trace(), "open");
}

#[test]
fn an_abort_while_opening_if_the_opening_then_fails_it_is_logged_and_the_next_waiter_opens() {
    let world = World::new();
    let pool = world.listened(|builder| builder.pool_size(1).max_overflow(0));
    world.opens([Script::Takes(10, Box::new(Script::Fails("no route")))]);
    let first = world.wait::<Queue>(&pool);
    let second = world.wait(&pool);
    drop(first);
    world.pass(10);
    let _lease = world.served(second);
    assert_eq!(world.trace(), "open, error(open: no route), open, first_connect(0), connect(0), checkout(0)");
}

#[test]
fn an_abort_in_the_same_tick_in_which_the_connection_arrives_loses_it_in_neither_order() {
    for drops_first in [true, false] {
        let world = World::new();
        let pool = world.queue(1);
        world.opens([Script::takes(10)]);
        let waiter = world.wait(&pool);
        if drops_first {
            drop(waiter);
            world.pass(10);
        } else {
            world.pass(10);
            drop(waiter);
        }
        world.time.run();
        assert_eq!((pool.stats().idle, pool.stats().total), (1, 1), "{drops_first}");
    }
}

#[test]
fn an_abort_while_a_stale_connection_is_terminated_nothing_new_is_opened_the_slot_is_free() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(1).max_overflow(0));
    let held = world.connect(&pool);
    pool.invalidate();
    let caller = world.leaver(&pool);
    let leaving = caller.clone();
    world.within(move |event| {
        if event == "closing" {
            drop(leaving.take());
        }
    });
    world.trace();
    drop(held);
    assert_eq!(world.trace(), "reset(0), checkin(0), closing(0), terminate 0, checkin()");
    assert!(caller.take().is_none(), "it is still there");
    let stats = pool.stats();
    assert_eq!((stats.total, stats.opening, stats.used, stats.aborted), (0, 0, 0, 1));
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn a_creator_that_aborts_its_own_caller_before_it_answers_the_connection_becomes_idle() {
    for script in [Script::Ok, Script::takes(1)] {
        let world = World::new();
        let pool = world.queue(1);
        let held = world.connect(&pool);
        let caller = world.leaver(&pool);
        let leaving = caller.clone();
        *world.log.in_open.borrow_mut() = Some(Box::new(move || drop(leaving.take())));
        world.opens([script]);
        world.run(held.invalidate());
        assert!(caller.take().is_none(), "it is still there");
        world.pass(1);
        let stats = pool.stats();
        assert_eq!((stats.idle, stats.used, stats.aborted), (1, 0, 1));
        assert_eq!(world.connect(&pool).number, 1);
    }
}

#[test]
fn a_creator_that_drops_its_own_caller_and_fails_its_error_is_reported_and_the_next_caller_opens() {
    for script in [Script::Fails("down"), Script::Takes(1, Box::new(Script::Fails("down")))] {
        let world = World::new();
        let pool = world.listened::<Queue>(|builder| builder.pool_size(1).max_overflow(0));
        let held = world.connect(&pool);
        let caller = world.leaver(&pool);
        *world.log.in_open.borrow_mut() = Some(Box::new(move || drop(caller.take())));
        world.opens([script]);
        world.run(held.invalidate());
        world.pass(1);
        assert!(world.trace().ends_with("open, error(open: down), checkin()"));
        let stats = pool.stats();
        assert_eq!((stats.total, stats.open_failed, stats.aborted), (0, 1, 1));
        drop(world.connect(&pool));
    }
}

#[test]
fn an_abort_after_the_checkout_changes_nothing() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::takes(1)]);
    // Of a new connection, then of an idle one, then of one that a waiter was handed.
    for is_handed in [false, false, true] {
        let held = is_handed.then(|| world.connect(&pool));
        let mut caller = Box::pin(pool.connect());
        assert!(!is_handed || world.poll(caller.as_mut()).is_none());
        drop(held);
        let mut lease = world.run(caller.as_mut()).unwrap();
        drop(caller);
        world.time.run();
        assert!(lease.is_valid());
        assert_eq!((pool.stats().used, pool.stats().aborted), (1, 0));
        lease.in_transaction = true;
        world.trace();
        world.close(lease);
        assert_eq!(world.trace(), "rollback 0");
        assert_eq!(pool.stats().idle, 1);
    }
}

#[test]
fn a_creator_whose_caller_is_dropped_before_it_answers_the_connection_becomes_idle() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::takes(1)]);
    world.poll_and_drop(pool.connect());
    world.pass(1);
    assert_eq!((pool.stats().idle, world.log.open.get()), (1, 1));
}

#[test]
fn an_abort_while_use_runs_its_function_returns_the_connection() {
    let world = World::new();
    let pool = world.queue(1);
    {
        let mut using = pin!(pool.use_with(async |lease| {
            lease.in_transaction = true;
            std::future::pending::<()>().await;
            Ok::<_, edgepool::Error<crate::fakes::Failure>>(())
        }));
        assert!(world.poll(using.as_mut()).is_none());
        assert_eq!(pool.stats().used, 1);
    }
    assert_eq!(world.trace(), "open, rollback 0");
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn an_aborted_caller_that_asks_again_at_once_stands_at_the_end_of_the_queue() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let first = world.wait(&pool);
    let second = world.wait(&pool);
    drop(first);
    let mut again = world.wait(&pool);
    drop(held);
    assert!(world.waits(&mut again));
    drop(world.served(second));
    drop(world.served(again));
}

type Using<'pool> = Pin<Box<dyn Future<Output = ()> + 'pool>>;

/// Drops one use after another, each a millisecond later, until one was over before. Every call takes a millisecond.
/// Once it has its connection that is reset, whenever it is dropped.
fn expect_abortable_everywhere(is_warm: bool, use_it: impl for<'a> Fn(&'a Of<Queue>, Rc<Cell<u32>>) -> Using<'a>) {
    let mut outcomes = Vec::new();
    while outcomes.last() != Some(&"over") {
        let world = World::new();
        let pool = world.listened::<Queue>(|builder| builder.pool_size(1).max_overflow(0).pre_ping(true));
        if is_warm {
            drop(world.connect(&pool));
        }
        world.trace();
        world.opens([Script::takes(1)]);
        world.pings([Script::takes(1)]);
        world.resets([Script::takes(1)]);
        let ran = Rc::new(Cell::new(0));
        let mut is_over = false;
        {
            let mut using = use_it(&pool, ran.clone());
            for turn in 0..=outcomes.len() {
                is_over = world.poll(using.as_mut()).is_some();
                world.pass(u64::from(turn < outcomes.len()));
            }
        }
        world.pass(100);
        let (note, trace) = (format!("dropped after {} ms", outcomes.len()), world.trace());
        let stats = pool.stats();
        assert_eq!((stats.used, stats.waiting, stats.opening), (0, 0, 0), "{note}: {trace}");
        assert_eq!(world.log.open.get(), stats.idle, "{note}: {trace}");
        assert_eq!(ran.get() as usize, trace.matches("rollback").count(), "{note}: {trace}");
        drop(world.connect(&pool));
        outcomes.push(match ran.get() {
            0 => "none",
            _ if is_over => "over",
            _ => "used",
        });
    }
    assert_eq!(outcomes, ["none", "used", "used", "over"]);
}

#[test]
fn an_abort_at_any_moment_of_use_on_a_warm_pool_the_result_or_none_and_no_loss() {
    expect_abortable_everywhere(true, |pool, ran| {
        Box::pin(async move {
            let work = pool.use_with(async |lease| {
                ran.set(ran.get() + 1);
                lease.in_transaction = true;
                Runtime::sleep(&pool.manager().time, 1).await;
                Ok::<_, edgepool::Error<crate::fakes::Failure>>(())
            });
            work.await.unwrap();
        })
    });
}

#[test]
fn an_abort_at_any_moment_of_connect_and_close_cold_or_warm_a_whole_use_or_none() {
    for is_warm in [false, true] {
        expect_abortable_everywhere(is_warm, |pool, ran| {
            Box::pin(async move {
                let mut lease = pool.connect().await.unwrap();
                ran.set(ran.get() + 1);
                lease.in_transaction = true;
                Runtime::sleep(&pool.manager().time, 1).await;
                lease.close().await;
            })
        });
    }
}

#[test]
fn an_abort_at_any_moment_of_the_replacement_of_a_stale_connection_either_way_the_same() {
    for ping in [Script::Dead, Script::Fails("lost")] {
        for at in 0..6 {
            let world = World::new();
            let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).pre_ping(true));
            drop(world.connect(&pool));
            world.pings([Script::Takes(1, Box::new(ping.clone()))]);
            world.opens([Script::takes(1)]);
            {
                let mut waiter = pin!(pool.connect());
                for _ in 0..at {
                    if world.poll(waiter.as_mut()).is_some() {
                        break;
                    }
                    world.pass(1);
                }
            }
            world.pass(100);
            let stats = pool.stats();
            assert_eq!((stats.used, stats.waiting, stats.opening), (0, 0, 0), "at {at}");
            assert_eq!(world.log.open.get(), stats.idle, "at {at}");
            drop(world.connect(&pool));
        }
    }
}

// Not here: a signal is JavaScript's. A caller leaves when its future is dropped, and then nothing is left that could
//   be refused with a reason.
// - an abort in the queue rejects with the signal's reason and leaves the queue
//   = an_abort_in_the_queue_leaves_the_counts_as_they_were_and_the_pool_works_on
// - the reason comes out as it is, whatever it is
// - without a reason it is the signal's own AbortError
// - an abort at any moment of use() on a warm pool: the reason or the result, no loss
//   = an_abort_at_any_moment_of_use_on_a_warm_pool_the_result_or_none_and_no_loss
// - an abort at any moment of connect() and close(), cold or warm: the reason or a whole use
//   = an_abort_at_any_moment_of_connect_and_close_cold_or_warm_a_whole_use_or_none
// - a creator that aborts its own caller and throws: the caller has the reason, the log the error
//   = a_creator_that_drops_its_own_caller_and_fails_its_error_is_reported_and_the_next_caller_opens
// Not here: a caller has its lease when its future has ended. Dropped before that, it gives the connection back.
// - an abort in the tick of the return, after it: the lease is the waiter's and works
//   = an_abort_in_the_tick_of_the_return_after_it_the_connection_is_idle_again
// Not here: the function of use_with() is part of its future, and is dropped with it.
// - an abort while use() runs its function is the function's own matter
//   = an_abort_while_use_runs_its_function_returns_the_connection
// Not here: each future is dropped by itself. No signal has listeners, or callers that it reaches together.
// - a signal has one listener however many wait on it, and none when they are gone
// - a shared signal keeps its listener while one of its callers still waits
// - the listener is gone however the checkout ends
// - a waiter that asks again inside the abort is another caller: the abort does not reach it
//   = an_aborted_caller_that_asks_again_at_once_stands_at_the_end_of_the_queue
// - pools and scopes that wait on one signal have one listener together, which leaves with the last
// - an abort reaches every pool that waits on the signal, also those that a listener adds
// - a signal is waited on again after the last waiter has left
