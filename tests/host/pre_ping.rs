//! `pre_ping`: whether a connection is alive is asked before a caller has it again.

use crate::fakes::{Failure, Of, Script, World};
use edgepool::{Error, Null, Queue, TimeoutStep, Within};
use std::pin::pin;
use std::time::Duration;

fn pool(world: &World, size: u32) -> Of<Queue> {
    world.listened(|builder| {
        builder.pool_size(size).max_overflow(0).pre_ping(true).ping_timeout(Duration::from_millis(100))
    })
}

fn used(world: &World, size: u32) -> Of<Queue> {
    let pool = pool(world, size);
    let leases: Vec<_> = (0..size).map(|_| world.connect(&pool)).collect();
    drop(leases);
    world.trace();
    pool
}

#[test]
fn with_pre_ping_the_first_checkout_pings_nothing_each_later_one_once_before_its_event() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    assert!(!world.trace().contains("ping"));
    for _ in 0..2 {
        drop(world.connect(&pool));
        assert_eq!(world.trace(), "ping 0, checkout(0), reset(0), checkin(0)");
    }
}

#[test]
fn without_pre_ping_nothing_is_pinged_whatever_pre_ping_after_idle_says() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pre_ping_after_idle(Duration::from_secs(1)));
    drop(world.connect(&pool));
    world.pass(5_000);
    drop(world.connect(&pool));
    assert_eq!(world.trace(), "open");
}

#[test]
fn a_connection_that_is_handed_to_a_waiter_is_pinged_too() {
    let world = World::new();
    let pool = used(&world, 1);
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    world.trace();
    drop(held);
    let _lease = world.served(waiter);
    assert_eq!(world.trace(), "reset(0), checkin(0), ping 0, checkout(0)");
}

#[test]
fn a_connection_that_is_dead_is_replaced_in_its_slot_and_the_caller_has_the_new_one() {
    for script in [Script::Dead, Script::Takes(5, Box::new(Script::Dead)), Script::Fails("lost")] {
        let world = World::new();
        let pool = used(&world, 1);
        world.pings([script]);
        assert_eq!(world.connect(&pool).number, 1);
        assert_eq!((pool.stats().total, pool.stats().invalidated), (1, 1));
    }
}

#[test]
fn an_error_of_the_ping_that_is_disconnect_recognises_counts_as_dead_and_is_the_cause() {
    let world = World::new();
    let pool = used(&world, 1);
    world.pings([Script::Fails("lost")]);
    drop(world.connect(&pool));
    assert_eq!(world.log.reasons.take(), ["lost"]);
}

#[test]
fn any_other_error_of_the_ping_rejects_connect_as_it_is() {
    let world = World::new();
    let pool = used(&world, 1);
    world.pings([Script::Fails("odd")]);
    assert!(matches!(world.refused(&pool), Error::Manager(error) if *error == Failure("odd")));
}

