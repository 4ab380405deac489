//! The events of invalidations, detachments and disposals.

use crate::fakes::{Failure, Of, Script, World, panics};
use edgepool::{Error, Queue};
use std::cell::RefCell;
use std::rc::Rc;

fn pool(world: &World, size: u32) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(size).max_overflow(0))
}

#[test]
fn a_hard_invalidation_invalidate_with_its_error_close_terminate_checkin_of_null() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = world.connect(&pool);
    world.trace();
    world.run(lease.invalidate_because(Failure("bad")));
    assert_eq!(world.trace(), "invalidate(0), closing(0), terminate 0, checkin()");
    assert_eq!(world.log.reasons.take(), ["bad"]);
}

#[test]
fn a_soft_invalidation_soft_invalidate_and_nothing_else() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = world.connect(&pool);
    world.trace();
    lease.invalidate_soft();
    assert_eq!(world.trace(), "soft_invalidate()");
}

#[test]
fn with_pool_true_the_others_fire_nothing_until_their_next_checkout_and_then_close_alone() {
    let world = World::new();
    let pool = pool(&world, 2);
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    drop(second);
    world.trace();
    first.invalidate_as_old();
    world.run(first.invalidate());
    assert_eq!(world.trace(), "invalidate(0), closing(0), terminate 0, checkin()");
    let _leases = [(); 2].map(|()| world.connect(&pool));
    let trace = world.trace();
    assert!(trace.contains("closing(1), terminate 1, open, connect(") && !trace.contains("invalidate"), "{trace}");
}

#[test]
fn invalidate_all_fires_nothing_each_connections_close_is_fired_at_its_next_checkout() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    world.trace();
    pool.invalidate();
    assert_eq!(world.trace(), "");
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "closing(0), terminate 0, open, connect(1), checkout(1)");
}

/// The next listener of this event panics.
fn listener_panics(world: &World, event: &'static str) {
    let panics = std::cell::Cell::new(true);
    world.within(move |now| assert!(now != event || !panics.replace(false), "a listener"));
}

#[test]
fn an_invalidate_listener_that_throws_keeps_nothing_connection_and_lease_end() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = world.connect(&pool);
    world.trace();
    listener_panics(&world, "invalidate");
    assert!(panics(|| world.run(lease.invalidate())));
    assert!(world.trace().ends_with("terminate 0"));
    assert_eq!((pool.stats().used, pool.counts().checked_in, world.log.open.get()), (0, 1, 0));
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn a_soft_invalidate_listener_that_throws_spares_nothing_the_connection_is_replaced() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = world.connect(&pool);
    listener_panics(&world, "soft_invalidate");
    assert!(panics(|| lease.invalidate_soft()));
    assert!(lease.is_valid());
    drop(lease);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn a_detach_listener_that_throws_changes_nothing_the_lease_is_detached() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = world.connect(&pool);
    world.trace();
    listener_panics(&world, "detach");
    assert!(panics(|| lease.detach()));
    // The panic has taken the connection from its holder, so it is closed like one that its holder lets go of.
    assert_eq!(world.trace(), "detach(), reset(0), close_detached(0), close 0");
    assert_eq!((pool.stats().detached, pool.stats().used, pool.counts().checked_in), (0, 0, 1));
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn a_close_listener_that_throws_during_dispose_is_reported_every_connection_is_closed() {
    let world = World::new();
    let pool = pool(&world, 3);
    drop([(); 3].map(|()| world.connect(&pool)));
    world.trace();
    listener_panics(&world, "closing");
    assert!(panics(|| world.run(pool.dispose())));
    world.time.run();
    assert_eq!((pool.stats().total, world.log.open.get()), (0, 0));
    // The connection whose listener has panicked is not trusted.
    assert_eq!(world.trace(), "closing(0), terminate 0, closing(1), close 1, closing(2), close 2");
}

#[test]
fn a_disconnect_in_use_invalidate_and_no_reset() {
    let world = World::new();
    let pool = pool(&world, 1);
    let result = world.run(pool.use_with(async |_| {
        world.trace();
        Err::<(), _>(Error::Manager(std::rc::Rc::new(Failure("lost"))))
    }));
    assert!(matches!(result, Err(Error::Manager(_))));
    assert_eq!(world.trace(), "invalidate(0), closing(0), terminate 0, checkin()");
}

#[test]
fn any_other_error_of_use_fires_no_invalidate() {
    let world = World::new();
    let pool = pool(&world, 1);
    let result = world.run(pool.use_with(async |_| {
        world.trace();
        Err::<(), _>(Error::Manager(std::rc::Rc::new(Failure("syntax"))))
    }));
    assert!(result.is_err());
    assert_eq!(world.trace(), "reset(0), checkin(0)");
}

