//! The event `checkout`, which may refuse a connection.

use crate::fakes::{Failure, Leaver, Of, Script, Waiter, World};
use edgepool::{Error, Queue};
use std::cell::RefCell;
use std::rc::Rc;

fn pool(world: &World, size: u32) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(size).max_overflow(0))
}

#[test]
fn checkout_is_fired_once_for_each_connect_of_a_new_connection_and_of_one_that_is_used_again() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    assert_eq!(world.trace(), "open, first_connect(0), connect(0), checkout(0), reset(0), checkin(0)");
    drop(world.connect(&pool));
    assert_eq!(world.trace(), "checkout(0), reset(0), checkin(0)");
}

#[test]
fn it_is_fired_for_a_waiter_and_for_use_too() {
    let world = World::new();
    let pool = pool(&world, 1);
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    world.trace();
    drop(held);
    drop(world.served(waiter));
    assert_eq!(world.trace(), "reset(0), checkin(0), checkout(0), reset(0), checkin(0)");
    world.run(pool.use_with(async |_| Ok::<_, Error<Failure>>(()))).unwrap();
    assert_eq!(world.trace(), "checkout(0), reset(0), checkin(0)");
}

#[test]
fn a_disconnection_error_the_connection_is_replaced_in_its_slot_and_all_listeners_run_again() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    world.trace();
    world.listener_disconnects("checkout", "gone", false);
    let lease = world.connect(&pool);
    assert_eq!(lease.number, 1);
    let expected = "checkout(0), invalidate(0), closing(0), terminate 0, open, connect(1), checkout(1)";
    assert_eq!(world.trace(), expected);
    assert_eq!(world.log.reasons.take(), ["gone"]);
}

#[test]
fn the_second_try_may_refuse_a_connection_that_was_opened_for_it_or_pass_it() {
    for refuses in [false, true] {
        let world = World::new();
        let pool = pool(&world, 1);
        world.listener_disconnects("checkout", "gone", false);
        if refuses {
            world.listener_fails("checkout", "no");
        }
        let result = world.run(pool.connect());
        let tried = "open, first_connect(0), connect(0), checkout(0), invalidate(0), closing(0), terminate 0, open, \
                     connect(1), checkout(1)";
        if refuses {
            assert!(matches!(result, Err(Error::Manager(error)) if *error == Failure("no")));
            assert_eq!(world.trace(), format!("{tried}, invalidate(1), closing(1), terminate 1, checkin()"));
            assert_eq!(world.log.reasons.take(), ["gone", "no"]);
        } else {
            let lease = result.unwrap();
            assert_eq!((world.trace().as_str(), lease.number), (tried, 1));
        }
    }
}

#[test]
fn after_two_disconnections_a_third_connection_is_discarded_and_connect_rejects() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    for _ in 0..2 {
        world.listener_disconnects("checkout", "gone", false);
    }
    let Error::Disconnected { last, .. } = world.refused(&pool) else { panic!("not that") };
    assert_eq!(last.as_deref(), Some(&Failure("gone")));
    assert_eq!(pool.stats().used, 0);
    drop(world.connect(&pool));
}

#[test]
fn no_other_error_is_one_not_even_one_that_is_disconnect_recognises() {
    let world = World::new();
    let pool = pool(&world, 2);
    let leases = [(); 2].map(|()| world.connect(&pool));
    drop(leases);
    world.listener_fails("checkout", "lost");
    assert!(matches!(world.refused(&pool), Error::Manager(error) if *error == Failure("lost")));
    assert_eq!(pool.stats().opened, 2);
    // The other connection is neither pinged nor replaced.
    world.trace();
    let lease = world.connect(&pool);
    assert_eq!((lease.number, world.trace().as_str()), (1, "checkout(1)"));
}

#[test]
fn a_disconnection_error_of_its_own_leaves_the_other_connections_alone() {
    let world = World::new();
    let pool = pool(&world, 2);
    let leases = [(); 2].map(|()| world.connect(&pool));
    drop(leases);
    world.listener_disconnects("checkout", "gone", false);
    let leases = [(); 2].map(|()| world.connect(&pool));
    assert_eq!(leases.map(|lease| lease.number), [2, 1]);
}

