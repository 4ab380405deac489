//! Connections that callers share: of a StaticPool and of a SingletonThreadPool.

use crate::fakes::{LeaseFrom, Of, Script, World};
use edgepool::{Error, Patience, PoolKind, ResetStyle, Runtime, Share, Singleton, Static, Within};
use std::pin::pin;
use std::time::Duration;

type Own = Share<crate::fakes::Fake, edgepool::VirtualTime>;

/// The kinds whose callers share.
trait Shares: PoolKind<Lease<crate::fakes::Fake, edgepool::VirtualTime> = Own> {}
impl Shares for Static {}
impl Shares for Singleton {}

fn pool<K: Shares>(world: &World) -> Of<K> {
    world.pool(|builder| builder.reset_on_return(ResetStyle::Session).driver_timeout(Duration::from_millis(50)))
}

macro_rules! both {
    ($($(#[$meta:meta])* fn $name:ident($world:ident, $pool:ident) $body:block)*) => {
        $($(#[$meta])*
        #[test]
        fn $name() {
            fn run<K: Shares>($world: &World, $pool: &Of<K>) $body
            let world = World::new();
            run(&world, &pool::<Static>(&world));
            let world = World::new();
            run(&world, &pool::<Singleton>(&world));
        })*
    };
}

fn served<K: Shares>(world: &World, waiters: Vec<crate::fakes::Waiter<'_, LeaseFrom<K>>>) -> Vec<Own> {
    waiters.into_iter().map(|waiter| world.served(waiter)).collect()
}

both! {
    fn callers_that_come_while_the_connection_opens_wait_for_it_one_opening_for_all(world, pool) {
        world.opens([Script::takes(5)]);
        let waiters: Vec<_> = (0..4).map(|_| world.wait(pool)).collect();
        world.pass(5);
        let leases = served::<K>(world, waiters);
        assert!(leases.iter().all(|lease| lease.number == 0));
        assert_eq!(world.trace(), "open");
    }

    fn the_connection_is_one_each_lease_is_its_own_the_slot_counts_once(world, pool) {
        let leases = [(); 3].map(|()| world.connect(pool));
        assert_eq!((pool.stats().used, pool.stats().total, pool.stats().checkouts), (1, 1, 3));
        assert!(leases.iter().all(|lease| std::ptr::eq(&**lease, &*leases[0])));
    }

    fn only_the_last_close_resets_and_checks_in_in_whatever_order_the_leases_come_back(world, pool) {
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut leases = [(); 3].map(|()| Some(world.connect(pool)));
            world.trace();
            for (at, lease) in order.into_iter().enumerate() {
                world.close(leases[lease].take().unwrap());
                assert_eq!(world.trace(), if at == 2 { "session 0" } else { "" });
            }
        }
    }

    fn a_failure_is_the_openers_alone_the_next_in_line_opens_and_the_others_share(world, pool) {
        world.opens([Script::Takes(5, Box::new(Script::Fails("no route")))]);
        let mut first = world.wait(pool);
        let others: Vec<_> = (0..3).map(|_| world.wait(pool)).collect();
        world.pass(5);
        assert!(matches!(world.poll(first.as_mut()), Some(Err(Error::Manager(_)))));
        let leases = served::<K>(world, others);
        assert!(leases.iter().all(|lease| lease.number == 0));
        assert_eq!(world.trace(), "open, open");
    }

    fn when_every_opening_fails_no_caller_hangs(world, pool) {
        world.opens((0..4).map(|_| Script::Takes(5, Box::new(Script::Fails("no route")))));
        let mut waiters: Vec<_> = (0..4).map(|_| world.wait(pool)).collect();
        world.pass(40);
        for waiter in &mut waiters {
            assert!(matches!(world.run(waiter.as_mut()), Err(Error::Manager(_))));
        }
    }

    fn when_the_opener_aborts_its_opening_goes_on_for_the_waiters(world, pool) {
        world.opens([Script::takes(5)]);
        let opener = world.wait(pool);
        let other = world.wait(pool);
        drop(opener);
        world.pass(5);
        assert_eq!(world.served(other).number, 0);
        assert_eq!(world.trace(), "open, session 0");
    }

    fn when_the_opener_and_all_that_wait_abort_the_connection_is_kept_for_the_next(world, pool) {
        world.opens([Script::takes(5)]);
        drop((world.wait(pool), world.wait(pool)));
        world.pass(5);
        assert_eq!(pool.stats().idle, 1);
        assert_eq!(world.connect(pool).number, 0);
    }

    fn a_caller_that_waits_for_the_opening_may_abort_and_the_others_are_served(world, pool) {
        world.opens([Script::takes(5)]);
        let opener = world.wait(pool);
        let leaving = world.wait(pool);
        let other = world.wait(pool);
        drop(leaving);
        world.pass(5);
        let _leases = (world.served(opener), world.served(other));
        assert_eq!(pool.stats().used, 1);
    }

    fn deadline_of_a_call_bounds_its_wait_for_the_shared_connection(world, pool) {
        world.opens([Script::takes(40)]);
        let opener = world.wait(pool);
        let within = Within { deadline: Some(Duration::from_millis(10)), ..Within::default() };
        assert!(matches!(world.run(pool.connect_within(within)), Err(Error::Timeout(_))));
        world.pass(40);
        drop(world.served(opener));
    }

    fn an_opening_that_hangs_is_given_driver_timeout_the_next_in_line_opens(world, pool) {
        world.opens([Script::Hangs]);
        let mut opener = world.wait(pool);
        let other = world.wait(pool);
        world.pass(60);
        assert!(matches!(world.poll(opener.as_mut()), Some(Err(Error::Timeout(_)))));
        drop(world.served(other));
    }

    fn a_caller_that_comes_while_the_connection_is_reset_waits_and_shares_it_afterwards(world, pool) {
        let lease = world.connect(pool);
        world.resets([Script::takes(5)]);
        drop(lease);
        let waiters = vec![world.wait(pool), world.wait(pool)];
        world.pass(5);
        let leases = served::<K>(world, waiters);
        assert!(leases.iter().all(|lease| lease.number == 0));
    }

    fn when_the_reset_fails_or_hangs_callers_that_wait_share_a_new_connection(world, pool) {
        let scripts = [Script::Takes(5, Box::new(Script::Fails("reset"))), Script::Hangs];
        for (round, script) in scripts.into_iter().enumerate() {
            let lease = world.connect(pool);
            world.resets([script]);
            drop(lease);
            let waiters = vec![world.wait(pool), world.wait(pool)];
            world.pass(60);
            let leases = served::<K>(world, waiters);
            assert!(leases.iter().all(|lease| lease.number == round as u32 + 1));
        }
    }

    fn a_caller_that_waits_for_a_reset_may_abort_and_the_connection_is_kept(world, pool) {
        let lease = world.connect(pool);
        world.resets([Script::takes(5)]);
        drop(lease);
        drop(world.wait(pool));
        world.pass(5);
        assert_eq!((pool.stats().idle, world.connect(pool).number), (1, 0));
    }

    fn a_hard_invalidation_ends_it_for_the_next(world, pool) {
        let [first, second] = [(); 2].map(|()| world.connect(pool));
        world.run(first.invalidate());
        assert_eq!(world.connect(pool).number, 1);
        drop(second);
        world.time.run();
        assert_eq!(world.log.open.get(), 1);
    }

    fn close_of_the_pool_waits_for_every_lease_and_then_closes_the_connection_once(world, pool) {
        let [first, second] = [(); 2].map(|()| world.connect(pool));
        let mut closing = pin!(pool.close());
        assert!(world.poll(closing.as_mut()).is_none());
        drop(first);
        assert!(world.poll(closing.as_mut()).is_none());
        drop(second);
        assert!(world.poll(closing).is_some());
        assert_eq!(world.trace(), "open, session 0, close 0");
    }

    fn leases_that_are_not_back_in_time_lose_the_connection_together_one_termination(world, pool) {
        let leases = [(); 3].map(|()| world.connect(pool));
        world.run(pool.close_within(Patience { time: Some(Duration::from_millis(20)), drain: false }));
        assert!(leases.iter().all(|lease| !lease.is_valid()));
        drop(leases);
        assert_eq!(world.trace(), "open, terminate 0");
    }

    fn close_of_the_pool_refuses_callers_that_wait_for_an_opening_or_a_reset(world, pool) {
        let lease = world.connect(pool);
        world.resets([Script::takes(5)]);
        drop(lease);
        let mut waiter = world.wait(pool);
        world.run(pool.close());
        assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Closed { .. }))));
        assert_eq!(world.log.open.get(), 0);
    }

    fn dispose_while_the_connection_opens_it_is_closed_at_the_last_return(world, pool) {
        world.opens([Script::takes(5)]);
        let waiter = world.wait(pool);
        drop(pool.dispose());
        world.pass(5);
        drop(world.served(waiter));
        assert_eq!(world.trace(), "open, session 0, close 0");
    }

    fn use_within_use_shares_the_connection_and_only_the_outer_end_resets(world, pool) {
        let result = world.run(pool.use_with(async |outer| {
            let outer = outer.number;
            let inner = pool.use_with(async |inner| Ok::<_, Error<_>>(inner.number)).await?;
            assert_eq!((outer, inner), (0, 0));
            assert_eq!(world.log.trace(), "open");
            Ok::<_, Error<_>>(())
        }));
        result.unwrap();
        assert_eq!(world.trace(), "session 0");
    }

    fn a_caller_that_comes_while_the_connection_is_pinged_has_it_afterwards(world, _pool) {
        let pool = world.pool::<K>(|builder| builder.pre_ping(true));
        drop(world.connect(&pool));
        world.pings([Script::takes(5), Script::takes(5)]);
        let first = world.wait(&pool);
        let mut second: crate::fakes::Waiter<'_, Own> = Box::pin(pool.connect());
        let at_once = world.poll(second.as_mut());
        world.pass(5);
        let _first = world.served(first);
        let lease = match at_once {
            Some(result) => result.unwrap(),
            None => world.run(second).unwrap(),
        };
        assert_eq!(lease.number, 0);
    }

    fn a_connection_that_dies_while_it_is_shared_is_replaced_for_the_next_and_ends_with_its_last_lease(world, pool) {
        let [first, second] = [(); 2].map(|()| world.connect(pool));
        world.dies(0, Some("alone"));
        assert!(!first.is_valid() && !second.is_valid());
        let new = world.connect(pool);
        assert_eq!(new.number, 1);
        drop((first, second));
        world.time.run();
        assert_eq!((world.log.open.get(), new.is_valid()), (1, true));
    }
}

