//! `dispose()`: what is idle is closed, and the pool goes on.

use crate::fakes::{Of, Script, World};
use edgepool::Queue;
use std::pin::pin;
use std::time::Duration;

fn idle(world: &World, count: u32) -> Of<Queue> {
    let pool = world.listened::<Queue>(|builder| builder.pool_size(count).max_overflow(0));
    let leases: Vec<_> = (0..count).map(|_| world.connect(&pool)).collect();
    drop(leases);
    world.trace();
    pool
}

#[test]
fn an_idle_connection_is_closed_one_in_use_at_its_return_and_the_next_caller_has_a_new_one() {
    let world = World::new();
    let pool = idle(&world, 2);
    let lease = world.connect(&pool);
    world.trace();
    world.run(pool.dispose());
    assert_eq!(world.trace(), "closing(1), close 1");
    drop(lease);
    assert_eq!(world.trace(), "reset(0), checkin(0), closing(0), close 0");
    assert_eq!(world.connect(&pool).number, 2);
}

#[test]
fn a_lease_from_before_still_counts_so_that_the_maximum_holds() {
    let world = World::new();
    let pool = idle(&world, 1);
    let lease = world.connect(&pool);
    world.run(pool.dispose());
    let waiter = world.wait(&pool);
    drop(lease);
    assert_eq!(world.served(waiter).number, 1);
    assert_eq!(world.log.most_open.get(), 1);
}

#[test]
fn dispose_closes_politely_without_a_reset_in_the_order_of_idleness() {
    let world = World::new();
    let pool = idle(&world, 3);
    world.run(pool.dispose());
    assert_eq!(world.trace(), "closing(0), close 0, closing(1), close 1, closing(2), close 2");
}

#[test]
fn closes_that_fail_are_logged_and_dispose_goes_on_with_the_others_and_resolves() {
    let world = World::new();
    let pool = idle(&world, 2);
    world.closes([Script::Fails("bye"), Script::Fails("bye")]);
    world.run(pool.dispose());
    let expected = "closing(0), close 0, error(close: bye), closing(1), close 1, error(close: bye)";
    assert_eq!(world.trace(), expected);
    assert_eq!(pool.stats().total, 0);
}

#[test]
fn the_closes_run_at_the_same_time_and_dispose_resolves_when_the_last_has_ended() {
    let world = World::new();
    let pool = idle(&world, 2);
    world.closes([Script::takes(10), Script::takes(5)]);
    let mut disposing = pin!(pool.dispose());
    assert!(world.poll(disposing.as_mut()).is_none());
    assert_eq!(pool.stats().closing, 2);
    world.pass(5);
    assert!(world.poll(disposing.as_mut()).is_none());
    world.pass(5);
    assert!(world.poll(disposing).is_some());
}

#[test]
fn the_closes_go_on_if_the_disposal_is_dropped() {
    let world = World::new();
    let pool = idle(&world, 2);
    world.closes([Script::takes(5), Script::takes(5)]);
    drop(pool.dispose());
    world.pass(5);
    assert_eq!((pool.stats().closing, world.log.open.get()), (0, 0));
}

#[test]
fn a_close_that_hangs_is_given_driver_timeout() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.driver_timeout(Duration::from_millis(50)));
    drop(world.connect(&pool));
    world.closes([Script::Hangs]);
    world.run(pool.dispose());
    world.assert_time(50.0);
    assert_eq!(pool.stats().closing, 0);
}

#[test]
fn a_connection_that_is_still_closing_counts_so_that_the_server_never_has_more_than_the_maximum() {
    let world = World::new();
    let pool = idle(&world, 1);
    world.closes([Script::takes(5)]);
    drop(pool.dispose());
    let waiter = world.wait(&pool);
    assert_eq!(world.log.most_opening.get(), 1);
    world.pass(5);
    assert_eq!(world.served(waiter).number, 1);
}

#[test]
fn without_a_limit_on_the_pool_thirty_connections_are_kept_and_dispose_closes_them_all() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(0));
    let leases: Vec<_> = (0..30).map(|_| world.connect(&pool)).collect();
    drop(leases);
    assert_eq!(pool.stats().idle, 30);
    world.run(pool.dispose());
    assert_eq!((pool.stats().total, world.log.open.get()), (0, 0));
}

#[test]
fn it_opens_nothing_and_needs_no_creator_that_works() {
    let world = World::new();
    let pool = idle(&world, 1);
    world.opens([Script::Fails("down")]);
    world.run(pool.dispose());
    world.run(pool.dispose());
    assert_eq!(world.trace(), "closing(0), close 0");
    assert_eq!(world.log.open_scripts.borrow().len(), 1);
}

#[test]
fn dispose_of_an_empty_pool_resolves_and_of_an_emptied_slot_closes_nothing() {
    let world = World::new();
    let pool = world.queue(1);
    assert!(world.poll(pin!(pool.dispose())).is_some());
    world.run(world.connect(&pool).invalidate());
    world.trace();
    assert!(world.poll(pin!(pool.dispose())).is_some());
    assert_eq!(world.trace(), "");
}

#[test]
fn a_connection_whose_opening_began_before_is_its_callers_and_is_closed_at_its_return() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::takes(5)]);
    let waiter = world.wait(&pool);
    drop(pool.dispose());
    world.pass(5);
    drop(world.served(waiter));
    assert_eq!(world.trace(), "open, close 0");
}

#[test]
fn a_connection_whose_opening_began_before_and_whose_caller_has_left_is_closed_when_it_arrives() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::takes(5)]);
    drop(world.wait(&pool));
    drop(pool.dispose());
    world.pass(5);
    assert_eq!(world.log.open.get(), 0);
}

#[test]
fn a_connection_that_is_being_reset_when_dispose_is_called_is_closed_after_it() {
    let world = World::new();
    let pool = world.queue(1);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::takes(5)]);
    drop(lease);
    drop(pool.dispose());
    world.pass(5);
    assert_eq!(world.trace(), "open, rollback 0, close 0");
}

#[test]
fn what_is_opened_after_it_is_kept_an_older_lease_is_closed_once_however_often_it_is_called() {
    let world = World::new();
    let pool = world.queue(2);
    let before = world.connect(&pool);
    world.run(pool.dispose());
    world.run(pool.dispose());
    let after = world.connect(&pool);
    world.close(after);
    world.close(before);
    assert_eq!(world.trace(), "open, open, close 0");
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn waiters_stay_in_the_queue() {
    let world = World::new();
    let pool = idle(&world, 1);
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    drop(pool.dispose());
    assert_eq!(pool.stats().waiting, 1);
    drop(held);
    assert_eq!(world.served(waiter).number, 1);
}

#[test]
fn dispose_of_a_closed_pool_resolves_and_does_nothing() {
    let world = World::new();
    let pool = idle(&world, 1);
    world.run(pool.close());
    world.trace();
    assert!(world.poll(pin!(pool.dispose())).is_some());
    assert_eq!(world.trace(), "");
}
