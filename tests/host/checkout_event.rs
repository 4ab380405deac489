//! The event `checkout`, which may refuse a connection.

use crate::fakes::{Failure, Of, Script, World};
use edgepool::{Error, Queue};

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
