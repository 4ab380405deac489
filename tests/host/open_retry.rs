//! `open_retry`: openings that are tried again.

use crate::fakes::{Of, Script, World};
use edgepool::{Error, Queue};
use std::pin::pin;
use std::time::Duration;

/// "refused" is transient, every other word is not.
fn pool(world: &World, retries: Option<u32>) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(1).max_overflow(0).open_retry(retries))
}

fn failures(world: &World, count: usize, word: &'static str) {
    world.opens((0..count).map(|_| Script::Fails(word)));
}

#[test]
fn callers_wait_out_a_server_that_is_away_for_few_attempts() {
    let world = World::new();
    let pool = pool(&world, None);
    failures(&world, 5, "refused");
    let waiters = [world.wait(&pool), world.wait(&pool)];
    for waiter in waiters {
        assert_eq!(world.run(waiter).unwrap().number, 0);
    }
    assert_eq!(world.trace().matches("open,").count(), 6);
}

#[test]
fn without_it_each_caller_has_the_error_of_its_own_attempt_at_once() {
    let world = World::new();
    let pool = pool(&world, Some(0));
    failures(&world, 1, "refused");
    assert!(matches!(world.refused(&pool), Error::Manager(_)));
    assert_eq!(world.time.now_ms(), 0.0);
}

#[test]
fn a_pool_with_a_deadline_waits_until_it_unless_open_retry_is_0() {
    for retries in [true, false] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| {
            let builder = builder.deadline(Duration::from_secs(5));
            if retries { builder } else { builder.open_retry(0) }
        });
        failures(&world, 2, "refused");
        assert_eq!(world.run(pool.connect()).is_ok(), retries);
    }
}

#[test]
fn a_caller_whose_time_ends_gets_a_time_out_with_the_last_error_as_its_cause() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.deadline(Duration::from_secs(1)));
    failures(&world, 1_000, "refused");
    let Error::Timeout(timeout) = world.refused(&pool) else { panic!("not a time-out") };
    assert_eq!(timeout.cause.as_ref().map(|cause| cause.0), Some("refused"));
    let error: &dyn std::error::Error = &Error::Timeout(timeout);
    assert_eq!(error.source().map(ToString::to_string), Some("refused".into()));
}

#[test]
fn an_error_that_does_not_pass_refuses_its_caller_at_once_and_the_others_without_attempts() {
    let world = World::new();
    let pool = pool(&world, None);
    failures(&world, 1, "no such database");
    assert!(matches!(world.refused(&pool), Error::Manager(error) if error.0 == "no such database"));
    assert_eq!(world.trace(), "open");
}

#[test]
fn a_count_bounds_the_retries_in_a_row() {
    let world = World::new();
    let pool = pool(&world, Some(2));
    failures(&world, 10, "refused");
    assert!(matches!(world.refused(&pool), Error::Manager(error) if error.0 == "refused"));
    assert_eq!(world.trace().matches("open").count(), 3);
}

#[test]
fn a_caller_that_waits_for_an_attempt_may_abort_and_close_refuses_it() {
    let world = World::new();
    let pool = pool(&world, None);
    failures(&world, 1_000, "refused");
    let leaving = world.wait(&pool);
    let mut refused = world.wait(&pool);
    drop(leaving);
    world.run(pool.close());
    assert!(matches!(world.poll(refused.as_mut()), Some(Err(Error::Closed { .. }))));
    world.pass(100_000);
    assert_eq!((pool.stats().total, world.time.timers()), (0, 0));
}

#[test]
fn timeout_0_waits_for_no_attempt() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.open_retry(None).timeout(Duration::ZERO));
    failures(&world, 1, "refused");
    assert!(world.poll(pin!(pool.connect())).is_some_and(|result| result.is_err()));
}

#[test]
fn warm_rejects_with_the_error_and_opens_nothing_while_attempts_pause() {
    let world = World::new();
    let pool = pool(&world, None);
    failures(&world, 1_000, "refused");
    for attempts in [1, 0] {
        let Err(Error::Manager(error)) = world.run(pool.warm(1)) else { panic!("it has opened") };
        assert_eq!((error.0, world.trace().matches("open").count()), ("refused", attempts));
    }
}

#[test]
fn an_idle_connection_is_lent_without_a_clock_as_in_every_pool() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.open_retry(None));
    drop(world.connect(&pool));
    let readings = world.time.readings();
    drop(world.connect(&pool));
    assert_eq!(world.time.readings(), readings);
}