#[test]
fn after_it_the_connection_is_terminated_the_slot_is_back_empty_and_the_next_checkout_works() {
    let world = World::new();
    let pool = used(&world, 1);
    world.pings([Script::Fails("odd")]);
    world.refused(&pool);
    assert!(world.trace().contains("terminate 0"));
    assert_eq!((pool.stats().total, pool.counts().checked_in), (0, 1));
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn an_error_of_the_ping_leaves_the_other_connections_alone() {
    let world = World::new();
    let pool = used(&world, 2);
    world.pings([Script::Fails("odd")]);
    world.refused(&pool);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn with_the_server_down_the_caller_has_the_creators_error_and_the_slot_is_back_empty() {
    let world = World::new();
    let pool = used(&world, 1);
    world.pings([Script::Dead]);
    world.opens([Script::Fails("no route")]);
    assert!(matches!(world.refused(&pool), Error::Manager(error) if *error == Failure("no route")));
    assert_eq!((pool.stats().total, pool.counts().checked_in), (0, 1));
}

#[test]
fn a_death_marks_every_connection_as_old_the_next_one_is_replaced_without_a_ping() {
    let world = World::new();
    let pool = used(&world, 2);
    world.pings([Script::Dead]);
    let first = world.connect(&pool);
    let expected = "ping 0, invalidate(0), closing(0), terminate 0, open, connect(2), checkout(2)";
    assert_eq!(world.trace(), expected);
    let second = world.connect(&pool);
    assert_eq!(world.trace(), "closing(1), terminate 1, open, connect(3), checkout(3)");
    drop(first);
    drop(second);
    world.trace();
    // What was opened since is not as old.
    let _third = world.connect(&pool);
    assert_eq!(world.trace(), "ping 2, checkout(2)");
}

#[test]
fn when_the_lease_of_a_replaced_connection_is_closed_only_the_new_connection_is_reset() {
    let world = World::new();
    let pool = used(&world, 1);
    world.pings([Script::Dead]);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.trace();
    world.close(lease);
    assert_eq!(world.trace(), "reset(1), rollback 1, checkin(1)");
}

#[test]
fn what_was_idle_is_never_taken_for_new_it_is_pinged_also_at_its_first_checkout() {
    for warms in [true, false] {
        let world = World::new();
        let pool = pool(&world, 1);
        if warms {
            world.run(pool.warm(1)).unwrap();
        } else {
            world.opens([Script::takes(5)]);
            drop(world.wait(&pool));
            world.pass(5);
        }
        assert_eq!((pool.stats().idle, pool.stats().checkouts), (1, 0));
        assert!(!world.trace().contains("ping"));
        let _lease = world.connect(&pool);
        assert_eq!(world.trace(), "ping 0, checkout(0)");
    }
}

#[test]
fn a_connection_that_was_replaced_for_its_age_is_new_and_is_not_pinged() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pre_ping(true).recycle(Duration::from_secs(1)));
    drop(world.connect(&pool));
    world.pass(2_000);
    drop(world.connect(&pool));
    assert_eq!(world.trace(), "open, terminate 0, open");
}

#[test]
fn a_dead_ping_is_one_of_two_tries_a_refusal_by_a_checkout_listener_after_it_is_the_last() {
    let world = World::new();
    let pool = used(&world, 1);
    world.pings([Script::Dead]);
    world.listener_disconnects("checkout", "gone", false);
    let error = world.refused(&pool);
    let Error::Disconnected { last, .. } = &error else { panic!("{error}") };
    assert_eq!(last.as_ref().map(|last| last.0), Some("gone"));
    let ended = |number| format!("invalidate({number}), closing({number}), terminate {number}");
    let (first, second, third) = (ended(0), ended(1), ended(2));
    assert_eq!(
        world.trace(),
        format!("ping 0, {first}, open, connect(1), checkout(1), {second}, open, connect(2), {third}, checkin()")
    );
    assert_eq!((world.log.open.get(), pool.counts().checked_in), (0, 1));
}

#[test]
fn pre_ping_after_idle_spares_the_ping_of_a_connection_that_was_idle_for_less() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pre_ping(true).pre_ping_after_idle(Duration::from_secs(1)));
    drop(world.connect(&pool));
    world.trace();
    world.pass(999);
    drop(world.connect(&pool));
    assert_eq!(world.trace(), "");
    world.pass(1_000);
    drop(world.connect(&pool));
    assert_eq!(world.trace(), "ping 0");
}

#[test]
fn a_ping_that_hangs_counts_as_dead_after_ping_timeout() {
    let world = World::new();
    let pool = used(&world, 1);
    world.pings([Script::Hangs]);
    assert_eq!(world.connect(&pool).number, 1);
    world.assert_time(100.0);
}

#[test]
fn ping_timeout_null_waits_without_end() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pre_ping(true).ping_timeout(None).driver_timeout(None));
    drop(world.connect(&pool));
    world.pings([Script::takes(100_000_000)]);
    assert_eq!(world.connect(&pool).number, 0);
}

