//! QueuePool: overflow, queue, time-outs, returns.

use crate::fakes::{Call, Failure, Script, World};
use edgepool::{Error, QueuePool, Reset, TimeoutStep};
use std::pin::pin;
use std::time::Duration;

type Pool<'a> = QueuePool<crate::fakes::Fake, edgepool::VirtualTime>;

fn pool(world: &World, size: u32, overflow: u32) -> Pool<'_> {
    QueuePool::builder(world.manager())
        .pool_size(size)
        .max_overflow(overflow)
        .build_on(world.time.clone())
        .expect("valid options")
}

#[test]
fn a_returned_connection_is_lent_again() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    let first = world.run(pool.connect()).unwrap();
    assert_eq!(first.number, 0);
    drop(first);
    let second = world.run(pool.connect()).unwrap();
    assert_eq!(second.number, 0);
    assert_eq!(world.log.take(), [Call::Open]);
}

#[test]
fn a_waiter_has_the_connection_that_comes_back() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    let first = world.run(pool.connect()).unwrap();
    let mut waiting = pin!(pool.connect());
    assert!(world.poll(waiting.as_mut()).is_none());
    assert_eq!(pool.stats().waiting, 1);
    drop(first);
    let second = world.poll(waiting).expect("it was served").unwrap();
    assert_eq!(second.number, 0);
}

#[test]
fn waiters_are_served_in_their_order() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    let held = world.run(pool.connect()).unwrap();
    let mut first = pin!(pool.connect());
    let mut second = pin!(pool.connect());
    assert!(world.poll(first.as_mut()).is_none());
    assert!(world.poll(second.as_mut()).is_none());
    drop(held);
    assert!(world.poll(second.as_mut()).is_none());
    let lease = world.poll(first).expect("it came first").unwrap();
    drop(lease);
    assert!(world.poll(second).is_some());
}

#[test]
fn overflow_is_closed_at_its_return() {
    let world = World::new();
    let pool = pool(&world, 1, 1);
    let kept = world.run(pool.connect()).unwrap();
    let extra = world.run(pool.connect()).unwrap();
    drop(kept);
    world.time.run();
    drop(extra);
    world.time.run();
    assert_eq!(world.log.take(), [Call::Open, Call::Open, Call::Close(1)]);
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn a_caller_that_waited_for_timeout_is_refused_with_the_pools_numbers() {
    let world = World::new();
    let pool = QueuePool::builder(world.manager())
        .pool_size(1)
        .max_overflow(0)
        .timeout(Duration::from_secs(5))
        .build_on(world.time.clone())
        .unwrap();
    let _held = world.run(pool.connect()).unwrap();
    let Err(Error::Timeout(timeout)) = world.run(pool.connect()) else { panic!("no connection came free") };
    assert_eq!((timeout.step, timeout.option, timeout.timeout_ms), (TimeoutStep::Wait, "timeout", 5000.0));
    assert_eq!((timeout.stats.used, timeout.stats.max), (1, 1.0));
    assert_eq!(pool.stats().timed_out, 1);
    assert!(
        timeout.to_string().starts_with("no connection came free within 5000 ms (timeout) in the pool pool: 1 in use")
    );
}

#[test]
fn a_dropped_caller_leaves_the_queue() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    let held = world.run(pool.connect()).unwrap();
    world.poll_and_drop(pool.connect());
    assert_eq!((pool.stats().waiting, pool.stats().aborted), (0, 1));
    drop(held);
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn an_opening_goes_on_for_the_pool_if_its_caller_is_dropped() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    world.log.open_scripts.borrow_mut().push_back(Script::Takes(10, Box::new(Script::Ok)));
    world.poll_and_drop(pool.connect());
    world.pass(10);
    assert_eq!(pool.stats().idle, 1);
    let lease = world.run(pool.connect()).unwrap();
    assert_eq!(lease.number, 0);
}

#[test]
fn a_caller_that_was_served_and_is_dropped_gives_the_connection_to_the_next() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    let held = world.run(pool.connect()).unwrap();
    let mut next = pin!(pool.connect());
    {
        let mut first = pin!(pool.connect());
        assert!(world.poll(first.as_mut()).is_none());
        assert!(world.poll(next.as_mut()).is_none());
        drop(held);
    }
    assert!(world.poll(next).expect("it is served").is_ok());
}

#[test]
fn the_error_of_an_opening_is_its_callers() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    world.log.open_scripts.borrow_mut().push_back(Script::Fails("no route"));
    let Err(Error::Manager(error)) = world.run(pool.connect()) else { panic!("the opening failed") };
    assert_eq!(*error, Failure("no route"));
    assert_eq!(pool.stats().total, 0);
    assert!(world.run(pool.connect()).is_ok());
}

#[test]
fn an_opening_that_takes_too_long_is_dropped_and_its_slot_is_free() {
    let world = World::new();
    let pool = QueuePool::builder(world.manager())
        .pool_size(1)
        .max_overflow(0)
        .open_timeout(Duration::from_secs(1))
        .build_on(world.time.clone())
        .unwrap();
    world.log.open_scripts.borrow_mut().push_back(Script::Hangs);
    let Err(Error::Timeout(timeout)) = world.run(pool.connect()) else { panic!("the opening hangs") };
    assert_eq!((timeout.step, timeout.option), (TimeoutStep::Open, "open_timeout"));
    assert_eq!(pool.stats().total, 0);
    assert!(world.run(pool.connect()).is_ok());
}

