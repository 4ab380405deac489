//! `recreate()`: another pool with the same options.

use crate::fakes::{Script, World};
use edgepool::{Error, Queue, ResetStyle, Sizes};
use std::time::Duration;

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
    let pool = world.listened::<Queue>(|builder| {
        builder
            .pool_size(1)
            .max_overflow(0)
            .reset_on_return(ResetStyle::None)
            .timeout(Duration::from_secs(7))
            .max_waiters(1)
            .name("orders")
    });
    let again = pool.recreate();
    assert_eq!((again.stats(), again.counts(), again.name()), (pool.stats(), pool.counts(), "orders"));
    let mut lease = world.connect(&again);
    lease.in_transaction = true;
    let mut waiter = world.wait(&again);
    assert!(matches!(world.refused(&again), Error::QueueFull { .. }));
    // On the same clock, and with the same listener.
    world.pass(7_000);
    world.pass(140);
    let Some(Err(Error::Timeout(timeout))) = world.poll(waiter.as_mut()) else { panic!("it has more time") };
    assert_eq!(timeout.timeout_ms, 7_000.0);
    world.close(lease);
    world.closes([Script::Fails("gone")]);
    world.run(again.dispose());
    let expected = "open, first_connect(0), connect(0), checkout(0), reset(0), checkin(0), closing(0), close 0";
    assert_eq!(world.trace(), format!("{expected}, error(close: gone)"));
}

#[test]
fn it_is_lifo_where_the_old_one_was() {
    for lifo in [true, false] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| builder.use_lifo(lifo)).recreate();
        let [first, second, third] = [(); 3].map(|()| world.connect(&pool));
        drop(first);
        drop(second);
        drop(third);
        assert_eq!(world.connect(&pool).number, if lifo { 2 } else { 0 });
    }
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

#[test]
fn it_has_the_same_manager() {
    let world = World::new();
    let pool = world.queue(1);
    let again = pool.recreate();
    assert!(std::ptr::eq(pool.manager(), again.manager()));
    let asked = std::rc::Rc::new(std::cell::Cell::new(0));
    let count = asked.clone();
    world.in_calls(move |call| count.set(count.get() + u32::from(call == "in_transaction")));
    world.close(world.connect(&again));
    assert_eq!(asked.get(), 1);
}

// Not here: the manager has what a dialect has in JavaScript.
// - it has the same dialect = it_has_the_same_manager

// Not here: a builder is consumed by its pool.
// - changing the options object afterwards changes neither pool

// Not here: a pool makes itself no name. It is "pool" by default.
// - a pool without a name of its own gives the new one another

// Not here: a pool has no subclasses.
// - a subclass whose constructor takes something else keeps its creator, its settings and its properties
// - a subclass whose constructor refuses the creator is recreated without it
// - a subclass that wraps its creator has it wrapped once, and its own fields begin again
// - a pool that a subclass makes in its constructor is not the one that is recreated
