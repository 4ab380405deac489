//! Invalidations: of a lease, softly, of all that are as old, of the whole pool.

use crate::fakes::{Failure, Script, World};
use edgepool::{Error, Queue};
use std::time::Duration;

#[test]
fn after_a_return_the_next_caller_has_the_same_connection_after_an_invalidation_another_one() {
    let world = World::new();
    let pool = world.queue(1);
    world.close(world.connect(&pool));
    let lease = world.connect(&pool);
    assert_eq!(lease.number, 0);
    world.run(lease.invalidate());
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn a_hard_invalidation_terminates_at_once_without_a_reset_and_ends_the_lease() {
    let world = World::new();
    let pool = world.queue(1);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.run(lease.invalidate());
    assert_eq!(world.trace(), "open, terminate 0");
    assert_eq!((pool.stats().used, pool.stats().invalidated), (0, 1));
}

#[test]
fn a_surplus_slot_that_was_invalidated_ends() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(1));
    let [kept, extra] = [(); 2].map(|()| world.connect(&pool));
    drop(kept);
    world.run(extra.invalidate());
    assert_eq!((pool.counts().overflow, pool.counts().checked_in), (0, 1));
}

#[test]
fn a_soft_invalidation_leaves_the_connection_open_and_the_lease_as_it_is() {
    let world = World::new();
    let pool = world.queue(1);
    let lease = world.connect(&pool);
    lease.invalidate_soft();
    assert!(lease.is_valid());
    assert_eq!(world.trace(), "open");
}

#[test]
fn after_a_soft_invalidation_the_same_slot_gets_another_connection_at_its_next_checkout() {
    let world = World::new();
    let pool = world.queue(1);
    let lease = world.connect(&pool);
    lease.invalidate_soft();
    drop(lease);
    assert_eq!(pool.stats().idle, 1);
    assert_eq!(world.connect(&pool).number, 1);
    assert_eq!(world.trace(), "open, terminate 0, open");
}

#[test]
fn a_soft_invalidation_counts_for_a_waiter_too() {
    let world = World::new();
    let pool = world.queue(1);
    let lease = world.connect(&pool);
    lease.invalidate_soft();
    let waiter = world.wait(&pool);
    drop(lease);
    assert_eq!(world.served(waiter).number, 1);
}

#[test]
fn an_invalidation_with_pool_true_terminates_this_connection_and_marks_every_one_as_old() {
    let world = World::new();
    let pool = world.queue(3);
    let [first, second, third] = [(); 3].map(|()| world.connect(&pool));
    drop(second);
    first.invalidate_as_old();
    world.run(first.invalidate());
    drop(third);
    let leases = [(); 3].map(|()| world.connect(&pool));
    assert_eq!(leases.map(|lease| lease.number), [3, 4, 5]);
}

#[test]
fn soft_and_pool_together_the_lease_goes_on_and_every_connection_as_old_is_replaced() {
    let world = World::new();
    let pool = world.queue(2);
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    first.invalidate_as_old();
    first.invalidate_soft();
    assert!(first.is_valid() && second.is_valid());
    drop((first, second));
    let leases = [(); 2].map(|()| world.connect(&pool));
    assert_eq!(leases.map(|lease| lease.number), [2, 3]);
}

#[test]
fn a_stale_connection_is_terminated_not_closed_politely() {
    let world = World::new();
    let pool = world.queue(1);
    drop(world.connect(&pool));
    pool.invalidate();
    drop(world.connect(&pool));
    assert_eq!(world.trace(), "open, terminate 0, open");
}

#[test]
fn what_was_opened_since_the_invalidation_is_kept_when_another_old_connection_reports_the_same() {
    let world = World::new();
    let pool = world.queue(2);
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    first.invalidate_as_old();
    world.run(first.invalidate());
    let new = world.connect(&pool);
    assert_eq!(new.number, 2);
    second.invalidate_as_old();
    world.run(second.invalidate());
    drop(new);
    assert_eq!(world.connect(&pool).number, 2);
}

#[test]
fn fifteen_connections_that_all_report_one_disconnect_are_replaced_once_each() {
    let world = World::new();
    let pool = world.queue(15);
    let leases: Vec<_> = (0..15).map(|_| world.connect(&pool)).collect();
    for lease in leases {
        world.run(lease.close_after(&Failure("lost")));
    }
    let leases: Vec<_> = (0..15).map(|_| world.connect(&pool)).collect();
    drop(leases);
    let leases: Vec<_> = (0..15).map(|_| world.connect(&pool)).collect();
    assert!(leases.iter().all(|lease| (15..30).contains(&lease.number)));
    assert_eq!(pool.stats().opened, 30);
}

#[test]
fn a_disconnect_in_use_its_connection_goes_at_once_the_idle_one_at_its_next_checkout() {
    let world = World::new();
    let pool = world.queue(2);
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    drop(second);
    world.trace();
    world.run(first.close_after(&Failure("lost")));
    assert_eq!(world.trace(), "terminate 0");
    // A manager that can ping is asked.
    world.pings([Script::Dead]);
    let leases = [(); 2].map(|()| world.connect(&pool));
    assert_eq!(world.trace(), "ping 1, terminate 1, open, open");
    drop(leases);
}

#[test]
fn invalidate_all_replaces_idle_and_leased_connections_at_their_next_checkout_no_later_ones() {
    let world = World::new();
    let pool = world.queue(3);
    let [idle, leased] = [(); 2].map(|()| world.connect(&pool));
    drop(idle);
    pool.invalidate();
    let later = world.connect(&pool);
    assert!(leased.is_valid());
    drop(leased);
    drop(later);
    let leases = [(); 3].map(|()| world.connect(&pool));
    let numbers = leases.map(|lease| lease.number);
    assert_eq!((numbers.contains(&0), numbers.contains(&1), numbers.contains(&2)), (false, false, true));
}

#[test]
fn a_connection_whose_opening_began_before_invalidate_all_is_replaced_at_its_next_checkout() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::takes(5)]);
    let waiter = world.wait(&pool);
    pool.invalidate();
    world.pass(5);
    let lease = world.served(waiter);
    assert_eq!(lease.number, 0);
    drop(lease);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn invalidate_all_on_an_empty_or_a_closed_pool_does_nothing() {
    let world = World::new();
    let pool = world.queue(1);
    pool.invalidate();
    world.run(pool.close());
    pool.invalidate();
    assert_eq!(world.trace(), "");
}

#[test]
fn when_the_new_connection_cannot_be_opened_its_caller_is_refused_and_the_slot_waits_empty() {
    let world = World::new();
    let pool = world.queue(1);
    drop(world.connect(&pool));
    pool.invalidate();
    world.opens([Script::Fails("no route")]);
    assert!(matches!(world.refused(&pool), Error::Manager(_)));
    assert_eq!((pool.stats().total, pool.counts().checked_in), (0, 1));
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn an_invalidation_goes_on_if_its_future_is_dropped() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(1).driver_timeout(Duration::from_secs(1)));
    let lease = world.connect(&pool);
    world.trace();
    drop(lease.invalidate());
    // Not polled: the lease comes back as any that is dropped.
    assert_eq!(world.trace(), "reset(0), checkin(0)");
    let lease = world.connect(&pool);
    world.trace();
    world.poll_and_drop(lease.invalidate());
    assert_eq!(world.trace(), "invalidate(0), closing(0), terminate 0, checkin()");
}
