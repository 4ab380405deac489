//! Deaths that the driver reports: `Watch::died`.

use crate::fakes::{Failure, Of, Script, World, panics};
use edgepool::{Assertion, Error, Null, Patience, PoolKind, Queue, ResetStyle, Singleton, Static};
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

fn pool(world: &World, size: u32) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(size).max_overflow(0))
}

#[test]
fn an_idle_connection_that_dies_is_terminated_quietly_and_its_slot_ends() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    world.trace();
    world.dies(0, None);
    assert_eq!(world.trace(), "invalidate(0), closing(0), terminate 0");
    assert_eq!(pool.stats().total, 0);
}

#[test]
fn the_other_idle_connections_stay() {
    let world = World::new();
    let pool = pool(&world, 2);
    let leases = [(); 2].map(|()| world.connect(&pool));
    drop(leases);
    world.dies(0, None);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn a_connection_that_dies_in_use_is_ended_and_its_slot_serves_the_next_caller_at_once() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = world.connect(&pool);
    let waiter = world.wait(&pool);
    world.dies(0, Some("gone"));
    assert_eq!(world.served(waiter).number, 1);
    drop(lease);
    assert_eq!(world.log.open.get(), 1);
}

#[test]
fn the_holder_of_a_dead_connection_can_see_it_and_close_the_lease_and_change_nothing() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = world.connect(&pool);
    world.dies(0, None);
    assert!(!lease.is_valid());
    let other = world.connect(&pool);
    world.close(lease);
    assert!(other.is_valid());
    assert_eq!(pool.stats().used, 1);
}

#[test]
fn use_whose_function_hangs_on_a_dead_connection_keeps_no_slot() {
    let world = World::new();
    let pool = pool(&world, 1);
    let mut using = pin!(pool.use_with(async |_| {
        std::future::pending::<()>().await;
        Ok::<_, Error<_>>(())
    }));
    assert!(world.poll(using.as_mut()).is_none());
    world.dies(0, None);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn a_death_during_its_reset_ends_the_return_at_once_and_is_reported_once() {
    let world = World::new();
    let pool = pool(&world, 1);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::Hangs]);
    let mut closing = pin!(lease.close());
    assert!(world.poll(closing.as_mut()).is_none());
    world.trace();
    world.dies(0, Some("gone"));
    assert!(world.poll(closing).is_some());
    assert_eq!(world.trace().matches("error(").count(), 1);
    assert_eq!((pool.stats().used, world.log.open.get()), (0, 0));
}

#[test]
fn a_death_during_its_ping_gives_the_same_caller_another_connection_at_once() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).pre_ping(true));
    drop(world.connect(&pool));
    world.pings([Script::Hangs]);
    let waiter = world.wait(&pool);
    world.dies(0, None);
    assert_eq!(world.served(waiter).number, 1);
}

#[test]
fn a_death_while_idle_has_the_others_pinged_if_its_error_concerns_them() {
    for (word, pings) in [("lost", true), ("alone", false)] {
        let world = World::new();
        let pool = world.queue(2);
        let leases = [(); 2].map(|()| world.connect(&pool));
        drop(leases);
        world.trace();
        world.dies(0, Some(word));
        assert_eq!(world.connect(&pool).number, 1);
        assert_eq!(world.trace().contains("ping 1"), pings, "{word}");
    }
}

#[test]
fn a_listener_of_the_death_may_return_the_lease_or_ask_for_another_connection() {
    for moment in ["error", "invalidate", "closing", "checkin"] {
        for what in ["return", "invalidate", "detach", "ask", "close"] {
            let note = format!("{what} in {moment}");
            let world = World::new();
            let pool = pool(&world, 1);
            let lease = RefCell::new(Some(world.connect(&pool)));
            let (own, time, asked) = (pool.clone(), world.time.clone(), Rc::new(RefCell::new(None)));
            let caller = asked.clone();
            world.within(move |event| {
                let lease = if event == moment { lease.take() } else { None };
                let Some(lease) = lease else { return };
                match what {
                    "return" => drop(lease),
                    "invalidate" => drop(time.poll_once(pin!(lease.invalidate()))),
                    "detach" => assert!(lease.detach().is_err()),
                    "ask" => {
                        let own = own.clone();
                        let mut waiter = Box::pin(async move { own.connect().await.map(|lease| lease.number) });
                        let answer = time.poll_once(waiter.as_mut());
                        caller.replace(answer.is_pending().then_some(waiter));
                    }
                    _ => drop(time.poll_once(pin!(own.close()))),
                }
            });
            world.dies(0, Some("gone"));
            world.log.within.take();
            if let Some(caller) = asked.take() {
                assert_eq!(world.run(caller).unwrap(), 1, "{note}");
            }
            if what != "close" {
                assert_eq!(world.connect(&pool).number, 1, "{note}");
            }
            world.run(pool.close());
            let trace = world.trace();
            assert_eq!((trace.matches("terminate 0").count(), world.log.open.get()), (1, 0), "{note}: {trace}");
        }
    }
}

