//! `return_timeout`: busy connections at their return, and for how long a return holds its caller.

use crate::fakes::{Failure, Of, Script, World};
use edgepool::{Error, Queue, ResetStyle};
use std::pin::pin;
use std::time::Duration;

fn pool(world: &World, size: u32) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(size).max_overflow(0))
}

/// A lease whose connection is busy.
fn busy(world: &World, pool: &Of<Queue>) -> edgepool::Lease<crate::fakes::Fake, edgepool::VirtualTime> {
    let mut lease = world.connect(pool);
    lease.is_busy = true;
    lease.in_transaction = true;
    world.trace();
    lease
}

#[test]
fn close_settles_at_once_when_the_connection_is_busy_and_the_connection_has_return_timeout() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = busy(&world, &pool);
    world.resets([Script::Hangs]);
    assert!(world.poll(pin!(lease.close())).is_some());
    assert_eq!(pool.stats().returning, 1);
    world.pass(1_100);
    assert_eq!(pool.stats().returning, 0);
    assert!(world.trace().contains("rollback 0, error(reset: late), invalidate(0), closing(0), terminate 0"));
}

#[test]
fn close_settles_after_return_timeout_when_the_reset_of_a_connection_at_rest_takes_longer() {
    let world = World::new();
    let pool = pool(&world, 1);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::takes(5_000)]);
    world.run(lease.close());
    world.assert_time(1_000.0);
    assert_eq!(pool.stats().returning, 1);
    world.pass(4_000);
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn use_settles_at_once_when_the_connection_is_busy_and_the_connection_has_return_timeout() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.resets([Script::Hangs]);
    let used = pin!(pool.use_with(async |lease| {
        (lease.is_busy, lease.in_transaction) = (true, true);
        Ok::<_, Error<Failure>>(())
    }));
    assert!(world.poll(used).is_some());
    world.pass(1_100);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn use_settles_after_return_timeout_when_the_reset_of_a_connection_at_rest_takes_longer() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.resets([Script::takes(5_000)]);
    let used = pool.use_with(async |lease| {
        lease.in_transaction = true;
        Ok::<_, Error<Failure>>(())
    });
    world.run(used).unwrap();
    world.assert_time(1_000.0);
}

#[test]
fn the_close_of_a_detached_lease_settles_after_return_timeout_when_the_reset_of_a_connection_at_rest_takes_longer() {
    let world = World::new();
    let pool = pool(&world, 1);
    let mut own = world.connect(&pool).detach().unwrap();
    own.in_transaction = true;
    world.resets([Script::takes(5_000)]);
    world.run(own.close());
    world.assert_time(1_000.0);
    world.pass(5_000);
    assert_eq!(world.log.open.get(), 0);
}

#[test]
fn a_busy_connection_that_comes_to_rest_in_time_is_kept_for_the_next_caller() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = busy(&world, &pool);
    world.resets([Script::takes(500)]);
    drop(lease);
    let waiter = world.wait(&pool);
    world.pass(500);
    assert_eq!(world.served(waiter).number, 0);
}

#[test]
fn an_error_of_the_function_reaches_the_caller_before_the_reset_of_its_busy_connection() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.resets([Script::takes(500)]);
    let used = pin!(pool.use_with(async |lease| {
        (lease.is_busy, lease.in_transaction) = (true, true);
        Err::<(), _>(Error::Manager(std::rc::Rc::new(Failure("mine"))))
    }));
    assert!(matches!(world.poll(used), Some(Err(Error::Manager(error))) if error.0 == "mine"));
    assert_eq!(pool.stats().returning, 1);
}

#[test]
fn without_return_timeout_a_busy_connection_has_driver_timeout_and_its_caller_does_not_wait() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| {
        builder.return_timeout(None).driver_timeout(Duration::from_millis(5_000)).pool_size(1)
    });
    let lease = busy(&world, &pool);
    world.resets([Script::Hangs]);
    assert!(world.poll(pin!(lease.close())).is_some());
    world.pass(4_900);
    assert_eq!(pool.stats().returning, 1);
    world.pass(200);
    assert_eq!(pool.stats().returning, 0);
}

#[test]
fn a_stuck_connection_is_terminated_at_once_without_a_reset() {
    let world = World::new();
    let pool = pool(&world, 1);
    let mut lease = world.connect(&pool);
    lease.is_stuck = true;
    world.trace();
    assert!(world.poll(pin!(lease.close())).is_some());
    assert_eq!(world.trace(), "invalidate(0), closing(0), terminate 0, checkin()");
}

#[test]
fn a_busy_connection_that_is_not_to_be_reset_is_pinged_to_see_it_at_rest() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.reset_on_return(ResetStyle::None));
    let lease = busy(&world, &pool);
    drop(lease);
    assert_eq!(world.trace(), "ping 0");
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn a_busy_connection_whose_ping_fails_or_never_answers_or_answers_false_is_terminated() {
    for script in [Script::Fails("odd"), Script::Hangs, Script::Dead] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| builder.reset_on_return(ResetStyle::None));
        let lease = busy(&world, &pool);
        world.pings([script]);
        drop(lease);
        world.pass(1_100);
        assert_eq!(world.trace(), "ping 0, terminate 0");
    }
}

#[test]
fn a_statement_that_its_caller_gave_up_is_cancelled_and_the_connection_is_reset_and_kept() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0));
    let lease = busy(&world, &pool);
    world.cancels([Script::Ok]);
    world.run(lease.close_after(&Failure("alone")));
    assert_eq!(world.trace(), "cancel 0, rollback 0");
    assert_eq!((world.connect(&pool).number, pool.stats().invalidated), (0, 0));
}

#[test]
fn a_connection_whose_cancel_fails_or_never_answers_or_cannot_is_terminated_alone() {
    for script in [Script::Dead, Script::Fails("no socket"), Script::Hangs] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| builder.pool_size(2).max_overflow(0));
        let other = world.connect(&pool);
        let lease = busy(&world, &pool);
        world.cancels([script]);
        world.run(lease.close_after(&Failure("alone")));
        world.pass(1_100);
        assert_eq!(world.trace(), "cancel 1, terminate 1");
        drop(other);
        assert_eq!(world.connect(&pool).number, 0);
        assert_eq!(world.trace(), "");
    }
}

#[test]
fn an_error_of_the_connection_alone_costs_a_connection_at_rest_too_without_a_reset() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0));
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.run(lease.close_after(&Failure("alone")));
    assert_eq!(world.trace(), "open, terminate 0");
}
