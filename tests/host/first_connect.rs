//! The event `first_connect`: once for each pool, before any other.

use crate::fakes::{Of, Script, World};
use edgepool::{Error, Null, Queue};

fn pool(world: &World, size: u32) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(size).max_overflow(0))
}

fn firsts(trace: &str) -> usize {
    trace.matches("first_connect").count()
}

#[test]
fn first_connect_is_fired_by_the_first_connection_with_it() {
    let world = World::new();
    let pool = pool(&world, 1);
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "open, first_connect(0), connect(0), checkout(0)");
}

#[test]
fn a_second_connection_does_not_fire_it_again_nor_does_a_reconnect() {
    let world = World::new();
    let pool = pool(&world, 2);
    let [first, _second] = [(); 2].map(|()| world.connect(&pool));
    world.run(first.invalidate());
    let _third = world.connect(&pool);
    assert_eq!(firsts(&world.trace()), 1);
}

#[test]
fn a_recreated_pool_has_a_first_connection_of_its_own_recreated_before_or_after_the_old_ones() {
    let world = World::new();
    let old = pool(&world, 1);
    let before = old.recreate();
    drop(world.connect(&old));
    let after = old.recreate();
    drop(world.connect(&before));
    drop(world.connect(&after));
    assert_eq!(firsts(&world.trace()), 3);
}

#[test]
fn ten_callers_of_a_null_pool_first_connect_once_before_any_of_the_ten_connects() {
    let world = World::new();
    let pool = world.listened::<Null>(|builder| builder);
    world.opens((0..10).map(|_| Script::takes(5)));
    let waiters: Vec<_> = (0..10).map(|_| world.wait(&pool)).collect();
    world.pass(5);
    let leases: Vec<_> = waiters.into_iter().map(|waiter| world.served(waiter)).collect();
    let trace = world.trace();
    assert_eq!((firsts(&trace), trace.matches(", connect").count()), (1, 10));
    assert!(trace.find("first_connect") < trace.find(", connect"));
    assert_eq!(leases.len(), 10);
}

#[test]
fn one_that_fails_rejects_its_caller_terminates_the_connection_and_removes_the_slot() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.listener_fails("first_connect", "no");
    assert!(matches!(world.refused(&pool), Error::Manager(_)));
    assert_eq!(world.trace(), "open, first_connect(0), terminate 0");
    assert_eq!((pool.stats().total, pool.counts().checked_in), (0, 0));
}

#[test]
fn one_that_fails_is_tried_again_with_each_connection_once_it_succeeded_never_again() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.listener_fails("first_connect", "no");
    world.listener_fails("first_connect", "no");
    world.refused(&pool);
    world.refused(&pool);
    world.run(world.connect(&pool).invalidate());
    drop(world.connect(&pool));
    assert_eq!(firsts(&world.trace()), 3);
}
