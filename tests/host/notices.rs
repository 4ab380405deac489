//! Many notices at once, and foreign code between them.

use crate::fakes::{Script, World};
use edgepool::{Patience, Queue, Static};
use std::cell::RefCell;
use std::time::Duration;

#[test]
fn all_of_5000_closes_that_are_due_in_one_tick_happen() {
    for takes in [0, 5] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| builder.pool_size(0).idle_timeout(Duration::from_millis(1_000)));
        let leases: Vec<_> = (0..5_000).map(|_| world.connect(&pool)).collect();
        drop(leases);
        if takes > 0 {
            world.closes((0..5_000).map(|_| Script::takes(takes)));
        }
        world.pass(1_500);
        assert_eq!((world.log.open.get(), pool.stats().total), (0, 0));
    }
}

#[test]
fn all_of_5000_leases_that_close_does_not_wait_for_are_ended() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(0));
    let leases: Vec<_> = (0..5_000).map(|_| world.connect(&pool)).collect();
    world.run(pool.close_within(Patience { time: Some(Duration::from_millis(20)), drain: false }));
    assert!(leases.iter().all(|lease| !lease.is_valid()));
    drop(leases);
    world.time.run();
    assert_eq!((world.log.open.get(), pool.stats().total), (0, 0));
}

#[test]
fn a_close_listener_of_dispose_that_asks_for_a_connection_takes_no_waiters_place() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(2).max_overflow(0));
    let [idle, held] = [(); 2].map(|()| world.connect(&pool));
    drop(idle);
    let (own, time, asked) = (pool.clone(), world.time.clone(), RefCell::new(Vec::new()));
    world.within(move |event| {
        if event == "closing" {
            let pool = own.clone();
            let mut waiter = Box::pin(async move { pool.connect().await });
            let _ = time.poll_once(waiter.as_mut());
            asked.borrow_mut().push(waiter);
        }
    });
    world.closes([Script::takes(5)]);
    drop(pool.dispose());
    let waiter = world.wait(&pool);
    drop(held);
    world.log.within.take();
    drop(world.run(waiter).unwrap());
}

#[test]
fn a_listener_of_a_dead_connection_that_returns_leases_finds_every_waiter_in_its_place() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(2).max_overflow(0));
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    let waiters = [world.wait(&pool), world.wait(&pool)];
    let kept = RefCell::new(Some(second));
    world.within(move |event| {
        if event == "invalidate" {
            drop(kept.take());
        }
    });
    world.dies(0, Some("gone"));
    drop(first);
    for waiter in waiters {
        let lease = world.run(waiter).unwrap();
        std::mem::forget(lease);
    }
}

#[test]
fn a_static_pools_caller_whose_connection_dies_in_its_checkout_listener_gets_a_lease_of_the_next() {
    let world = World::new();
    let pool = world.listened::<Static>(|builder| builder);
    drop(world.connect(&pool));
    let log = world.log.clone();
    let died = std::cell::Cell::new(false);
    world.within(move |event| {
        if event == "checkout" && !died.replace(true) {
            let watch = log.watches.borrow()[0].clone();
            watch.died(None);
        }
    });
    let lease = world.connect(&pool);
    assert!(lease.is_valid());
    assert_eq!(lease.number, 1);
}
