//! The event `connect`, and what an opening that it refuses leaves.

use crate::fakes::{Failure, Of, Script, World};
use edgepool::{Error, Queue};

fn pool(world: &World, size: u32) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(size).max_overflow(0))
}

#[test]
fn connect_is_emitted_once_for_each_new_connection_and_not_when_one_is_used_again() {
    let world = World::new();
    let pool = pool(&world, 2);
    let leases = [(); 2].map(|()| world.connect(&pool));
    assert_eq!(world.trace(), "open, first_connect(0), connect(0), checkout(0), open, connect(1), checkout(1)");
    drop(leases);
    world.trace();
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "checkout(0)");
}

#[test]
fn a_recreated_pool_fires_it_for_its_own_connections_recreated_before_or_after() {
    let world = World::new();
    let first = pool(&world, 1);
    let before = first.recreate();
    drop(world.connect(&first));
    let after = first.recreate();
    for pool in [before, after] {
        world.trace();
        let _lease = world.connect(&pool);
        let trace = world.trace();
        assert!(trace.starts_with("open, first_connect("), "{trace}");
    }
}

#[test]
fn when_the_first_ones_listener_fails_the_next_opener_runs_its_own_before_the_others() {
    let world = World::new();
    let pool = pool(&world, 2);
    world.opens([Script::takes(5), Script::takes(5)]);
    world.listener_fails("first_connect", "no");
    let mut first = world.wait(&pool);
    let second = world.wait(&pool);
    world.pass(5);
    assert!(matches!(world.poll(first.as_mut()), Some(Err(Error::Manager(_)))));
    let _lease = world.served(second);
    assert_eq!(world.trace(), "open, open, first_connect(0), terminate 0, first_connect(1), connect(1), checkout(1)");
}

#[test]
fn a_listener_that_fails_on_a_reconnect_is_the_callers_error_and_a_later_connect_works() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.run(world.connect(&pool).invalidate());
    world.listener_fails("connect", "no");
    assert!(matches!(world.refused(&pool), Error::Manager(error) if *error == Failure("no")));
    drop(world.connect(&pool));
}

#[test]
fn a_listener_that_fails_on_a_new_connection_terminates_it_once_and_the_slot_is_gone() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.listener_fails("connect", "no");
    world.refused(&pool);
    assert_eq!(world.trace(), "open, first_connect(0), connect(0), terminate 0");
    assert_eq!((pool.stats().total, pool.counts().checked_in), (0, 0));
}

#[test]
fn a_first_connect_that_has_passed_is_not_run_again_because_connect_failed() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.listener_fails("connect", "no");
    world.refused(&pool);
    world.trace();
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "open, connect(1), checkout(1)");
}

#[test]
fn on_a_reconnect_a_listener_that_fails_has_the_connection_terminated_and_the_slot_back_empty() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.run(world.connect(&pool).invalidate());
    world.trace();
    world.listener_fails("connect", "no");
    world.refused(&pool);
    assert_eq!(world.trace(), "open, connect(1), terminate 1, checkin()");
    assert_eq!((pool.stats().total, pool.counts().checked_in), (0, 1));
}

#[test]
fn a_listener_that_fails_while_a_stale_connection_is_replaced_both_are_terminated() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    pool.invalidate();
    world.trace();
    world.listener_fails("connect", "no");
    world.refused(&pool);
    assert_eq!(world.trace(), "closing(0), terminate 0, open, connect(1), terminate 1, checkin()");
}

#[test]
fn when_a_listener_fails_the_next_waiter_is_served_at_once() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.opens([Script::takes(5)]);
    world.listener_fails("connect", "no");
    let mut first = world.wait(&pool);
    let second = world.wait(&pool);
    world.pass(5);
    assert!(matches!(world.poll(first.as_mut()), Some(Err(Error::Manager(_)))));
    assert_eq!(world.served(second).number, 1);
}

#[test]
fn openings_that_fail_fire_neither_connect_nor_checkout_the_one_that_works_fires_each_once() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.opens([Script::Fails("a"), Script::Fails("b")]);
    world.refused(&pool);
    world.refused(&pool);
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "open, open, open, first_connect(0), connect(0), checkout(0)");
}

#[test]
fn on_a_reconnect_a_creator_that_fails_has_the_slot_back_empty_with_checkin() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.run(world.connect(&pool).invalidate());
    world.trace();
    world.opens([Script::Fails("no route")]);
    world.refused(&pool);
    assert_eq!(world.trace(), "open, checkin()");
}

#[test]
fn a_disconnection_error_of_a_connect_listener_comes_out_as_it_is_nothing_is_tried_again() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.listener_disconnects("connect", "gone", false);
    assert!(matches!(world.refused(&pool), Error::Manager(error) if *error == Failure("gone")));
    assert_eq!(world.trace(), "open, first_connect(0), connect(0), terminate 0");
}

#[test]
fn a_caller_that_leaves_while_it_runs_hands_the_connection_to_the_next_waiter() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.opens([Script::takes(5)]);
    let first = world.wait(&pool);
    let next = world.wait(&pool);
    drop(first);
    world.pass(5);
    assert_eq!(world.served(next).number, 0);
}
