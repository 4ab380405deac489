//! Connections that callers share: of a StaticPool and of a SingletonThreadPool.

use crate::fakes::{Call, Connection, Failure, Fake, LeaseFrom, Of, Script, Waiter, World};
use edgepool::{
    Error, Events, Patience, PoolKind, Rejection, ResetStyle, Runtime, Share, Singleton, Static, TimeoutStep,
    VirtualTime, Within,
};
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
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

/// Callers of a pool are served, none waits, and each connection has ended once.
fn expect_sound<K: Shares>(world: &World, pool: &Of<K>) {
    world.pass(60_000);
    assert_eq!((pool.stats().total, pool.stats().waiting), (pool.stats().idle, 0), "{:?}", pool.stats());
    drop(world.connect(pool));
    world.run(pool.close());
    assert_eq!((pool.stats().total, world.log.open.get(), world.time.timers()), (0, 0, 0));
}

/// Begins a transaction for each outermost caller.
struct Begins;

impl Events<Fake> for Begins {
    fn checkout(&self, connection: &mut Connection) -> Result<(), Rejection<Failure>> {
        connection.in_transaction = true;
        Ok(())
    }
}

both! {
    fn a_connection_that_grows_old_while_shared_serves_all_sharers_then_is_replaced(world, _pool) {
        for recycle in [0, 1_000] {
            let pool = world.pool::<K>(|builder| builder.recycle(Duration::from_millis(recycle)));
            let mut leases = Vec::new();
            for _ in 0..20 {
                leases.push(world.connect(&pool));
                world.pass(1_500);
            }
            assert!(leases.iter().all(|lease| lease.number == leases[0].number));
            assert_eq!(world.trace(), "open");
            let number = leases[0].number;
            drop(leases);
            assert_eq!(world.connect(&pool).number, number + 1);
            expect_sound(world, &pool);
            world.trace();
        }
    }

    fn callers_that_waited_are_served_in_the_order_of_their_arrival(world, pool) {
        world.opens([Script::takes(5)]);
        let arrived = Rc::new(RefCell::new(Vec::new()));
        for number in 0..5 {
            let (pool, arrived) = (pool.clone(), arrived.clone());
            world.time.spawn(Box::pin(async move {
                let lease = pool.connect().await.unwrap();
                arrived.borrow_mut().push((number, lease.number));
                drop(lease);
            }));
        }
        world.pass(5);
        assert_eq!(arrived.take(), (0..5).map(|number| (number, 0)).collect::<Vec<_>>());
    }

    fn a_lease_that_was_closed_is_ended_while_another_goes_on_with_the_connection(world, pool) {
        let [first, second] = [(); 2].map(|()| world.connect(pool));
        world.close(first);
        assert_eq!((second.is_valid(), second.number, pool.stats().used), (true, 0, 1));
        assert_eq!(world.trace(), "open");
    }

    fn closing_one_lease_twice_or_more_does_not_take_anothers_count(world, pool) {
        let [first, second] = [(); 2].map(|()| world.connect(pool));
        // A close consumes its lease. Its future may be polled, or not, and is dropped in any case.
        world.poll_and_drop(first.close());
        drop(world.connect(pool).close());
        world.run(world.connect(pool).close());
        world.time.run();
        assert_eq!((world.trace().as_str(), second.is_valid(), pool.stats().used), ("open", true, 1));
        world.poll_and_drop(second.close());
        assert_eq!((world.trace().as_str(), pool.stats().used), ("session 0", 0));
        expect_sound(world, pool);
    }

    fn a_connect_listener_that_fails_is_the_openers_failure_the_next_in_line_opens(world, _pool) {
        let pool = world.listened::<K>(|builder| builder);
        world.opens([Script::takes(5)]);
        world.listener_fails("connect", "no");
        let mut first = world.wait(&pool);
        let second = world.wait(&pool);
        world.pass(5);
        assert!(matches!(world.poll(first.as_mut()), Some(Err(Error::Manager(error))) if *error == Failure("no")));
        assert_eq!(world.served(second).number, 1);
        assert!(world.trace().contains("connect(0), terminate 0"));
        expect_sound(world, &pool);
    }

    fn timeout_and_deadline_of_a_call_bound_its_wait_for_the_shared_connection(world, pool) {
        let time = Some(Duration::from_millis(20));
        for (option, within) in [
            ("timeout", Within { timeout: time, ..Within::default() }),
            ("deadline", Within { deadline: time, ..Within::default() }),
        ] {
            world.opens([Script::takes(40)]);
            let opener = world.wait(pool);
            let from_ms = world.time.now_ms();
            let Err(Error::Timeout(timeout)) = world.run(pool.connect_within(within)) else { panic!("{option}") };
            assert_eq!((timeout.step, timeout.option, timeout.timeout_ms), (TimeoutStep::Wait, option, 20.0));
            let waited_ms = world.time.now_ms() - from_ms;
            assert!((20.0..=30.0).contains(&waited_ms), "{option}: {waited_ms}");
            world.pass(40);
            drop(world.served(opener));
            world.run(pool.dispose());
        }
    }

    fn a_caller_that_comes_in_the_same_instant_as_the_last_return_has_the_same_connection(world, _pool) {
        let pool = world.pool::<K>(|builder| builder.reset_on_return(ResetStyle::None));
        let lease = world.connect(&pool);
        let mut next: Waiter<'_, Own> = Box::pin(pool.connect());
        drop(lease);
        let std::task::Poll::Ready(next) = world.time.poll_once(next.as_mut()) else { panic!("it waits") };
        assert_eq!((next.unwrap().number, world.trace().as_str()), (0, "open"));
    }

    fn users_that_come_and_go_never_see_a_reset_and_never_a_second_connection(world, _pool) {
        let pool = world.listened::<K>(|builder| builder.reset_on_return(ResetStyle::Session));
        world.resets((0..100).map(|_| Script::takes(3)));
        let (users, resets) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (own, count) = (users.clone(), resets.clone());
        world.within(move |event| {
            // A checkin follows the end of the reset.
            if event == "reset" || event == "checkin" {
                count.set(count.get() + u32::from(event == "reset"));
                assert_eq!(own.get(), 0, "{event}");
            }
        });
        for number in 0..100 {
            let (pool, time, users) = (pool.clone(), world.time.clone(), users.clone());
            world.time.spawn(Box::pin(async move {
                time.sleep(number * 3).await;
                let lease = pool.connect().await.unwrap();
                users.set(users.get() + 1);
                time.sleep(number % 11).await;
                users.set(users.get() - 1);
                lease.close().await;
            }));
        }
        world.pass(10_000);
        let stats = pool.stats();
        assert_eq!((stats.opened, stats.checkouts, stats.used, stats.idle, stats.invalidated), (1, 100, 0, 1, 0));
        assert!(resets.get() > 0);
        world.log.within.take();
        expect_sound(world, &pool);
    }

    fn a_hard_invalidation_ends_it_under_all(world, _pool) {
        let pool = world.listened::<K>(|builder| builder.reset_on_return(ResetStyle::Session));
        let [first, second, third] = [(); 3].map(|()| world.connect(&pool));
        world.trace();
        world.run(first.invalidate());
        // It is terminated once no sharer has it.
        assert_eq!(world.trace(), "invalidate(), closing()");
        assert!(!second.is_valid() && !third.is_valid());
        assert!(matches!(second.check(), Err(Error::LeaseEnded { .. })));
        let next = world.connect(&pool);
        assert_eq!((next.number, next.is_valid()), (1, true));
        world.trace();
        world.close(second);
        assert_eq!(world.trace(), "");
        world.run(third.invalidate());
        assert_eq!(world.trace(), "terminate 0, checkin()");
        assert_eq!((next.is_valid(), pool.stats().invalidated, pool.stats().used), (true, 1, 1));
        world.close(next);
        assert_eq!((pool.stats().used, pool.stats().idle), (0, 1));
        expect_sound(world, &pool);
    }

    fn the_transaction_counts_as_reset_where_the_last_lease_says_so(world, _pool) {
        for (first_says, last_says) in [(false, true), (true, false), (true, true), (false, false)] {
            let pool = world.pool::<K>(|builder| builder.events(Begins));
            let [first, last] = [(); 2].map(|()| world.connect(&pool));
            world.trace();
            for (says, lease) in [(first_says, first), (last_says, last)] {
                if says { world.run(lease.close_reset()) } else { world.run(lease.close()) }
            }
            let rolls_back = world.trace().starts_with("rollback");
            assert_eq!(rolls_back, !last_says, "{first_says} {last_says}");
        }
    }

    fn use_returns_its_share_also_if_another_caller_ended_the_lease_before(world, pool) {
        let lease = world.connect(pool);
        let time = world.time.clone();
        let mut used = pin!(pool.use_with(async |lease| {
            time.sleep(5).await;
            assert!(!lease.is_valid());
            Ok::<_, Error<Failure>>(())
        }));
        assert!(world.poll(used.as_mut()).is_none());
        world.run(lease.invalidate());
        assert!(world.run(used).is_ok());
        assert_eq!((pool.stats().used, world.log.open.get()), (0, 0));
        expect_sound(world, pool);
    }

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

#[test]
fn stale_by_a_soft_invalidation_while_shared_it_is_replaced_and_ends_with_its_last_lease() {
    let world = World::new();
    let pool = pool::<Static>(&world);
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    first.invalidate_soft();
    assert!(first.is_valid() && second.is_valid());
    let next = world.connect(&pool);
    assert_eq!(next.number, 1);
    drop(first);
    assert_eq!((world.trace().as_str(), second.is_valid()), ("open, open", true));
    drop(second);
    // The new one is not reset under its caller.
    let trace = world.trace();
    assert!(!trace.contains('1') && world.log.open.get() == 1, "{trace}");
    let third = world.connect(&pool);
    assert_eq!((next.is_valid(), third.number), (true, 1));
    drop(next);
    assert_eq!(world.trace(), "");
    drop(third);
    assert_eq!(world.trace(), "session 1");
    expect_sound(&world, &pool);
}

#[test]
fn a_connection_that_others_share_is_not_pinged() {
    let world = World::new();
    let pool = world.pool::<Static>(|builder| builder.pre_ping(true));
    drop(world.connect(&pool));
    world.trace();
    let _first = world.connect(&pool);
    assert_eq!(world.trace(), "ping 0");
    let _second = world.connect(&pool);
    assert_eq!(world.trace(), "");
}

#[test]
fn a_ping_that_fails_because_the_connection_died_opens_a_new_one() {
    let world = World::new();
    let pool = world.pool::<Static>(|builder| builder.pre_ping(true));
    drop(world.connect(&pool));
    world.pings([Script::Takes(5, Box::new(Script::Fails("terminated")))]);
    let caller = world.wait(&pool);
    world.dies(0, Some("alone"));
    world.pass(5);
    assert_eq!(world.served(caller).number, 1);
    expect_sound(&world, &pool);
}

#[test]
fn a_woken_caller_that_must_queue_again_and_leaves_takes_no_other_wake_up_along() {
    let world = World::new();
    let pool = pool::<Static>(&world);
    world.opens([Script::takes(5), Script::takes(5)]);
    let mut first = world.wait(&pool);
    let second = world.wait(&pool);
    let third = world.wait(&pool);
    world.pass(5);
    // In between: the others are woken to share it, and have not gone on yet.
    let std::task::Poll::Ready(Ok(lease)) = world.time.poll_once(first.as_mut()) else { panic!("it is open") };
    drop(first);
    pool.invalidate();
    world.time.run();
    drop(third);
    let fourth = world.wait(&pool);
    world.pass(5);
    let leases = served::<Static>(&world, vec![second, fourth]);
    assert_eq!((lease.number, leases[0].number, leases[1].number), (0, 1, 1));
    drop((lease, leases));
    expect_sound(&world, &pool);
}

/// What foreign code does to the pool, or to the shares that are out.
fn act<K: Shares>(pool: &Of<K>, time: &VirtualTime, out: &Rc<RefCell<Vec<Own>>>, what: usize) {
    fn go(time: &VirtualTime, future: impl Future<Output = ()> + 'static) {
        let mut future = Box::pin(future);
        if time.poll_once(future.as_mut()).is_pending() {
            time.spawn(future);
        }
    }
    let own = pool.clone();
    match what {
        0 => drop(pool.dispose()),
        1 => pool.invalidate(),
        2 => drop(time.poll_once(pin!(pool.connect()))),
        3 => go(time, async move { drop(own.connect().await) }),
        4 => go(time, async move { own.close_within(Patience { time: Some(Duration::ZERO), drain: false }).await }),
        5 => drop(out.take()),
        6 => {
            for share in out.take() {
                go(time, share.invalidate());
            }
        }
        _ => out.borrow().iter().for_each(Share::invalidate_soft),
    }
}

fn visit<K: Shares>(place: &'static str, what: usize, later: u32) {
    let note = format!("act {what} in {place}, after {later} ms");
    let world = World::new();
    let options = |builder: edgepool::Builder<K, Fake>| {
        builder.pre_ping(true).reset_on_return(ResetStyle::Session).driver_timeout(Duration::from_secs(5))
    };
    let listens = !["open", "reset", "ping", "close", "terminate"].contains(&place);
    let pool: Of<K> = if listens { world.listened(options) } else { world.pool(options) };
    let (out, calls) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(0)));
    let (own, time, shares, count) = (pool.clone(), world.time.clone(), out.clone(), calls.clone());
    let enter = move |now: &'static str| {
        if now != place || count.replace(count.get() + 1) >= 3 {
            return;
        }
        let (own, time, shares) = (own.clone(), time.clone(), shares.clone());
        if later == 0 {
            return act(&own, &time, &shares, what);
        }
        let clock = time.clone();
        clock.spawn(Box::pin(async move {
            time.sleep(later).await;
            act(&own, &time, &shares, what);
        }));
    };
    if listens {
        world.within(enter)
    } else {
        world.in_calls(enter)
    }
    for round in 0..4 {
        world.opens([Script::takes(10)]);
        world.pings([Script::takes(10), Script::Dead]);
        world.resets([Script::takes(10)]);
        world.closes([Script::takes(10)]);
        let mut waiters: Vec<_> = (0..4).map(|_| Box::pin(pool.connect())).collect();
        let mut refused = 0;
        waiters.retain_mut(|waiter| match world.poll(waiter.as_mut()) {
            Some(Ok(share)) => {
                out.borrow_mut().push(share);
                false
            }
            Some(Err(_)) => {
                refused += 1;
                false
            }
            None => true,
        });
        if round == 1 {
            drop(waiters.pop());
        }
        for waiter in waiters {
            let share = world.run(waiter).ok();
            out.borrow_mut().extend(share);
        }
        assert!(refused == 0 || pool.is_closed(), "{note}");
        let share = out.borrow_mut().pop();
        match (share, round) {
            (Some(share), 0) => world.close(share),
            (Some(share), 1) => world.run(share.invalidate()),
            (Some(share), 2) => world.run(share.close_after(&Failure("lost"))),
            (Some(share), _) => share.invalidate_soft(),
            (None, _) => {}
        }
        if round < 3 {
            drop(world.run(pool.connect()));
        }
        out.take();
        // Every second round begins with an idle connection.
        if round % 2 == 1 {
            world.run(pool.dispose());
        }
        world.pass(20);
    }
    world.pass(40_000);
    out.take();
    assert!(calls.get() > 0, "{note}: the place was not visited");
    world.log.in_each_call.take();
    world.log.within.take();
    for scripts in [&world.log.ping_scripts, &world.log.open_scripts, &world.log.reset_scripts] {
        scripts.borrow_mut().clear();
    }
    world.pass(60_000);
    assert_eq!((pool.stats().total, pool.stats().waiting), (pool.stats().idle, 0), "{note}: {:?}", pool.stats());
    assert_eq!(world.log.open.get(), pool.stats().idle, "{note}");
    if !pool.is_closed() {
        drop(world.connect(&pool));
        world.run(pool.close());
    }
    assert_eq!((pool.stats().total, world.log.open.get(), world.time.timers()), (0, 0, 0), "{note}");
    let mut ended = std::collections::HashSet::new();
    for call in world.log.take() {
        match call {
            Call::Close(number) | Call::Terminate(number) => {
                assert!(ended.insert(number), "{note}: {number} ends twice")
            }
            Call::Dropped(number) => panic!("{note}: {number} was dropped"),
            _ => {}
        }
    }
}

