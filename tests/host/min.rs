//! `min`: connections that the pool opens by itself.

use crate::fakes::{Failure, Of, Script, World};
use edgepool::{Error, Queue, Sizes};
use std::time::Duration;

fn pool(world: &World, min: u32) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(5).max_overflow(0).min(min))
}

#[test]
fn they_are_opened_with_start_or_with_the_first_call() {
    let world = World::new();
    for starts in [true, false] {
        let pool = pool(&world, 3);
        assert_eq!(world.trace(), "");
        if starts {
            pool.start();
        } else {
            drop(world.connect(&pool));
        }
        world.time.run();
        assert_eq!(pool.stats().idle, 3);
        world.run(pool.close());
        world.trace();
    }
}

#[test]
fn without_it_nothing_is_opened_and_no_timer_runs() {
    let world = World::new();
    let pool = world.queue(3);
    pool.start();
    world.run(world.connect(&pool).invalidate());
    world.time.run();
    assert_eq!((world.log.open.get(), world.time.timers()), (0, 0));
}

#[test]
fn each_connection_that_ends_is_replaced_died_invalidated_worn_out_detached() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.min(2).max_uses(3));
    drop(world.connect(&pool));
    world.time.run();
    assert_eq!(world.log.open.get(), 2);
    world.dies(0, Some("gone"));
    assert_eq!(world.log.open.get(), 2);
    world.run(world.connect(&pool).invalidate());
    world.time.run();
    assert_eq!(world.log.open.get(), 2);
    for _ in 0..6 {
        drop(world.connect(&pool));
    }
    world.time.run();
    assert_eq!((world.log.open.get(), pool.stats().idle), (2, 2));
    let own = world.connect(&pool).detach().unwrap();
    world.time.run();
    assert_eq!(pool.stats().idle, 2);
    drop(own);
}

#[test]
fn idle_timeout_closes_down_to_it_and_no_timer_runs_then() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.min(2).idle_timeout(Duration::from_millis(1_000)));
    let leases: Vec<_> = (0..5).map(|_| world.connect(&pool)).collect();
    drop(leases);
    world.pass(5_000);
    assert_eq!((pool.stats().idle, world.time.timers()), (2, 0));
}

#[test]
fn a_dead_server_is_tried_again_after_100_ms_then_twice_as_long_each_time_one_opening_at_a_time() {
    let world = World::new();
    let pool = pool(&world, 2);
    world.opens((0..1_000).map(|_| Script::Fails("no route")));
    pool.start();
    world.pass(10);
    let after = |ms: u64| {
        world.pass(ms);
        world.trace().matches("open,").count()
    };
    assert!(after(0) <= 2);
    let early = after(110);
    assert!((1..=2).contains(&early), "{early}");
    let in_a_minute = after(60_000);
    assert!(in_a_minute < 30, "{in_a_minute}");
    world.log.open_scripts.borrow_mut().clear();
    world.pass(60_000);
    assert_eq!(pool.stats().idle, 2);
}

#[test]
fn what_fails_is_emitted_as_the_error_of_an_opening_and_rejects_no_caller() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.opens([Script::Fails("no route")]);
    pool.start();
    assert_eq!(world.trace(), "open, error(open: no route)");
    drop(world.connect(&pool));
}

#[test]
fn warm_opens_its_own_and_rejects_with_its_own_error() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.opens([Script::Fails("mine"), Script::Fails("mine")]);
    let Err(Error::Manager(error)) = world.run(pool.warm(2)) else { panic!("it opened") };
    assert_eq!(*error, Failure("mine"));
}

#[test]
fn a_caller_that_waits_is_served_by_a_connection_that_the_pool_opens_by_itself() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).min(1));
    world.opens([Script::takes(5)]);
    pool.start();
    let waiter = world.wait(&pool);
    world.pass(5);
    assert_eq!(world.served(waiter).number, 0);
    assert_eq!(pool.stats().opened, 1);
}

#[test]
fn dispose_leaves_the_pool_empty_until_its_next_call() {
    let world = World::new();
    let pool = pool(&world, 2);
    pool.start();
    world.time.run();
    world.run(pool.dispose());
    world.pass(10_000);
    assert_eq!(world.log.open.get(), 0);
    drop(world.connect(&pool));
    world.time.run();
    assert_eq!(pool.stats().idle, 2);
}

#[test]
fn close_ends_it_also_while_an_opening_hangs_or_a_pause_runs() {
    for script in [Script::Hangs, Script::Fails("no route")] {
        let world = World::new();
        let pool = pool(&world, 1);
        world.opens([script]);
        pool.start();
        world.time.run();
        world.run(pool.close());
        world.pass(100_000);
        assert_eq!((world.log.open.get(), world.time.timers()), (0, 0));
    }
}

#[test]
fn resize_changes_it() {
    let world = World::new();
    let pool = pool(&world, 1);
    pool.start();
    world.time.run();
    pool.resize(Sizes { min: Some(3.0), ..Sizes::default() }).unwrap();
    world.time.run();
    assert_eq!(pool.stats().idle, 3);
}

#[test]
fn dispose_ends_the_openings_that_have_not_begun_and_the_next_call_begins_them_again() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(3).max_overflow(0).min(3));
    // The second opening disposes of the pool, before the third begins.
    let (own, log) = (pool.clone(), world.log.clone());
    *world.log.in_open.borrow_mut() = Some(Box::new(move || {
        *log.in_open.borrow_mut() = Some(Box::new(move || drop(own.dispose())));
    }));
    let first = world.connect(&pool);
    assert_eq!(world.trace().matches("open").count(), 2);
    assert_eq!(pool.stats().total, 1);
    let second = world.connect(&pool);
    let stats = pool.stats();
    assert_eq!((stats.used, stats.idle), (2, 1));
    drop((first, second));
    world.run(pool.close());
    assert_eq!(world.log.open.get(), 0);
}

#[test]
fn without_refill_none_is_opened_by_itself_and_those_that_callers_have_opened_are_kept() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.min(2).refill(false).idle_timeout(Duration::from_millis(1_000)));
    pool.start();
    world.time.run();
    assert_eq!(world.log.open.get(), 0);
    let leases: Vec<_> = (0..3).map(|_| world.connect(&pool)).collect();
    drop(leases);
    world.pass(5_000);
    assert_eq!(pool.stats().idle, 2);
}

// Not here: build() opens nothing, since a pool may be built before its runtime runs.
// - they are opened after the constructor has returned, and in Workers with the first call =
//     they_are_opened_with_start_or_with_the_first_call
// Not here: a pool of the Rust host has one scope.
// - each scope of a key keeps its own, from its first call on
