//! `reset_on_return`: what a return resets.

use crate::fakes::{Of, Script, World};
use edgepool::{Queue, ResetStyle, Static};
use std::pin::pin;
use std::time::Duration;

fn pool(world: &World, style: ResetStyle) -> Of<Queue> {
    world.pool(|builder| {
        builder.pool_size(1).max_overflow(0).reset_on_return(style).driver_timeout(Duration::from_millis(50))
    })
}

/// Uses a connection once, and returns what was called.
fn cycle(world: &World, pool: &Of<Queue>, in_transaction: bool) -> String {
    let mut lease = world.connect(pool);
    world.trace();
    lease.in_transaction = in_transaction;
    world.close(lease);
    world.trace()
}

#[test]
fn a_return_rolls_back_and_does_not_commit() {
    let world = World::new();
    let pool = pool(&world, ResetStyle::Rollback);
    assert_eq!(cycle(&world, &pool, true), "rollback 0");
}

#[test]
fn style_commit_commits_and_does_not_roll_back() {
    let world = World::new();
    let pool = pool(&world, ResetStyle::Commit);
    assert_eq!(cycle(&world, &pool, true), "commit 0");
}

#[test]
fn style_none_calls_nothing_asks_nothing_and_warns_of_nothing() {
    let world = World::new();
    let pool = pool(&world, ResetStyle::None);
    assert_eq!(cycle(&world, &pool, true), "");
}

#[test]
fn connect_close_dispose_recreate_connect_close_rollback_close_rollback() {
    let world = World::new();
    let pool = pool(&world, ResetStyle::Rollback);
    assert_eq!(cycle(&world, &pool, true), "rollback 0");
    world.run(pool.dispose());
    assert_eq!(world.trace(), "close 0");
    assert_eq!(cycle(&world, &pool.recreate(), true), "rollback 1");
}

#[test]
fn a_surplus_connection_is_reset_before_it_is_closed() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(1));
    let [kept, mut extra] = [(); 2].map(|()| world.connect(&pool));
    drop(kept);
    extra.in_transaction = true;
    world.trace();
    world.close(extra);
    assert_eq!(world.trace(), "rollback 1, close 1");
}

#[test]
fn a_soft_invalidation_does_not_spare_the_reset_the_server_must_not_keep_the_transaction() {
    let world = World::new();
    let pool = pool(&world, ResetStyle::Rollback);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    lease.invalidate_soft();
    world.close(lease);
    assert_eq!(world.trace(), "open, rollback 0");
}

#[test]
fn in_transaction_that_says_false_spares_the_rollback() {
    let world = World::new();
    let pool = pool(&world, ResetStyle::Rollback);
    assert_eq!(cycle(&world, &pool, false), "");
}

#[test]
fn style_commit_commits_whatever_in_transaction_says() {
    let world = World::new();
    let pool = pool(&world, ResetStyle::Commit);
    assert_eq!(cycle(&world, &pool, false), "commit 0");
}

#[test]
fn style_session_resets_whatever_in_transaction_and_transaction_was_reset_say_and_rolls_nothing_back() {
    let world = World::new();
    let pool = pool(&world, ResetStyle::Session);
    assert_eq!(cycle(&world, &pool, false), "session 0");
    let lease = world.connect(&pool);
    world.run(lease.close_reset());
    assert_eq!(world.trace(), "session 0");
}

#[test]
fn style_session_resets_after_the_reset_listeners_and_the_next_caller_waits_for_it() {
    let world = World::new();
    let pool =
        world.listened::<Queue>(|builder| builder.pool_size(1).max_overflow(0).reset_on_return(ResetStyle::Session));
    let lease = world.connect(&pool);
    world.resets([Script::takes(5)]);
    world.trace();
    drop(lease);
    let waiter = world.wait(&pool);
    assert_eq!(world.trace(), "reset(0), session 0");
    world.pass(5);
    drop(world.served(waiter));
}

#[test]
fn style_session_resets_a_shared_connection_once_when_its_last_caller_returns_it() {
    let world = World::new();
    let pool = world.pool::<Static>(|builder| builder.reset_on_return(ResetStyle::Session));
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    drop(first);
    assert_eq!(world.trace(), "open");
    drop(second);
    assert_eq!(world.trace(), "session 0");
}

#[test]
fn a_session_reset_that_fails_or_never_ends_terminates_the_connection_and_the_slot_is_free() {
    for script in [Script::Fails("reset"), Script::Hangs] {
        let world = World::new();
        let pool = pool(&world, ResetStyle::Session);
        world.resets([script]);
        assert_eq!(cycle(&world, &pool, false), "session 0, terminate 0");
        assert_eq!(world.connect(&pool).number, 1);
    }
}

#[test]
fn a_reset_that_fails_terminates_the_connection_close_resolves_and_the_slot_is_empty() {
    let world = World::new();
    let pool = pool(&world, ResetStyle::Rollback);
    world.resets([Script::Fails("reset")]);
    assert_eq!(cycle(&world, &pool, true), "rollback 0, terminate 0");
    assert_eq!((pool.stats().total, pool.counts().checked_in), (0, 1));
}

#[test]
fn a_commit_that_fails_terminates_the_connection() {
    let world = World::new();
    let pool = pool(&world, ResetStyle::Commit);
    world.resets([Script::Fails("conflict")]);
    assert_eq!(cycle(&world, &pool, true), "commit 0, terminate 0");
}

#[test]
fn a_reset_that_hangs_is_given_driver_timeout_then_the_connection_is_terminated() {
    let world = World::new();
    let pool = pool(&world, ResetStyle::Rollback);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::Hangs]);
    world.run(lease.close());
    world.assert_time(50.0);
    assert_eq!(world.trace(), "open, rollback 0, terminate 0");
}

#[test]
fn with_a_driver_that_answers_at_once_nothing_waits_for_a_turn() {
    let world = World::new();
    let pool = pool(&world, ResetStyle::Session);
    let lease = world.connect(&pool);
    assert!(world.time.poll_once(pin!(lease.close())).is_ready());
    assert_eq!(pool.stats().idle, 1);
}