#[test]
fn stale_by_invalidate_all_while_shared_it_is_replaced_and_ends_with_its_last_lease() {
    let world = World::new();
    let pool = pool::<Static>(&world);
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    pool.invalidate();
    let new = world.connect(&pool);
    assert_eq!((first.number, new.number), (0, 1));
    drop(first);
    assert!(!world.trace().contains("terminate"));
    drop(second);
    let trace = world.trace();
    assert!(trace.contains("terminate 0") || trace.contains("close 0"), "{trace}");
    assert!(new.is_valid());
}

#[test]
fn three_generations_of_the_connection_at_once_each_end_with_their_last_lease() {
    let world = World::new();
    let pool = pool::<Static>(&world);
    let first = world.connect(&pool);
    pool.invalidate();
    let second = world.connect(&pool);
    pool.invalidate();
    let third = world.connect(&pool);
    assert_eq!([first.number, second.number, third.number], [0, 1, 2]);
    drop(second);
    world.time.run();
    assert_eq!(world.log.open.get(), 2);
    drop(first);
    world.time.run();
    assert_eq!((world.log.open.get(), third.is_valid()), (1, true));
}

#[test]
fn stale_by_dispose_while_shared_it_is_replaced_and_ends_with_its_last_lease() {
    let world = World::new();
    let pool = pool::<Static>(&world);
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    drop(pool.dispose());
    let new = world.connect(&pool);
    assert_eq!(new.number, 1);
    drop(first);
    assert_eq!(world.log.open.get(), 2);
    drop(second);
    world.time.run();
    assert_eq!(world.log.open.get(), 1);
}

#[test]
fn a_sharer_that_comes_while_another_one_asks_waits_for_the_answer() {
    let world = World::new();
    let pool = world.pool::<Static>(|builder| builder.reset_on_return(ResetStyle::Session).pre_ping(true));
    let held = world.connect(&pool);
    world.resets([Script::takes(5)]);
    world.pings([Script::takes(5), Script::takes(5), Script::takes(5)]);
    drop(held);
    for _ in 0..4 {
        let own = pool.clone();
        world.time.spawn(Box::pin(async move { drop(own.connect().await) }));
    }
    world.pass(100);
    assert_eq!((pool.stats().used, pool.stats().idle, pool.stats().checkouts), (0, 1, 5));
}