#[test]
fn with_invalidate_pool_true_every_connection_as_old_is_replaced_at_its_next_checkout_too() {
    let world = World::new();
    let pool = pool(&world, 2);
    let leases = [(); 2].map(|()| world.connect(&pool));
    drop(leases);
    world.listener_disconnects("checkout", "gone", true);
    let leases = [(); 2].map(|()| world.connect(&pool));
    assert_eq!(leases.map(|lease| lease.number), [2, 3]);
}

#[test]
fn when_the_creator_then_fails_its_error_is_the_callers_and_the_slot_is_back_empty() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    world.listener_disconnects("checkout", "gone", false);
    world.opens([Script::Fails("no route")]);
    assert!(matches!(world.refused(&pool), Error::Manager(error) if *error == Failure("no route")));
    assert_eq!((pool.stats().total, pool.counts().checked_in), (0, 1));
}

#[test]
fn when_a_connect_listener_then_fails_both_connections_are_terminated_and_its_error_is_thrown() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    world.trace();
    world.listener_disconnects("checkout", "gone", false);
    world.listener_fails("connect", "no");
    assert!(matches!(world.refused(&pool), Error::Manager(error) if *error == Failure("no")));
    let expected = "checkout(0), invalidate(0), closing(0), terminate 0, open, connect(1), terminate 1, checkin()";
    assert_eq!(world.trace(), expected);
    assert_eq!((pool.stats().total, pool.counts().checked_in), (0, 1));
}

#[test]
fn any_other_error_rejects_connect_as_it_is_the_slot_is_back_empty() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.listener_fails("checkout", "no");
    assert!(matches!(world.refused(&pool), Error::Manager(error) if *error == Failure("no")));
    assert_eq!(pool.stats().total, 0);
    assert_eq!(world.log.open.get(), 0);
}

#[test]
fn a_listener_that_fails_on_an_idle_connection_loses_no_place_three_leases_work_afterwards() {
    let world = World::new();
    let pool = pool(&world, 3);
    drop(world.connect(&pool));
    world.listener_fails("checkout", "no");
    world.refused(&pool);
    let _leases = [(); 3].map(|()| world.connect(&pool));
    assert_eq!(pool.stats().used, 3);
}

#[test]
fn an_emptied_slot_whose_creator_is_down_loses_no_place_either() {
    let world = World::new();
    let pool = pool(&world, 3);
    world.run(world.connect(&pool).invalidate());
    world.opens([Script::Fails("no route"), Script::Fails("no route")]);
    world.refused(&pool);
    world.refused(&pool);
    let _leases = [(); 3].map(|()| world.connect(&pool));
    assert_eq!(pool.stats().used, 3);
}

#[test]
fn when_a_replaced_connections_lease_is_closed_only_the_new_connection_is_reset() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    world.listener_disconnects("checkout", "gone", false);
    let lease = world.connect(&pool);
    world.trace();
    world.close(lease);
    assert_eq!(world.trace(), "reset(1), checkin(1)");
}

#[test]
fn a_failed_checkout_hands_its_place_to_the_next_waiter_at_once() {
    let world = World::new();
    let pool = pool(&world, 1);
    let held = world.connect(&pool);
    let mut first = world.wait(&pool);
    let second = world.wait(&pool);
    world.listener_fails("checkout", "no");
    drop(held);
    assert!(matches!(world.poll(first.as_mut()), Some(Err(Error::Manager(_)))));
    assert_eq!(world.served(second).number, 1);
}

#[test]
fn while_it_runs_no_other_caller_has_the_connection() {
    let world = World::new();
    let pool = pool(&world, 1);
    let other: Rc<RefCell<Option<Waiter<'static>>>> = Rc::default();
    let (own, time, kept) = (pool.clone(), world.time.clone(), other.clone());
    world.within(move |event| {
        if event == "checkout" && kept.borrow().is_none() {
            let (stats, pool) = (own.stats(), own.clone());
            assert_eq!((stats.idle, stats.used), (0, 1));
            let mut asked: Waiter<'static> = Box::pin(async move { pool.connect().await });
            assert!(time.poll_once(asked.as_mut()).is_pending());
            *kept.borrow_mut() = Some(asked);
        }
    });
    let lease = world.connect(&pool);
    assert_eq!(pool.stats().waiting, 1);
    world.close(lease);
    assert_eq!(world.served(other.take().expect("it was called")).number, 0);
}

