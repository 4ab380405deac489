//! `max_connecting`: how many openings may run at once.

use crate::fakes::{Of, Script, World};
use edgepool::{Error, Queue, TimeoutStep};
use std::time::Duration;

fn pool(world: &World, most: u32) -> Of<Queue> {
    world.pool(|builder| {
        builder
            .pool_size(5)
            .max_overflow(0)
            .max_connecting(most)
            .timeout(Duration::from_millis(100))
            .driver_timeout(Duration::from_millis(50))
    })
}

#[test]
fn no_more_creators_run_at_once_as_one_ends_the_next_begins() {
    let world = World::new();
    let pool = pool(&world, 2);
    world.opens((0..5).map(|_| Script::takes(5)));
    let waiters: Vec<_> = (0..5).map(|_| world.wait(&pool)).collect();
    let mut leases = Vec::new();
    for waiter in waiters {
        leases.push(world.run(waiter).unwrap());
    }
    assert_eq!((world.log.most_opening.get(), pool.stats().opened), (2, 5));
}

#[test]
fn without_max_connecting_every_creator_begins_at_once() {
    let world = World::new();
    let pool = world.queue(5);
    world.opens((0..5).map(|_| Script::takes(5)));
    let _waiters: Vec<_> = (0..5).map(|_| world.wait(&pool)).collect();
    assert_eq!(world.log.most_opening.get(), 5);
}

#[test]
fn a_caller_that_waits_for_a_place_is_served_in_the_order_of_arrival() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.opens((0..3).map(|_| Script::takes(5)));
    let first = world.wait(&pool);
    let second = world.wait(&pool);
    let mut third = world.wait(&pool);
    world.pass(5);
    let _first = world.served(first);
    world.pass(5);
    let _second = world.served(second);
    assert!(world.waits(&mut third));
}

#[test]
fn a_creator_that_fails_frees_its_place() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.opens([Script::Takes(5, Box::new(Script::Fails("no route")))]);
    let mut first = world.wait(&pool);
    let second = world.wait(&pool);
    world.pass(5);
    assert!(matches!(world.poll(first.as_mut()), Some(Err(Error::Manager(_)))));
    drop(world.served(second));
}

#[test]
fn creators_that_all_fail_tell_each_caller_one_after_the_other() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.opens(["a", "b", "c"].map(|word| Script::Takes(5, Box::new(Script::Fails(word)))));
    let mut waiters = [world.wait(&pool), world.wait(&pool), world.wait(&pool)];
    for waiter in &mut waiters {
        world.pass(5);
        assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Manager(_)))));
    }
}

#[test]
fn a_creator_that_hangs_frees_its_place_after_driver_timeout() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.opens([Script::Hangs]);
    let mut first = world.wait(&pool);
    let second = world.wait(&pool);
    world.pass(60);
    assert!(matches!(world.poll(first.as_mut()), Some(Err(Error::Timeout(_)))));
    drop(world.served(second));
}

#[test]
fn the_wait_for_a_place_is_a_wait_timeout_bounds_it_and_it_says_so() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.max_connecting(1).timeout(Duration::from_millis(100)));
    world.opens([Script::takes(10_000)]);
    let _first = world.wait(&pool);
    let Error::Timeout(timeout) = world.refused(&pool) else { panic!("it was in time") };
    assert_eq!((timeout.step, timeout.option), (TimeoutStep::Wait, "timeout"));
}

#[test]
fn max_waiters_counts_callers_that_wait_for_a_place() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.max_connecting(1).max_waiters(1));
    world.opens([Script::takes(5)]);
    let _first = world.wait(&pool);
    let _second = world.wait(&pool);
    assert!(matches!(world.refused(&pool), Error::QueueFull { .. }));
}

#[test]
fn a_caller_that_waits_for_a_place_may_abort_those_behind_move_up() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.opens([Script::takes(5), Script::takes(5)]);
    let first = world.wait(&pool);
    let second = world.wait(&pool);
    let third = world.wait(&pool);
    drop(second);
    world.pass(5);
    let _first = world.served(first);
    world.pass(5);
    drop(world.served(third));
    assert_eq!(pool.stats().opened, 2);
}

#[test]
fn an_opener_that_aborts_keeps_its_place_until_its_creator_has_ended_the_head_waiter_is_served() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.opens([Script::takes(5)]);
    let first = world.wait(&pool);
    let second = world.wait(&pool);
    drop(first);
    assert_eq!(world.log.most_opening.get(), 1);
    world.pass(5);
    assert_eq!(world.served(second).number, 0);
}

#[test]
fn replacing_what_is_stale_or_was_emptied_takes_a_place_too() {
    let world = World::new();
    let pool = pool(&world, 1);
    let leases = [(); 2].map(|()| world.connect(&pool));
    drop(leases);
    pool.invalidate();
    world.opens([Script::takes(5), Script::takes(5)]);
    let first = world.wait(&pool);
    let second = world.wait(&pool);
    world.pass(5);
    let _first = world.served(first);
    world.pass(5);
    let _second = world.served(second);
    assert_eq!(world.log.most_opening.get(), 1);
}

#[test]
fn a_caller_that_needs_no_creator_waits_for_no_place() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    let held = world.connect(&pool);
    world.opens([Script::takes(5)]);
    let _opening = world.wait(&pool);
    drop(held);
    // What came back serves the opening's caller first.
    world.pass(5);
    drop(world.connect(&pool));
}

#[test]
fn close_refuses_callers_that_wait_for_a_place_and_ends_what_the_creators_bring() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.opens([Script::takes(5)]);
    let mut waiters = [world.wait(&pool), world.wait(&pool)];
    world.run(pool.close());
    for waiter in &mut waiters {
        assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Closed { .. }))));
    }
    assert_eq!(world.log.open.get(), 0);
}

#[test]
fn recreate_carries_it() {
    let world = World::new();
    let pool = pool(&world, 1).recreate();
    world.opens([Script::takes(5), Script::takes(5)]);
    let _waiters = [world.wait(&pool), world.wait(&pool)];
    assert_eq!(world.log.most_opening.get(), 1);
}
