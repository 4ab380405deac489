//! NullPool: a new connection for each lease.

use crate::fakes::{Of, Script, World};
use edgepool::{Error, Null, Queue};
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

fn pool(world: &World) -> Of<Null> {
    world.listened(|builder| builder)
}

#[test]
fn connect_close_connect_invalidate_connect_three_connections_none_used_twice() {
    let world = World::new();
    let pool = world.pool::<Null>(|builder| builder);
    world.close(world.connect(&pool));
    world.run(world.connect(&pool).invalidate());
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "open, close 0, open, terminate 1, open");
}

#[test]
fn it_never_pings_whatever_pre_ping_says() {
    let world = World::new();
    let pool = world.pool::<Null>(|builder| builder.pre_ping(true));
    for _ in 0..3 {
        world.close(world.connect(&pool));
    }
    assert!(!world.trace().contains("ping"));
}

#[test]
fn a_checkout_listener_that_fails_closes_the_connection_and_nothing_of_it_is_kept() {
    let world = World::new();
    let pool = pool(&world);
    world.listener_fails("checkout", "no");
    assert!(matches!(world.refused(&pool), Error::Manager(_)));
    assert_eq!((world.log.open.get(), pool.stats().total), (0, 0));
}

#[test]
fn nothing_is_ever_idle_and_there_is_no_maximum() {
    let world = World::new();
    let pool = pool(&world);
    let leases: Vec<_> = (0..50).map(|_| world.connect(&pool)).collect();
    assert_eq!((pool.stats().used, pool.stats().max), (50, f64::INFINITY));
    drop(leases);
    world.time.run();
    assert_eq!((pool.stats().idle, pool.stats().total), (0, 0));
}

#[test]
fn a_creator_that_hangs_holds_up_no_other_caller() {
    let world = World::new();
    let pool = pool(&world);
    world.opens([Script::Hangs]);
    let _hanging = world.wait(&pool);
    drop(world.connect(&pool));
}

#[test]
fn a_caller_that_comes_while_anothers_connection_is_reset_or_closed_waits_for_neither() {
    let world = World::new();
    let pool = pool(&world);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::takes(50)]);
    world.closes([Script::takes(50)]);
    drop(lease);
    assert!(world.poll(pin!(pool.connect())).is_some());
}

#[test]
fn close_of_a_lease_resolves_when_its_connection_is_closed() {
    let world = World::new();
    let pool = pool(&world);
    let lease = world.connect(&pool);
    world.closes([Script::takes(5)]);
    let mut closing = pin!(lease.close());
    assert!(world.poll(closing.as_mut()).is_none());
    world.pass(5);
    assert!(world.poll(closing).is_some());
}

#[test]
fn a_close_that_fails_or_hangs_is_reported_and_the_return_resolves() {
    for (script, word) in [(Script::Fails("bye"), "bye"), (Script::Hangs, "late")] {
        let world = World::new();
        let pool = world.listened::<Null>(|builder| builder.driver_timeout(Duration::from_millis(50)));
        let lease = world.connect(&pool);
        world.closes([script]);
        world.close(lease);
        world.pass(100);
        assert!(world.trace().ends_with(&format!("close 0, error(close: {word})")));
        assert_eq!(pool.stats().total, 0);
    }
}

#[test]
fn recycle_0_replaces_nothing_what_was_opened_in_the_same_checkout_has_no_age() {
    let world = World::new();
    let pool = world.pool::<Null>(|builder| builder.recycle(Duration::ZERO));
    assert_eq!(world.connect(&pool).number, 0);
    assert_eq!(world.trace(), "open, close 0");
}

#[test]
fn dispose_closes_nothing_that_is_out_and_needs_not_wait() {
    let world = World::new();
    let pool = pool(&world);
    let lease = world.connect(&pool);
    assert!(world.poll(pin!(pool.dispose())).is_some());
    assert!(lease.is_valid());
}

#[test]
fn close_of_the_pool_waits_for_every_lease_and_ends_those_that_do_not_come() {
    let world = World::new();
    let pool = pool(&world);
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    let mut closing = pin!(pool.close());
    assert!(world.poll(closing.as_mut()).is_none());
    drop(first);
    assert!(world.poll(closing.as_mut()).is_none());
    world.pass(10_200);
    assert!(world.poll(closing).is_some());
    drop(second);
    assert!(world.trace().ends_with("terminate 1"));
}

#[test]
fn of_many_concurrent_openers_one_runs_its_connect_listeners_first_then_the_others_theirs() {
    let world = World::new();
    let pool = pool(&world);
    world.opens((0..3).map(|_| Script::takes(5)));
    let first = world.wait_apart(&pool);
    let others = Rc::new(RefCell::new(vec![world.wait_apart(&pool), world.wait_apart(&pool)]));
    world.pass(5);
    let (time, log, waiting, is_first) = (world.time.clone(), world.log.clone(), others.clone(), Cell::new(true));
    world.within(move |event| {
        if event == "connect" && is_first.replace(false) {
            for caller in waiting.borrow_mut().iter_mut() {
                assert!(time.poll_once(caller.as_mut()).is_pending());
            }
            assert_eq!(log.trace(), "open, open, open, first_connect(0), connect(0)");
        }
    });
    let _first = world.served(first);
    let _others: Vec<_> = others.take().into_iter().map(|caller| world.served(caller)).collect();
    assert_eq!(world.trace().split(", ").filter(|call| call.starts_with("connect(")).count(), 2);
}

#[test]
fn a_disconnection_error_with_invalidate_pool_true_costs_other_leases_nothing() {
    let world = World::new();
    let pool = pool(&world);
    let other = world.connect(&pool);
    world.listener_disconnects("checkout", "gone", true);
    let lease = world.connect(&pool);
    assert_eq!(lease.number, 2);
    assert!(other.is_valid());
    let _ = world.pool::<Queue>(|builder| builder);
}

// Not here: a connection has no record beside it.
// - every lease has a record of its own, with nothing in it
// Not here: the connection of a lease is its holder's. It is terminated as soon as the holder lets go of it.
// - close() of the pool waits for every lease, and terminates those that do not come =
//     close_of_the_pool_waits_for_every_lease_and_ends_those_that_do_not_come
