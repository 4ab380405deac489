//! Callers that leave: a dropped `connect()` is what a signal is in JavaScript.

use crate::fakes::{Call, Script, World};
use std::cell::RefCell;
use std::pin::pin;
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
    let first = world.wait::<edgepool::Queue>(&pool);
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
fn an_abort_while_a_stale_connection_is_closed_opens_nothing_new_and_the_slot_is_free() {
    let world = World::new();
    let pool = world.listened(|builder| builder.pool_size(1).max_overflow(0));
    drop(world.connect::<edgepool::Queue>(&pool));
    pool.invalidate();
    // The caller leaves from within the listener of the close that comes before its opening.
    let slot: Rc<RefCell<Option<crate::fakes::Waiter<'static>>>> = Rc::default();
    let waiter = slot.clone();
    world.within(move |event| {
        if event == "closing" {
            drop(waiter.take());
        }
    });
    let own = pool.clone();
    let mut waiter: crate::fakes::Waiter<'static> = Box::pin(async move { own.connect().await });
    let _ = world.poll(waiter.as_mut());
    drop(waiter);
    drop(slot);
    world.time.run();
    assert_eq!(pool.stats().used, 0);
    drop(world.connect(&pool));
    assert_eq!(world.log.open.get(), 1);
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

#[test]
fn an_abort_at_any_moment_of_connect_and_close_cold_or_warm_a_whole_use_or_none() {
    for is_warm in [false, true] {
        for at in 0..4 {
            let world = World::new();
            let pool = world.queue(1);
            if is_warm {
                drop(world.connect(&pool));
            }
            world.opens([Script::takes(1)]);
            world.resets([Script::takes(1)]);
            let mut turns = 0;
            {
                let mut using = pin!(async {
                    let mut lease = pool.connect().await.unwrap();
                    lease.in_transaction = true;
                    lease.close().await;
                });
                while turns < at && world.poll(using.as_mut()).is_none() {
                    world.pass(1);
                    turns += 1;
                }
            }
            world.pass(100);
            let stats = pool.stats();
            assert_eq!((stats.used, stats.waiting, stats.opening), (0, 0, 0), "at {at}, warm: {is_warm}");
            assert_eq!(world.log.open.get(), stats.idle);
        }
    }
}

#[test]
fn an_abort_at_any_moment_of_the_replacement_of_a_stale_connection_either_way_the_same() {
    for ping in [Script::Dead, Script::Fails("lost")] {
        for at in 0..6 {
            let world = World::new();
            let pool = world.pool::<edgepool::Queue>(|builder| builder.pool_size(1).max_overflow(0).pre_ping(true));
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