#[test]
fn an_idle_connection_that_dies_invalidate_with_its_error_close_terminate_its_slot_is_gone() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    world.trace();
    world.dies(0, Some("gone"));
    assert_eq!(world.trace(), "invalidate(0), closing(0), terminate 0");
    assert_eq!(world.log.reasons.take(), ["gone"]);
    assert_eq!((pool.stats().total, pool.counts().checked_in), (0, 0));
}

#[test]
fn a_connection_that_dies_in_use_is_reported_to_error_and_ended_then() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = world.connect(&pool);
    world.trace();
    world.dies(0, Some("gone"));
    // The connection itself is its holder's until the lease ends.
    assert_eq!(world.trace(), "error(disconnect: gone), invalidate(), closing(), checkin()");
    assert!(!lease.is_valid());
    drop(lease);
    assert_eq!(world.trace(), "terminate 0");
}

#[test]
fn close_detached_is_fired_with_the_connection_alone_when_a_detached_lease_is_closed() {
    let world = World::new();
    let pool = pool(&world, 1);
    let own = world.connect(&pool).detach().unwrap();
    world.trace();
    world.run(own.close());
    assert_eq!(world.trace(), "reset(0), close_detached(0), close 0");
}

#[test]
fn after_detach_the_next_caller_has_a_new_connection_with_its_own_events() {
    let world = World::new();
    let pool = pool(&world, 1);
    let own = world.connect(&pool).detach().unwrap();
    world.trace();
    let _next = world.connect(&pool);
    assert_eq!(world.trace(), "open, connect(1), checkout(1)");
    assert_eq!((own.number, world.log.open.get()), (0, 2));
    world.run(own.close());
    assert_eq!(world.log.open.get(), 1);
}

#[test]
fn a_waiter_that_has_the_slot_of_a_detached_lease_does_not_wait_for_the_detach_listeners() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = world.connect(&pool);
    let waiter = RefCell::new(Some(world.wait_apart(&pool)));
    let (time, served) = (world.time.clone(), Rc::new(RefCell::new(None)));
    let kept = served.clone();
    world.within(move |event| {
        if event == "detach" {
            time.run();
            let mut waiter = waiter.take().unwrap();
            if let std::task::Poll::Ready(Ok(lease)) = time.poll_once(waiter.as_mut()) {
                kept.replace(Some(lease));
            }
        }
    });
    let _own = lease.detach().unwrap();
    assert_eq!(served.take().expect("it has waited").number, 1);
}

#[test]
fn close_of_a_detached_lease_reset_rollback_close_detached_the_drivers_close() {
    let world = World::new();
    let pool = pool(&world, 1);
    let mut own = world.connect(&pool).detach().unwrap();
    own.in_transaction = true;
    world.trace();
    world.run(own.close());
    assert_eq!(world.trace(), "reset(0), rollback 0, close_detached(0), close 0");
}

#[test]
fn detach_emits_detach_alone_the_slot_is_free_before_its_listeners_run() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = world.connect(&pool);
    world.trace();
    let own = pool.clone();
    world.within(move |event| {
        if event == "detach" {
            assert_eq!((own.stats().used, own.counts().checked_in), (0, 1));
        }
    });
    let _own = lease.detach().unwrap();
    assert_eq!(world.trace(), "detach()");
}

#[test]
fn a_hard_invalidation_of_a_detached_lease_close_detached_and_a_termination_no_other_event() {
    let world = World::new();
    let pool = pool(&world, 1);
    let own = world.connect(&pool).detach().unwrap();
    world.trace();
    world.run(own.invalidate());
    assert_eq!(world.trace(), "close_detached(0), terminate 0");
}

#[test]
fn a_detached_connection_whose_rollback_fails_is_reported_and_terminated_with_close_detached() {
    let world = World::new();
    let pool = pool(&world, 1);
    let mut own = world.connect(&pool).detach().unwrap();
    own.in_transaction = true;
    world.trace();
    world.resets([Script::Fails("reset")]);
    world.run(own.close());
    assert_eq!(world.trace(), "reset(0), rollback 0, error(reset: reset), close_detached(0), terminate 0");
}

#[test]
fn a_detached_connection_whose_reset_listener_panics_is_terminated() {
    let world = World::new();
    let pool = pool(&world, 1);
    let own = world.connect(&pool).detach().unwrap();
    world.trace();
    listener_panics(&world, "reset");
    assert!(panics(|| world.run(own.close())));
    assert!(world.trace().ends_with("terminate 0"));
    assert_eq!((pool.stats().detached, world.log.open.get()), (0, 0));
}

#[test]
fn dispose_emits_close_for_the_idle_connection_the_leased_one_is_closed_at_its_return() {
    let world = World::new();
    let pool = pool(&world, 2);
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    drop(first);
    world.trace();
    world.run(pool.dispose());
    assert_eq!(world.trace(), "closing(0), close 0");
    world.close(second);
    assert_eq!(world.trace(), "reset(1), checkin(1), closing(1), close 1");
}

