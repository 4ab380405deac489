//! Returns: reset, events, and the next caller.

use crate::fakes::{Of, Script, World};
use edgepool::{Queue, ResetStyle};
use std::pin::pin;

fn pool(world: &World) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(1).max_overflow(0))
}

#[test]
fn reset_and_checkin_are_fired_once_for_each_close_with_the_connection() {
    let world = World::new();
    let pool = pool(&world);
    for _ in 0..2 {
        let lease = world.connect(&pool);
        world.trace();
        world.close(lease);
        assert_eq!(world.trace(), "reset(0), checkin(0)");
    }
}

#[test]
fn a_recreated_pool_fires_them_for_its_own_returns() {
    let world = World::new();
    let pool = pool(&world).recreate();
    let lease = world.connect(&pool);
    world.trace();
    world.close(lease);
    assert_eq!(world.trace(), "reset(0), checkin(0)");
}

#[test]
fn with_reset_on_return_none_the_reset_event_is_still_fired_and_nothing_else_is_done() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.reset_on_return(ResetStyle::None));
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.trace();
    world.close(lease);
    assert_eq!(world.trace(), "reset(0), checkin(0)");
}

#[test]
fn a_detached_connections_reset_event_is_fired_at_its_close() {
    let world = World::new();
    let pool = pool(&world);
    let mut detached = world.connect(&pool).detach().unwrap();
    detached.in_transaction = true;
    world.trace();
    world.run(detached.close());
    assert_eq!(world.trace(), "reset(0), rollback 0, close_detached(0), close 0");
}

#[test]
fn an_invalidated_connection_is_not_reset_and_no_reset_event_is_fired() {
    let world = World::new();
    let pool = pool(&world);
    let lease = world.connect(&pool);
    world.trace();
    world.run(lease.invalidate());
    assert_eq!(world.trace(), "invalidate(0), closing(0), terminate 0, checkin()");
}

#[test]
fn a_caller_that_says_that_the_transaction_was_reset_spares_the_rollback() {
    let world = World::new();
    let pool = pool(&world);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.trace();
    world.run(lease.close_reset());
    assert_eq!(world.trace(), "reset(0), checkin(0)");
}

#[test]
fn it_holds_for_the_close_that_it_was_said_of_not_for_the_connections_next_return() {
    let world = World::new();
    let pool = world.queue(1);
    world.run(world.connect(&pool).close_reset());
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.close(lease);
    assert_eq!(world.trace(), "open, rollback 0");
}

#[test]
fn a_detached_connections_close_takes_it_too() {
    let world = World::new();
    let pool = world.queue(1);
    let mut detached = world.connect(&pool).detach().unwrap();
    detached.in_transaction = true;
    world.run(detached.close_reset());
    assert_eq!(world.trace(), "open, close 0");
}

#[test]
fn style_commit_commits_whatever_the_caller_says() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.reset_on_return(ResetStyle::Commit));
    world.run(world.connect(&pool).close_reset());
    assert_eq!(world.trace(), "open, commit 0");
}

#[test]
fn an_in_transaction_that_says_false_spares_the_rollback_not_the_event_which_claims_no_reset() {
    let world = World::new();
    let pool = pool(&world);
    let lease = world.connect(&pool);
    world.trace();
    world.close(lease);
    assert_eq!(world.trace(), "reset(0), checkin(0)");
}

#[test]
fn no_caller_has_the_connection_before_checkin_is_over_and_close_resolves_after_it() {
    let world = World::new();
    let pool = pool(&world);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    let mut waiter = world.wait(&pool);
    world.resets([Script::takes(5)]);
    let mut closing = pin!(lease.close());
    assert!(world.poll(closing.as_mut()).is_none());
    assert!(world.waits(&mut waiter));
    world.pass(5);
    assert!(world.poll(closing).is_some());
    let _lease = world.served(waiter);
    assert!(world.trace().ends_with("reset(0), rollback 0, checkin(0), checkout(0)"));
}

#[test]
fn an_abort_after_close_does_not_interrupt_a_return() {
    let world = World::new();
    let pool = pool(&world);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::takes(5)]);
    world.trace();
    world.poll_and_drop(lease.close());
    world.pass(5);
    assert_eq!(world.trace(), "reset(0), rollback 0, checkin(0)");
    assert_eq!((pool.stats().idle, pool.stats().aborted), (1, 0));
}

#[test]
fn a_rollback_that_rejects_reported_then_invalidate_close_terminate_checkin_of_null() {
    for script in [Script::Fails("reset"), Script::Takes(3, Box::new(Script::Fails("reset")))] {
        let world = World::new();
        let pool = pool(&world);
        let mut lease = world.connect(&pool);
        lease.in_transaction = true;
        world.trace();
        world.resets([script]);
        world.close(lease);
        let expected = "reset(0), rollback 0, error(reset: reset), invalidate(0), closing(0), terminate 0, checkin()";
        assert_eq!(world.trace(), expected);
        assert_eq!(world.log.reasons.take(), ["reset"]);
    }
}

#[test]
fn a_listener_of_the_return_may_ask_for_a_connection_it_waits_for_the_one_that_is_coming_back() {
    let world = World::new();
    let pool = pool(&world);
    let lease = world.connect(&pool);
    let own = pool.clone();
    let asked = std::cell::Cell::new(false);
    let time = world.time.clone();
    world.within(move |event| {
        if event == "checkin" && !asked.replace(true) {
            let pool = own.clone();
            edgepool::Runtime::spawn(&time, Box::pin(async move { drop(pool.connect().await) }));
        }
    });
    world.trace();
    world.close(lease);
    assert_eq!(world.trace(), "reset(0), checkin(0), checkout(0), reset(0), checkin(0)");
}

#[test]
fn a_listener_of_the_return_may_dispose_of_the_pool_the_connection_is_closed_after_it() {
    let world = World::new();
    let pool = pool(&world);
    let lease = world.connect(&pool);
    let own = pool.clone();
    world.within(move |event| {
        if event == "checkin" {
            drop(own.dispose());
        }
    });
    world.close(lease);
    assert_eq!(pool.stats().total, 0);
    assert_eq!(world.log.open.get(), 0);
}
