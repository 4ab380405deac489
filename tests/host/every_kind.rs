//! What every kind of pool promises.

use crate::fakes::{Failure, Fake, Holds, LeaseFrom, Of, Script, World};
use edgepool::{
    Assertion, Builder, Error, Lease, LeaseOf, Null, OptionError, Patience, PoolKind, Queue, ResetStyle, Singleton,
    Static, VirtualTime, Within,
};
use std::pin::pin;
use std::time::Duration;

macro_rules! each {
    ($run:ident $($kind:ident)*) => {
        $($run::<$kind>(&World::new());)*
    };
}

macro_rules! every_kind {
    ($($(#[$meta:meta])* fn $name:ident($world:ident) $body:block)*) => {
        $($(#[$meta])*
        #[test]
        fn $name() {
            fn run<K: PoolKind>($world: &World) $body
            each!(run Queue Null Static Singleton Assertion);
        })*
    };
}

/// Of the kinds that keep a connection for the next caller.
macro_rules! keeping_kinds {
    ($($(#[$meta:meta])* fn $name:ident($world:ident) $body:block)*) => {
        $($(#[$meta])*
        #[test]
        fn $name() {
            fn run<K: PoolKind>($world: &World) $body
            each!(run Queue Static Singleton Assertion);
        })*
    };
}

/// With what a lease and a share have in common.
macro_rules! every_lease {
    ($($(#[$meta:meta])* fn $name:ident($world:ident) $body:block)*) => {
        $($(#[$meta])*
        #[test]
        fn $name() {
            fn run<K: PoolKind>($world: &World)
            where
                LeaseFrom<K>: Holds,
            $body
            each!(run Queue Null Static Singleton Assertion);
        })*
    };
}

fn pool<K: PoolKind>(world: &World) -> Of<K> {
    world.listened(|builder| builder.driver_timeout(Duration::from_millis(50)))
}

/// Whether a returned connection is kept for the next caller.
fn keeps<K: PoolKind>() -> bool {
    K::KIND != Null::KIND
}

/// What the driver was asked for, without the events.
fn calls(world: &World) -> String {
    world.trace().split(", ").filter(|call| !call.contains('(')).collect::<Vec<_>>().join(", ")
}

every_kind! {
    fn constructing_disposing_and_recreating_call_no_creator_and_keep_the_class(world) {
        let pool = pool::<K>(world);
        world.run(pool.dispose());
        let again: Of<K> = pool.recreate();
        world.run(again.dispose());
        assert_eq!(world.trace(), "");
    }

    fn recreate_has_the_same_creator_and_shares_nothing_else_with_the_old_pool(world) {
        let pool = pool::<K>(world);
        let lease = world.connect(&pool);
        let again = pool.recreate();
        let other = world.connect(&again);
        assert_ne!(lease.number, other.number);
        world.close(lease);
        world.run(pool.close());
        assert!(!again.is_closed());
    }

    fn connect_close_dispose_recreate_connect_close_call_the_driver_as_they_should(world) {
        let pool = world.pool::<K>(|builder| builder.reset_on_return(ResetStyle::Session));
        world.close(world.connect(&pool));
        world.run(pool.dispose());
        assert_eq!(world.trace(), "open, session 0, close 0");
        let again = pool.recreate();
        world.close(world.connect(&again));
        assert!(world.trace().starts_with("open, session 1"));
    }

    fn a_creators_error_comes_out_as_it_is_emits_nothing_and_the_next_caller_is_served(world) {
        let pool = pool::<K>(world);
        world.opens([Script::Fails("no route")]);
        assert!(matches!(world.refused(&pool), Error::Manager(error) if *error == Failure("no route")));
        assert_eq!(world.trace(), "open");
        drop(world.connect(&pool));
    }

    fn a_connect_listener_that_fails_rejects_connect_the_connection_is_terminated(world) {
        let pool = pool::<K>(world);
        for (event, number) in [("first_connect", 0), ("connect", 1)] {
            world.listener_fails(event, "no");
            assert!(matches!(world.refused(&pool), Error::Manager(error) if *error == Failure("no")));
            let before = if event == "connect" { format!("connect({number}), ") } else { String::new() };
            assert_eq!(world.trace(), format!("open, first_connect({number}), {before}terminate {number}"));
            assert_eq!((pool.stats().total, pool.stats().used), (0, 0), "{event}");
        }
        drop(world.connect(&pool));
    }

    fn a_checkout_listener_that_fails_rejects_connect_and_ends_the_connection(world) {
        let pool = pool::<K>(world);
        world.listener_fails("checkout", "no");
        assert!(matches!(world.refused(&pool), Error::Manager(_)));
        assert!(world.trace().ends_with("checkout(0), invalidate(0), closing(0), terminate 0, checkin()"));
        assert_eq!(world.log.open.get(), 0);
        drop(world.connect(&pool));
    }

    fn after_the_second_disconnection_error_a_third_connection_is_discarded(world) {
        let pool = pool::<K>(world);
        world.listener_disconnects("checkout", "gone", false);
        world.listener_disconnects("checkout", "gone", false);
        let Error::Disconnected { last, .. } = world.refused(&pool) else { panic!("another error") };
        assert_eq!(*last.unwrap(), Failure("gone"));
        assert!(world.trace().ends_with("connect(2), invalidate(2), closing(2), terminate 2, checkin()"));
        assert_eq!(world.log.open.get(), 0);
        drop(world.connect(&pool));
    }

    fn after_invalidate_all_a_lease_goes_on_and_the_next_caller_has_another_connection(world) {
        let pool = pool::<K>(world);
        let lease = world.connect(&pool);
        pool.invalidate();
        assert_eq!(lease.number, 0);
        world.close(lease);
        assert_eq!(world.connect(&pool).number, 1);
    }

    fn a_reset_that_fails_costs_the_connection_not_the_return(world) {
        let pool: Of<K> = world.listened(|builder| builder.reset_on_return(ResetStyle::Session));
        let lease = world.connect(&pool);
        world.trace();
        world.resets([Script::Fails("reset")]);
        world.close(lease);
        let end = "invalidate(0), closing(0), terminate 0, checkin()";
        assert_eq!(world.trace(), format!("reset(0), session 0, error(reset: reset), {end}"));
        assert_eq!(world.log.reasons.take(), ["reset"]);
        assert_eq!(world.connect(&pool).number, 1);
    }

    fn a_reset_that_hangs_is_given_driver_timeout(world) {
        let pool = world.pool::<K>(|builder| {
            builder.reset_on_return(ResetStyle::Session).driver_timeout(Duration::from_millis(50))
        });
        let lease = world.connect(&pool);
        world.resets([Script::Hangs]);
        world.close(lease);
        world.assert_time(50.0);
        assert_eq!(world.connect(&pool).number, 1);
    }

    fn first_connect_fires_once_however_many_connections_are_opened(world) {
        let pool = pool::<K>(world);
        for _ in 0..3 {
            world.close(world.connect(&pool));
            pool.invalidate();
        }
        assert_eq!(world.trace().matches("first_connect").count(), 1);
    }

    fn an_abort_while_the_connection_opens_refuses_its_caller_at_once_and_nothing_leaks(world) {
        let pool = pool::<K>(world);
        world.opens([Script::takes(5)]);
        drop(world.wait(&pool));
        world.pass(5);
        drop(world.connect(&pool));
        world.run(pool.close());
        assert_eq!(world.log.open.get(), 0);
    }

    fn deadline_and_driver_timeout_bound_the_opening(world) {
        let pool = pool::<K>(world);
        world.opens([Script::Hangs]);
        assert!(matches!(world.refused(&pool), Error::Timeout(timeout) if timeout.option == "driver_timeout"));
        world.opens([Script::Hangs]);
        let within = Within { deadline: Some(Duration::from_millis(10)), ..Within::default() };
        let Err(Error::Timeout(timeout)) = world.run(pool.connect_within(within)) else { panic!("it opened") };
        assert_eq!(timeout.option, "deadline");
    }

    fn dispose_leaves_a_lease_alone_its_connection_is_closed_at_its_return_once(world) {
        let pool = world.pool::<K>(|builder| builder);
        let lease = world.connect(&pool);
        world.run(pool.dispose());
        assert_eq!(world.trace(), "open");
        world.close(lease);
        assert_eq!(world.trace(), "close 0");
    }

    fn close_waits_for_the_lease_refuses_later_callers_and_closes_at_its_return(world) {
        let pool: Of<K> = world.listened(|builder| builder.reset_on_return(ResetStyle::Session));
        let lease = world.connect(&pool);
        world.trace();
        let mut closing = pin!(pool.close());
        assert!(world.poll(closing.as_mut()).is_none());
        assert!(pool.is_closed());
        assert!(matches!(world.refused(&pool), Error::Closed { .. }));
        world.close(lease);
        assert!(world.poll(closing).is_some());
        assert_eq!(world.trace(), "reset(0), session 0, checkin(0), closing(0), close 0");
    }

    fn a_lease_that_is_not_back_within_closes_timeout_is_ended_once(world) {
        let pool = world.pool::<K>(|builder| builder);
        let lease = world.connect(&pool);
        world.run(pool.close_within(Patience { time: Some(Duration::from_millis(20)), drain: false }));
        drop(lease);
        assert_eq!(world.trace(), "open, terminate 0");
    }

    fn close_ends_what_an_opening_still_brings(world) {
        let pool = world.pool::<K>(|builder| builder);
        world.opens([Script::takes(30)]);
        let mut waiter = world.wait(&pool);
        world.run(pool.close());
        assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Closed { .. }))));
        assert_eq!(world.log.open.get(), 0);
    }

    fn use_returns_or_throws_what_its_function_does_and_returns_the_connection(world) {
        let pool = world.pool::<K>(|builder| builder.reset_on_return(ResetStyle::Session));
        let number = world.run(pool.use_with(async |lease| Ok::<_, Error<Failure>>(lease.number)));
        assert_eq!(number.unwrap(), 0);
        let mine = Error::Manager(std::rc::Rc::new(Failure("mine")));
        let failed = world.run(pool.use_with(async |_| Err::<(), _>(mine)));
        assert!(matches!(failed, Err(Error::Manager(error)) if *error == Failure("mine")));
        assert_eq!(pool.stats().used, 0);
    }

    fn status_is_one_line(world) {
        let pool = pool::<K>(world);
        assert!(!pool.status().contains('\n'));
    }

    fn a_lease_that_is_dropped_is_returned_like_one_that_is_closed(world) {
        let pool = world.pool::<K>(|builder| builder.reset_on_return(ResetStyle::Session));
        drop(world.connect(&pool));
        assert!(world.trace().starts_with("open, session 0"));
        let lease = world.connect(&pool);
        let closed = LeaseOf::close_after(lease, &Failure("lost"));
        world.run(closed);
        assert!(world.trace().ends_with("terminate 0") || world.trace().is_empty());
    }
}

every_kind! {
    fn after_a_use_dispose_and_recreate_call_no_creator_either(world) {
        let pool = world.pool::<K>(|builder| builder.reset_on_return(ResetStyle::Session));
        world.close(world.connect(&pool));
        world.opens([Script::Fails("down")]);
        world.run(pool.dispose());
        world.run(pool.recreate().dispose());
        assert_eq!(world.trace(), "open, session 0, close 0");
    }

    fn recreate_carries_ping_reset_age_name_manager_and_events(world) {
        let old: Of<K> = world.listened(|builder| {
            let builder = builder.pre_ping(true).reset_on_return(ResetStyle::Commit);
            builder.recycle(Duration::from_secs(30)).name("orders")
        });
        let pool = old.recreate();
        assert_eq!(pool.name(), "orders");
        world.close(world.connect(&pool));
        assert!(world.log.calls.borrow().iter().any(|call| call.to_string() == "checkout(0)"));
        world.close(world.connect(&pool));
        let all = if keeps::<K>() {
            "open, commit 0, ping 0, commit 0"
        } else {
            "open, commit 0, close 0, open, commit 1, close 1"
        };
        assert_eq!(calls(world), all);
        world.pass(31_000);
        world.close(world.connect(&pool));
        let aged = if keeps::<K>() { "terminate 0, open, commit 1" } else { "open, commit 2, close 2" };
        assert_eq!(calls(world), aged);
    }

    fn the_events_of_a_first_use_of_a_return_and_of_the_next_use_come_in_order(world) {
        let pool: Of<K> = world.listened(|builder| builder.reset_on_return(ResetStyle::Session));
        let lease = world.connect(&pool);
        assert_eq!(world.trace(), "open, first_connect(0), connect(0), checkout(0)");
        world.close(lease);
        let end = |at: u32| if keeps::<K>() { String::new() } else { format!(", closing({at}), close {at}") };
        assert_eq!(world.trace(), format!("reset(0), session 0, checkin(0){}", end(0)));
        world.close(world.connect(&pool));
        let (start, number) = if keeps::<K>() { ("", 0) } else { ("open, connect(1), ", 1) };
        let next = format!("{start}checkout({number}), reset({number}), session {number}, checkin({number})");
        assert_eq!(world.trace(), next + &end(number));
    }

    fn a_disconnection_error_opens_another_in_the_same_slot(world) {
        let pool = pool::<K>(world);
        world.listener_disconnects("checkout", "dead", false);
        let lease = world.connect(&pool);
        assert_eq!((lease.number, pool.stats().total), (1, 1));
        let after = "invalidate(0), closing(0), terminate 0, open, connect(1), checkout(1)";
        assert_eq!(world.trace(), format!("open, first_connect(0), connect(0), checkout(0), {after}"));
    }

    fn a_caller_that_is_dropped_before_its_first_poll_opens_nothing(world) {
        let pool = pool::<K>(world);
        drop(pool.connect());
        world.pass(100);
        assert_eq!((world.trace().as_str(), pool.stats().total), ("", 0));
    }

    fn a_scope_that_ends_closes_the_lease_and_with_it_the_pool(world) {
        world.log.opens_in_transaction.set(true);
        {
            let pool = pool::<K>(world);
            {
                let _lease = world.connect(&pool);
                assert_eq!(pool.stats().used, 1);
            }
            world.time.run();
            assert_eq!(pool.stats().used, 0);
            let _lease = world.connect(&pool);
        }
        let trace = world.trace();
        assert_eq!(world.log.open.get(), 0);
        assert!(!trace.contains("dropped"), "{trace}");
    }
}

every_lease! {
    fn a_hard_invalidation_ends_lease_and_connection_the_next_caller_has_another(world) {
        let pool = pool::<K>(world);
        let lease = world.connect(&pool);
        world.trace();
        world.run(lease.invalidate_because(Failure("gone")));
        assert_eq!(world.trace(), "invalidate(0), closing(0), terminate 0, checkin()");
        assert_eq!(world.log.reasons.take(), ["gone"]);
        let stats = pool.stats();
        assert_eq!((stats.used, stats.total, stats.invalidated), (0, 0, 1));
        assert_eq!(world.connect(&pool).number, 1);
    }

    fn a_soft_invalidation_lets_the_lease_go_on_the_next_caller_has_another_connection(world) {
        let pool: Of<K> = world.listened(|builder| builder.reset_on_return(ResetStyle::Session));
        let lease = world.connect(&pool);
        world.trace();
        lease.invalidate_soft();
        assert_eq!(world.trace(), "soft_invalidate()");
        assert!(lease.is_valid());
        world.close(lease);
        let next = world.connect(&pool);
        assert_eq!(next.number, 1);
        let trace = world.trace();
        assert!(trace.starts_with("reset(0), session 0, checkin(0), closing(0), "), "{trace}");
        assert!(trace.ends_with(" 0, open, connect(1), checkout(1)"), "{trace}");
        assert_eq!(world.log.open.get(), 1);
        // An idle one may be dead, so it is not closed politely. A shared one ends with its last return.
        let is_shared = K::KIND == Static::KIND || K::KIND == Singleton::KIND;
        let end = if keeps::<K>() { "terminate 0" } else { "close 0" };
        assert!(is_shared || trace.contains(end), "{trace}");
    }

    fn reset_on_return_commit_none_and_transaction_was_reset_are_heeded(world) {
        let cases = [
            (ResetStyle::Rollback, false, "rollback 0"),
            (ResetStyle::Commit, false, "commit 0"),
            (ResetStyle::None, false, ""),
            (ResetStyle::Rollback, true, ""),
            (ResetStyle::Commit, true, "commit 0"),
        ];
        for listens in [false, true] {
            for (style, was_reset, expected) in cases {
                let world = &World { log: Default::default(), time: world.time.clone() };
                world.log.opens_in_transaction.set(true);
                let options = |builder: Builder<K, Fake>| builder.reset_on_return(style);
                let pool: Of<K> = if listens { world.listened(options) } else { world.pool(options) };
                let lease = world.connect(&pool);
                world.trace();
                if was_reset {
                    world.run(lease.close_reset());
                } else {
                    world.close(lease);
                }
                let calls = calls(world).replace("close 0", "");
                assert_eq!(calls.trim_end_matches(", "), expected, "{style:?}, {was_reset}, {listens}");
            }
        }
    }

    fn what_a_watch_reports_of_the_idle_connection_or_of_one_in_use_ends_it(world) {
        let pool = pool::<K>(world);
        if keeps::<K>() {
            world.close(world.connect(&pool));
            world.trace();
            world.dies(0, Some("gone"));
            assert_eq!(world.trace(), "invalidate(0), closing(0), terminate 0");
        }
        let lease = world.connect(&pool);
        let number = lease.number;
        world.trace();
        world.dies(number as usize, Some("gone"));
        let trace = world.trace();
        assert!(trace.starts_with("error(disconnect: gone), invalidate(), closing()"), "{trace}");
        assert!(!lease.is_valid());
        // Before its holder has returned it.
        let next = world.connect(&pool);
        assert_eq!(next.number, number + 1);
        world.close(next);
        world.trace();
        world.close(lease);
        let trace = world.trace().replace("checkin()", "");
        assert_eq!(trace.trim_matches([',', ' ']), format!("terminate {number}"));
        world.run(pool.close());
        assert_eq!((world.log.open.get(), pool.stats().total), (0, 0));
    }
}

keeping_kinds! {
    fn a_returned_connection_is_pinged_before_it_is_handed_out_again_a_new_one_is_not(world) {
        let pool: Of<K> = world.listened(|builder| builder.pre_ping(true));
        world.close(world.connect(&pool));
        assert!(!world.trace().contains("ping"));
        world.close(world.connect(&pool));
        assert!(world.trace().starts_with("ping 0, checkout(0)"));
        world.pings([Script::Dead]);
        let _lease = world.connect(&pool);
        assert_eq!(world.trace(), "ping 0, invalidate(0), closing(0), terminate 0, open, connect(1), checkout(1)");
    }

    fn a_returned_connection_older_than_recycle_is_replaced_one_of_exactly_that_age_is_not(world) {
        let pool: Of<K> = world.listened(|builder| builder.recycle(Duration::from_secs(30)));
        world.close(world.connect(&pool));
        world.pass(30_000);
        world.close(world.connect(&pool));
        assert_eq!(pool.stats().opened, 1);
        world.trace();
        world.pass(1);
        let _lease = world.connect(&pool);
        assert_eq!(world.trace(), "closing(0), terminate 0, open, connect(1), checkout(1)");
        assert_eq!((pool.stats().opened, pool.stats().recycled), (2, 1));
    }

    fn dispose_closes_the_idle_connection_politely_once_the_next_caller_has_another_one(world) {
        let pool = pool::<K>(world);
        world.close(world.connect(&pool));
        assert_eq!((pool.stats().idle, pool.stats().total), (1, 1));
        world.trace();
        world.run(pool.dispose());
        world.run(pool.dispose());
        assert_eq!(world.trace(), "closing(0), close 0");
        assert_eq!(world.connect(&pool).number, 1);
    }
}

#[test]
fn a_detached_connection_is_closed_by_its_holder_the_next_caller_has_another() {
    fn run<K: PoolKind<Lease<Fake, VirtualTime> = Lease<Fake, VirtualTime>>>(world: &World) {
        world.log.opens_in_transaction.set(true);
        let pool = pool::<K>(world);
        let lease = world.connect(&pool);
        world.trace();
        let own = lease.detach().unwrap();
        assert_eq!(world.trace(), "detach()");
        assert_eq!((own.is_valid(), own.number), (true, 0));
        let stats = pool.stats();
        assert_eq!((stats.used, stats.total, stats.detached), (0, 0, 1));
        let next = world.connect(&pool);
        assert_eq!(next.number, 1);
        world.trace();
        world.run(own.close());
        assert_eq!(world.trace(), "reset(0), rollback 0, close_detached(0), close 0");
        assert_eq!((next.is_valid(), pool.stats().detached), (true, 0));
    }
    each!(run Queue Null Assertion);
}

#[test]
fn an_option_of_another_kind_is_refused_by_its_name() {
    type Set<K> = fn(Builder<K, Fake>) -> Builder<K, Fake>;
    fn all<K: PoolKind>() -> Vec<(&'static str, Set<K>)> {
        vec![
            ("poolSize", |builder| builder.pool_size(2)),
            ("maxOverflow", |builder| builder.max_overflow(0)),
            ("maxWaiters", |builder| builder.max_waiters(1)),
            ("timeout", |builder| builder.timeout(Duration::from_secs(5))),
            ("useLifo", |builder| builder.use_lifo(true)),
            ("idleTimeout", |builder| builder.idle_timeout(Duration::from_secs(5))),
            ("minIdle", |builder| builder.min_idle(1)),
            ("min", |builder| builder.min(1)),
            ("refill", |builder| builder.refill(false)),
            ("maxUses", |builder| builder.max_uses(2)),
            ("maxConnecting", |builder| builder.max_connecting(2)),
            ("holdLimit", |builder| builder.hold_limit(Duration::from_secs(5))),
            ("onHoldLimit", |builder| builder.on_hold_limit(edgepool::OnHoldLimit::Terminate)),
        ]
    }
    fn run<K: PoolKind>(own: &[&str]) {
        let world = World::new();
        for (name, set) in all::<K>() {
            let builder = edgepool::Pool::<K, Fake, edgepool::DefaultRuntime>::builder(world.manager());
            let built: Result<Of<K>, OptionError> = set(builder).build_on(world.time.clone());
            let refused = built.err();
            assert_eq!(refused.is_some(), !own.contains(&name), "{name}");
            if let Some(error) = refused {
                assert_eq!(error.option, name);
                assert!(error.to_string().contains(&error.method()), "{error}");
            }
        }
    }
    run::<Null>(&["holdLimit", "onHoldLimit"]);
    run::<Static>(&[]);
    run::<Singleton>(&["poolSize"]);
    run::<Assertion>(&["holdLimit", "onHoldLimit"]);
}

// Not here: the Rust host has no log. Its manager is what a dialect is in JavaScript, and its builder is given the
//     listeners, once.
// - 005 recreate() carries ping, reset, age, name, dialect and echo =
//     recreate_carries_ping_reset_age_name_manager_and_events
// - recreate() takes the listeners of that moment; later changes stay on their side =
//     recreate_carries_ping_reset_age_name_manager_and_events
// Not here: a connection has no record beside it, which would have an info and finalizers.
// - 217 a DisconnectionError opens another in the same record = a_disconnection_error_opens_another_in_the_same_slot
// - finalizers run once, at the next return, newest first, before checkin
// - record.invalidate() and record.close() under a lease end its connection at once
// - info ends with its connection; what a return keeps it keeps with its info
// Not here: close() consumes the lease.
// - close() again returns the same promise and resets nothing
// Not here: a caller of Rust leaves by its drop.
// - a signal that was aborted before rejects and opens nothing =
//     a_caller_that_is_dropped_before_its_first_poll_opens_nothing
// Not here: the connection of a lease is its holder's. It is terminated as soon as the holder lets go of it.
// - a lease that is not back within close()'s timeout is terminated, once =
//     a_lease_that_is_not_back_within_closes_timeout_is_ended_once
// Not here: every manager has a ping. Its default answers that the connection is alive.
// - prePing without a ping is accepted: it never pings = it_never_pings_whatever_pre_ping_says
// - prePing without a ping is refused
// Not here: `open` is given a `Watch`, by which the manager reports a death.
// - what onDisconnect reports of the idle connection, or of one in use, ends it =
//     what_a_watch_reports_of_the_idle_connection_or_of_one_in_use_ends_it
