//! Returns: reset, events, and the next caller.

use crate::fakes::{Connection, Failure, Fake, Of, Script, World};
use edgepool::{Events, Lease, Queue, ResetStyle, VirtualTime};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;

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
fn a_return_that_says_nothing_of_its_transaction_spares_nothing() {
    for way in 0..3 {
        let world = World::new();
        let pool = pool(&world);
        let mut lease = world.connect(&pool);
        lease.in_transaction = true;
        world.trace();
        match way {
            0 => drop(lease),
            1 => world.close(lease),
            _ => world.run(lease.close_after(&Failure("no disconnect"))),
        }
        assert_eq!(world.trace(), "reset(0), rollback 0, checkin(0)");
    }
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

/// Ends the transaction of what comes back.
struct Ends;

impl Events<Fake> for Ends {
    fn reset(&self, connection: &mut Connection) {
        connection.in_transaction = false;
    }
}

#[test]
fn in_transaction_is_asked_after_the_reset_listeners_which_may_have_ended_the_transaction() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.events(Ends));
    for is_detached in [false, true] {
        let mut lease = world.connect(&pool);
        lease.in_transaction = true;
        world.trace();
        if is_detached {
            world.run(lease.detach().unwrap().close());
            assert_eq!(world.trace(), "close 0");
        } else {
            world.close(lease);
            assert_eq!(world.trace(), "");
        }
    }
}

#[test]
fn a_slot_is_checked_out_during_reset_and_checkin_until_that_is_over() {
    let world = World::new();
    let pool = pool(&world);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    let (own, seen) = (pool.clone(), Rc::new(RefCell::new(Vec::new())));
    let noted = seen.clone();
    world.within(move |event| noted.borrow_mut().push((event, own.counts().checked_out, own.stats().idle)));
    world.close(lease);
    assert_eq!(seen.take(), [("reset", 1, 0), ("checkin", 1, 0)]);
    assert_eq!((pool.counts().checked_out, pool.stats().idle), (0, 1));
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

/// Runs the return of a lease whose listener of this event panics once.
fn panics_at(world: &World, event: &'static str, lease: Lease<Fake, VirtualTime>) {
    let panics = Cell::new(true);
    world.within(move |now| assert!(now != event || !panics.replace(false), "a listener"));
    world.trace();
    let closes = AssertUnwindSafe(|| world.close(lease));
    assert!(catch_unwind(closes).is_err(), "no listener has panicked");
}

#[test]
fn a_reset_listener_that_panics_is_a_failed_reset_the_connection_is_terminated() {
    let world = World::new();
    let pool = pool(&world);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    panics_at(&world, "reset", lease);
    // As a task is dropped: no other listener is called.
    assert_eq!(world.trace(), "reset(0), terminate 0");
    let counts = pool.counts();
    assert_eq!((counts.size, counts.checked_in, counts.overflow, counts.checked_out), (1, 1, 0, 0));
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn a_checkin_listener_that_panics_costs_no_slot_a_waiter_has_the_connection() {
    let world = World::new();
    let pool = pool(&world);
    let lease = world.connect(&pool);
    let waiter = world.wait(&pool);
    panics_at(&world, "checkin", lease);
    world.time.run();
    let lease = world.served(waiter);
    assert_eq!(lease.number, 0);
    world.close(lease);
    assert_eq!((pool.stats().used, pool.stats().idle), (0, 1));
}

#[test]
fn a_close_listener_that_panics_at_a_surplus_return_the_connection_is_ended_its_place_free() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(1).max_overflow(1));
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    world.close(first);
    panics_at(&world, "closing", second);
    assert_eq!(world.trace(), "reset(1), checkin(1), closing(1), terminate 1");
    assert_eq!((world.log.open.get(), pool.stats().total, pool.counts().overflow), (1, 1, 0));
    let _leases = [(); 2].map(|()| world.connect(&pool));
}

#[test]
fn a_checkin_listener_that_invalidates_every_connection_the_next_caller_has_another_connection() {
    let world = World::new();
    let pool = pool(&world);
    let lease = world.connect(&pool);
    let waiter = world.wait(&pool);
    let (own, calls) = (pool.clone(), Cell::new(0));
    world.within(move |event| {
        if event == "checkin" && calls.replace(calls.get() + 1) == 0 {
            own.invalidate();
        }
    });
    world.trace();
    world.close(lease);
    assert_eq!(world.served(waiter).number, 1);
    let expected = "reset(0), checkin(0), closing(0), terminate 0, open, connect(1), checkout(1), reset(1), checkin(1)";
    assert_eq!(world.trace(), expected);
}