#[test]
fn a_connection_that_dies_while_it_is_reset_is_not_handed_out_again() {
    let world = World::new();
    let pool = pool(&world, 1);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::takes(5)]);
    drop(lease);
    world.dies(0, None);
    world.pass(5);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn a_connection_that_dies_before_open_has_answered_is_replaced_for_its_caller() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.log.dies_in_open.set(true);
    let lease = world.connect(&pool);
    assert_eq!((lease.number, lease.is_valid()), (1, true));
    let trace = world.trace();
    assert!(trace.ends_with("terminate 0, open, first_connect(1), connect(1), checkout(1)"), "{trace}");
}

#[test]
fn a_connection_whose_caller_has_left_dies_when_it_arrives_the_next_caller_has_another_one() {
    for in_open in [true, false] {
        let world = World::new();
        let pool = pool(&world, 1);
        world.opens([Script::takes(5)]);
        world.log.dies_in_open.set(in_open);
        drop(world.wait(&pool));
        world.pass(5);
        if !in_open {
            world.dies(0, None);
        }
        assert_eq!(world.log.open.get(), 0);
        assert_eq!(world.connect(&pool).number, 1);
    }
}

#[test]
fn a_death_that_is_reported_twice_or_by_its_own_termination_counts_once() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    world.trace();
    let watch = world.log.watches.borrow()[0].clone();
    *world.log.in_terminate.borrow_mut() = Some(Box::new(move || watch.died(None)));
    world.dies(0, None);
    world.dies(0, Some("lost"));
    assert_eq!(world.trace(), "invalidate(0), closing(0), terminate 0");
    assert_eq!(pool.stats().invalidated, 1);
}

#[test]
fn what_a_driver_says_of_a_connection_that_has_left_its_slot_does_not_touch_the_slots_next_one() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.run(world.connect(&pool).invalidate());
    let lease = world.connect(&pool);
    world.dies(0, Some("lost"));
    assert!(lease.is_valid());
    assert_eq!(pool.stats().used, 1);
}

#[test]
fn a_death_that_its_termination_reports_is_no_second_one() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = world.connect(&pool);
    let watch = world.log.watches.borrow()[0].clone();
    *world.log.in_terminate.borrow_mut() = Some(Box::new(move || watch.died(Some(Failure("lost")))));
    world.trace();
    world.run(lease.invalidate());
    assert_eq!(world.trace(), "invalidate(0), closing(0), terminate 0, checkin()");
    assert_eq!(pool.stats().invalidated, 1);
}

#[test]
fn a_manager_that_ends_a_dead_connection_as_it_is_asked_costs_the_next_one_in_the_slot_nothing() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    let (own, time, kept) = (pool.clone(), world.time.clone(), Rc::new(RefCell::new(None)));
    let next = kept.clone();
    *world.log.in_loss.borrow_mut() = Some(Box::new(move || {
        drop(own.dispose());
        time.run();
        next.replace(match time.poll_once(pin!(own.connect())) {
            std::task::Poll::Ready(lease) => lease.ok(),
            std::task::Poll::Pending => None,
        });
    }));
    world.dies(0, Some("gone"));
    let lease = kept.take().expect("the slot is free");
    assert_eq!((lease.number, lease.is_valid()), (1, true));
    assert_eq!((pool.stats().used, pool.stats().invalidated), (1, 0));
}

#[test]
fn a_manager_that_panics_as_it_is_asked_about_a_death_keeps_no_dead_connection() {
    for in_use in [false, true] {
        let world = World::new();
        let pool = pool(&world, 1);
        let lease = Some(world.connect(&pool)).filter(|_| in_use);
        *world.log.in_loss.borrow_mut() = Some(Box::new(|| panic!("a question")));
        // The manager is asked only about a connection that the pool has.
        assert_ne!(panics(|| world.dies(0, Some("gone"))), in_use);
        world.time.run();
        assert_eq!(world.connect(&pool).number, 1);
        drop(lease);
        assert_eq!(world.log.open.get(), 1);
    }
}

