//! Hand-overs: which waiter has what comes free.

use crate::fakes::{LeaseFrom, Of, Script, World};
use edgepool::{Error, Queue, Within};
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

#[test]
fn waiters_are_served_in_the_order_of_their_arrival() {
    let world = World::new();
    let pool = world.queue(1);
    let mut lease = world.connect(&pool);
    let mut waiters: Vec<_> = (0..5).map(|_| world.wait(&pool)).collect();
    while !waiters.is_empty() {
        drop(lease);
        assert!(waiters[1..].iter_mut().all(|waiter| world.waits(waiter)));
        lease = world.served(waiters.remove(0));
    }
}

#[test]
fn use_lifo_changes_the_order_of_idle_connections_not_of_waiters() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).use_lifo(true));
    let held = world.connect(&pool);
    let first = world.wait(&pool);
    let mut second = world.wait(&pool);
    drop(held);
    assert!(world.waits(&mut second));
    drop(world.served(first));
}

#[test]
fn waiters_with_options_of_their_own_stand_in_the_same_queue() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let within = Within { timeout: Some(Duration::from_secs(1)), ..Within::default() };
    let first = world.wait(&pool);
    let mut second: crate::fakes::Waiter<'_> = Box::pin(pool.connect_within(within));
    assert!(world.waits(&mut second));
    let mut third = world.wait(&pool);
    drop(held);
    assert!(world.waits(&mut second) && world.waits(&mut third));
    drop(world.served(first));
    assert!(world.waits(&mut third));
    drop(world.served(second));
    drop(world.served(third));
}

#[test]
fn a_caller_that_loops_connect_and_close_cannot_starve_a_waiter() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    drop(held);
    let mut again = world.wait(&pool);
    assert!(world.waits(&mut again));
    drop(world.served(waiter));
    drop(world.served(again));
}

#[test]
fn the_state_changes_before_any_promise_is_settled_the_returned_slot_is_the_waiters_at_once() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let _waiter = world.wait(&pool);
    drop(held);
    let stats = pool.stats();
    assert_eq!((stats.used, stats.idle, stats.waiting), (1, 0, 0));
}

#[test]
fn a_connection_is_reset_before_the_waiter_has_it() {
    let world = World::new();
    let pool = world.queue(1);
    let mut held = world.connect(&pool);
    held.in_transaction = true;
    let mut waiter = world.wait(&pool);
    world.resets([Script::takes(5)]);
    drop(held);
    assert!(world.waits(&mut waiter));
    world.pass(5);
    assert!(!world.served(waiter).in_transaction);
}

#[test]
fn a_waiter_whose_slot_was_emptied_opens_a_new_connection_for_it() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    world.run(held.invalidate());
    assert_eq!(world.served(waiter).number, 1);
}

#[test]
fn after_an_invalidation_one_connection_is_opened_and_every_waiter_is_served() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let waiters: Vec<_> = (0..5).map(|_| world.wait(&pool)).collect();
    world.run(held.invalidate());
    for waiter in waiters {
        assert_eq!(world.served(waiter).number, 1);
    }
}

#[test]
fn after_a_pool_wide_invalidation_every_waiter_is_served_whatever_the_overflow_and_the_timeout() {
    for overflow in [0, 1] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| builder.pool_size(2).max_overflow(overflow));
        let leases: Vec<_> = (0..2 + overflow).map(|_| world.connect(&pool)).collect();
        let waiters: Vec<_> = (0..5).map(|_| world.wait(&pool)).collect();
        pool.invalidate();
        drop(leases);
        for waiter in waiters {
            assert!(world.run(waiter).unwrap().number >= 2 + overflow);
        }
    }
}

#[test]
fn when_a_lease_is_detached_the_waiter_has_a_new_connection_in_its_place() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    let _own = held.detach().unwrap();
    assert_eq!(world.served(waiter).number, 1);
}

#[test]
fn the_place_of_a_failed_opening_goes_to_the_waiter_each_caller_has_the_error_of_its_own_opening() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens(["a", "b", "c"].map(|word| Script::Takes(5, Box::new(Script::Fails(word)))));
    let mut waiters = [world.wait(&pool), world.wait(&pool), world.wait(&pool)];
    for (waiter, word) in waiters.iter_mut().zip(["a", "b", "c"]) {
        world.pass(5);
        let Some(Err(Error::Manager(error))) = world.poll(waiter.as_mut()) else { panic!("not refused") };
        assert_eq!(error.0, word);
    }
}

#[test]
fn the_place_of_an_idle_connection_that_died_goes_to_a_caller_without_delay() {
    let world = World::new();
    let pool = world.queue(1);
    drop(world.connect(&pool));
    world.dies(0, Some("lost"));
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn the_place_of_a_surplus_connection_goes_to_a_waiter_as_soon_as_the_close_has_ended() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(1));
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    drop(first);
    world.closes([Script::takes(5)]);
    drop(second);
    let stats = pool.stats();
    assert_eq!((stats.idle, stats.closing, stats.total), (1, 1, 2));
    let again = world.connect(&pool);
    assert_eq!(again.number, 0);
    let mut waiter = world.wait(&pool);
    world.pass(4);
    assert!(world.waits(&mut waiter));
    world.pass(1);
    assert_eq!(world.served(waiter).number, 2);
}

#[test]
fn while_callers_wait_a_surplus_connection_is_handed_over_instead_of_closed() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(1));
    let [_kept, extra] = [(); 2].map(|()| world.connect(&pool));
    let waiter = world.wait(&pool);
    drop(extra);
    assert_eq!(world.served(waiter).number, 1);
    assert_eq!(world.trace(), "open, open");
}

