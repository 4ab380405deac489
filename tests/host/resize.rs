//! `resize()`: other sizes while the pool runs.

use crate::fakes::{Of, Script, World};
use edgepool::{Queue, Sizes};
use std::time::Duration;

fn pool(world: &World, size: u32) -> Of<Queue> {
    world.pool(|builder| builder.pool_size(size).max_overflow(0))
}

fn size(count: u32) -> Sizes {
    Sizes { pool_size: Some(f64::from(count)), ..Sizes::default() }
}

#[test]
fn a_pool_that_grows_serves_its_waiters_at_once_in_order() {
    let world = World::new();
    let pool = pool(&world, 1);
    let _held = world.connect(&pool);
    let first = world.wait(&pool);
    let second = world.wait(&pool);
    let mut third = world.wait(&pool);
    pool.resize(size(3)).unwrap();
    let _leases = (world.served(first), world.served(second));
    assert!(world.waits(&mut third));
}

#[test]
fn a_pool_that_shrinks_closes_idle_connections_at_once_and_the_others_at_their_return() {
    let world = World::new();
    let pool = pool(&world, 3);
    let [a, b, c] = [(); 3].map(|()| world.connect(&pool));
    drop(a);
    world.trace();
    pool.resize(size(1)).unwrap();
    assert_eq!(world.trace(), "close 0");
    drop(b);
    assert_eq!(world.trace(), "close 1");
    drop(c);
    assert_eq!(world.trace(), "");
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn a_waiter_has_a_connection_as_soon_as_the_pool_is_within_its_new_sizes() {
    let world = World::new();
    let pool = pool(&world, 2);
    let [a, b] = [(); 2].map(|()| world.connect(&pool));
    pool.resize(size(1)).unwrap();
    let mut waiter = world.wait(&pool);
    drop(a);
    assert!(world.waits(&mut waiter));
    drop(b);
    assert_eq!(world.served(waiter).number, 1);
}

#[test]
fn what_is_not_given_stays() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(2).max_overflow(3).min_idle(1));
    pool.resize(size(4)).unwrap();
    let stats = pool.stats();
    assert_eq!((stats.max, stats.max_idle, stats.min_idle), (7.0, 4.0, 1));
    pool.resize(Sizes::default()).unwrap();
    assert_eq!(pool.stats(), stats);
    pool.resize(Sizes { max_overflow: Some(-1.0), ..Sizes::default() }).unwrap();
    assert_eq!((pool.counts().size, pool.stats().max), (4, f64::INFINITY));
    pool.resize(Sizes { pool_size: Some(0.0), max_overflow: Some(0.0), ..Sizes::default() }).unwrap();
    assert_eq!((pool.counts().size, pool.stats().max), (0, f64::INFINITY));
}

#[test]
fn a_wrong_size_is_named_by_an_error_and_nothing_changes() {
    let world = World::new();
    let pool = pool(&world, 2);
    let before = pool.stats();
    let wrong = |sizes, method| assert_eq!(pool.resize(sizes).unwrap_err().method(), method);
    for value in [-1.0, 0.5, 4_294_967_296.0, f64::MAX, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        wrong(Sizes { pool_size: Some(value), ..Sizes::default() }, "pool_size");
        wrong(Sizes { pool_size: Some(9.0), min_idle: Some(value), ..Sizes::default() }, "min_idle");
        wrong(Sizes { pool_size: Some(9.0), min: Some(value), ..Sizes::default() }, "min");
        if value != -1.0 {
            wrong(Sizes { max_overflow: Some(value), ..Sizes::default() }, "max_overflow");
        }
    }
    wrong(Sizes { pool_size: Some(9.0), max_overflow: Some(-2.0), ..Sizes::default() }, "max_overflow");
    for value in [-1.0, f64::NAN, f64::NEG_INFINITY] {
        wrong(Sizes { max_uses: Some(value), ..Sizes::default() }, "max_uses");
        wrong(Sizes { max_age_ms: Some(value), ..Sizes::default() }, "max_age");
        wrong(Sizes { idle_timeout_ms: Some(value), ..Sizes::default() }, "idle_timeout");
    }
    wrong(Sizes { pool_size: Some(5.0), max_uses: Some(0.0), ..Sizes::default() }, "max_uses");
    wrong(Sizes { idle_timeout_ms: Some(f64::NAN), ..Sizes::default() }, "idle_timeout");
    assert_eq!(pool.stats(), before);
    assert_eq!(pool.recreate().stats().max, before.max);
}

