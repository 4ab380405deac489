//! The pool's numbers.

use crate::fakes::{Script, World};
use edgepool::{Counts, Queue};

fn four(counts: Counts) -> (i64, i64, i64, i64) {
    (counts.size, counts.checked_in, counts.overflow, counts.checked_out)
}

#[test]
fn a_new_pool_has_every_number_and_every_one_but_its_limits_is_0() {
    let world = World::new();
    let stats = world.queue(2).stats();
    assert_eq!((stats.max, stats.max_idle), (2.0, 2.0));
    let gauges = [stats.total, stats.idle, stats.used, stats.returning, stats.opening, stats.closing, stats.waiting];
    assert_eq!(gauges, [0; 7]);
    let counters = [stats.opened, stats.open_failed, stats.checkouts, stats.waited, stats.timed_out, stats.aborted];
    assert_eq!(counters, [0; 6]);
    assert_eq!((stats.recycled, stats.invalidated, stats.leaked, stats.detached), (0, 0, 0, 0));
}

#[test]
fn the_gauges_follow_one_connection_through_its_life() {
    let world = World::new();
    let pool = world.queue(1);
    let gauges = || {
        let stats = pool.stats();
        [stats.opening, stats.used, stats.returning, stats.idle, stats.closing, stats.total]
    };
    world.opens([Script::takes(5)]);
    let waiter = world.wait(&pool);
    assert_eq!(gauges(), [1, 0, 0, 0, 0, 1]);
    world.pass(5);
    let mut lease = world.served(waiter);
    assert_eq!(gauges(), [0, 1, 0, 0, 0, 1]);
    lease.in_transaction = true;
    world.resets([Script::takes(5)]);
    drop(lease);
    assert_eq!(gauges(), [0, 1, 1, 0, 0, 1]);
    world.pass(5);
    assert_eq!(gauges(), [0, 0, 0, 1, 0, 1]);
    world.closes([Script::takes(5)]);
    drop(pool.dispose());
    assert_eq!(gauges(), [0, 0, 0, 0, 1, 1]);
    world.pass(5);
    assert_eq!(gauges(), [0; 6]);
}

#[test]
fn the_gauges_follow_a_detached_connection_until_its_close() {
    let world = World::new();
    let pool = world.queue(1);
    let own = world.connect(&pool).detach().unwrap();
    assert_eq!((pool.stats().detached, pool.stats().total), (1, 0));
    world.run(own.close());
    assert_eq!(pool.stats().detached, 0);
}

#[test]
fn an_emptied_slot_counts_as_checked_in_but_neither_as_idle_nor_in_the_total() {
    let world = World::new();
    let pool = world.queue(2);
    world.run(world.connect(&pool).invalidate());
    assert_eq!((pool.counts().checked_in, pool.stats().idle, pool.stats().total), (1, 0, 0));
}

#[test]
fn every_counter_counts_one_thing() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::Fails("no route")]);
    world.refused(&pool);
    assert_eq!((pool.stats().opened, pool.stats().open_failed, pool.stats().checkouts), (0, 1, 0));
    let held = world.connect(&pool);
    drop(world.wait(&pool));
    assert_eq!((pool.stats().waited, pool.stats().aborted), (1, 1));
    world.run(held.invalidate());
    drop(world.connect(&pool));
    pool.invalidate();
    drop(world.connect(&pool));
    let stats = pool.stats();
    assert_eq!((stats.opened, stats.checkouts, stats.invalidated, stats.recycled), (3, 3, 1, 1));
}

#[test]
fn stats_is_a_snapshot_what_happens_later_does_not_change_it() {
    let world = World::new();
    let pool = world.queue(1);
    let before = pool.stats();
    drop(world.connect(&pool));
    assert_eq!((before.opened, pool.stats().opened), (0, 1));
}

#[test]
fn max_is_pool_size_and_max_overflow_together_or_infinity() {
    let world = World::new();
    let max = |size, overflow: Option<u32>| {
        world.pool::<Queue>(|builder| builder.pool_size(size).max_overflow(overflow)).stats().max
    };
    assert_eq!((max(3, Some(4)), max(0, Some(4)), max(3, None)), (7.0, f64::INFINITY, f64::INFINITY));
}

