//! The events of invalidations, detachments and disposals.

use crate::fakes::{Failure, Of, Script, World};
use edgepool::{Error, Queue};

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
    assert_eq!(world.trace(), "invalidate(), closing(), checkin(), error(disconnect: gone)");
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