#[test]
fn a_listener_of_the_return_may_ask_for_a_connection_it_waits_for_the_one_that_is_coming_back() {
    for asks in ["reset", "checkin"] {
        let world = World::new();
        let pool = pool(&world);
        let lease = world.connect(&pool);
        let own = pool.clone();
        let asked = Cell::new(false);
        let time = world.time.clone();
        world.within(move |event| {
            if event == asks && !asked.replace(true) {
                let pool = own.clone();
                edgepool::Runtime::spawn(&time, Box::pin(async move { drop(pool.connect().await) }));
            }
        });
        world.trace();
        world.close(lease);
        assert_eq!(world.trace(), "reset(0), checkin(0), checkout(0), reset(0), checkin(0)", "{asks}");
    }
}

#[test]
fn a_listener_of_the_return_may_dispose_of_the_pool_the_connection_is_closed_after_it() {
    for disposes in ["reset", "checkin"] {
        let world = World::new();
        let pool = pool(&world);
        let lease = world.connect(&pool);
        let own = pool.clone();
        world.within(move |event| {
            if event == disposes {
                drop(own.dispose());
            }
        });
        world.close(lease);
        assert_eq!(pool.stats().total, 0, "{disposes}");
        assert_eq!(world.log.open.get(), 0, "{disposes}");
    }
}

// Not here: listeners are shown the connection. There is no record, and no state of the return.
// - reset and checkin are fired once for each close, with the connection and its record
//   = reset_and_checkin_are_fired_once_for_each_close_with_the_connection
// - a detached connection's reset says terminateOnly, and has no record
//   = a_detached_connections_reset_event_is_fired_at_its_close
// - a return is safe for I/O, and the state that listeners are shown cannot be changed
// - a caller that says that the transaction was reset spares the rollback; the event says so
//   = a_caller_that_says_that_the_transaction_was_reset_spares_the_rollback
// - the record is in use during reset and not during checkin, and checked out until that is over
//   = a_slot_is_checked_out_during_reset_and_checkin_until_that_is_over
// - a checkin listener may close the record: the slot opens another in the same record
// - a checkin listener that invalidates the record: the next caller has another connection
//   = a_checkin_listener_that_invalidates_every_connection_the_next_caller_has_another_connection
// Not here: close_reset() says that the transaction was reset, so there is no option that could be false or wrong.
// - false, or nothing, spares nothing
//   = a_return_that_says_nothing_of_its_transaction_spares_nothing
// - options of close() that are wrong reject with an ArgumentError, and the lease is returned
// Not here: finalizers are of records. What is to be done at a return is the manager's reset(), or a listener.
// - finalizers run between the rollback and checkin, newest first, with the connection
// - a finalizer runs at the next return only
// - finalizers are awaited one by one
// - finalizers that answer at once cost no microtask
// - a finalizer may be added by a connect, a checkout or a reset listener
// - a finalizer that is added by a finalizer loses nothing and loops never
// - a finalizer of an invalidated connection is not called, nor at the slot's next return
// - a finalizer that is no function is refused with an ArgumentError
// - a finalizer that throws is reported; the others run, and the connection is returned
// - a finalizer that rejects is reported; the others run, and the connection is returned
// - a finalizer that hangs is given driverTimeout, and the return goes on
// Not here: these listeners return nothing, so they fail by a panic alone.
// - a reset listener that throws is a failed reset: the connection is terminated
//   = a_reset_listener_that_panics_is_a_failed_reset_the_connection_is_terminated
// - a reset listener that rejects is a failed reset: the connection is terminated
//   = a_reset_listener_that_panics_is_a_failed_reset_the_connection_is_terminated
// - a checkin listener that throws costs no slot: a waiter has the connection
//   = a_checkin_listener_that_panics_costs_no_slot_a_waiter_has_the_connection
// - a checkin listener that rejects costs no slot: a waiter has the connection
//   = a_checkin_listener_that_panics_costs_no_slot_a_waiter_has_the_connection
// - a close listener that throws at a surplus return: the connection is closed, its place free
//   = a_close_listener_that_panics_at_a_surplus_return_the_connection_is_ended_its_place_free
// - a close listener that rejects at a surplus return: the connection is closed, its place free
//   = a_close_listener_that_panics_at_a_surplus_return_the_connection_is_ended_its_place_free
// Not here: a manager's error is an Err, however it came about.
// - a rollback that throws: reported, then invalidate, close, terminate, checkin of null
//   = a_rollback_that_rejects_reported_then_invalidate_close_terminate_checkin_of_null
// Not here: terminate() returns nothing, so it cannot fail.
// - where rollback and termination both fail, both are reported
// Not here: a pool has one listener, which takes no time.
// - a later reset listener is not called after one that failed
// - a reset listener that hangs is a failed reset after driverTimeout
