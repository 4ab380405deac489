//! Listeners that fail, in each kind of pool: the caller may be refused, but no slot and no connection is lost.

use crate::fakes::{Failure, Fake, Holds, LeaseFrom, Of, Script, World, panics};
use edgepool::{Assertion, Builder, LeaseOf, Null, OnHoldLimit, PoolKind, Queue, ResetStyle, Singleton, Sizes, Static};
use std::cell::Cell;
use std::time::Duration;

fn pool<K: PoolKind>(world: &World, crosses: bool) -> Of<K> {
    world.listened(|builder: Builder<K, Fake>| {
        let builder = if crosses { builder.crosses_requests() } else { builder };
        let builder = builder.pre_ping(true).reset_on_return(ResetStyle::Session);
        let shares = K::KIND == Static::KIND || K::KIND == Singleton::KIND;
        if shares { builder } else { builder.hold_limit(Duration::from_millis(10)).on_hold_limit(OnHoldLimit::Report) }
    })
}

/// Detaches what can be detached.
trait Detaches: Holds + LeaseOf<Fake, edgepool::VirtualTime> {
    async fn detach_and_close(self);
}

impl Detaches for edgepool::Lease<Fake, edgepool::VirtualTime> {
    async fn detach_and_close(self) {
        self.detach().expect("a lease in use").close().await;
    }
}

impl Detaches for edgepool::Share<Fake, edgepool::VirtualTime> {
    async fn detach_and_close(self) {
        self.close().await;
    }
}

/// Every way of a lease through a pool, and every call that fails. Returns how often it panicked.
fn work<K: PoolKind>(world: &World, pool: &Of<K>) -> u32
where
    LeaseFrom<K>: Detaches,
{
    let mut count = 0;
    let mut attempt = |run: &mut dyn FnMut()| {
        count += u32::from(panics(run));
        // What else was due in the same turn.
        while panics(|| world.time.run()) {
            count += 1;
        }
    };
    for way in 0..5 {
        let mut lease = None;
        attempt(&mut || lease = world.time.run_until(pool.connect()).and_then(Result::ok));
        attempt(&mut || world.pass(20));
        attempt(&mut || {
            let Some(lease) = lease.take() else { return };
            match way {
                0 => world.close(lease),
                1 => world.run(lease.invalidate_because(Failure("mine"))),
                2 => {
                    lease.invalidate_soft();
                    world.close(lease);
                }
                3 => world.run(lease.detach_and_close()),
                _ => drop(lease),
            }
        });
        // A panic has dropped it.
        assert!(lease.is_none());
    }
    for call in ["open", "ping", "reset", "close"] {
        let scripts = match call {
            "open" => &world.log.open_scripts,
            "ping" => &world.log.ping_scripts,
            "reset" => &world.log.reset_scripts,
            _ => &world.log.close_scripts,
        };
        scripts.borrow_mut().push_back(Script::Fails("down"));
        attempt(&mut || drop(world.time.run_until(pool.connect()).map(|lease| lease.map(|lease| world.close(lease)))));
        attempt(&mut || world.run(pool.dispose()));
        scripts.borrow_mut().clear();
    }
    let mut held = None;
    attempt(&mut || held = world.time.run_until(pool.connect()).and_then(Result::ok));
    attempt(&mut || {
        if let Some(lease) = &held {
            let watch = world.log.watches.borrow()[lease.number as usize].clone();
            watch.died(Some(Failure("gone")));
        }
    });
    attempt(&mut || drop(held.take()));
    attempt(&mut || world.run(pool.dispose()));
    attempt(&mut || world.pass(100));
    count
}

fn expect_sound<K: PoolKind>(world: &World, pool: &Of<K>, note: &str) {
    world.pass(100_000);
    let stats = pool.stats();
    assert_eq!((stats.used, stats.opening, stats.closing, stats.waiting, stats.detached), (0, 0, 0, 0, 0), "{note}");
    assert_eq!((stats.idle, stats.total), (world.log.open.get(), world.log.open.get()), "{note}: {stats:?}");
    drop(world.connect(pool));
    world.run(pool.close());
    world.pass(100);
    assert_eq!((pool.stats().total, world.log.open.get(), world.time.timers()), (0, 0, 0), "{note}");
}