#[test]
fn whatever_foreign_code_does_to_a_shared_pool_no_caller_hangs_and_no_connection_is_lost() {
    let listeners = ["connect", "checkout", "reset", "checkin", "invalidate", "closing"];
    for place in ["open", "reset", "ping", "close", "terminate"].into_iter().chain(listeners) {
        for what in 0..8 {
            for later in [0, 5] {
                visit::<Static>(place, what, later);
                visit::<Singleton>(place, what, later);
            }
        }
    }
}

// Not here: a Rust connection has no record. What ends it under its holders is a death that its Watch reports.
// - StaticPool: the connection and its record are one; each lease is its own; the slot counts once
//   = the_connection_is_one_each_lease_is_its_own_the_slot_counts_once
// - StaticPool: stale by record.invalidate() while shared, it is replaced and ends with its last lease
//   = a_connection_that_dies_while_it_is_shared_is_replaced_for_the_next_and_ends_with_its_last_lease
// - StaticPool: stale by record.close() while shared, it is replaced and ends with its last lease
//   = a_connection_that_dies_while_it_is_shared_is_replaced_for_the_next_and_ends_with_its_last_lease

// Not here: a Share has no detach(), since others may have its connection.
// - StaticPool: a connection that one detaches is closed once, and is no longer the pool's
// - StaticPool: a connection that a dead ping is ending is closed once, though it is detached

// Not here: a ping has the connection alone, so no sharer can end it meanwhile. Its death can be reported.
// - StaticPool: a ping that fails because another caller ended the connection opens a new one
//   = a_ping_that_fails_because_the_connection_died_opens_a_new_one
// - StaticPool: a caller whose pinged connection ended joins its successor, and pings that one
//   = a_ping_that_fails_because_the_connection_died_opens_a_new_one
