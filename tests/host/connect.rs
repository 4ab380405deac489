//! The event `connect`, and what an opening that it refuses leaves.

use crate::fakes::{Failure, Leaver, Of, Script, Waiter, World};
use edgepool::{Error, Queue};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

fn pool(world: &World, size: u32) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(size).max_overflow(0))
}

#[test]
fn connect_is_emitted_once_for_each_new_connection_and_not_when_one_is_used_again() {
    let world = World::new();
    let pool = pool(&world, 2);
    let leases = [(); 2].map(|()| world.connect(&pool));
    assert_eq!(world.trace(), "open, first_connect(0), connect(0), checkout(0), open, connect(1), checkout(1)");
    drop(leases);
    world.trace();
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "checkout(0)");
}

#[test]
fn a_recreated_pool_fires_it_for_its_own_connections_recreated_before_or_after() {
    let world = World::new();
    let first = pool(&world, 1);
    let before = first.recreate();
    drop(world.connect(&first));
    let after = first.recreate();
    for pool in [before, after] {
        world.trace();
        let _lease = world.connect(&pool);
        let trace = world.trace();
        assert!(trace.starts_with("open, first_connect("), "{trace}");
    }
}

type Waiters = Rc<RefCell<Vec<Waiter<'static>>>>;

#[test]
fn of_the_first_three_openers_one_runs_its_listeners_after_the_other_of_later_ones_each_at_its_arrival() {
    let world = World::new();
    let pool = pool(&world, 3);
    let waiter = || -> Waiter<'static> {
        let own = pool.clone();
        Box::pin(async move { own.connect().await })
    };
    let (others, polled): (Waiters, Waiters) = Default::default();
    let within = Rc::new(RefCell::new(Vec::new()));
    let (next, seen, noted) = (others.clone(), polled.clone(), within.clone());
    let (time, depth) = (world.time.clone(), Cell::new(0));
    // A listener that runs a loop of its own, in which another one arrives.
    world.within(move |event| {
        if event != "first_connect" && event != "connect" {
            return;
        }
        noted.borrow_mut().push((event, depth.replace(depth.get() + 1)));
        let another = next.borrow_mut().pop();
        if let Some(mut another) = another {
            let answer = time.poll_once(another.as_mut());
            seen.borrow_mut().extend(answer.is_pending().then_some(another));
        }
        depth.set(depth.get() - 1);
    });
    others.borrow_mut().extend([waiter(), waiter()]);
    let first = world.connect(&pool);
    // None began within the listener of another.
    assert_eq!(within.take(), [("first_connect", 0), ("connect", 0), ("connect", 0), ("connect", 0)]);
    let leases: Vec<_> = polled.take().into_iter().map(|waiter| world.served(waiter)).collect();
    assert_eq!(leases.len(), 2);
    for lease in leases.into_iter().chain([first]) {
        world.run(lease.invalidate());
    }
    others.borrow_mut().push(waiter());
    let _lease = world.connect(&pool);
    assert_eq!(within.take(), [("connect", 0), ("connect", 1)]);
}

#[test]
fn when_the_first_ones_listener_fails_the_next_opener_runs_its_own_before_the_others() {
    let world = World::new();
    let pool = pool(&world, 2);
    world.opens([Script::takes(5), Script::takes(5)]);
    world.listener_fails("first_connect", "no");
    let mut first = world.wait(&pool);
    let second = world.wait(&pool);
    world.pass(5);
    assert!(matches!(world.poll(first.as_mut()), Some(Err(Error::Manager(_)))));
    let _lease = world.served(second);
    assert_eq!(world.trace(), "open, open, first_connect(0), terminate 0, first_connect(1), connect(1), checkout(1)");
}

#[test]
fn a_listener_that_fails_on_a_reconnect_is_the_callers_error_and_a_later_connect_works() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.run(world.connect(&pool).invalidate());
    world.listener_fails("connect", "no");
    assert!(matches!(world.refused(&pool), Error::Manager(error) if *error == Failure("no")));
    drop(world.connect(&pool));
}

#[test]
fn a_listener_that_fails_on_a_new_connection_terminates_it_once_and_the_slot_is_gone() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.listener_fails("connect", "no");
    world.refused(&pool);
    assert_eq!(world.trace(), "open, first_connect(0), connect(0), terminate 0");
    assert_eq!((pool.stats().total, pool.counts().checked_in), (0, 0));
}

#[test]
fn a_first_connect_that_has_passed_is_not_run_again_because_connect_failed() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.listener_fails("connect", "no");
    world.refused(&pool);
    world.trace();
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "open, connect(1), checkout(1)");
}

#[test]
fn on_a_reconnect_a_listener_that_fails_has_the_connection_terminated_and_the_slot_back_empty() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.run(world.connect(&pool).invalidate());
    world.trace();
    world.listener_fails("connect", "no");
    world.refused(&pool);
    assert_eq!(world.trace(), "open, connect(1), terminate 1, checkin()");
    assert_eq!((pool.stats().total, pool.counts().checked_in), (0, 1));
}