fn rejects<K: PoolKind>()
where
    LeaseFrom<K>: Detaches,
{
    for event in ["first_connect", "connect", "checkout"] {
        for (disconnects, crosses) in [(false, false), (true, false), (false, true), (true, true)] {
            let world = World::new();
            let pool = pool::<K>(&world, crosses);
            for _ in 0..100 {
                if disconnects {
                    world.listener_disconnects(event, "gone", true);
                } else {
                    world.listener_fails(event, "no");
                }
            }
            assert_eq!(work(&world, &pool), 0);
            assert!(world.log.answers.take().len() < 100, "{event} is not listened to");
            expect_sound(&world, &pool, event);
        }
    }
}

fn throws<K: PoolKind>()
where
    LeaseFrom<K>: Detaches,
{
    let shares = K::KIND == Static::KIND || K::KIND == Singleton::KIND;
    for event in [
        "first_connect",
        "connect",
        "checkout",
        "reset",
        "checkin",
        "invalidate",
        "soft_invalidate",
        "closing",
        "detach",
        "close_detached",
        "held",
        "error",
    ] {
        if shares && matches!(event, "detach" | "close_detached" | "held") {
            continue;
        }
        for crosses in [false, true] {
            // Without a caller that waits it has no timer.
            if crosses && event == "held" {
                continue;
            }
            let world = World::new();
            let pool = pool::<K>(&world, crosses);
            world.within(move |now| assert_ne!(now, event, "a listener"));
            assert!(work(&world, &pool) > 0, "{event} is not listened to");
            world.log.within.take();
            expect_sound(&world, &pool, &format!("{event}, crosses: {crosses}"));
        }
    }
}

/// Three idle connections, of which the first one's close listener panics.
fn closing_panics(close: impl FnOnce(&World, &Of<Queue>)) {
    let world = World::new();
    let pool = world
        .listened::<Queue>(|builder| builder.pool_size(4).max_overflow(0).idle_timeout(Duration::from_millis(1_000)));
    drop([(); 3].map(|()| world.connect(&pool)));
    let is_first = Cell::new(true);
    world.within(move |event| assert!(event != "closing" || !is_first.replace(false), "a listener"));
    assert!(panics(|| close(&world, &pool)), "no listener was called");
    world.time.run();
    let stats = pool.stats();
    assert_eq!((stats.closing, stats.idle), (0, world.log.open.get()));
    let trace = world.trace();
    assert!(!trace.contains("dropped"), "{trace}");
    world.run(pool.close());
    assert_eq!((world.log.open.get(), pool.stats().total), (0, 0));
}

#[test]
fn what_begins_in_the_same_call_as_a_listener_that_panics_goes_on() {
    closing_panics(|_, pool| pool.resize(Sizes { pool_size: Some(1.0), ..Sizes::default() }).unwrap());
    closing_panics(|world, _| world.pass(1_200));
    closing_panics(|world, pool| world.run(pool.dispose()));
    closing_panics(|world, pool| world.run(pool.close()));
}

macro_rules! each_kind {
    ($($name:ident: $run:ident $kind:ident;)*) => {
        $(#[test]
        fn $name() {
            $run::<$kind>();
        })*
    };
}

each_kind! {
    queue_pool_a_listener_of_any_event_that_throws_costs_no_slot_and_no_connection: throws Queue;
    null_pool_a_listener_of_any_event_that_throws_costs_no_slot_and_no_connection: throws Null;
    singleton_thread_pool_a_listener_of_any_event_that_throws_costs_no_slot_and_no_connection: throws Singleton;
    static_pool_a_listener_of_any_event_that_throws_costs_no_slot_and_no_connection: throws Static;
    assertion_pool_a_listener_of_any_event_that_throws_costs_no_slot_and_no_connection: throws Assertion;
    queue_pool_a_listener_of_any_event_that_rejects_costs_no_slot_and_no_connection: rejects Queue;
    null_pool_a_listener_of_any_event_that_rejects_costs_no_slot_and_no_connection: rejects Null;
    singleton_thread_pool_a_listener_of_any_event_that_rejects_costs_no_slot_and_no_connection: rejects Singleton;
    static_pool_a_listener_of_any_event_that_rejects_costs_no_slot_and_no_connection: rejects Static;
    assertion_pool_a_listener_of_any_event_that_rejects_costs_no_slot_and_no_connection: rejects Assertion;
}