#[test]
fn a_return_rolls_back_what_is_open_before_the_next_caller_has_it() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    world.log.reset_scripts.borrow_mut().push_back(Script::Takes(5, Box::new(Script::Ok)));
    let mut lease = world.run(pool.connect()).unwrap();
    lease.in_transaction = true;
    drop(lease);
    let next = world.run(pool.connect()).unwrap();
    assert!(!next.in_transaction);
    assert_eq!(world.log.take(), [Call::Open, Call::Reset(0, Reset::Rollback)]);
}

#[test]
fn a_connection_that_was_not_reset_is_terminated() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    world.log.reset_scripts.borrow_mut().push_back(Script::Fails("busy"));
    let mut lease = world.run(pool.connect()).unwrap();
    lease.in_transaction = true;
    world.run(lease.close());
    assert_eq!(world.log.take(), [Call::Open, Call::Reset(0, Reset::Rollback), Call::Terminate(0)]);
    assert_eq!(world.run(pool.connect()).unwrap().number, 1);
}

#[test]
fn close_waits_for_the_reset() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    world.log.reset_scripts.borrow_mut().push_back(Script::Takes(5, Box::new(Script::Ok)));
    let mut lease = world.run(pool.connect()).unwrap();
    lease.in_transaction = true;
    let mut closing = pin!(lease.close());
    assert!(world.poll(closing.as_mut()).is_none());
    world.pass(5);
    assert!(world.poll(closing).is_some());
}

#[test]
fn a_return_goes_on_if_its_close_is_dropped() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    world.log.reset_scripts.borrow_mut().push_back(Script::Takes(5, Box::new(Script::Ok)));
    let mut lease = world.run(pool.connect()).unwrap();
    lease.in_transaction = true;
    world.poll_and_drop(lease.close());
    world.pass(5);
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn the_end_of_a_pool_waits_for_its_leases() {
    let world = World::new();
    let pool = pool(&world, 2, 0);
    let lease = world.run(pool.connect()).unwrap();
    let mut closing = pin!(pool.close());
    assert!(world.poll(closing.as_mut()).is_none());
    assert!(matches!(world.run(pool.connect()), Err(Error::Closed { .. })));
    drop(lease);
    assert!(world.poll(closing).is_some());
    assert_eq!(world.log.take(), [Call::Open, Call::Close(0)]);
}

#[test]
fn a_lease_that_outlives_the_patience_of_a_close_is_terminated_when_it_comes_back() {
    let world = World::new();
    let pool = pool(&world, 2, 0);
    let lease = world.run(pool.connect()).unwrap();
    world.run(pool.close());
    assert!(!lease.is_valid());
    drop(lease);
    world.time.run();
    assert_eq!(world.log.take(), [Call::Open, Call::Terminate(0)]);
}

#[test]
fn what_is_idle_ends_with_a_pool_that_is_dropped() {
    let world = World::new();
    let pool = pool(&world, 2, 0);
    drop(world.run(pool.connect()).unwrap());
    drop(pool);
    assert_eq!(world.log.take(), [Call::Open, Call::Terminate(0)]);
}

#[test]
fn a_lease_outlives_its_pool() {
    let world = World::new();
    let pool = pool(&world, 2, 0);
    let lease = world.run(pool.connect()).unwrap();
    drop(pool);
    assert_eq!(lease.number, 0);
    drop(lease);
    assert_eq!(world.log.take(), [Call::Open, Call::Terminate(0)]);
}

#[test]
fn a_manager_that_panics_costs_no_slot() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    world.log.open_scripts.borrow_mut().push_back(Script::Panics);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run(pool.connect()).is_ok()));
    assert!(panic.is_err());
    assert_eq!(pool.stats().total, 0);
    assert!(world.run(pool.connect()).is_ok());
}

#[test]
fn what_is_idle_is_closed_in_its_order() {
    let world = World::new();
    let pool = pool(&world, 3, 0);
    let leases = [(); 3].map(|()| world.run(pool.connect()).unwrap());
    drop(leases);
    world.log.take();
    pool.dispose();
    world.time.run();
    assert_eq!(world.log.take(), [Call::Close(0), Call::Close(1), Call::Close(2)]);
}

#[test]
fn an_opening_goes_on_if_its_caller_is_served_and_polls_no_more() {
    let world = World::new();
    let pool = pool(&world, 2, 0);
    let held = world.run(pool.connect()).unwrap();
    world.log.open_scripts.borrow_mut().push_back(Script::takes(10));
    let served = world.wait(&pool);
    drop(held);
    world.pass(10);
    assert_eq!((pool.stats().used, pool.stats().idle), (1, 1));
    drop(served);
}

#[test]
fn a_caller_that_polls_no_more_holds_its_opening_up_for_open_timeout() {
    let world = World::new();
    let pool = world.pool::<edgepool::Queue>(|builder| {
        builder.pool_size(1).max_overflow(0).open_timeout(Duration::from_millis(50))
    });
    world.log.open_scripts.borrow_mut().push_back(Script::Hangs);
    let _idle = world.wait(&pool);
    assert_eq!(world.run(pool.connect()).unwrap().number, 0);
    assert_eq!(pool.stats().timed_out, 1);
}

#[test]
fn a_woken_caller_that_polls_no_more_keeps_no_place() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    let held = world.run(pool.connect()).unwrap();
    world.log.open_scripts.borrow_mut().push_back(Script::Fails("no route"));
    let _woken = world.wait(&pool);
    let next = world.wait(&pool);
    world.run(held.invalidate());
    assert_eq!(world.served(next).number, 1);
}
