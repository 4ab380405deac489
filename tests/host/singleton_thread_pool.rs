//! SingletonThreadPool: one connection, which nested callers share.

use crate::fakes::{Of, Script, World};
use edgepool::{Error, Singleton, SingletonThreadPool};

fn pool(world: &World) -> Of<Singleton> {
    world.listened(|builder| builder)
}

#[test]
fn a_nested_connect_shares_the_connection_only_the_outer_close_rolls_back_once() {
    let world = World::new();
    let pool = pool(&world);
    let outer = world.connect(&pool);
    let inner = world.connect(&pool);
    assert_eq!(inner.number, outer.number);
    world.trace();
    world.close(inner);
    assert_eq!(world.trace(), "");
    world.close(outer);
    assert_eq!(world.trace(), "reset(0), checkin(0)");
}

#[test]
fn only_the_outermost_connect_pings_and_runs_the_checkout_listeners() {
    let world = World::new();
    let pool = world.listened::<Singleton>(|builder| builder.pre_ping(true));
    drop(world.connect(&pool));
    world.trace();
    let _leases = [(); 2].map(|()| world.connect(&pool));
    assert_eq!(world.trace(), "ping 0, checkout(0)");
}

#[test]
fn a_caller_during_the_outermost_checkout_waits_for_its_ping_then_shares() {
    let world = World::new();
    let pool = world.pool::<Singleton>(|builder| builder.pre_ping(true));
    drop(world.connect(&pool));
    world.pings([Script::takes(5)]);
    let outer = world.wait(&pool);
    let inner = world.wait(&pool);
    world.pass(5);
    let leases = [world.served(outer), world.served(inner)];
    assert!(leases.iter().all(|lease| lease.number == 0));
}

#[test]
fn when_the_outermost_checkout_fails_the_next_in_line_is_the_outermost_with_a_new_connection() {
    let world = World::new();
    let pool = world.pool::<Singleton>(|builder| builder.pre_ping(true));
    drop(world.connect(&pool));
    world.pings([Script::Takes(5, Box::new(Script::Fails("odd")))]);
    let mut outer = world.wait(&pool);
    let next = world.wait(&pool);
    world.pass(5);
    assert!(world.poll(outer.as_mut()).is_some_and(|result| result.is_err()));
    assert_eq!(world.served(next).number, 1);

    for event in ["checkout", "connect"] {
        let world = World::new();
        let pool = world.listened::<Singleton>(|builder| builder);
        world.opens([Script::takes(5)]);
        world.listener_fails(event, "down");
        let mut outer = world.wait(&pool);
        let next = world.wait(&pool);
        world.pass(5);
        assert!(matches!(world.poll(outer.as_mut()), Some(Err(Error::Manager(error))) if error.0 == "down"));
        assert_eq!(world.run(next).unwrap().number, 1);
        let trace = world.trace();
        assert!(trace.contains(&format!("{event}(0)")) && trace.contains(&format!("{event}(1)")), "{trace}");
    }
}

#[test]
fn when_the_outermost_checkout_is_aborted_in_its_ping_the_next_in_line_is_served() {
    let world = World::new();
    let pool = world.pool::<Singleton>(|builder| builder.pre_ping(true));
    drop(world.connect(&pool));
    world.pings([Script::Hangs]);
    let outer = world.wait(&pool);
    let next = world.wait(&pool);
    drop(outer);
    drop(world.run(next).unwrap());
}

#[test]
fn a_disconnection_error_in_the_outermost_checkout_gives_all_that_came_the_new_connection() {
    let world = World::new();
    let pool = world.listened::<Singleton>(|builder| builder.pre_ping(true));
    drop(world.connect(&pool));
    world.pings([Script::takes(5)]);
    world.listener_disconnects("checkout", "gone", false);
    let waiters = [(); 3].map(|()| world.wait(&pool));
    world.pass(5);
    let leases = waiters.map(|waiter| world.run(waiter).unwrap());
    assert!(leases.iter().all(|lease| lease.number == 1));
    let trace = world.trace();
    assert_eq!((trace.matches("terminate 0").count(), trace.matches("open").count()), (1, 2), "{trace}");
}

#[test]
fn an_invalidation_while_nested_ends_it_for_the_next_another_lease_and_connection() {
    let world = World::new();
    let pool = pool(&world);
    let outer = world.connect(&pool);
    let inner = world.connect(&pool);
    world.run(inner.invalidate());
    assert_eq!(world.connect(&pool).number, 1);
    assert_eq!(outer.number, 0);
}

#[test]
fn size_is_a_number_5_unless_pool_size_says_otherwise_and_recreate_carries_it() {
    let world = World::new();
    assert_eq!(pool(&world).counts().size, 5);
    let pool = world.pool::<Singleton>(|builder| builder.pool_size(3));
    assert_eq!((pool.counts().size, pool.recreate().counts().size), (3, 3));
}

#[test]
fn a_pool_size_below_1_is_refused() {
    let world = World::new();
    let refused = SingletonThreadPool::builder(world.manager()).pool_size(0).build_on(world.time.clone());
    assert_eq!(refused.map(|_| ()).unwrap_err().option, "poolSize");
}

#[test]
fn a_pool_size_of_1_is_enough_for_callers_that_share_none_of_them_waits() {
    let world = World::new();
    let pool = world.pool::<Singleton>(|builder| builder.pool_size(1));
    let leases: Vec<_> = (0..10).map(|_| world.connect(&pool)).collect();
    assert!(leases.iter().all(|lease| lease.number == 0));
}

#[test]
fn dispose_closes_the_connection_and_the_next_connect_is_a_first_one_again() {
    let world = World::new();
    let pool = pool(&world);
    drop(world.connect(&pool));
    world.trace();
    world.run(pool.dispose());
    assert_eq!(world.trace(), "closing(0), close 0");
    assert_eq!(world.log.open.get(), 0);
    let lease = world.connect(&pool);
    assert_eq!((lease.number, world.trace().as_str()), (1, "open, connect(1), checkout(1)"));
}

#[test]
fn a_stale_connection_serves_its_nested_callers_to_the_end_the_next_outermost_one_replaces_it() {
    for way in ["a soft invalidation", "invalidate()", "its age"] {
        let world = World::new();
        let pool = world.listened::<Singleton>(|builder| builder.recycle(std::time::Duration::from_secs(60)));
        let outer = world.connect(&pool);
        match way {
            "a soft invalidation" => outer.invalidate_soft(),
            "invalidate()" => pool.invalidate(),
            _ => world.pass(61_000),
        }
        let nested = world.connect(&pool);
        assert_eq!((nested.number, nested.is_valid()), (0, true), "{way}");
        drop(nested);
        assert!(outer.is_valid(), "{way}");
        drop(outer);
        assert_eq!(world.connect(&pool).number, 1, "{way}");
        assert_eq!(world.log.open.get(), 1, "{way}");
    }
}

// Not here: a listener returns before anything else runs. A ping takes time.
// - a caller during the outermost checkout waits for its ping and listeners, then shares
//   = a_caller_during_the_outermost_checkout_waits_for_its_ping_then_shares
// - when the outermost checkout is aborted in its listener, the next in line is served
//   = when_the_outermost_checkout_is_aborted_in_its_ping_the_next_in_line_is_served

// Not here: the type refuses what is no whole number.
// - a poolSize below 1, or no whole number, is refused = a_pool_size_below_1_is_refused

// Not here: a pool of the Rust host has one scope, so never more than one connection that is not replaced.
// - poolSize scopes keep a connection: of more the one that is idle for longest is closed
// - connections in use do not count against poolSize, and the surplus closes as they come back
