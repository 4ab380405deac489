//! AssertionPool: one lease at a time.

use crate::fakes::{Of, Script, World};
use edgepool::{Assertion, Error, OnHoldLimit, Within};
use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

fn pool(world: &World) -> Of<Assertion> {
    world.pool(|builder| builder)
}

#[test]
fn a_second_connect_while_a_lease_is_out_is_an_assertion_error_one_after_it_is_fine() {
    let world = World::new();
    let pool = pool(&world);
    let lease = world.connect(&pool);
    let refused = world.refused(&pool);
    assert!(matches!(refused, Error::InUse { .. }));
    assert_eq!(refused.code(), "ERR_POOL_ASSERTION");
    drop(lease);
    assert_eq!(world.connect(&pool).number, 0);
}

#[test]
fn a_second_connect_while_the_first_is_under_way_is_one_too_and_the_first_is_served() {
    let world = World::new();
    let pool = world.listened::<Assertion>(|builder| builder);
    world.opens([Script::takes(5)]);
    let first = world.wait(&pool);
    assert!(matches!(world.poll(pin!(pool.connect())), Some(Err(Error::InUse { .. }))), "while it opens");
    world.pass(5);
    drop(world.served(first));
    let (own, time, refused) = (pool.clone(), world.time.clone(), Rc::new(Cell::new(0)));
    let count = refused.clone();
    world.within(move |event| {
        if event == "checkout" {
            let asked = time.poll_once(pin!(own.connect()));
            assert!(matches!(asked, Poll::Ready(Err(Error::InUse { .. }))), "while its listener runs");
            count.set(count.get() + 1);
        }
    });
    assert_eq!((world.connect(&pool).number, refused.get()), (0, 1));
}

#[test]
fn of_two_connect_calls_at_once_the_first_is_served_and_the_second_refused() {
    let world = World::new();
    let pool = pool(&world);
    world.opens([Script::takes(5)]);
    let first = world.wait(&pool);
    assert!(matches!(world.run(pool.connect()), Err(Error::InUse { .. })));
    world.pass(5);
    assert_eq!(world.served(first).number, 0);
}

#[test]
fn a_use_within_a_use_is_one_the_outer_one_ends_as_ever() {
    let world = World::new();
    let pool = pool(&world);
    let result = world.run(pool.use_with(async |_| {
        let inner = pool.use_with(async |_| Ok::<_, Error<_>>(())).await;
        assert!(matches!(inner, Err(Error::InUse { .. })));
        Ok::<_, Error<_>>(7)
    }));
    assert_eq!(result.unwrap(), 7);
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn the_error_says_where_the_first_lease_was_taken() {
    for is_recreated in [false, true] {
        let world = World::new();
        let pool = if is_recreated { pool(&world).recreate() } else { pool(&world) };
        let line = line!() + 1;
        let _lease = world.run(pool.connect()).unwrap();
        let error = world.refused(&pool);
        let Error::InUse { taken_at: Some(taken_at), .. } = &error else { panic!("it does not say where") };
        assert_eq!((taken_at.file(), taken_at.line()), (file!(), line));
        assert!(error.to_string().ends_with(&format!("already checked out at {taken_at}")), "{error}");
    }
}

#[test]
fn the_stack_is_that_of_the_lease_that_is_out_not_of_one_before_it() {
    let world = World::new();
    let pool = pool(&world);
    drop(world.run(pool.connect()).unwrap());
    let line = line!() + 1;
    let _lease = world.run(pool.connect()).unwrap();
    let Error::InUse { taken_at, .. } = world.refused(&pool) else { panic!("it is in use") };
    assert_eq!(taken_at.map(|taken_at| taken_at.line()), Some(line));
}

#[test]
fn while_the_previous_lease_is_on_its_way_back_connect_waits() {
    let world = World::new();
    let pool = pool(&world);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::takes(5)]);
    drop(lease);
    let waiter = world.wait(&pool);
    world.pass(5);
    assert_eq!(world.served(waiter).number, 0);
}

#[test]
fn close_that_is_not_awaited_then_connect_no_assertion() {
    let world = World::new();
    let pool = pool(&world);
    for round in 0..6 {
        let mut lease = world.connect(&pool);
        lease.in_transaction = true;
        world.resets([Script::takes(round % 3)]);
        if round < 3 {
            drop(lease);
        } else {
            world.poll_and_drop(lease.close());
        }
    }
    assert_eq!((pool.stats().opened, pool.stats().checkouts), (1, 6));
}

