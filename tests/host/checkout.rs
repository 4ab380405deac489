//! Checkouts: what is idle, what opens, and who has it.

use crate::fakes::{Call, Failure, Script, World};
use edgepool::{Error, Queue};
use std::pin::pin;
use std::task::Poll;

#[test]
fn counts_follow_six_connects() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(3).max_overflow(10));
    let numbers = |pool: &crate::fakes::Of<Queue>| {
        let counts = pool.counts();
        (counts.size, counts.checked_in, counts.overflow, counts.checked_out)
    };
    assert_eq!(numbers(&pool), (3, 0, -3, 0));
    let mut leases = Vec::new();
    for expected in [(3, 0, -2, 1), (3, 0, -1, 2), (3, 0, 0, 3), (3, 0, 1, 4), (3, 0, 2, 5), (3, 0, 3, 6)] {
        leases.push(world.connect(&pool));
        assert_eq!(numbers(&pool), expected);
    }
}

#[test]
fn an_idle_connection_is_used_before_a_new_one_is_opened() {
    let world = World::new();
    let pool = world.queue(3);
    drop(world.connect(&pool));
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "open");
}

#[test]
fn a_caller_that_returns_and_asks_again_does_not_overtake_a_waiter() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    drop(held);
    let mut again = world.wait(&pool);
    let lease = world.served(waiter);
    assert!(world.waits(&mut again));
    drop(lease);
    drop(world.served(again));
}

#[test]
fn when_an_opening_fails_the_next_waiter_is_tried_at_once() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::Takes(5, Box::new(Script::Fails("no route")))]);
    let mut first = world.wait(&pool);
    let second = world.wait(&pool);
    world.pass(5);
    assert!(matches!(world.poll(first.as_mut()), Some(Err(Error::Manager(_)))));
    assert_eq!(world.served(second).number, 0);
}

#[test]
fn a_creators_own_error_reaches_the_caller_as_it_is_thrown_or_rejected() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::Fails("at once"), Script::Takes(3, Box::new(Script::Fails("later")))]);
    for word in ["at once", "later"] {
        let Error::Manager(error) = world.refused(&pool) else { panic!("not the manager's") };
        assert_eq!(*error, Failure(word));
    }
}

#[test]
fn twenty_thousand_waiters_behind_a_failing_creator_each_get_its_error() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens(std::iter::repeat_n(Script::Fails("no route"), 20_000));
    world.log.open_scripts.borrow_mut().push_front(Script::Takes(1, Box::new(Script::Fails("no route"))));
    let mut waiters: Vec<_> = (0..20_000).map(|_| world.wait(&pool)).collect();
    world.pass(1);
    for waiter in &mut waiters {
        assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Manager(_)))));
    }
    assert_eq!((pool.stats().waiting, pool.stats().total), (0, 0));
}

#[test]
fn a_creator_that_hangs_holds_up_no_caller_within_the_overflow() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(1));
    world.opens([Script::Hangs]);
    let _hanging = world.wait(&pool);
    drop(world.connect(&pool));
}

#[test]
fn as_many_creators_start_at_once_as_the_pool_allows_the_others_wait() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(2).max_overflow(1));
    world.opens((0..5).map(|_| Script::takes(5)));
    let waiters: Vec<_> = (0..5).map(|_| world.wait(&pool)).collect();
    assert_eq!((pool.stats().opening, pool.stats().waiting), (3, 2));
    world.pass(5);
    assert_eq!(world.log.most_opening.get(), 3);
    for waiter in waiters {
        drop(world.served(waiter));
    }
    assert_eq!(world.log.take().iter().filter(|call| **call == Call::Open).count(), 3);
}

#[test]
fn a_lease_that_is_handed_to_a_waiter_is_there_at_its_next_poll_without_a_turn_of_the_runtime() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let mut waiter = world.wait(&pool);
    drop(held);
    let Poll::Ready(Ok(lease)) = world.time.poll_once(waiter.as_mut()) else { panic!("it still waits") };
    assert_eq!(lease.number, 0);
}

#[test]
fn a_creator_is_called_in_the_first_poll_of_connect_once_for_each_connection() {
    let world = World::new();
    let pool = world.queue(1);
    let mut caller = pin!(pool.connect());
    assert_eq!(world.log.trace(), "");
    let Poll::Ready(Ok(lease)) = world.time.poll_once(caller.as_mut()) else { panic!("it still waits") };
    assert_eq!(world.log.trace(), "open");
    drop(lease);
    drop(world.connect(&pool));
    assert_eq!(world.trace(), "");
}

