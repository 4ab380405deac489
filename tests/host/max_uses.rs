//! `max_uses`: after so many uses a connection is closed at its return.

use crate::fakes::{Of, Script, World};
use edgepool::Queue;
use std::time::Duration;

fn pool(world: &World, uses: Option<u32>) -> Of<Queue> {
    world.pool(|builder| builder.pool_size(1).max_overflow(0).max_uses(uses).driver_timeout(Duration::from_millis(50)))
}

#[test]
fn the_last_use_ends_with_a_reset_a_return_and_a_polite_close() {
    let world = World::new();
    let pool = pool(&world, Some(2));
    for _ in 0..2 {
        let mut lease = world.connect(&pool);
        lease.in_transaction = true;
        world.close(lease);
    }
    assert_eq!(world.trace(), "open, rollback 0, rollback 0, close 0");
}

#[test]
fn each_connection_is_used_as_often_as_that_and_no_more() {
    let world = World::new();
    let pool = pool(&world, Some(3));
    let numbers: Vec<u32> = (0..9).map(|_| world.connect(&pool).number).collect();
    assert_eq!(numbers, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
}

#[test]
fn without_max_uses_or_with_infinity_a_connection_is_used_without_end() {
    let world = World::new();
    for pool in [pool(&world, None), world.queue(1)] {
        for _ in 0..500 {
            drop(world.connect(&pool));
        }
        assert_eq!(pool.stats().opened, 1);
    }
}

#[test]
fn it_counts_uses_not_time_or_other_connections() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(2).max_overflow(0).max_uses(3));
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    drop(first);
    world.pass(1_000_000);
    drop(world.connect(&pool));
    drop(second);
    assert_eq!(world.log.open.get(), 2);
    let numbers = [(); 3].map(|()| world.connect(&pool).number);
    assert_eq!(numbers, [0, 1, 1]);
    world.time.run();
    assert_eq!(world.log.open.get(), 0);
}

#[test]
fn uses_count_on_when_a_waiter_has_the_connection_straight_from_anothers_return() {
    let world = World::new();
    let pool = pool(&world, Some(2));
    let first = world.connect(&pool);
    let second = world.wait(&pool);
    let third = world.wait(&pool);
    drop(first);
    drop(world.served(second));
    assert_eq!(world.served(third).number, 1);
}

#[test]
fn the_server_never_has_more_than_the_maximum_a_waiter_is_served_when_the_close_has_ended() {
    let world = World::new();
    let pool = pool(&world, Some(1));
    let lease = world.connect(&pool);
    let mut waiter = world.wait(&pool);
    world.closes([Script::takes(5)]);
    drop(lease);
    assert!(world.waits(&mut waiter));
    world.pass(5);
    assert_eq!(world.served(waiter).number, 1);
    assert_eq!(world.log.most_open.get(), 1);
}

#[test]
fn a_close_that_fails_or_hangs_costs_no_slot() {
    for script in [Script::Fails("bye"), Script::Hangs] {
        let world = World::new();
        let pool = pool(&world, Some(1));
        world.closes([script]);
        drop(world.connect(&pool));
        world.pass(60);
        assert_eq!(world.connect(&pool).number, 1);
    }
}

#[test]
fn a_connection_that_is_replaced_in_its_slot_starts_from_none() {
    let world = World::new();
    let pool = pool(&world, Some(2));
    drop(world.connect(&pool));
    pool.invalidate();
    let numbers: Vec<u32> = (0..3).map(|_| world.connect(&pool).number).collect();
    assert_eq!(numbers, [1, 1, 2]);
}

#[test]
fn a_last_use_that_does_not_return_invalidated_it_is_terminated_detached_its_holders() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(2).max_overflow(0).max_uses(1));
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    world.trace();
    world.run(first.invalidate());
    assert_eq!(world.trace(), "invalidate(0), closing(0), terminate 0, checkin()");
    let mut own = second.detach().unwrap();
    own.in_transaction = true;
    assert_eq!(world.trace(), "detach()");
    assert_eq!((pool.stats().detached, world.log.open.get()), (1, 1));
    world.run(own.close());
    assert_eq!(world.trace(), "reset(1), rollback 1, close_detached(1), close 1");
    assert_eq!(pool.stats().detached, 0);
}

#[test]
fn opening_by_warm_is_no_use() {
    let world = World::new();
    let pool = pool(&world, Some(1));
    world.run(pool.warm(1)).unwrap();
    assert_eq!(world.connect(&pool).number, 0);
}

#[test]
fn recreate_carries_it() {
    let world = World::new();
    let pool = pool(&world, Some(1)).recreate();
    assert_eq!([(); 2].map(|()| world.connect(&pool).number), [0, 1]);
}
