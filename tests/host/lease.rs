//! A lease, from its checkout to its end.

use crate::fakes::{Failure, Script, World};
use edgepool::{Queue, Static};
use std::time::Duration;

#[test]
fn a_lease_gives_the_drivers_own_connection_and_says_that_it_is_valid() {
    let world = World::new();
    let pool = world.queue(1);
    let mut lease = world.connect(&pool);
    assert!(lease.is_valid());
    lease.in_transaction = true;
    assert_eq!((lease.number, lease.in_transaction), (0, true));
}

#[test]
fn it_ends_in_the_same_instant_as_close_is_called_not_when_the_reset_is_over() {
    let world = World::new();
    let pool = world.queue(1);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::takes(5)]);
    let mut closing = Box::pin(lease.close());
    assert!(world.poll(closing.as_mut()).is_none());
    assert_eq!((pool.stats().used, pool.stats().returning), (1, 1));
    world.pass(5);
    assert!(world.poll(closing.as_mut()).is_some());
}

#[test]
fn a_connection_that_the_next_holder_has_is_not_reached_by_the_last_one() {
    let world = World::new();
    let pool = world.queue(1);
    let lease = world.connect(&pool);
    let waiter = world.wait(&pool);
    drop(lease);
    let next = world.served(waiter);
    assert!(next.is_valid());
    assert_eq!(pool.stats().checkouts, 2);
}

#[test]
fn the_end_of_a_scope_returns_the_lease_a_drop_is_close() {
    let world = World::new();
    let pool = world.queue(1);
    {
        let mut lease = world.connect(&pool);
        lease.in_transaction = true;
    }
    assert_eq!(world.trace(), "open, rollback 0");
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn close_never_rejects_however_the_reset_and_the_close_fail() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).driver_timeout(Duration::from_millis(50)));
    for script in [Script::Fails("reset"), Script::Hangs] {
        let mut lease = world.connect(&pool);
        lease.in_transaction = true;
        world.resets([script]);
        world.close(lease);
    }
    assert_eq!(pool.stats().used, 0);
}

#[test]
fn a_promise_of_close_that_is_not_awaited_leaves_nothing_behind() {
    let world = World::new();
    let pool = world.queue(1);
    let lease = world.connect(&pool);
    drop(lease.close());
    assert_eq!((pool.stats().idle, pool.stats().used), (1, 0));
}

#[test]
fn a_lease_that_outlives_every_handle_of_its_pool_works_and_is_ended() {
    let world = World::new();
    let pool = world.queue(1);
    let mut lease = world.connect(&pool);
    drop(pool);
    lease.in_transaction = true;
    world.run(lease.close());
    world.time.run();
    assert_eq!(world.log.open.get(), 0);
}

#[test]
fn a_detached_and_a_shared_lease_outlive_their_pool_too() {
    let world = World::new();
    let pool = world.queue(1);
    let own = world.connect(&pool).detach().unwrap();
    drop(pool);
    world.run(own.close());
    let pool = world.pool::<Static>(|builder| builder);
    let shares = [(); 2].map(|()| world.connect(&pool));
    drop(pool);
    assert_eq!(shares[0].number, shares[1].number);
    drop(shares);
    world.time.run();
    assert_eq!(world.log.open.get(), 0);
}

#[test]
fn an_error_after_the_death_of_the_connection_is_no_second_loss() {
    let world = World::new();
    let pool = world.queue(2);
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    world.dies(0, Some("alone"));
    world.run(first.close_after(&Failure("lost")));
    drop(second);
    // The other one is neither pinged nor replaced.
    assert_eq!(world.connect(&pool).number, 1);
    assert!(!world.trace().contains("ping"));
}