#[test]
fn dispose_fires_close_with_the_connection_in_the_order_of_idleness() {
    let world = World::new();
    let pool = pool(&world, 2);
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    drop(second);
    drop(first);
    world.trace();
    world.run(pool.dispose());
    assert_eq!(world.trace(), "closing(1), close 1, closing(0), close 0");
}

#[test]
fn closes_that_fail_while_the_pool_is_disposed_of_are_reported_each_and_the_others_go_on() {
    let world = World::new();
    let pool = pool(&world, 3);
    drop([(); 3].map(|()| world.connect(&pool)));
    world.trace();
    world.closes([Script::Fails("bye"), Script::Ok, Script::Fails("bye")]);
    world.run(pool.dispose());
    let trace = world.trace();
    assert_eq!(trace.matches("error(close: bye)").count(), 2, "{trace}");
    assert_eq!((pool.stats().total, world.log.open.get()), (0, 0));
}

#[test]
fn dispose_fires_nothing_for_an_emptied_slot() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.run(world.connect(&pool).invalidate());
    world.trace();
    world.run(pool.dispose());
    assert_eq!(world.trace(), "");
}

#[test]
fn the_pools_own_close_fires_close_for_idle_connections_and_for_the_leases_that_come_back() {
    let world = World::new();
    let pool = pool(&world, 2);
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    drop(first);
    world.trace();
    let mut closing = Box::pin(pool.close());
    assert!(world.poll(closing.as_mut()).is_none());
    assert_eq!(world.trace(), "closing(0), close 0");
    drop(second);
    assert_eq!(world.trace(), "reset(1), checkin(1), closing(1), close 1");
    assert!(world.poll(closing.as_mut()).is_some());
}

// Not here: the event has no error, and no record.
// - 153 a soft invalidation: softInvalidate with its error, or without one, and nothing else =
//     a_soft_invalidation_soft_invalidate_and_nothing_else
// - 190 dispose fires close with the connection and its record, in the order of idleness =
//     dispose_fires_close_with_the_connection_in_the_order_of_idleness
// Not here: these listeners return nothing. They can panic; they cannot reject.
// - 166 an invalidate listener that rejects keeps nothing: connection and lease end =
//     an_invalidate_listener_that_throws_keeps_nothing_connection_and_lease_end
// - a softInvalidate listener that rejects spares nothing: the connection is replaced =
//     a_soft_invalidate_listener_that_throws_spares_nothing_the_connection_is_replaced
// - a detach listener that rejects changes nothing: the lease is detached =
//     a_detach_listener_that_throws_changes_nothing_the_lease_is_detached
// - 191 a close listener that rejects during dispose() is reported; every connection is closed =
//     a_close_listener_that_throws_during_dispose_is_reported_every_connection_is_closed
// - a detached connection whose reset fails is reported, and terminated with closeDetached =
//     a_detached_connection_whose_reset_listener_panics_is_terminated
// Not here: `terminate` returns nothing and is not awaited. It can panic; it cannot fail.
// - 167 a termination that throws is reported; the record is empty and idle =
//     a_termination_that_panics_costs_no_slot_and_the_next_caller_has_another_connection
// - 167 a termination that rejects is reported; the record is empty and idle =
//     a_termination_that_panics_costs_no_slot_and_the_next_caller_has_another_connection
// Not here: the error of use_with() is its caller's. The pool only looks at it, so no listener gets it.
// - 171 a disconnect in use(): invalidate with the error that use() rejects with, and no reset =
//     a_disconnect_in_use_invalidate_and_no_reset
// Not here: a detached connection is replaced by no checkout, and has no `invalidate_soft()`.
// - 183 a soft invalidation of a detached lease fires nothing
// Not here: a connection has no record beside it, through which it could be ended. Its holder has the lease alone.
// - record.invalidate() under a lease: the connection ends now, and the lease lives on with it
// - after record.invalidate() a reset that fails on the dead connection terminates nothing twice
// - after record.invalidate() the lease's own invalidate() or detach() ends nothing twice
// - record.invalidate() twice, or of an empty record, does nothing more
// - record.invalidate() of an idle record: the connection ends now, and the slot opens another
// - no caller gets a connection while record.invalidate() of its idle record terminates it
// - 154 record.invalidate() softly, idle or leased: replaced at the next checkout
// - record.close() of an idle record closes politely, and the slot opens another connection in it
// - record.close() under a lease closes politely now; the lease's close checks in null
// - what the driver throws at record.close() or record.invalidate() is reported; both resolve
// - the record of a slot that has ended does nothing any more
// - options of record.invalidate() that are wrong reject with an ArgumentError, and nothing happens