#[test]
fn a_new_caller_does_not_take_a_place_that_is_reserved_for_a_woken_waiter() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    world.opens([Script::takes(5)]);
    world.run(held.invalidate());
    let mut new = world.wait(&pool);
    world.pass(5);
    assert!(world.waits(&mut new));
    drop(world.served(waiter));
    drop(world.served(new));
}

#[test]
fn a_woken_waiter_calls_the_creator_in_a_task_of_its_own_not_in_the_stack_that_made_room() {
    let world = World::new();
    let pool = world.queue(1);
    let lease = world.connect(&pool);
    let waiter = world.wait(&pool);
    let _own = lease.detach().unwrap();
    assert_eq!(world.log.trace(), "open");
    assert_eq!(world.trace(), "open");
    drop(world.served(waiter));
}

#[test]
fn a_waiter_that_gave_up_is_passed_over() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let first = world.wait(&pool);
    let second = world.wait(&pool);
    drop(first);
    drop(held);
    drop(world.served(second));
}

type Served = Rc<RefCell<Vec<char>>>;

/// A caller that asks for the next one before it returns its connection.
fn take(world: &World, pool: &Of<Queue>, served: &Served, name: char, next: Option<char>) {
    let (pool, time, served) = (pool.clone(), world.time.clone(), served.clone());
    let task = async move {
        let lease = pool.connect().await.expect("it comes free");
        served.borrow_mut().push(name);
        let mut again = Box::pin(pool.connect());
        let waits = next.is_none() || time.poll_once(again.as_mut()).is_pending();
        assert!(waits, "it overtakes");
        lease.close().await;
        if let Some(next) = next {
            let lease = again.await.expect("it comes free");
            served.borrow_mut().push(next);
            lease.close().await;
        }
    };
    edgepool::Runtime::spawn(&world.time, Box::pin(task));
    world.time.run();
}

#[test]
fn waiters_that_come_in_while_others_are_served_stand_behind_them() {
    let world = World::new();
    let pool = world.queue(1);
    let lease = world.connect(&pool);
    let served = Served::default();
    for (name, next) in [('a', Some('d')), ('b', Some('e')), ('c', None)] {
        take(&world, &pool, &served, name, next);
    }
    world.close(lease);
    assert_eq!(served.take(), ['a', 'b', 'c', 'd', 'e']);
}

#[test]
fn ten_callers_in_ten_rounds_never_share_a_connection_whatever_the_size() {
    for size in 1..=3 {
        let world = World::new();
        let pool = world.queue(size);
        let out = std::rc::Rc::new(std::cell::RefCell::new(HashSet::new()));
        let done = std::rc::Rc::new(std::cell::Cell::new(0));
        for task in 0..10 {
            let (pool, out, done, time) = (pool.clone(), out.clone(), done.clone(), world.time.clone());
            let run = async move {
                for round in 0..10 {
                    let lease = pool.connect().await.expect("it comes free");
                    assert!(out.borrow_mut().insert(lease.number), "two have it");
                    edgepool::Runtime::sleep(&time, (task + round) % 3 + 1).await;
                    assert!(out.borrow_mut().remove(&lease.number));
                    lease.close().await;
                }
                done.set(done.get() + 1);
            };
            edgepool::Runtime::spawn(&world.time, Box::pin(run));
        }
        world.pass(10_000);
        assert_eq!((done.get(), world.log.most_open.get()), (10, size));
    }
}

#[test]
fn forty_callers_on_a_slow_creator_never_grow_the_pool_beyond_its_maximum() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(3).max_overflow(2));
    world.opens((0..40).map(|at| Script::takes(1 + at % 7)));
    let waiters: Vec<_> = (0..40).map(|_| world.wait(&pool)).collect();
    for waiter in waiters {
        let lease = world.run(waiter).unwrap();
        world.close(lease);
    }
    assert!(world.log.most_open.get() <= 5);
}

#[test]
fn a_creator_that_hangs_holds_up_neither_its_own_caller_nor_those_behind_it() {
    let world = World::new();
    let pool = world.queue(2);
    let held = world.connect(&pool);
    world.opens([Script::Hangs]);
    let first = world.wait(&pool);
    let second = world.wait(&pool);
    drop(held);
    drop(world.served(first));
    drop(world.served(second));
}

thread_local! {
    static KEPT: RefCell<Vec<LeaseFrom<Queue>>> = const { RefCell::new(Vec::new()) };
}

/// A waker whose drop returns a lease, as one does that has the last hold of a task.
struct Returns;

impl std::task::Wake for Returns {
    fn wake(self: std::sync::Arc<Self>) {}
}

impl Drop for Returns {
    fn drop(&mut self) {
        drop(KEPT.take());
    }
}

#[test]
fn a_waiter_is_served_by_the_drop_of_the_waker_that_it_had_before() {
    let world = World::new();
    let pool = world.queue(1);
    KEPT.replace(vec![world.connect(&pool)]);
    let mut waiter = Box::pin(pool.connect());
    let waker = std::task::Waker::from(std::sync::Arc::new(Returns));
    assert!(waiter.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert!(matches!(world.poll(waiter.as_mut()), Some(Ok(_))));
}

// Not here: what goes on by itself is a task of the runtime, as a microtask is in JavaScript.
// - a woken waiter calls the creator in a microtask of its own, not in the stack that made room =
//     a_woken_waiter_calls_the_creator_in_a_task_of_its_own_not_in_the_stack_that_made_room
