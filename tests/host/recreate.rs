//! `recreate()`: another pool with the same options.

use crate::fakes::World;
use edgepool::{Queue, Sizes};

#[test]
fn constructing_disposing_and_recreating_call_no_creator() {
    let world = World::new();
    let pool = world.queue(1);
    let again = pool.recreate();
    world.run(again.dispose());
    assert_eq!(world.trace(), "");
}

#[test]
fn the_new_pool_has_the_options_of_the_old_one_and_its_creator() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(2).max_overflow(1).min_idle(1).name("orders"));
    let again = pool.recreate();
    assert_eq!((again.stats(), again.counts(), again.name()), (pool.stats(), pool.counts(), "orders"));
    assert_eq!(world.connect(&again).number, 0);
}

#[test]
fn it_is_lifo_where_the_old_one_was() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.use_lifo(true)).recreate();
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    drop(first);
    drop(second);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn a_pool_without_a_limit_is_recreated_without_one() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(0)).recreate();
    assert_eq!(pool.stats().max, f64::INFINITY);
}

#[test]
fn the_two_share_no_connection_no_slot_no_counter_and_no_end() {
    let world = World::new();
    let pool = world.queue(1);
    let lease = world.connect(&pool);
    let again = pool.recreate();
    assert_eq!(again.stats().opened, 0);
    let other = world.connect(&again);
    assert_ne!(lease.number, other.number);
    drop(lease);
    world.run(pool.close());
    assert!(!again.is_closed());
    assert!(other.is_valid());
}

#[test]
fn a_pool_that_was_closed_can_be_recreated_open() {
    let world = World::new();
    let pool = world.queue(1);
    world.run(pool.close());
    let again = pool.recreate();
    drop(world.connect(&again));
    assert_eq!(again.stats().idle, 1);
}

#[test]
fn it_has_the_sizes_of_the_last_resize() {
    let world = World::new();
    let pool = world.queue(1);
    pool.resize(Sizes { pool_size: Some(4.0), ..Sizes::default() }).unwrap();
    assert_eq!(pool.recreate().stats().max, 4.0);
}

#[test]
fn it_outlives_the_old_one() {
    let world = World::new();
    let pool = world.queue(1);
    let again = pool.recreate();
    drop(pool);
    drop(world.connect(&again));
}
