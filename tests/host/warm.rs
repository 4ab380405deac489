//! `warm()`: connections that are opened in advance.

use crate::fakes::{Failure, Of, Script, World};
use edgepool::{Error, Queue};
use std::pin::pin;
use std::time::Duration;

fn pool(world: &World) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(3).max_overflow(2).driver_timeout(Duration::from_millis(50)))
}

#[test]
fn warm_opens_connections_and_parks_them_their_first_callers_open_nothing() {
    let world = World::new();
    let pool = pool(&world);
    world.run(pool.warm(3)).unwrap();
    assert_eq!(pool.stats().idle, 3);
    world.trace();
    let _leases = [(); 3].map(|()| world.connect(&pool));
    assert_eq!(world.trace(), "checkout(0), checkout(1), checkout(2)");
}

#[test]
fn it_runs_the_creator_and_the_connect_listeners_and_nothing_of_a_checkout_or_a_return() {
    let world = World::new();
    let pool = pool(&world);
    world.run(pool.warm(2)).unwrap();
    let trace = world.trace();
    assert_eq!(trace.matches("open").count(), 2);
    assert!(!trace.contains("checkout") && !trace.contains("reset") && !trace.contains("checkin"), "{trace}");
    assert_eq!(pool.stats().checkouts, 0);
}

#[test]
fn never_above_pool_size_whatever_is_asked_for() {
    let world = World::new();
    let pool = pool(&world);
    world.run(pool.warm(50)).unwrap();
    assert_eq!(pool.stats().total, 3);
}

#[test]
fn a_pool_without_a_limit_is_warmed_as_far_as_is_asked_for() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(0));
    world.run(pool.warm(20)).unwrap();
    assert_eq!(pool.stats().idle, 20);
}

#[test]
fn what_is_in_use_or_opening_is_not_missing() {
    let world = World::new();
    let pool = pool(&world);
    let _lease = world.connect(&pool);
    world.opens([Script::takes(5)]);
    let waiter = world.wait(&pool);
    world.run(pool.warm(3)).unwrap();
    assert_eq!(pool.stats().total, 3);
    drop(waiter);
}

#[test]
fn while_leases_beyond_pool_size_are_out_nothing_is_missing() {
    let world = World::new();
    let pool = pool(&world);
    let _leases: Vec<_> = (0..4).map(|_| world.connect(&pool)).collect();
    world.trace();
    world.run(pool.warm(3)).unwrap();
    assert_eq!(world.trace(), "");
}

#[test]
fn an_emptied_slot_is_filled() {
    let world = World::new();
    let pool = pool(&world);
    world.run(world.connect(&pool).invalidate());
    world.run(pool.warm(1)).unwrap();
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn it_rejects_with_the_creators_error_what_could_be_opened_is_kept() {
    let world = World::new();
    let pool = pool(&world);
    world.opens([Script::Ok, Script::Fails("no route"), Script::Ok]);
    let Err(Error::Manager(error)) = world.run(pool.warm(3)) else { panic!("they opened") };
    assert_eq!(*error, Failure("no route"));
    assert_eq!(pool.stats().idle, 2);
}

#[test]
fn it_rejects_where_every_opening_fails_or_a_connect_listener_does_and_the_pool_is_as_it_was() {
    let world = World::new();
    let pool = pool(&world);
    world.opens((0..3).map(|_| Script::Fails("no route")));
    assert!(world.run(pool.warm(3)).is_err());
    assert_eq!(pool.stats().total, 0);
    world.listener_fails("connect", "no");
    assert!(world.run(pool.warm(1)).is_err());
    assert_eq!((pool.stats().total, world.log.open.get()), (0, 0));
}

#[test]
fn an_opening_that_hangs_is_given_driver_timeout() {
    let world = World::new();
    let pool = pool(&world);
    world.opens([Script::Hangs]);
    assert!(matches!(world.run(pool.warm(1)), Err(Error::Timeout(_))));
    world.assert_time(50.0);
}

#[test]
fn it_keeps_to_max_connecting() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(4).max_connecting(2));
    world.opens((0..4).map(|_| Script::takes(5)));
    world.run(pool.warm(4)).unwrap();
    assert_eq!((pool.stats().idle, world.log.most_opening.get()), (4, 2));
}