#[test]
fn a_lower_min_idle_closes_what_was_kept_for_it() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.idle_timeout(Duration::from_millis(1_000)).min_idle(2));
    let leases = [(); 2].map(|()| world.connect(&pool));
    drop(leases);
    world.pass(5_000);
    assert_eq!(pool.stats().idle, 2);
    pool.resize(Sizes { min_idle: Some(0.0), ..Sizes::default() }).unwrap();
    world.pass(2_000);
    assert_eq!(pool.stats().idle, 0);
}

#[test]
fn recreate_has_the_new_sizes_and_warm_opens_as_many() {
    let world = World::new();
    let pool = pool(&world, 1);
    pool.resize(size(3)).unwrap();
    world.run(pool.warm(5)).unwrap();
    assert_eq!((pool.stats().idle, pool.recreate().stats().max), (3, 3.0));
}

#[test]
fn a_creator_under_way_for_a_slot_too_many_serves_its_caller_whose_return_closes_the_connection() {
    let world = World::new();
    let pool = pool(&world, 2);
    let _kept = world.connect(&pool);
    world.opens([Script::takes(5)]);
    let waiter = world.wait(&pool);
    pool.resize(size(1)).unwrap();
    world.pass(5);
    drop(world.served(waiter));
    assert!(world.trace().ends_with("close 1"));
}

#[test]
fn a_closed_pool_stays_closed() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.run(pool.close());
    pool.resize(size(3)).unwrap();
    assert!(pool.is_closed());
    world.refused(&pool);
}

#[test]
fn idle_timeout_max_uses_and_max_age_may_change_each_for_what_comes_later() {
    let world = World::new();
    let pool = pool(&world, 2);
    let leases = [(); 2].map(|()| world.connect(&pool));
    drop(leases);
    pool.resize(Sizes { idle_timeout_ms: Some(1_000.0), ..Sizes::default() }).unwrap();
    world.pass(1_200);
    assert_eq!(pool.stats().idle, 0);
    pool.resize(Sizes { idle_timeout_ms: Some(f64::INFINITY), max_age_ms: Some(1_000.0), ..Sizes::default() }).unwrap();
    drop(world.connect(&pool));
    world.time.block(Duration::from_secs(5));
    assert_eq!(world.connect(&pool).number, 3);
    pool.resize(Sizes { max_uses: Some(1.0), ..Sizes::default() }).unwrap();
    let number = world.connect(&pool).number;
    assert_ne!(world.connect(&pool).number, number);
}

#[test]
fn a_listener_may_change_the_sizes_and_every_waiter_is_settled_before_the_next_listener_runs() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(4).max_overflow(0));
    let leases = [(); 4].map(|()| world.connect(&pool));
    drop(leases);
    let own = pool.clone();
    world.within(move |event| {
        if event == "closing" {
            own.resize(size(2)).unwrap();
        }
    });
    world.trace();
    pool.resize(size(3)).unwrap();
    assert_eq!(world.trace(), "closing(0), close 0, closing(1), close 1");
    assert_eq!((world.log.open.get(), pool.stats().idle), (2, 2));
    world.log.within.take();
    // A listener that lets the pool grow has served its waiters when the next listener runs.
    let held = [(); 2].map(|()| world.connect(&pool));
    let waiters = [world.wait(&pool), world.wait(&pool)];
    let (own, waiting) = (pool.clone(), std::rc::Rc::new(std::cell::RefCell::new(Vec::new())));
    let seen = waiting.clone();
    world.within(move |event| match event {
        "reset" => own.resize(size(4)).unwrap(),
        _ => seen.borrow_mut().push(own.stats().waiting),
    });
    drop(held);
    drop(waiters.map(|waiter| world.served(waiter)));
    assert!(waiting.take().iter().all(|&waiting| waiting == 0));
    world.log.within.take();
}

// Not here: a size that is not given is None.
// - what is not given stays, and undefined is not given = what_is_not_given_stays

// Not here: the error is an OptionError, and a name that is not one is refused by the compiler.
// - a wrong size is named by an ArgumentError, and nothing changes
//   = a_wrong_size_is_named_by_an_error_and_nothing_changes

// Not here: a pool of the Rust host has one scope.
// - every scope follows, also one that begins later, and each serves its own waiters
