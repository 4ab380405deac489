//! `recycle`: the age past which a connection is replaced at its next checkout.

use crate::fakes::{Of, Script, World};
use edgepool::Queue;
use std::time::Duration;

fn pool(world: &World, ms: u64) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(1).max_overflow(0).recycle(Duration::from_millis(ms)))
}

#[test]
fn a_connection_is_replaced_once_it_is_older_than_recycle() {
    let world = World::new();
    let pool = pool(&world, 1_000);
    drop(world.connect(&pool));
    world.pass(500);
    assert_eq!(world.connect(&pool).number, 0);
    world.pass(501);
    assert_eq!(world.connect(&pool).number, 1);
    assert_eq!(pool.stats().recycled, 1);
}

#[test]
fn at_exactly_its_age_it_is_used_again_and_replaced_a_millisecond_later() {
    let world = World::new();
    let pool = pool(&world, 1_000);
    drop(world.connect(&pool));
    world.pass(1_000);
    assert_eq!(world.connect(&pool).number, 0);
    world.pass(1);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn recycle_0_replaces_it_at_every_checkout_even_in_the_same_instant() {
    let world = World::new();
    let pool = pool(&world, 0);
    assert_eq!([(); 3].map(|()| world.connect(&pool).number), [0, 1, 2]);
}

#[test]
fn without_it_a_connection_is_never_replaced() {
    let world = World::new();
    let pool = world.queue(1);
    drop(world.connect(&pool));
    world.pass(10_000_000);
    assert_eq!(world.connect(&pool).number, 0);
    let pool = world.pool::<Queue>(|builder| builder.recycle(None));
    drop(world.connect(&pool));
    world.pass(365 * 86_400_000);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn it_is_closed_with_the_close_event_and_terminated_not_closed_politely() {
    let world = World::new();
    let pool = pool(&world, 1_000);
    drop(world.connect(&pool));
    world.pass(1_001);
    world.trace();
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "closing(0), terminate 0, open, connect(1), checkout(1)");
    assert_eq!((pool.stats().recycled, pool.stats().invalidated), (1, 0));
}

#[test]
fn a_reconnect_starts_a_new_age() {
    let world = World::new();
    let pool = pool(&world, 1_000);
    drop(world.connect(&pool));
    world.pass(1_001);
    drop(world.connect(&pool));
    world.pass(900);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn the_age_counts_from_the_end_of_the_opening_no_connection_is_replaced_in_its_first_checkout() {
    let world = World::new();
    let pool = pool(&world, 100);
    world.opens([Script::takes(500)]);
    assert_eq!(world.connect(&pool).number, 0);
    world.pass(100);
    assert_eq!(world.connect(&pool).number, 0);
}

#[test]
fn a_leased_connection_of_any_age_is_left_to_its_caller_and_replaced_when_it_goes_to_a_waiter() {
    let world = World::new();
    let pool = pool(&world, 1_000);
    let lease = world.connect(&pool);
    world.pass(5_000);
    assert!(lease.is_valid());
    let waiter = world.wait(&pool);
    world.trace();
    drop(lease);
    assert_eq!(world.served(waiter).number, 1);
    let trace = world.trace();
    let expected = "reset(0), checkin(0), closing(0), terminate 0, open, connect(1), checkout(1)";
    assert!(trace.starts_with(expected), "{trace}");
}

#[test]
fn an_aged_connection_whose_creator_is_down_loses_no_place_three_leases_work_afterwards() {
    let world = World::new();
    let pool =
        world.listened::<Queue>(|builder| builder.pool_size(1).max_overflow(2).recycle(Duration::from_millis(1_000)));
    drop(world.connect(&pool));
    world.pass(1_001);
    world.trace();
    world.opens((0..4).map(|_| Script::Fails("no route")));
    for round in 0..4 {
        world.refused(&pool);
        let trace = world.trace();
        assert!(round > 0 || trace == "closing(0), terminate 0, open, checkin()", "{trace}");
        let counts = pool.counts();
        assert_eq!((counts.size, counts.checked_in, counts.overflow, counts.checked_out), (1, 1, 0, 0));
    }
    let leases = [(); 3].map(|()| world.connect(&pool));
    assert_eq!(pool.stats().used, 3);
    drop(leases);
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn recycle_jitter_spreads_the_age_of_each_connection_between_recycle_1_jitter_and_recycle() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| {
        builder.pool_size(40).max_overflow(0).recycle(Duration::from_millis(1_000)).recycle_jitter(0.5)
    });
    let leases: Vec<_> = (0..40).map(|_| world.connect(&pool)).collect();
    drop(leases);
    let replaced = |ms: u64| {
        world.pass(ms);
        let leases: Vec<_> = (0..40).map(|_| world.connect(&pool)).collect();
        leases.iter().filter(|lease| lease.number >= 40).count()
    };
    assert_eq!(replaced(499), 0);
    let half = replaced(251);
    assert!((1..40).contains(&half), "{half}");
    assert_eq!(replaced(251), 40);
}

#[test]
fn recycle_jitter_none_outlives_recycle() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| {
        builder.pool_size(100).max_overflow(0).recycle(Duration::from_secs(100)).recycle_jitter(0.5)
    });
    let use_all = || drop((0..100).map(|_| world.connect(&pool)).collect::<Vec<_>>());
    use_all();
    world.pass(100_001);
    use_all();
    assert_eq!((pool.stats().recycled, pool.stats().opened), (100, 200));
}

#[test]
fn recycle_jitter_0_spreads_nothing_and_without_recycle_it_means_nothing() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| {
        builder.pool_size(20).max_overflow(0).recycle(Duration::from_secs(100)).recycle_jitter(0.0)
    });
    let use_all = || drop((0..20).map(|_| world.connect(&pool)).collect::<Vec<_>>());
    use_all();
    world.pass(100_000);
    use_all();
    assert_eq!(pool.stats().recycled, 0);
    world.pass(1);
    use_all();
    assert_eq!(pool.stats().recycled, 20);
    let never = world.pool::<Queue>(|builder| builder.recycle_jitter(1.0));
    drop(world.connect(&never));
    world.pass(365 * 86_400_000);
    drop(world.connect(&never));
    assert_eq!((never.stats().recycled, never.stats().opened), (0, 1));
}

// Not here: a Duration is not negative. None is no age, and is the default.
// - -1 never replaces it, and is the default = without_it_a_connection_is_never_replaced

// Not here: neither terminate() nor a listener of closes returns an error, so neither fails.
// - a termination that fails is reported, and the caller has the new connection
// - a close listener that fails while it is replaced is reported; the caller has the new one