#[test]
fn counts_follow_returns_and_the_next_connects() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(3).max_overflow(10));
    let leases: Vec<_> = (0..3).map(|_| world.connect(&pool)).collect();
    assert_eq!(four(pool.counts()), (3, 0, 0, 3));
    drop(leases);
    assert_eq!(four(pool.counts()), (3, 3, 0, 0));
    let _lease = world.connect(&pool);
    assert_eq!(four(pool.counts()), (3, 2, 0, 1));
}

#[test]
fn with_no_limit_on_the_size_there_is_no_overflow_whatever_max_overflow_says() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(0).max_overflow(3));
    let _leases: Vec<_> = (0..7).map(|_| world.connect(&pool)).collect();
    assert_eq!(four(pool.counts()), (0, 0, 0, 7));
}

#[test]
fn a_connect_that_fails_in_the_creator_leaves_the_overflow_as_it_was() {
    let world = World::new();
    let pool = world.queue(2);
    world.opens([Script::Fails("no route")]);
    let before = pool.counts();
    world.refused(&pool);
    assert_eq!(pool.counts(), before);
}

#[test]
fn of_two_returns_the_first_is_kept_the_second_is_reset_and_closed() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(1));
    let [first, mut second] = [(); 2].map(|()| world.connect(&pool));
    second.in_transaction = true;
    drop(first);
    drop(second);
    assert_eq!(world.trace(), "open, open, rollback 1, close 1");
}

#[test]
fn a_slot_that_opens_resets_or_closes_counts_as_checked_out() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::takes(5)]);
    let waiter = world.wait(&pool);
    assert_eq!(pool.counts().checked_out, 1);
    world.pass(5);
    drop(world.served(waiter));
    world.closes([Script::takes(5)]);
    drop(pool.dispose());
    assert_eq!(pool.counts().checked_out, 1);
}

#[test]
fn status_is_one_line_that_has_the_name_and_the_numbers() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.name("orders").pool_size(3));
    let _lease = world.connect(&pool);
    assert_eq!(pool.status(), "orders size: 3 connections in pool: 0 current overflow: -2 checked out: 1");
}

#[test]
fn a_stale_connection_that_is_being_replaced_is_opening() {
    let world = World::new();
    let pool = world.queue(1);
    let gauges = || {
        let stats = pool.stats();
        [stats.total, stats.idle, stats.used, stats.opening, stats.closing]
    };
    drop(world.connect(&pool));
    pool.invalidate();
    assert_eq!(gauges(), [1, 1, 0, 0, 0]);
    world.opens([Script::takes(5)]);
    let waiter = world.wait(&pool);
    assert_eq!(gauges(), [1, 0, 0, 1, 0]);
    world.pass(5);
    let _lease = world.served(waiter);
    assert_eq!(gauges(), [1, 0, 1, 0, 0]);
    let stats = pool.stats();
    assert_eq!((stats.recycled, stats.opened, stats.invalidated), (1, 2, 0));
}

#[test]
fn with_no_limit_on_the_size_every_connection_is_kept_until_dispose() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(0).max_overflow(3));
    let leases: Vec<_> = (0..30).map(|_| world.connect(&pool)).collect();
    assert_eq!(four(pool.counts()), (0, 0, 0, 30));
    drop(leases);
    assert_eq!(four(pool.counts()), (0, 30, 0, 0));
    world.run(pool.dispose());
    assert_eq!((four(pool.counts()), world.log.open.get()), ((0, 0, 0, 0), 0));
}

#[test]
fn a_pool_recreated_from_one_without_limit_has_none() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(0)).recreate();
    assert_eq!((pool.counts().size, pool.stats().max), (0, f64::INFINITY));
}

#[test]
fn detached_connections_do_not_count_however_many_there_are() {
    let world = World::new();
    let pool = world.queue(1);
    let detached: Vec<_> = (0..5).map(|_| world.connect(&pool).detach().unwrap()).collect();
    drop(world.connect(&pool));
    assert_eq!(four(pool.counts()), (1, 1, 0, 0));
    assert_eq!((pool.stats().detached, pool.stats().total, world.log.open.get()), (5, 1, 6));
    drop(detached);
    world.time.run();
    assert_eq!((pool.stats().detached, world.log.open.get()), (0, 1));
}

// Not here: a pool of the Rust host has one scope.
// - a scope without a caller yet has zeros, whatever the first scope has
