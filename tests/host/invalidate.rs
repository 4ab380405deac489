//! Invalidations: of a lease, softly, of all that are as old, of the whole pool.

use crate::fakes::{Dial, Failure, Script, World, panics};
use edgepool::{Error, Queue, QueuePool};
use std::cell::RefCell;
use std::rc::Rc;
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
fn its_slot_is_taken_until_the_termination_has_ended_the_server_never_has_more_than_the_maximum() {
    let world = World::new();
    let pool = world.queue(1);
    let lease = world.connect(&pool);
    let mut waiter = world.wait_apart(&pool);
    let (time, log) = (world.time.clone(), world.log.clone());
    let asked = Rc::new(RefCell::new(None));
    let kept = asked.clone();
    *world.log.in_terminate.borrow_mut() = Some(Box::new(move || {
        time.run();
        assert!(time.poll_once(waiter.as_mut()).is_pending());
        assert_eq!((log.open.get(), log.trace().as_str()), (1, "open"));
        kept.replace(Some(waiter));
    }));
    world.run(lease.invalidate());
    assert_eq!(world.served(asked.take().unwrap()).number, 1);
    assert_eq!(world.log.most_open.get(), 1);
}

#[test]
fn a_termination_that_panics_costs_no_slot_and_the_next_caller_has_another_connection() {
    let world = World::new();
    let pool = world.queue(1);
    let lease = world.connect(&pool);
    *world.log.in_terminate.borrow_mut() = Some(Box::new(|| panic!("a termination")));
    assert!(panics(|| world.run(lease.invalidate())));
    assert_eq!((pool.stats().used, pool.stats().idle, pool.counts().checked_in), (0, 0, 1));
    drop(world.connect(&pool));
    pool.invalidate();
    *world.log.in_terminate.borrow_mut() = Some(Box::new(|| panic!("a termination")));
    assert!(panics(|| world.run(pool.connect())));
    assert_eq!(world.connect(&pool).number, 2);
    assert_eq!((pool.stats().total, world.log.open.get()), (1, 1));
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
fn an_invalidation_in_the_same_instant_as_the_opening_counts() {
    let world = World::new();
    let pool = world.queue(1);
    let lease = world.connect(&pool);
    lease.invalidate_soft();
    world.close(lease);
    let next = world.connect(&pool);
    assert_eq!(next.number, 1);
    pool.invalidate();
    world.close(next);
    assert_eq!(world.connect(&pool).number, 2);
    assert_eq!(world.time.now_ms(), 0.0);
}

#[test]
fn invalidations_compare_no_times_so_that_a_clock_that_jumps_back_changes_nothing() {
    let world = World::new();
    let runtime = Dial::new(&world.time);
    world.pass(10_000);
    let builder = QueuePool::builder(world.manager()).pool_size(1).max_overflow(0).recycle(Duration::from_secs(60));
    let pool = builder.build_on(runtime.clone()).unwrap();
    let cycle = || drop(world.run(pool.connect()).unwrap());
    cycle();
    pool.invalidate();
    runtime.back_ms.set(10_000.0);
    for _ in 0..3 {
        cycle();
        world.time.run();
    }
    let stats = pool.stats();
    assert_eq!((stats.opened, stats.recycled), (2, 1));
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
fn invalidate_all_while_a_stale_connection_is_being_replaced_what_is_opened_after_it_is_fresh() {
    let world = World::new();
    let pool = world.queue(1);
    drop(world.connect(&pool));
    pool.invalidate();
    let own = pool.clone();
    *world.log.in_terminate.borrow_mut() = Some(Box::new(move || own.invalidate()));
    for _ in 0..2 {
        assert_eq!(world.connect(&pool).number, 1);
    }
    assert!(world.log.in_terminate.borrow().is_none());
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

// Not here: `terminate` returns nothing and is not awaited. It can panic; it cannot fail or hang.
// - 167 a termination that fails is logged; invalidate() resolves and the slot goes on =
//     a_termination_that_panics_costs_no_slot_and_the_next_caller_has_another_connection
// - a stale connection whose termination fails or hangs is replaced anyway =
//     a_termination_that_panics_costs_no_slot_and_the_next_caller_has_another_connection
// - a termination that hangs is given driverTimeout
