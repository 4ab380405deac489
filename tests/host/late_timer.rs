//! Timers that ring late, because the thread was busy.

use crate::fakes::{Of, Script, World};
use edgepool::{Error, Queue, TimeoutStep};
use std::time::Duration;

fn pool(world: &World) -> Of<Queue> {
    world.pool(|builder| {
        builder
            .pool_size(1)
            .max_overflow(0)
            .timeout(Duration::from_millis(100))
            .driver_timeout(Duration::from_millis(100))
            .pre_ping(true)
            .ping_timeout(Duration::from_millis(100))
    })
}

fn block(world: &World) {
    world.time.block(Duration::from_millis(500));
}

#[test]
fn a_waiter_is_served_if_its_connection_comes_back_right_after_the_block() {
    let world = World::new();
    let pool = pool(&world);
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    block(&world);
    drop(held);
    world.pass(1);
    drop(world.served(waiter));
}

#[test]
fn waiters_are_served_in_order_and_those_for_whom_nothing_comes_back_are_refused() {
    let world = World::new();
    let pool = pool(&world);
    let held = world.connect(&pool);
    let first = world.wait(&pool);
    let mut second = world.wait(&pool);
    block(&world);
    drop(held);
    let _lease = world.served(first);
    world.pass(200);
    assert!(matches!(world.poll(second.as_mut()), Some(Err(Error::Timeout(_)))));
}

#[test]
fn a_waiter_is_refused_within_50_ms_after_the_block_if_nothing_comes_back() {
    let world = World::new();
    let pool = pool(&world);
    let _held = world.connect(&pool);
    let mut waiter = world.wait(&pool);
    block(&world);
    world.pass(50);
    let Some(Err(Error::Timeout(timeout))) = world.poll(waiter.as_mut()) else { panic!("it waits") };
    assert_eq!(timeout.step, TimeoutStep::Wait);
}

#[test]
fn a_loop_that_is_always_blocked_still_times_out() {
    let world = World::new();
    let pool = pool(&world);
    let _held = world.connect(&pool);
    let mut waiter = world.wait(&pool);
    for _ in 0..10 {
        world.time.block(Duration::from_millis(60));
        world.pass(1);
    }
    assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Timeout(_)))));
}

#[test]
fn an_opening_a_ping_and_a_reset_whose_answer_comes_right_after_the_block_are_in_time() {
    let world = World::new();
    let pool = pool(&world);
    world.opens([Script::takes(10)]);
    let waiter = world.wait(&pool);
    block(&world);
    world.pass(1);
    let mut lease = world.served(waiter);
    lease.in_transaction = true;
    world.resets([Script::takes(10)]);
    drop(lease);
    block(&world);
    world.pass(1);
    assert_eq!(pool.stats().idle, 1);
    world.pings([Script::takes(10)]);
    let waiter = world.wait(&pool);
    block(&world);
    world.pass(1);
    assert_eq!(world.served(waiter).number, 0);
    assert_eq!(pool.stats().opened, 1);
}