#[test]
fn connections_that_open_in_any_order_go_to_the_callers_that_started_them() {
    let world = World::new();
    let pool = world.queue(3);
    world.opens([Script::takes(10), Script::takes(15), Script::takes(5)]);
    let mut callers = [(); 3].map(|()| world.wait(&pool));
    let mut leases = Vec::new();
    // The number of a connection is its place in the order of arrival.
    for (number, caller) in [2, 0, 1].into_iter().enumerate() {
        world.pass(5);
        let lease = world.poll(callers[caller].as_mut()).expect("its opening has ended").unwrap();
        assert_eq!(lease.number as usize, number);
        // Kept, so that no return serves another caller.
        leases.push(lease);
    }
}

#[test]
fn a_creator_may_use_the_pool_a_connection_made_with_the_help_of_another() {
    let world = World::new();
    let pool = world.queue(2);
    let inner = pool.clone();
    let time = world.time.clone();
    let helper = std::rc::Rc::new(std::cell::RefCell::new(None));
    let kept = helper.clone();
    *world.log.in_open.borrow_mut() = Some(Box::new(move || {
        let lease = time.run_until(inner.connect()).expect("it opens").expect("it opens");
        kept.replace(Some(lease));
    }));
    assert_eq!(world.connect(&pool).number, 1);
    assert_eq!(helper.take().map(|lease| lease.number), Some(0));
}

#[test]
fn an_idle_connection_is_checked_out_without_a_creator_a_clock_or_a_timer() {
    let world = World::new();
    let pool = world.queue(1);
    drop(world.connect(&pool));
    world.trace();
    let reads = world.time.readings();
    drop(world.connect(&pool));
    assert_eq!(world.trace(), "");
    assert_eq!((world.time.readings(), world.time.timers()), (reads, 0));
}

#[test]
fn idle_connections_are_used_in_the_order_of_their_return() {
    let world = World::new();
    let pool = world.queue(3);
    let [a, b, c] = [(); 3].map(|()| world.connect(&pool));
    drop(b);
    drop(c);
    drop(a);
    let leases = [(); 3].map(|()| world.connect(&pool));
    assert_eq!(leases.map(|lease| lease.number), [1, 2, 0]);
}

#[test]
fn use_lifo_uses_the_connection_that_came_back_last_first() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(3).max_overflow(0).use_lifo(true));
    let [a, b, c] = [(); 3].map(|()| world.connect(&pool));
    drop(b);
    drop(c);
    drop(a);
    let leases = [(); 3].map(|()| world.connect(&pool));
    assert_eq!(leases.map(|lease| lease.number), [0, 2, 1]);
}

#[test]
fn a_pool_recreated_from_a_lifo_pool_is_lifo() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.use_lifo(true)).recreate();
    let [a, b] = [(); 2].map(|()| world.connect(&pool));
    drop(a);
    drop(b);
    let leases = [(); 2].map(|()| world.connect(&pool));
    assert_eq!(leases.map(|lease| lease.number), [1, 0]);
}

#[test]
fn with_no_limit_on_the_size_every_caller_has_a_connection_at_once() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(0));
    let leases: Vec<_> = (0..50).map(|_| world.connect(&pool)).collect();
    assert_eq!(leases.len(), 50);
    assert_eq!(pool.stats().max, f64::INFINITY);
}

#[test]
fn a_pool_of_no_overflow_and_no_waiting_still_works_one_after_the_other() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).max_waiters(0));
    for _ in 0..3 {
        let lease = world.connect(&pool);
        assert!(matches!(world.refused(&pool), Error::QueueFull { .. }));
        drop(lease);
    }
}

// Not here: microtasks and the stack of a call are JavaScript's. A future does nothing before its first poll.
// - a lease handed to a waiter is settled in the microtasks of the return
//   = a_lease_that_is_handed_to_a_waiter_is_there_at_its_next_poll_without_a_turn_of_the_runtime
// - a creator is called in the stack of connect(), once for each connection
//   = a_creator_is_called_in_the_first_poll_of_connect_once_for_each_connection
// Not here: open() returns one type of future, which the compiler checks.
// - a creator may answer any thenable
