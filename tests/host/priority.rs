//! Priorities of callers.

use crate::fakes::{Waiter, World};
use edgepool::{Error, Static, Within};
use std::time::Duration;

fn with(priority: u32) -> Within {
    Within { priority, ..Within::default() }
}

#[test]
fn waiters_are_served_by_their_priority_then_by_their_arrival() {
    let world = World::new();
    let pool = world.queue(1);
    let mut lease = world.connect(&pool);
    let mut waiters: Vec<(u32, Waiter<'_>)> = Vec::new();
    for priority in [0, 2, 1, 2, 0, 3] {
        let mut waiter: Waiter<'_> = Box::pin(pool.connect_within(with(priority)));
        assert!(world.waits(&mut waiter));
        waiters.push((priority, waiter));
    }
    for at in [5, 1, 3, 2, 0, 4] {
        drop(lease);
        lease = world.run(waiters[at].1.as_mut()).unwrap();
    }
}

#[test]
fn a_waiter_with_a_priority_leaves_the_queue_at_its_abort_and_at_its_time_out() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let mut leaving: Waiter<'_> = Box::pin(pool.connect_within(with(3)));
    assert!(world.waits(&mut leaving));
    let late = Within { timeout: Some(Duration::from_millis(50)), ..with(2) };
    let mut late: Waiter<'_> = Box::pin(pool.connect_within(late));
    assert!(world.waits(&mut late));
    let plain = world.wait(&pool);
    drop(leaving);
    world.pass(60);
    assert!(matches!(world.poll(late.as_mut()), Some(Err(Error::Timeout(_)))));
    drop(held);
    drop(world.served(plain));
}

#[test]
fn a_caller_without_a_priority_waits_behind_those_that_have_one_whenever_they_came() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let mut plain = world.wait(&pool);
    let mut first: Waiter<'_> = Box::pin(pool.connect_within(with(1)));
    assert!(world.waits(&mut first));
    drop(held);
    assert!(world.waits(&mut plain));
    drop(world.served(first));
    drop(world.served(plain));
}

#[test]
fn callers_that_share_a_connection_may_give_one_and_it_has_no_effect() {
    let world = World::new();
    let pool = world.pool::<Static>(|builder| builder);
    let first = world.run(pool.connect_within(with(3))).unwrap();
    let second = world.run(pool.connect_within(with(1))).unwrap();
    assert_eq!((first.number, second.number), (0, 0));
}

#[test]
fn the_greatest_priorities_come_before_all_others_and_count_as_one() {
    let world = World::new();
    let pool = world.queue(1);
    let mut lease = world.connect(&pool);
    let mut waiters: Vec<(u32, Waiter<'_>)> = Vec::new();
    for priority in [0, 1, 2_147_483_646, u32::MAX, 2_147_483_647, 2_147_483_648] {
        let mut waiter: Waiter<'_> = Box::pin(pool.connect_within(with(priority)));
        assert!(world.waits(&mut waiter));
        waiters.push((priority, waiter));
    }
    for at in [3, 4, 5, 2, 1, 0] {
        drop(lease);
        lease = world.run(waiters[at].1.as_mut()).unwrap();
    }
}

// Not here: the type refuses what is no whole number. Each of its numbers is allowed.
// - a priority that is no whole number from 0 on is refused by name
//   = the_greatest_priorities_come_before_all_others_and_count_as_one
