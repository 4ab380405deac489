//! Options, their defaults, and what a builder refuses.

use crate::fakes::{Of, Script, World};
use edgepool::{Assertion, Null, Pool, PoolKind, Queue, ResetStyle, Singleton, Static};
use std::time::Duration;

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder);
    let stats = pool.stats();
    assert_eq!((stats.max, stats.max_idle, stats.min_idle), (15.0, 5.0, 0));
    let _leases: Vec<_> = (0..15).map(|_| world.connect(&pool)).collect();
    world.refused(&pool);
    world.assert_time(30_000.0);
}

#[test]
fn an_option_of_another_kind_is_refused_by_its_name() {
    fn refused<K: PoolKind>(
        set: impl FnOnce(edgepool::Builder<K, crate::fakes::Fake>) -> edgepool::Builder<K, crate::fakes::Fake>,
    ) -> String {
        let world = World::new();
        let builder = set(Pool::<K, crate::fakes::Fake, edgepool::DefaultRuntime>::builder(world.manager()));
        let result = builder.build_on(world.time.clone()).map(|_: Of<K>| ());
        let error = result.expect_err("it is allowed");
        assert_eq!(error.to_string(), format!("a pool of this kind does not take the option {}", error.method()));
        error.method()
    }
    assert_eq!(refused::<Null>(|builder| builder.pool_size(3)), "pool_size");
    assert_eq!(refused::<Static>(|builder| builder.max_overflow(3)), "max_overflow");
    assert_eq!(refused::<Assertion>(|builder| builder.use_lifo(true)), "use_lifo");
    assert_eq!(refused::<Static>(|builder| builder.hold_limit(Duration::from_secs(1))), "hold_limit");
    assert_eq!(refused::<Singleton>(|builder| builder.timeout(Duration::from_secs(1))), "timeout");
    assert_eq!(refused::<Null>(|builder| builder.min(1)), "min");
}

#[test]
fn a_wrong_value_is_refused_with_the_options_name() {
    let world = World::new();
    let refused = |builder: edgepool::Builder<Queue, crate::fakes::Fake>| {
        let error = builder.build_on(world.time.clone()).map(|_| ()).expect_err("it is allowed");
        assert_eq!(error.to_string(), format!("the option {} has a value that is not allowed", error.method()));
        error.method()
    };
    let builder = || edgepool::QueuePool::builder(world.manager());
    assert_eq!(refused(builder().recycle_jitter(1.5)), "recycle_jitter");
    assert_eq!(refused(builder().recycle_jitter(f64::NAN)), "recycle_jitter");
    assert_eq!(refused(builder().max_uses(0)), "max_uses");
    assert_eq!(refused(builder().max_connecting(0)), "max_connecting");
    assert_eq!(refused(builder().max_age(Duration::ZERO)), "max_age");
    let singleton = edgepool::SingletonThreadPool::builder(world.manager()).pool_size(0);
    assert_eq!(singleton.build_on(world.time.clone()).map(|_| ()).unwrap_err().method(), "pool_size");
    assert_eq!(world.trace(), "");
}

#[test]
fn a_duration_of_any_length_is_allowed_and_the_longest_stand_for_no_limit() {
    let world = World::new();
    for time in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(u64::MAX / 4), Duration::MAX] {
        let pool = world.pool::<Queue>(|builder| builder.timeout(time).deadline(time).recycle(time).idle_timeout(time));
        drop(world.connect(&pool));
    }
}

#[test]
fn a_creator_that_fails_is_not_called_by_the_constructor_dispose_or_recreate() {
    let world = World::new();
    let pool = world.queue(1);
    world.run(pool.dispose());
    let again = pool.recreate();
    world.run(again.dispose());
    assert_eq!(world.trace(), "");
}

#[test]
fn each_way_to_write_reset_on_return_means_what_it_says() {
    for (style, expected) in [
        (ResetStyle::Rollback, "open, rollback 0"),
        (ResetStyle::Commit, "open, commit 0"),
        (ResetStyle::Session, "open, session 0"),
        (ResetStyle::None, "open"),
    ] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| builder.reset_on_return(style));
        let mut lease = world.connect(&pool);
        lease.in_transaction = true;
        world.close(lease);
        assert_eq!(world.trace(), expected);
    }
}

#[test]
fn an_option_that_is_given_twice_has_its_last_value() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).pool_size(2).max_overflow(0));
    assert_eq!(pool.stats().max, 2.0);
}

#[test]
fn a_pool_and_its_parts_can_be_shown() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.name("orders"));
    let lease = world.connect(&pool);
    assert_eq!(format!("{pool:?}"), "orders size: 5 connections in pool: 0 current overflow: -4 checked out: 1");
    assert!(format!("{lease:?}").contains("orders"));
}

