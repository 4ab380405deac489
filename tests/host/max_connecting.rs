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
fn a_return_serves_the_caller_of_the_creator_and_then_a_caller_that_waits_for_a_place() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(10).max_connecting(1));
    let lease = world.connect(&pool);
    world.opens([Script::takes(50)]);
    let opener = world.wait(&pool);
    let mut waiter = world.wait(&pool);
    drop(lease);
    let lease = world.served(opener);
    assert_eq!(lease.number, 0);
    assert!(world.waits(&mut waiter));
    drop(lease);
    assert_eq!(world.served(waiter).number, 0);
    assert_eq!(world.trace(), "open, open");
    world.pass(50);
    assert_eq!(pool.stats().idle, 2);
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
fn a_connect_listener_that_fails_frees_its_place_too() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(10).max_connecting(1));
    world.opens([Script::takes(5)]);
    world.listener_fails("connect", "no");
    let mut first = world.wait(&pool);
    let second = world.wait(&pool);
    world.pass(5);
    assert!(matches!(world.poll(first.as_mut()), Some(Err(Error::Manager(_)))));
    assert_eq!(world.served(second).number, 1);
    assert_eq!(world.log.most_opening.get(), 1);
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
fn a_caller_that_left_while_it_waited_to_reconnect_blocks_none_that_gets_its_number_later() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(2).max_overflow(0).max_connecting(1));
    let lease = world.connect(&pool);
    world.opens([Script::takes(5)]);
    drop(world.wait(&pool));
    drop(lease);
    // Its connection is dead, and the one place is taken.
    world.trace();
    world.listener_disconnects("checkout", "gone", false);
    drop(world.wait(&pool));
    assert!(world.trace().starts_with("checkout(0), invalidate(0), closing(0), terminate 0"));
    world.pass(5);
    let mut leases = [(); 2].map(|()| world.connect(&pool));
    // A number has ten bits of generation. Two waiters each time, since the place used last is the first to be used
    // again.
    for _ in 1..1_024 {
        let waiters = [(); 2].map(|()| world.wait(&pool));
        drop(leases);
        leases = waiters.map(|waiter| world.served(waiter));
    }
    let waiters = [(); 2].map(|()| world.wait(&pool));
    for lease in leases {
        world.run(lease.invalidate());
    }
    for waiter in waiters {
        assert!(world.served(waiter).is_valid());
    }
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
fn a_herd_with_creators_of_every_length_is_served_in_order_by_no_more_than_that_many_at_once() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(40).max_overflow(0).max_connecting(3));
    world.opens((1..=40).map(|number| {
        let end = if number % 5 == 0 { Script::Fails("down") } else { Script::Ok };
        Script::Takes((number * 7) % 13, Box::new(end))
    }));
    let waiters: Vec<_> = (0..40).map(|_| world.wait(&pool)).collect();
    let mut leases = Vec::new();
    for (number, waiter) in waiters.into_iter().enumerate() {
        match world.run(waiter) {
            Ok(lease) => leases.push(lease),
            // Each has the error of its own opening.
            Err(error) => assert!(matches!(error, Error::Manager(_)) && number % 5 == 4, "{number}"),
        }
    }
    assert_eq!((world.log.most_opening.get(), leases.len()), (3, 32));
    drop(leases);
    assert_eq!((pool.stats().idle, world.log.open.get()), (32, 32));
}

#[test]
fn recreate_carries_it() {
    let world = World::new();
    let pool = pool(&world, 1).recreate();
    world.opens([Script::takes(5), Script::takes(5)]);
    let _waiters = [world.wait(&pool), world.wait(&pool)];
    assert_eq!(world.log.most_opening.get(), 1);
}
