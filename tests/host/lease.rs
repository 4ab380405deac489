//! A lease, from its checkout to its end.

use crate::fakes::{Failure, Fake, Script, World};
use edgepool::{Lease, OnHoldLimit, Queue, Static, VirtualTime};
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
fn an_ended_lease_cannot_touch_the_slots_next_holder() {
    type Way = fn(&World, Lease<Fake, VirtualTime>);
    let ways: [Way; 7] = [
        |world, lease| world.run(lease.close()),
        |world, lease| world.run(lease.close_reset()),
        |world, lease| world.run(lease.close_after(&Failure("lost"))),
        |world, lease| world.run(lease.invalidate_because(Failure("late"))),
        |world, lease| {
            lease.invalidate_soft();
            lease.invalidate_as_old();
            world.run(lease.invalidate());
        },
        |_, lease| assert!(lease.detach().is_err()),
        |_, lease| drop(lease),
    ];
    for way in ways {
        for dies in [false, true] {
            let world = World::new();
            let pool = world.listened::<Queue>(|builder| {
                let builder = builder.pool_size(1).max_overflow(0).hold_limit(Duration::from_secs(60));
                builder.on_hold_limit(OnHoldLimit::Terminate)
            });
            let stale = world.connect(&pool);
            if dies {
                world.dies(0, None);
            } else {
                world.pass(62_000);
            }
            assert!(!stale.is_valid());
            let mut holder = world.connect(&pool);
            holder.in_transaction = true;
            world.trace();
            way(&world, stale);
            assert_eq!(world.trace(), "terminate 0", "dies: {dies}");
            assert!(holder.is_valid());
            let stats = pool.stats();
            assert_eq!((stats.used, stats.idle, stats.detached, stats.invalidated), (1, 0, 0, 1), "dies: {dies}");
            world.close(holder);
            assert_eq!(world.connect(&pool).number, 1, "dies: {dies}");
            assert!(!world.trace().contains("ping"), "dies: {dies}");
        }
    }
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

// Not here: a connection has no record beside it. It is a value of the program's, which keeps what it wants to in it.
// - a lease gives the driver's own connection, its slot, and says that it is valid =
//     a_lease_gives_the_drivers_own_connection_and_says_that_it_is_valid
// - 061 info is empty at first, is the record's own object, and survives a return
// - 062 info is empty again after an invalidation
// - info is cleared whenever the slot's connection is replaced: soft, pool-wide, failed reset
// - info stays readable, as the same object, once the lease has ended
// - 067 info that was never read before the end is an empty object, not the next holder's
// - 064 recordInfo belongs to the slot: it survives returns and invalidations
// - a slot that was discarded takes its recordInfo with it
// - two leases at once share neither info nor recordInfo
// Not here: what ends a lease consumes it. The compiler refuses every use of it after that.
// - 077 a lease that was closed is not valid, is detached, and has no record
// - the connection of a lease that has ended throws an InvalidRequestError that names the pool
// - 075 close() again returns the same promise and does nothing, while it runs and after
// - close() after a hard invalidate() returns the invalidation's promise and does nothing
// - 078 invalidate() on a lease that has ended only warns
// - 174 invalidate() twice terminates once
// Not here: a scope of Rust ends its values by their drops.
// - 073 the end of a scope returns the lease: Symbol.asyncDispose is close() =
//     the_end_of_a_scope_returns_the_lease_a_drop_is_close
// Not here: a lease is no future, and the compiler refuses to await it.
// - a lease is never taken for a promise
// Not here: `terminate` returns nothing, so it cannot fail.
// - close() never rejects, however the reset and the termination fail =
//     close_never_rejects_however_the_reset_and_the_close_fail
// Not here: close() takes no argument. What an option says in JavaScript is a method of its own: close_reset().
// - a close() with a wrong argument returns the connection, and then rejects
// - a detached and a shared lease with a wrong argument end, too
