//! Options, their defaults, and what a builder refuses.

use crate::fakes::{Of, World};
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