/// A listener of this event ends the first connection, or the pool. Whatever comes then, each connection ends once.
fn ends_within<K: PoolKind>(event: &'static str, how: &'static str) {
    let note = format!("{how} in {event}");
    let world = World::new();
    let pool = world.listened::<K>(|builder| builder.reset_on_return(ResetStyle::Session));
    let (own, time, log) = (pool.clone(), world.time.clone(), world.log.clone());
    let has_acted = Rc::new(Cell::new(false));
    let acted = has_acted.clone();
    world.within(move |now| {
        if now != event || acted.replace(true) {
            return;
        }
        match how {
            "a close without patience" => {
                let now = Patience { time: Some(Duration::ZERO), drain: false };
                let _ = time.poll_once(pin!(own.close_within(now)));
            }
            _ => {
                let watch = log.watches.borrow()[0].clone();
                watch.died(Some(how).filter(|&how| how != "panic").map(Failure));
                assert_ne!(how, "panic", "a listener");
            }
        }
    });
    for _ in 0..3 {
        let mut lease = None;
        let has_panicked = panics(|| lease = world.time.run_until(pool.connect()));
        assert!(has_panicked || pool.is_closed() || matches!(lease, Some(Ok(_))), "{note}");
        if let Some(Ok(lease)) = lease {
            panics(|| world.close(lease));
        }
    }
    let has_panicked = panics(|| world.run(pool.dispose()));
    assert!(!has_panicked || how == "panic", "{note}");
    world.time.run();
    assert!(has_acted.get(), "{note} is not called");
    let stats = pool.stats();
    assert_eq!((stats.total, stats.used, world.log.open.get()), (0, 0, 0), "{note}: {stats:?}");
    drop(world.run(pool.connect()));
    world.run(pool.close());
    let trace = world.trace();
    assert!(!trace.contains("dropped"), "{note}: {trace}");
    for number in 0..world.log.watches.borrow().len() {
        let ends = [format!("terminate {number}"), format!("close {number}")];
        let count = trace.split(", ").filter(|call| ends.iter().any(|end| end == call)).count();
        assert_eq!(count, 1, "{note}: connection {number}: {trace}");
    }
}

#[test]
fn a_connection_that_ends_in_a_listener_of_its_own_is_ended_once() {
    for event in ["first_connect", "connect", "checkout", "reset", "checkin", "closing"] {
        for how in ["gone", "alone", "lost", "panic", "a close without patience"] {
            ends_within::<Queue>(event, how);
            ends_within::<Null>(event, how);
            ends_within::<Static>(event, how);
            ends_within::<Singleton>(event, how);
            ends_within::<Assertion>(event, how);
        }
    }
}

#[test]
fn a_death_while_the_pool_drains_ends_the_pool_like_any_return() {
    let world = World::new();
    let pool = pool(&world, 1);
    let _lease = world.connect(&pool);
    let mut closing = pin!(pool.close());
    assert!(world.poll(closing.as_mut()).is_none());
    world.dies(0, None);
    assert!(world.poll(closing).is_some());
}

#[test]
fn when_an_idle_connection_dies_its_capacity_is_there_for_the_next_caller_at_once() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    world.dies(0, None);
    assert!(world.poll(pin!(pool.connect())).is_some());
}

// Not here: the connection of a lease is its holder's. It is terminated as soon as the holder lets go of it.
// - a connection that dies in use is terminated, and its slot serves the next caller at once =
//     a_connection_that_dies_in_use_is_ended_and_its_slot_serves_the_next_caller_at_once
// Not here: `open` is given the `Watch`, so the earliest report comes before its answer.
// - a connection that dies while onDisconnect subscribes is replaced for its caller =
//     a_connection_that_dies_before_open_has_answered_is_replaced_for_its_caller
// Not here: the pool subscribes to nothing and calls nothing to end it. A manager keeps the `Watch` for as long as it
//     wants to, and a report after the end of the connection does nothing.
// - unsubscribe is called once for each connection, when it leaves the pool, and not before =
//     what_a_driver_says_of_a_connection_that_has_left_its_slot_does_not_touch_the_slots_next_one
// - the driver is listened to until its close has ended: an error on the way out has a listener =
//     a_death_that_is_reported_twice_or_by_its_own_termination_counts_once
// - an onDisconnect that throws is logged; the connection is used without it
// - an onDisconnect that answers nothing is no fault
// - an unsubscribe that throws is logged, and the pool goes on
// Not here: a connection has no record beside it, through which it could be ended.
// - a connection that is ended through its record is listened to until then, too
