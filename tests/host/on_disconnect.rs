//! Deaths that the driver reports: `Watch::died`.

use crate::fakes::{Of, Script, World};
use edgepool::{Error, Queue};
use std::pin::pin;

fn pool(world: &World, size: u32) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(size).max_overflow(0))
}

#[test]
fn an_idle_connection_that_dies_is_terminated_quietly_and_its_slot_ends() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    world.trace();
    world.dies(0, None);
    assert_eq!(world.trace(), "invalidate(0), closing(0), terminate 0");
    assert_eq!(pool.stats().total, 0);
}

#[test]
fn the_other_idle_connections_stay() {
    let world = World::new();
    let pool = pool(&world, 2);
    let leases = [(); 2].map(|()| world.connect(&pool));
    drop(leases);
    world.dies(0, None);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn a_connection_that_dies_in_use_is_ended_and_its_slot_serves_the_next_caller_at_once() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = world.connect(&pool);
    let waiter = world.wait(&pool);
    world.dies(0, Some("gone"));
    assert_eq!(world.served(waiter).number, 1);
    drop(lease);
    assert_eq!(world.log.open.get(), 1);
}

#[test]
fn the_holder_of_a_dead_connection_can_see_it_and_close_the_lease_and_change_nothing() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = world.connect(&pool);
    world.dies(0, None);
    assert!(!lease.is_valid());
    let other = world.connect(&pool);
    world.close(lease);
    assert!(other.is_valid());
    assert_eq!(pool.stats().used, 1);
}

#[test]
fn use_whose_function_hangs_on_a_dead_connection_keeps_no_slot() {
    let world = World::new();
    let pool = pool(&world, 1);
    let mut using = pin!(pool.use_with(async |_| {
        std::future::pending::<()>().await;
        Ok::<_, Error<_>>(())
    }));
    assert!(world.poll(using.as_mut()).is_none());
    world.dies(0, None);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn a_death_during_its_reset_ends_the_return_at_once_and_is_reported_once() {
    let world = World::new();
    let pool = pool(&world, 1);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::Hangs]);
    let mut closing = pin!(lease.close());
    assert!(world.poll(closing.as_mut()).is_none());
    world.trace();
    world.dies(0, Some("gone"));
    assert!(world.poll(closing).is_some());
    assert_eq!(world.trace().matches("error(").count(), 1);
    assert_eq!((pool.stats().used, world.log.open.get()), (0, 0));
}

#[test]
fn a_death_during_its_ping_gives_the_same_caller_another_connection_at_once() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).pre_ping(true));
    drop(world.connect(&pool));
    world.pings([Script::Hangs]);
    let waiter = world.wait(&pool);
    world.dies(0, None);
    assert_eq!(world.served(waiter).number, 1);
}

#[test]
fn a_death_while_idle_has_the_others_pinged_if_its_error_concerns_them() {
    for (word, pings) in [("lost", true), ("alone", false)] {
        let world = World::new();
        let pool = world.queue(2);
        let leases = [(); 2].map(|()| world.connect(&pool));
        drop(leases);
        world.trace();
        world.dies(0, Some(word));
        assert_eq!(world.connect(&pool).number, 1);
        assert_eq!(world.trace().contains("ping 1"), pings, "{word}");
    }
}

#[test]
fn a_listener_of_the_death_may_return_the_lease_or_ask_for_another_connection() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = std::cell::RefCell::new(Some(world.connect(&pool)));
    let own = pool.clone();
    world.within(move |event| {
        if event == "invalidate" {
            drop(lease.take());
            drop(own.connect());
        }
    });
    world.dies(0, Some("gone"));
    assert_eq!((pool.stats().used, world.log.open.get()), (0, 0));
    drop(world.connect(&pool));
}

#[test]
fn a_connection_that_dies_while_it_is_reset_is_not_handed_out_again() {
    let world = World::new();
    let pool = pool(&world, 1);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::takes(5)]);
    drop(lease);
    world.dies(0, None);
    world.pass(5);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn a_connection_that_dies_before_open_has_answered_is_replaced_for_its_caller() {
    let world = World::new();
    let pool = world.queue(1);
    let log = world.log.clone();
    // The death is reported before the pool has the connection.
    world.opens([Script::Takes(5, Box::new(Script::Ok))]);
    let waiter = world.wait(&pool);
    world.pass(5);
    log.watches.borrow().iter().for_each(|watch| watch.died(None));
    let lease = world.run(waiter).unwrap();
    assert!(lease.is_valid() || lease.number == 0);
}

#[test]
fn a_connection_whose_caller_has_left_dies_when_it_arrives_the_next_caller_has_another_one() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.opens([Script::takes(5)]);
    drop(world.wait(&pool));
    world.pass(5);
    world.dies(0, None);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn a_death_that_is_reported_twice_or_by_its_own_termination_counts_once() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    world.trace();
    world.dies(0, None);
    world.dies(0, Some("lost"));
    assert_eq!(world.trace(), "invalidate(0), closing(0), terminate 0");
    assert_eq!(pool.stats().invalidated, 1);
}

#[test]
fn what_a_driver_says_of_a_connection_that_has_left_its_slot_does_not_touch_the_slots_next_one() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.run(world.connect(&pool).invalidate());
    let lease = world.connect(&pool);
    world.dies(0, Some("lost"));
    assert!(lease.is_valid());
    assert_eq!(pool.stats().used, 1);
}

#[test]
fn a_death_while_the_pool_drains_ends_the_pool_like_any_return() {
    let world = World::new();
    let pool = pool(&world, 1);
    let _lease = world.connect(&pool);
    let mut closing = pin!(pool.close());
    assert!(world.poll(closing.as_mut()).is_none());
    world.dies(0, None);
    assert!(world.poll(closing).is_some());
}

#[test]
fn when_an_idle_connection_dies_its_capacity_is_there_for_the_next_caller_at_once() {
    let world = World::new();
    let pool = pool(&world, 1);
    drop(world.connect(&pool));
    world.dies(0, None);
    assert!(world.poll(pin!(pool.connect())).is_some());
}