#[test]
fn a_caller_that_waits_for_a_return_may_abort_or_run_out_of_time_and_the_next_caller_is_served() {
    let world = World::new();
    let pool = pool(&world);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::takes(500)]);
    drop(lease);
    drop(world.wait(&pool));
    let within = Within { deadline: Some(Duration::from_millis(10)), ..Within::default() };
    assert!(matches!(world.run(pool.connect_within(within)), Err(Error::Timeout(_))));
    assert_eq!(world.run(pool.connect()).unwrap().number, 0);
}

#[test]
fn when_the_reset_of_the_previous_lease_fails_or_hangs_a_caller_that_waits_has_a_new_connection() {
    for script in [Script::Takes(5, Box::new(Script::Fails("reset"))), Script::Hangs] {
        let world = World::new();
        let pool = world.pool::<Assertion>(|builder| builder.driver_timeout(Duration::from_millis(50)));
        let mut lease = world.connect(&pool);
        lease.in_transaction = true;
        world.resets([script]);
        drop(lease);
        let waiter = world.wait(&pool);
        world.pass(60);
        assert_eq!(world.served(waiter).number, 1);
    }
}

#[test]
fn an_invalidated_lease_is_out_no_more_connect_waits_for_the_termination_and_opens_another() {
    let world = World::new();
    let pool = pool(&world);
    world.run(world.connect(&pool).invalidate());
    assert_eq!(world.connect(&pool).number, 1);
    assert_eq!(world.trace(), "open, terminate 0, open");
}

#[test]
fn detach_frees_it_a_second_connect_works_while_the_detached_connection_is_open() {
    let world = World::new();
    let pool = pool(&world);
    let detached = world.connect(&pool).detach().unwrap();
    assert_eq!((world.connect(&pool).number, detached.number), (1, 0));
}

#[test]
fn dispose_leaves_a_lease_alone_until_its_return_a_second_connect_is_refused() {
    let world = World::new();
    let pool = pool(&world);
    let lease = world.connect(&pool);
    world.run(pool.dispose());
    assert!(matches!(world.refused(&pool), Error::InUse { .. }));
    drop(lease);
    assert_eq!(world.trace(), "open, close 0");
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn after_a_creator_or_a_listener_that_failed_the_pool_is_usable() {
    let world = World::new();
    let pool = world.listened::<Assertion>(|builder| builder);
    world.opens([Script::Fails("no route")]);
    assert!(matches!(world.refused(&pool), Error::Manager(_)));
    world.listener_fails("checkout", "no");
    assert!(matches!(world.refused(&pool), Error::Manager(_)));
    drop(world.connect(&pool));
}

#[test]
fn a_connect_that_was_aborted_is_over_the_next_caller_is_served_with_what_it_opened() {
    let world = World::new();
    let pool = pool(&world);
    world.opens([Script::takes(5)]);
    drop(world.wait(&pool));
    let next = pin!(pool.connect());
    assert_eq!(world.run(next).unwrap().number, 0);
    assert_eq!(world.trace(), "open");
}

#[test]
fn the_return_of_a_lease_that_the_pool_has_ended_frees_nothing_that_another_holds() {
    let world = World::new();
    let pool = world.pool::<Assertion>(|builder| {
        builder.hold_limit(Duration::from_millis(50)).on_hold_limit(OnHoldLimit::Terminate)
    });
    for is_invalidated in [false, true] {
        let first = world.connect(&pool);
        world.pass(60);
        assert!(!first.is_valid());
        let second = world.connect(&pool);
        if is_invalidated {
            world.run(first.invalidate());
        } else {
            world.close(first);
        }
        assert!(second.is_valid());
        assert!(matches!(world.refused(&pool), Error::InUse { .. }));
        world.close(second);
    }
}

#[test]
fn a_refused_caller_costs_nothing_no_slot_no_waiter_no_timer() {
    let world = World::new();
    let pool = pool(&world);
    let _lease = world.connect(&pool);
    let before = pool.stats();
    world.refused(&pool);
    assert_eq!(pool.stats(), before);
    assert_eq!(world.time.timers(), 0);
}

// Not here: the place of connect() costs nothing, so no option leaves it out.
// - the error says where the first lease was taken, unless storeTraceback is false
//   = the_error_says_where_the_first_lease_was_taken
// Not here: close() consumes the lease, so the compiler refuses a second one.
// - closing a lease again frees nothing that another holds
//   = the_return_of_a_lease_that_the_pool_has_ended_frees_nothing_that_another_holds
// Not here: stacks are JavaScript's.
// - a program's Error.prepareStackTrace may return call sites, or anything