#[test]
fn a_listener_that_fails_while_a_stale_connection_is_replaced_both_are_terminated() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    pool.invalidate();
    world.trace();
    world.listener_fails("connect", "no");
    world.refused(&pool);
    assert_eq!(world.trace(), "closing(0), terminate 0, open, connect(1), terminate 1, checkin()");
}

#[test]
fn when_a_listener_fails_the_next_waiter_is_served_at_once() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.opens([Script::takes(5)]);
    world.listener_fails("connect", "no");
    let mut first = world.wait(&pool);
    let second = world.wait(&pool);
    world.pass(5);
    assert!(matches!(world.poll(first.as_mut()), Some(Err(Error::Manager(_)))));
    assert_eq!(world.served(second).number, 1);
}

#[test]
fn openings_that_fail_fire_neither_connect_nor_checkout_the_one_that_works_fires_each_once() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.opens([Script::Fails("a"), Script::Fails("b")]);
    world.refused(&pool);
    world.refused(&pool);
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "open, open, open, first_connect(0), connect(0), checkout(0)");
}

#[test]
fn on_a_reconnect_a_creator_that_fails_has_the_slot_back_empty_with_checkin() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.run(world.connect(&pool).invalidate());
    world.trace();
    world.opens([Script::Fails("no route")]);
    world.refused(&pool);
    assert_eq!(world.trace(), "open, checkin()");
}

#[test]
fn a_disconnection_error_of_a_connect_listener_comes_out_as_it_is_nothing_is_tried_again() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.listener_disconnects("connect", "gone", false);
    assert!(matches!(world.refused(&pool), Error::Manager(error) if *error == Failure("gone")));
    assert_eq!(world.trace(), "open, first_connect(0), connect(0), terminate 0");
}

/// A caller leaves while its connect listener runs. Its operation is the runtime's by then.
fn leaves_in_its_listener(world: &World, caller: Leaver) {
    let left = Cell::new(false);
    world.within(move |event| {
        if event == "connect" && !left.replace(true) {
            drop(caller.take());
        }
    });
}

#[test]
fn a_caller_that_leaves_while_it_runs_is_refused_at_once_the_connection_becomes_idle() {
    let world = World::new();
    let pool = pool(&world, 1);
    let held = world.connect(&pool);
    leaves_in_its_listener(&world, world.leaver(&pool));
    world.trace();
    world.run(held.invalidate());
    assert_eq!(world.trace(), "invalidate(0), closing(0), terminate 0, checkin(), open, connect(1)");
    let stats = pool.stats();
    assert_eq!((stats.idle, stats.opening, stats.used, stats.aborted), (1, 0, 0, 1));
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn a_caller_that_leaves_while_it_runs_hands_the_connection_to_the_next_waiter() {
    let world = World::new();
    let pool = pool(&world, 1);
    let held = world.connect(&pool);
    let caller = world.leaver(&pool);
    let next = world.wait(&pool);
    leaves_in_its_listener(&world, caller);
    world.run(held.invalidate());
    assert_eq!(world.served(next).number, 1);
    assert_eq!(world.trace().matches("checkout(1)").count(), 1);
}

#[test]
fn an_opening_whose_caller_has_left_hands_the_connection_to_the_next_waiter() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.opens([Script::takes(5)]);
    let first = world.wait(&pool);
    let next = world.wait(&pool);
    drop(first);
    world.pass(5);
    assert_eq!(world.served(next).number, 0);
}

#[test]
fn when_it_fails_after_its_caller_has_left_the_log_and_error_have_it_and_the_next_waiter_opens() {
    for leaves_within in [false, true] {
        let world = World::new();
        let pool = pool(&world, 1);
        let held = world.connect(&pool);
        let caller = world.leaver(&pool);
        let next = world.wait(&pool);
        world.opens([Script::takes(5)]);
        world.listener_fails("connect", "no");
        world.run(held.invalidate());
        world.trace();
        if leaves_within {
            leaves_in_its_listener(&world, caller);
        } else {
            drop(caller.take());
        }
        world.pass(5);
        let lease = world.served(next);
        assert_eq!(lease.number, 2);
        let expected = "connect(1), error(listener: no), terminate 1, checkin(), open, connect(2), checkout(2)";
        assert_eq!(world.trace(), expected);
    }
}

// Not here: a pool has one listener. It is shown the connection; there is no record, and no info.
// - an inserted listener is called first
// - while it runs the record holds the connection and is not in use
// - the info that it writes is in the lease, also on a connection that replaced a stale one
// Not here: listeners take no time, so none run all at once. A listener that runs a loop of its own meets others.
// - of the first three openers one runs its listeners after the other; of later ones all at once
//   = of_the_first_three_openers_one_runs_its_listeners_after_the_other_of_later_ones_each_at_its_arrival
// Not here: a listener takes no time, so no deadline ends while it runs.
// - a deadline that ends while it runs refuses the caller with step "listener"; the opening goes on
// - the deadline counts the opening and the listener together
// Not here: terminate() returns nothing, so it cannot fail.
// - a termination that fails after a failed listener is reported; the caller has the first error
