//! The order of calls and events.

use crate::fakes::{Of, Script, World};
use edgepool::{Null, Queue, ResetStyle};
use std::time::Duration;

fn pool(world: &World) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(1).max_overflow(1).pre_ping(true))
}

/// A pool with one idle connection.
fn used(world: &World) -> Of<Queue> {
    let pool = pool(world);
    drop(world.connect(&pool));
    world.trace();
    pool
}

#[test]
fn the_first_connection_of_a_pool_creator_first_connect_connect_checkout() {
    let world = World::new();
    let pool = pool(&world);
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "open, first_connect(0), connect(0), checkout(0)");
}

#[test]
fn a_later_connection_creator_connect_checkout() {
    let world = World::new();
    let pool = pool(&world);
    let _lease = world.connect(&pool);
    world.trace();
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "open, connect(1), checkout(1)");
}

#[test]
fn a_connection_that_is_used_again_ping_checkout() {
    let world = World::new();
    let pool = used(&world);
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "ping 0, checkout(0)");
}

#[test]
fn a_return_reset_rollback_or_commit_checkin() {
    for (style, call) in
        [(ResetStyle::Rollback, "rollback 0, "), (ResetStyle::Commit, "commit 0, "), (ResetStyle::None, "")]
    {
        let world = World::new();
        let pool = world.listened::<Queue>(|builder| builder.reset_on_return(style));
        let mut lease = world.connect(&pool);
        lease.in_transaction = true;
        world.trace();
        world.close(lease);
        assert_eq!(world.trace(), format!("reset(0), {call}checkin(0)"));
    }
}

#[test]
fn the_return_of_a_surplus_connection_reset_rollback_checkin_close_the_drivers_close() {
    let world = World::new();
    let pool = pool(&world);
    let [kept, mut extra] = [(); 2].map(|()| world.connect(&pool));
    drop(kept);
    extra.in_transaction = true;
    world.trace();
    world.close(extra);
    assert_eq!(world.trace(), "reset(1), rollback 1, checkin(1), closing(1), close 1");
}

#[test]
fn the_return_to_a_null_pool_the_same_as_of_a_surplus_connection() {
    let world = World::new();
    let pool = world.listened::<Null>(|builder| builder);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.trace();
    world.close(lease);
    assert_eq!(world.trace(), "reset(0), rollback 0, checkin(0), closing(0), close 0");
}

#[test]
fn a_hard_invalidation_invalidate_close_terminate_checkin_of_null() {
    let world = World::new();
    let pool = pool(&world);
    let lease = world.connect(&pool);
    world.trace();
    world.run(lease.invalidate());
    assert_eq!(world.trace(), "invalidate(0), closing(0), terminate 0, checkin()");
}

#[test]
fn a_soft_invalidation_the_return_the_next_checkout() {
    let world = World::new();
    let pool = pool(&world);
    let lease = world.connect(&pool);
    world.trace();
    lease.invalidate_soft();
    world.close(lease);
    let _lease = world.connect(&pool);
    let expected = "soft_invalidate(), reset(0), checkin(0), closing(0), terminate 0, open, connect(1), checkout(1)";
    assert_eq!(world.trace(), expected);
}

#[test]
fn a_connection_that_is_too_old_at_its_checkout_close_terminate_creator_connect_checkout() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.recycle(Duration::from_secs(1)));
    drop(world.connect(&pool));
    world.trace();
    world.pass(2_000);
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "closing(0), terminate 0, open, connect(1), checkout(1)");
}

#[test]
fn a_connection_of_an_invalidated_pool_at_its_checkout_the_same() {
    let world = World::new();
    let pool = used(&world);
    pool.invalidate();
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "closing(0), terminate 0, open, connect(1), checkout(1)");
}

#[test]
fn a_slot_that_was_emptied_creator_connect_checkout() {
    let world = World::new();
    let pool = pool(&world);
    world.run(world.connect(&pool).invalidate());
    world.trace();
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "open, connect(1), checkout(1)");
}

#[test]
fn a_ping_that_finds_it_dead_ping_invalidate_close_terminate_creator_connect_checkout() {
    let world = World::new();
    let pool = used(&world);
    world.pings([Script::Dead]);
    let _lease = world.connect(&pool);
    let expected = "ping 0, invalidate(0), closing(0), terminate 0, open, connect(1), checkout(1)";
    assert_eq!(world.trace(), expected);
}

#[test]
fn a_disconnection_error_checkout_invalidate_close_terminate_creator_connect_checkout() {
    let world = World::new();
    let pool = used(&world);
    world.listener_disconnects("checkout", "gone", false);
    let _lease = world.connect(&pool);
    let expected = "ping 0, checkout(0), invalidate(0), closing(0), terminate 0, open, connect(1), checkout(1)";
    assert_eq!(world.trace(), expected);
}

#[test]
fn detach_and_close_detach_reset_rollback_close_detached_the_drivers_close() {
    let world = World::new();
    let pool = pool(&world);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.trace();
    world.run(lease.detach().unwrap().close());
    assert_eq!(world.trace(), "detach(), reset(0), rollback 0, close_detached(0), close 0");
}

#[test]
fn a_reset_that_fails_reset_rollback_error_invalidate_close_terminate_checkin_of_null() {
    let world = World::new();
    let pool = pool(&world);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.trace();
    world.resets([Script::Fails("reset")]);
    world.close(lease);
    let expected = "reset(0), rollback 0, error(reset: reset), invalidate(0), closing(0), terminate 0, checkin()";
    assert_eq!(world.trace(), expected);
}

#[test]
fn dispose_for_each_idle_connection_close_the_drivers_close() {
    let world = World::new();
    let pool = used(&world);
    world.run(pool.dispose());
    assert_eq!(world.trace(), "closing(0), close 0");
}

#[test]
fn what_listeners_see_in_use_during_checkout_reset_and_invalidate_not_in_connect_and_checkin() {
    let world = World::new();
    let pool = pool(&world);
    let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let (own, all) = (pool.clone(), seen.clone());
    world.within(move |event| all.borrow_mut().push((event, own.stats().used)));
    world.close(world.connect(&pool));
    world.run(world.connect(&pool).invalidate());
    for (event, used) in seen.take() {
        match event {
            "checkout" | "reset" | "invalidate" => assert_eq!(used, 1, "{event}"),
            "connect" | "first_connect" => assert_eq!(used, 0, "{event}"),
            _ => {}
        }
    }
}

// Not here: a Rust connection has no record, and so no finalizers.
// - a return: reset, rollback or commit, finalizers, checkin = a_return_reset_rollback_or_commit_checkin