/// What its listener does after its caller has left.
#[derive(Clone, Copy, Debug)]
enum Says {
    Passes,
    Fails,
    Disconnects,
}

fn leaves_in_its_listener(world: &World, caller: Leaver, says: Says) {
    world.within(move |event| {
        if event == "checkout" {
            drop(caller.take());
        }
    });
    match says {
        Says::Passes => {}
        Says::Fails => world.listener_fails("checkout", "no"),
        Says::Disconnects => world.listener_disconnects("checkout", "gone", false),
    }
}

#[test]
fn a_caller_that_leaves_while_it_runs_leaves_the_connection_reset_or_ended_as_the_listener_says() {
    let ended = "invalidate(0), closing(0), terminate 0, checkin()";
    for (says, expected) in [
        (Says::Passes, "reset(0), checkin(0)".to_owned()),
        (Says::Fails, format!("error(listener: no), {ended}")),
        (Says::Disconnects, format!("error(listener: gone), {ended}")),
    ] {
        let world = World::new();
        let pool = pool(&world, 1);
        let held = world.connect(&pool);
        leaves_in_its_listener(&world, world.leaver(&pool), says);
        world.trace();
        drop(held);
        assert_eq!(world.trace(), format!("reset(0), checkin(0), checkout(0), {expected}"), "{says:?}");
        let stats = pool.stats();
        assert_eq!((stats.used, stats.aborted, stats.idle), (0, 1, world.log.open.get()), "{says:?}");
        drop(world.connect(&pool));
    }
}

#[test]
fn a_caller_that_leaves_while_it_runs_makes_room_for_the_next_waiter() {
    for says in [Says::Passes, Says::Fails, Says::Disconnects] {
        let world = World::new();
        let pool = pool(&world, 1);
        let (held, caller) = (world.connect(&pool), world.leaver(&pool));
        let next = world.wait(&pool);
        leaves_in_its_listener(&world, caller, says);
        drop(held);
        world.time.run();
        world.close(world.served(next));
        let stats = pool.stats();
        assert_eq!((stats.used, stats.waiting, stats.idle), (0, 0, 1), "{says:?}");
    }
}

#[test]
fn a_listener_that_invalidates_every_connection_the_next_checkout_has_another_one() {
    let world = World::new();
    let pool = pool(&world, 1);
    let own = pool.clone();
    let calls = std::cell::Cell::new(0);
    world.within(move |event| {
        if event == "checkout" && calls.replace(calls.get() + 1) == 0 {
            own.invalidate();
        }
    });
    assert_eq!(world.connect(&pool).number, 0);
    assert_eq!(world.connect(&pool).number, 1);
}

// Not here: a listener is shown the connection to which the caller's lease derefs. It has no lease that it could end.
// - it is shown the lease that the caller will have, valid and on its record, which is in use
//   = checkout_is_fired_once_for_each_connect_of_a_new_connection_and_of_one_that_is_used_again
// - a listener that closes its lease, awaited makes connect() reject
// - a listener that closes its lease makes connect() reject
// - a listener that invalidates its lease, awaited makes connect() reject
// - a listener that invalidates its lease makes connect() reject
// - a listener that detaches its lease, awaited makes connect() reject
// - a listener that detaches its lease makes connect() reject
// - a listener may invalidate softly: the connection is replaced at its next checkout
//   = a_listener_that_invalidates_every_connection_the_next_checkout_has_another_one
// Not here: Rejection::Disconnected is a variant that has its error.
// - an error is a DisconnectionError by its class or by its code
// - a DisconnectionError says what it is, and keeps its cause
// Not here: a listener takes no time. It always answers, also for a caller that it has dropped itself.
// - a caller that leaves while it runs is refused at once, and the connection is terminated
//   = a_caller_that_leaves_while_it_runs_leaves_the_connection_reset_or_ended_as_the_listener_says
// - what it answers after its caller has left changes nothing
//   = a_caller_that_leaves_while_it_runs_leaves_the_connection_reset_or_ended_as_the_listener_says
// - a deadline that ends while it runs refuses the caller with step "listener"
// - driverTimeout ends a listener that hangs like an error of its own
