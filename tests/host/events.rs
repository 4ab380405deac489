//! What listeners are shown, and what no caller gets.

use crate::fakes::{Of, Script, World};
use edgepool::{Error, Queue};

fn pool(world: &World) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(1).max_overflow(0))
}

#[test]
fn error_gets_an_opening_that_failed_after_its_caller_had_left() {
    let world = World::new();
    let pool = pool(&world);
    world.opens([Script::Takes(5, Box::new(Script::Fails("no route")))]);
    drop(world.wait(&pool));
    world.pass(5);
    assert_eq!(world.trace(), "open, error(open: no route)");
}

#[test]
fn the_error_of_a_caller_that_is_still_there_is_not_reported_too() {
    let world = World::new();
    let pool = pool(&world);
    world.opens([Script::Fails("no route")]);
    world.refused(&pool);
    world.listener_fails("checkout", "no");
    world.refused(&pool);
    assert!(!world.trace().contains("error("));
}

#[test]
fn error_gets_what_was_swallowed_with_its_operation() {
    let world = World::new();
    let pool = pool(&world);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::Fails("reset")]);
    world.close(lease);
    drop(world.connect(&pool));
    world.closes([Script::Fails("bye")]);
    world.run(pool.dispose());
    let trace = world.trace();
    assert!(trace.contains("error(reset: reset)") && trace.contains("error(close: bye)"), "{trace}");
}

#[test]
fn without_listeners_nothing_is_lost() {
    let world = World::new();
    let pool = world.queue(1);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::Fails("reset")]);
    world.close(lease);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn listeners_of_one_pool_are_not_called_by_another() {
    let world = World::new();
    let _listened = pool(&world);
    let other = world.queue(1);
    drop(world.connect(&other));
    assert_eq!(world.trace(), "open");
}

#[test]
fn recreate_takes_the_pools_listeners() {
    let world = World::new();
    let pool = pool(&world).recreate();
    drop(world.connect(&pool));
    assert_eq!(world.trace(), "open, first_connect(0), connect(0), checkout(0), reset(0), checkin(0)");
}

#[test]
fn with_every_listener_failing_at_once_the_books_stay_right() {
    let world = World::new();
    let pool = pool(&world);
    for round in 0..30 {
        for event in ["first_connect", "connect", "checkout"] {
            if round % 3 != 2 {
                world.listener_fails(event, "no");
            }
        }
        match world.run(pool.connect()) {
            Ok(lease) => world.close(lease),
            Err(error) => assert!(matches!(error, Error::Manager(_))),
        }
        let stats = pool.stats();
        assert_eq!((stats.used, stats.opening, stats.closing), (0, 0, 0));
        assert_eq!(stats.idle, world.log.open.get());
    }
}

#[test]
fn a_listener_that_panics_costs_no_slot() {
    for event in ["first_connect", "connect", "checkout", "reset", "checkin", "invalidate", "closing"] {
        let world = World::new();
        let pool = pool(&world);
        let panics = std::rc::Rc::new(std::cell::Cell::new(true));
        let first = panics.clone();
        world.within(move |now| assert!(now != event || !first.replace(false), "a listener"));
        let use_it = || {
            let lease = world.connect(&pool);
            world.run(lease.close());
            world.run(world.connect(&pool).invalidate());
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(use_it));
        assert!(result.is_err() && !panics.get(), "{event} does not panic");
        world.time.run();
        use_it();
        let stats = pool.stats();
        assert_eq!((stats.used, stats.opening, stats.closing), (0, 0, 0), "{event}: {stats:?}");
        assert_eq!(stats.idle, world.log.open.get(), "{event}");
    }
}