#[test]
fn a_caller_that_leaves_while_a_ping_runs_is_gone_at_once_and_the_connection_is_terminated() {
    let world = World::new();
    let pool = used(&world, 1);
    world.pings([Script::Hangs]);
    drop(world.wait(&pool));
    world.time.run();
    assert!(world.trace().contains("terminate 0"));
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn a_deadline_that_ends_while_a_ping_runs_refuses_the_caller_with_step_ping() {
    let world = World::new();
    let pool = used(&world, 1);
    world.pings([Script::Hangs]);
    let within = Within { deadline: Some(Duration::from_millis(50)), ..Within::default() };
    let Err(Error::Timeout(timeout)) = world.run(pool.connect_within(within)) else { panic!("it was in time") };
    assert_eq!(timeout.step, TimeoutStep::Ping);
}

#[test]
fn while_a_ping_runs_no_other_caller_has_the_connection() {
    let world = World::new();
    let pool = used(&world, 1);
    world.pings([Script::takes(50)]);
    let first = world.wait(&pool);
    let mut second = world.wait(&pool);
    world.pass(50);
    let _lease = world.served(first);
    assert!(world.waits(&mut second));
}

#[test]
fn a_ping_that_answers_at_once_costs_no_turn() {
    let world = World::new();
    let pool = used(&world, 1);
    assert!(world.time.poll_once(pin!(pool.connect())).is_ready());
    assert_eq!(world.log.trace().split(", ").take(2).collect::<Vec<_>>(), ["ping 0", "checkout(0)"]);
}

#[test]
fn a_ping_may_answer_later_true_or_false() {
    for (answer, number) in [(Script::Ok, 0), (Script::Dead, 1)] {
        let world = World::new();
        let pool = used(&world, 1);
        world.pings([Script::Takes(5, Box::new(answer))]);
        let waiter = world.wait(&pool);
        assert_eq!(world.trace(), "ping 0");
        world.pass(5);
        assert_eq!(world.served(waiter).number, number);
    }
}

#[test]
fn without_pre_ping_a_dead_connection_is_found_by_its_user_not_by_the_checkout() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(1).max_overflow(0));
    drop(world.connect(&pool));
    world.trace();
    world.opens([Script::Fails("no route")]);
    world.pings([Script::Fails("lost")]);
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "checkout(0)");
}

/// It cannot ping.
struct Plain;

impl edgepool::Manager for Plain {
    type Connection = ();
    type Error = Failure;

