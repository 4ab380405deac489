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
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(1).reset_on_return(ResetStyle::Session));
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    let mut third = Box::pin(pool.connect());
    assert!(world.time.poll_once(third.as_mut()).is_pending());
    assert!(world.time.poll_once(pin!(first.close())).is_ready());
    assert_eq!((pool.stats().used, pool.stats().waiting, pool.stats().checkouts), (2, 0, 3));
    let std::task::Poll::Ready(Ok(third)) = world.time.poll_once(third.as_mut()) else { panic!("it waits") };
    assert!(world.time.poll_once(pin!(second.close())).is_ready());
    assert_eq!((pool.stats().used, pool.stats().idle), (1, 1));
    assert!(world.time.poll_once(pin!(third.close())).is_ready());
    assert_eq!((pool.stats().used, pool.stats().idle, pool.stats().total), (0, 1, 1));
    assert!(world.time.poll_once(pin!(pool.dispose())).is_ready());
    assert_eq!(pool.stats().total, 0);
    let std::task::Poll::Ready(Ok(lease)) = world.time.poll_once(pin!(pool.connect())) else { panic!("it waits") };
    assert!(world.time.poll_once(pin!(lease.invalidate())).is_ready());
    assert_eq!((pool.stats().total, world.log.open.get()), (0, 0));
}

#[test]
fn a_detached_connection_is_reset_at_its_close() {
    let world = World::new();
    let pool = pool(&world, ResetStyle::Rollback);
    let mut own = world.connect(&pool).detach().unwrap();
    own.in_transaction = true;
    world.run(own.close());
    assert_eq!(world.trace(), "open, rollback 0, close 0");
}

#[test]
fn an_invalidated_connection_is_not_reset() {
    for style in [ResetStyle::Rollback, ResetStyle::Commit, ResetStyle::Session] {
        let world = World::new();
        let pool = pool(&world, style);
        let mut lease = world.connect(&pool);
        lease.in_transaction = true;
        world.run(lease.invalidate());
        assert_eq!(world.trace(), "open, terminate 0");
    }
}

#[test]
fn in_transaction_is_asked_with_the_connection_once_for_each_return() {
    for listens in [false, true] {
        let world = World::new();
        let options = |builder: edgepool::Builder<Queue, crate::fakes::Fake>| builder.pool_size(1).max_overflow(0);
        let pool: Of<Queue> = if listens { world.listened(options) } else { world.pool(options) };
        let asked = std::rc::Rc::new(std::cell::Cell::new(0));
        let count = asked.clone();
        world.in_calls(move |call| count.set(count.get() + u32::from(call == "in_transaction")));
        for (round, in_transaction) in [false, true, false].into_iter().enumerate() {
            cycle(&world, &pool, in_transaction);
            assert_eq!(asked.get(), round as u32 + 1, "{listens}");
        }
    }
}

#[test]
fn what_a_reset_answers_after_its_time_has_ended_is_ignored() {
    for answer in [Script::Ok, Script::Fails("late")] {
        let world = World::new();
        let pool = pool(&world, ResetStyle::Rollback);
        let mut lease = world.connect(&pool);
        lease.in_transaction = true;
        world.resets([Script::Takes(500, Box::new(answer))]);
        world.run(lease.close());
        world.assert_time(50.0);
        assert_eq!(world.trace(), "open, rollback 0, terminate 0");
        world.pass(1_000);
        assert_eq!((world.trace().as_str(), pool.stats().total), ("", 0));
        assert_eq!(world.connect(&pool).number, 1);
    }
}

// Not here: a manager's calls are its methods, whose types the compiler knows, each with a default. There is no dialect
//   beside the connection, and no member that could be missing, or throw as it is read.
// - 142 every member of a dialect is called as its method, with the driver's connection
// - a dialect's doClose also ends what is not to be trusted, where it has no doTerminate
// - a polite close is the first of close, end, quit, disconnect, destroy, and the two disposes
// - an abrupt close is terminate, else destroy, else the polite close
// - calls are found on the connection's class, and called as its methods
// - a function may be the connection = what_is_no_nothing_is_a_connection_whatever_its_type
// - a reset that finds nothing to call says so once, and the connection is kept
// - style commit needs no rollback, and style rollback no commit: neither warns of the other
// - a close that finds nothing to call says so once, and the slot is free
// - a termination that finds nothing to call says so once
// - only false spares the rollback: an answer that says nothing, or a promise, does not
// - a connection whose members cannot even be read is a failed reset, and the pool goes on
// - a driver's answer may be any thenable, and what it resolves to is of no interest
// - an answer whose then throws is a failed call, and the pool goes on

// Not here: what throws in JavaScript is a panic, which costs the connection.
// - an inTransaction that throws is logged, and the connection is reset
//   = a_question_to_the_manager_that_panics_costs_no_slot

// Not here: terminate() is no future and returns no error, so it neither hangs nor fails.
// - 145 where the termination fails, too, both are logged and the slot is free
// - a reset and a termination that both hang cost two driverTimeouts, and no slot

// Not here: in place of a microtask there is a turn of the runtime.
// - with a driver that answers at once, nothing waits for a microtask
//   = with_a_driver_that_answers_at_once_nothing_waits_for_a_turn