#[test]
fn a_caller_that_comes_meanwhile_has_the_first_connection_and_no_more_are_opened_than_fit() {
    let world = World::new();
    let pool = world.queue(2);
    world.opens([Script::takes(5), Script::takes(10)]);
    let mut warming = pin!(pool.warm(2));
    assert!(world.poll(warming.as_mut()).is_none());
    let waiter = world.wait(&pool);
    world.pass(5);
    assert!(world.poll(warming.as_mut()).is_none());
    let _lease = world.served(waiter);
    world.run(warming).unwrap();
    assert_eq!(pool.stats().opened, 2);
}

#[test]
fn two_at_once_open_no_more_than_one() {
    let world = World::new();
    let pool = world.queue(3);
    world.opens((0..3).map(|_| Script::takes(5)));
    let mut first = pin!(pool.warm(3));
    assert!(world.poll(first.as_mut()).is_none());
    world.run(pool.warm(3)).unwrap();
    world.run(first).unwrap();
    assert_eq!(pool.stats().opened, 3);
}

#[test]
fn what_dispose_finds_opening_is_not_kept() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::takes(5)]);
    let mut warming = pin!(pool.warm(1));
    assert!(world.poll(warming.as_mut()).is_none());
    drop(pool.dispose());
    world.run(warming).unwrap();
    world.time.run();
    assert_eq!(world.log.open.get(), 0);
}

#[test]
fn close_while_it_opens_it_ends_and_so_does_everything_that_was_opened() {
    let world = World::new();
    let pool = world.queue(2);
    world.opens([Script::takes(5), Script::takes(5)]);
    let mut warming = pin!(pool.warm(2));
    assert!(world.poll(warming.as_mut()).is_none());
    let mut closing = pin!(pool.close());
    assert!(world.poll(closing.as_mut()).is_none());
    drop(world.run(warming));
    world.run(closing);
    assert_eq!(world.log.open.get(), 0);
}

#[test]
fn on_a_closed_pool_it_rejects_and_opens_nothing() {
    let world = World::new();
    let pool = pool(&world);
    world.run(pool.close());
    assert!(matches!(world.run(pool.warm(1)), Err(Error::Closed { .. })));
    assert_eq!(world.trace(), "");
}

#[test]
fn its_openings_go_on_if_it_is_dropped() {
    let world = World::new();
    let pool = world.queue(2);
    world.opens([Script::takes(5), Script::takes(5)]);
    world.poll_and_drop(pool.warm(2));
    world.pass(5);
    assert_eq!(pool.stats().idle, 2);
}

#[test]
fn warm_count_opens_up_to_so_many() {
    let world = World::new();
    let pool = world.queue(5);
    for (count, idle) in [(2, 2), (0, 2), (1, 2), (2, 2), (4, 4), (5, 5)] {
        world.run(pool.warm(count)).unwrap();
        assert_eq!((pool.stats().idle, world.log.open.get()), (idle, idle));
    }
    assert_eq!(pool.stats().opened, 5);
}

#[test]
fn it_opens_at_most_as_many_as_it_is_asked_for_however_many_die_meanwhile() {
    for most in [Some(1), Some(2), None] {
        let world = World::new();
        let pool = world.listened::<Queue>(|builder| builder.pool_size(5).max_connecting(most));
        let log = world.log.clone();
        world.within(move |event| {
            if event == "connect" {
                let watch = log.watches.borrow().last().cloned();
                watch.expect("it was opened").died(None);
            }
        });
        drop(world.run(pool.warm(3)));
        assert!(world.trace().matches("open").count() <= 3, "{most:?}");
        world.log.within.take();
        assert_eq!((pool.stats().total, world.log.open.get()), (pool.stats().idle, pool.stats().idle));
    }
}

// Not here: warm() always has a count, and its type refuses what is no whole number.
// - warm() opens poolSize connections and parks them; their first callers open nothing
//   = warm_opens_connections_and_parks_them_their_first_callers_open_nothing
// - a pool without a limit is warmed as far as is asked for; of itself it opens nothing
//   = a_pool_without_a_limit_is_warmed_as_far_as_is_asked_for
// - a count that is no whole number of 0 or more is refused, and nothing is opened