    async fn open(&self, _: edgepool::Watch<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

#[test]
fn pre_ping_is_refused_at_construction_where_the_manager_cannot_ping() {
    let world = World::new();
    let refused = |result: Result<(), edgepool::OptionError>| {
        let error = result.expect_err("it is allowed");
        assert_eq!((error.option, error.is_taken), ("prePing", true));
        assert_eq!(error.to_string(), "the option pre_ping needs a manager that can ping");
    };
    let time = || world.time.clone();
    refused(edgepool::QueuePool::builder(Plain).pre_ping(true).build_on(time()).map(|_| ()));
    refused(edgepool::StaticPool::builder(Plain).pre_ping(true).build_on(time()).map(|_| ()));
    refused(edgepool::SingletonThreadPool::builder(Plain).pre_ping(true).build_on(time()).map(|_| ()));
    refused(edgepool::AssertionPool::builder(Plain).pre_ping(true).build_on(time()).map(|_| ()));
    let pool = edgepool::QueuePool::builder(Plain).pre_ping(false).build_on(time()).unwrap();
    assert_eq!(pool.stats().total, 0);
}

#[test]
fn a_null_pool_never_pings_and_takes_pre_ping_with_any_manager() {
    let world = World::new();
    let bare = edgepool::NullPool::builder(Plain).pre_ping(true).build_on(world.time.clone()).unwrap();
    assert!(world.run(bare.connect()).is_ok());
    let pool = world.pool::<Null>(|builder| builder.pre_ping(true));
    for _ in 0..2 {
        drop(world.connect(&pool));
        world.time.run();
    }
    assert_eq!(world.trace(), "open, close 0, open, close 1");
}

#[test]
fn what_replaced_a_refused_connection_is_not_pinged() {
    let world = World::new();
    let pool = used(&world, 1);
    world.listener_disconnects("checkout", "refused", false);
    let _lease = world.connect(&pool);
    let expected = "ping 0, checkout(0), invalidate(0), closing(0), terminate 0, open, connect(1), checkout(1)";
    assert_eq!(world.trace(), expected);
}

#[test]
fn pre_ping_after_idle_counts_from_the_return_not_from_the_checkout_or_the_opening() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pre_ping(true).pre_ping_after_idle(Duration::from_secs(10)));
    let lease = world.connect(&pool);
    world.pass(60_000);
    drop(lease);
    world.pass(9_999);
    let lease = world.connect(&pool);
    assert_eq!(world.trace(), "open");
    world.pass(60_000);
    drop(lease);
    world.pass(10_000);
    drop(world.connect(&pool));
    assert_eq!(world.trace(), "ping 0");
}

#[test]
fn a_ping_that_hangs_marks_every_connection_as_old_as_any_death() {
    let world = World::new();
    let pool = used(&world, 2);
    world.pings([Script::Hangs]);
    let first = world.connect(&pool);
    assert_eq!(first.number, 2);
    world.trace();
    assert_eq!(world.connect(&pool).number, 3);
    assert!(!world.trace().contains("ping 1"));
}

#[test]
fn what_a_ping_answers_after_its_time_has_ended_is_ignored() {
    for answer in [Script::Ok, Script::Dead, Script::Fails("late")] {
        let world = World::new();
        let pool = used(&world, 1);
        world.pings([Script::Takes(500, Box::new(answer))]);
        let lease = world.connect(&pool);
        world.assert_time(100.0);
        world.trace();
        world.pass(1_000);
        assert_eq!((world.trace().as_str(), lease.number, world.time.timers()), ("", 1, 0));
    }
}

#[test]
fn what_a_ping_answers_after_its_caller_has_left_changes_nothing_more() {
    for answer in [Script::Ok, Script::Dead, Script::Fails("late")] {
        let world = World::new();
        let pool = used(&world, 1);
        world.pings([Script::Takes(50, Box::new(answer))]);
        drop(world.wait(&pool));
        world.trace();
        world.pass(1_000);
        assert_eq!((world.trace().as_str(), pool.stats().total), ("", 0));
        assert_eq!(world.connect(&pool).number, 1);
    }
}

// Not here: in place of a microtask there is a turn of the runtime.
// - a ping that answers at once costs no microtask = a_ping_that_answers_at_once_costs_no_turn

// Not here: a manager has methods, and there is no dialect beside it.
// - doPing is called as the dialect's method, with the connection alone
// - 113 a NullPool never pings, and takes prePing with any dialect
//   = a_null_pool_never_pings_and_takes_pre_ping_with_any_manager
// - prePing is refused at construction where the dialect cannot ping
//   = pre_ping_is_refused_at_construction_where_the_manager_cannot_ping

// Not here: no class of errors says that a connection is dead. A ping that finds it dead returns false.
// - a DisconnectionError of the ping counts as dead, whatever isDisconnect says
//   = a_connection_that_is_dead_is_replaced_in_its_slot_and_the_caller_has_the_new_one

// Not here: a caller that has left has no future that could be refused.
// - a caller that leaves while a ping runs is refused at once, and the connection is terminated
//   = a_caller_that_leaves_while_a_ping_runs_is_gone_at_once_and_the_connection_is_terminated