#[test]
fn what_is_no_nothing_is_a_connection_whatever_its_type() {
    struct Of<T>(T);
    impl<T: Clone + PartialEq + std::fmt::Debug + 'static> edgepool::Manager for Of<T> {
        type Connection = T;
        type Error = crate::fakes::Failure;

        async fn open(&self, _: edgepool::Watch<Self>) -> Result<T, crate::fakes::Failure> {
            Ok(self.0.clone())
        }
    }
    fn lent<T: Clone + PartialEq + std::fmt::Debug + 'static>(value: T) {
        let world = World::new();
        let builder = edgepool::QueuePool::builder(Of(value.clone())).pool_size(2).max_overflow(0);
        let pool = builder.build_on(world.time.clone()).unwrap();
        for _ in 0..2 {
            let leases = [(); 2].map(|()| world.run(pool.connect()).unwrap());
            assert!(leases.iter().all(|lease| **lease == value));
        }
        assert_eq!((pool.stats().opened, pool.stats().idle), (2, 2));
        world.run(pool.close());
    }
    lent(());
    lent(0);
    lent("");
    lent(false);
    lent(None::<u32>);
    lent([0_u64; 100]);
    lent(drop::<u32> as fn(u32));
}

#[test]
fn after_a_use_dispose_and_recreate_call_no_creator_either() {
    let world = World::new();
    let pool = world.queue(1);
    drop(world.connect(&pool));
    world.opens([Script::Fails("down")]);
    world.run(pool.dispose());
    let _again = pool.recreate();
    assert_eq!(world.trace(), "open, close 0");
}

#[test]
fn recreate_carries_size_overflow_and_reset() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| {
        builder
            .pool_size(1)
            .max_overflow(0)
            .reset_on_return(ResetStyle::None)
            .timeout(Duration::from_secs(3))
            .name("orders")
    });
    let again = pool.recreate();
    assert_eq!((again.counts().size, again.stats().max, again.name()), (1, 1.0, "orders"));
    let mut lease = world.connect(&again);
    world.refused(&again);
    world.assert_time(3_000.0);
    lease.in_transaction = true;
    world.close(lease);
    assert_eq!(world.trace(), "open");
}

#[test]
fn an_option_that_is_not_given_has_its_default() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder);
    assert_eq!((pool.counts().size, pool.stats().max, pool.name()), (5, 15.0, "pool"));
    let _leases: Vec<_> = (0..15).map(|_| world.connect(&pool)).collect();
    let edgepool::Error::Timeout(timeout) = world.refused(&pool) else { panic!("it was in time") };
    assert_eq!((timeout.option, timeout.timeout_ms), ("timeout", 30_000.0));
}

// Not here: the types of a builder's methods refuse these values. What they leave over is in
//   a_wrong_value_is_refused_with_the_options_name.
// - poolSize is refused where it is wrong, with its name, its value and what is allowed
// - maxOverflow is refused where it is wrong, with its name, its value and what is allowed
// - maxWaiters is refused where it is wrong, with its name, its value and what is allowed
// - 047 timeout is refused where it is wrong, with its name, its value and what is allowed
// - driverTimeout is refused where it is wrong, with its name, its value and what is allowed
// - deadline is refused where it is wrong, with its name, its value and what is allowed
// - useLifo is refused where it is wrong, with its name, its value and what is allowed
// - 010 resetOnReturn is refused where it is wrong, with its name, its value and what is allowed
// - loggingName is refused where it is wrong, with its name, its value and what is allowed
// - a bare number that must be meant as milliseconds is refused with what to write instead
// - durations are seconds as bare numbers and carry their unit as strings
//   = a_duration_of_any_length_is_allowed_and_the_longest_stand_for_no_limit
// - connect() and use() reject on options that are wrong, and take nothing from the pool
// - close() rejects on options that are wrong, and the pool goes on
// - options of connect() are checked before the signal, and undefined is as good as absent

// Not here: an option is a method of the builder, so the compiler knows its name. A builder is consumed by its pool.
// - 011 an unknown option is refused by its name, with the list of those that exist
//   = an_option_of_another_kind_is_refused_by_its_name
// - options that are no object are refused
// - an option that is undefined has its default = an_option_that_is_not_given_has_its_default
// - changing the options object afterwards changes neither the pool nor its recreation
// - options are read by name, whether they are own properties, accessors of a class, or inherited

// Not here: a manager is a type with methods. There is no dialect beside it, no log, and the runtime is its clock.
// - dialect is refused where it is wrong, with its name, its value and what is allowed
// - logger is refused where it is wrong, with its name, its value and what is allowed
// - clock is refused where it is wrong, with its name, its value and what is allowed
// - a member of the dialect that is no function is refused by its name
// - a creator may bring a dialect along, and the option comes before it
// - a creator that is no function is refused at construction
// - a creator that returns nothing is an argument error of connect(), and the slot is free again
// - use() rejects without a function, before it checks out

// Not here: what throws in JavaScript is a failure.
// - 001 a creator that throws is not called by the constructor, dispose() or recreate()
//   = a_creator_that_fails_is_not_called_by_the_constructor_dispose_or_recreate

// Not here: a pool makes itself no name. It is "pool" by default.
// - names that the pool makes itself differ

// Not here: pools have no base class and no second names.
// - 019 the abstract base is no pool
// - AsyncAdaptedQueuePool is QueuePool under SQLAlchemy's name
