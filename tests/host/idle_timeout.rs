//! `idle_timeout` and `min_idle`.

use crate::fakes::{Dial, Of, Script, World};
use edgepool::{Queue, QueuePool};
use std::time::Duration;

fn pool(world: &World, size: u32, min_idle: u32) -> Of<Queue> {
    world.listened(|builder| {
        builder
            .pool_size(size)
            .max_overflow(0)
            .idle_timeout(Duration::from_millis(1_000))
            .driver_timeout(Duration::from_millis(300))
            .min_idle(min_idle)
    })
}

fn fill(world: &World, pool: &Of<Queue>, count: u32) {
    let leases: Vec<_> = (0..count).map(|_| world.connect(pool)).collect();
    drop(leases);
    world.trace();
}

#[test]
fn a_connection_that_was_idle_for_so_long_is_closed_politely_with_its_event_and_its_slot_ends() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    fill(&world, &pool, 1);
    world.pass(1_200);
    assert_eq!(world.trace(), "closing(0), close 0");
    assert_eq!((pool.stats().total, pool.counts().checked_in), (0, 0));
}

#[test]
fn without_idle_timeout_nothing_is_closed_and_no_timer_runs() {
    let world = World::new();
    let pool = world.queue(1);
    fill(&world, &pool, 1);
    assert_eq!(world.time.timers(), 0);
    world.pass(100_000_000);
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn it_is_closed_neither_early_nor_late_whatever_the_time() {
    for ms in [1_u64, 60, 1_000, 90_000] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| builder.idle_timeout(Duration::from_millis(ms)));
        fill(&world, &pool, 1);
        world.pass(ms - 1);
        assert_eq!(pool.stats().idle, 1, "{ms}");
        world.pass(1 + (ms / 8).max(50));
        assert_eq!(pool.stats().idle, 0, "{ms}");
    }
}

#[test]
fn min_idle_connections_stay_however_long_they_are_idle() {
    let world = World::new();
    let pool = pool(&world, 4, 2);
    fill(&world, &pool, 4);
    world.pass(100_000);
    assert_eq!(pool.stats().idle, 2);
}

#[test]
fn min_idle_opens_nothing_by_itself() {
    let world = World::new();
    let pool = pool(&world, 4, 2);
    fill(&world, &pool, 1);
    world.pass(10_000);
    assert_eq!((world.trace().as_str(), pool.stats().idle), ("", 1));
}

#[test]
fn those_in_use_count_for_no_min_idle_only_idle_ones_do() {
    let world = World::new();
    let pool = pool(&world, 4, 1);
    fill(&world, &pool, 3);
    let _lease = world.connect(&pool);
    world.pass(10_000);
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn a_checkout_restarts_its_time() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    for _ in 0..5 {
        drop(world.connect(&pool));
        world.pass(900);
    }
    assert_eq!(pool.stats().opened, 1);
    world.pass(300);
    assert_eq!(pool.stats().idle, 0);
}

#[test]
fn time_in_use_is_not_idle_time() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    let lease = world.connect(&pool);
    world.pass(5_000);
    drop(lease);
    world.pass(900);
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn fifo_and_lifo_those_that_have_been_idle_longest_go_wherever_they_stand() {
    for lifo in [false, true] {
        let world = World::new();
        let pool = world
            .pool::<Queue>(|builder| builder.pool_size(3).idle_timeout(Duration::from_millis(1_000)).use_lifo(lifo));
        let [a, b, c] = [(); 3].map(|()| world.connect(&pool));
        drop(b);
        world.pass(400);
        drop(a);
        world.pass(400);
        drop(c);
        world.trace();
        world.pass(325);
        assert_eq!(world.trace(), "close 1", "lifo: {lifo}");
        world.pass(400);
        assert_eq!(world.trace(), "close 0", "lifo: {lifo}");
    }
}

#[test]
fn with_min_idle_too_those_go_that_have_been_idle_longest() {
    for lifo in [false, true] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| {
            builder.pool_size(3).max_overflow(0).idle_timeout(Duration::from_secs(30)).min_idle(1).use_lifo(lifo)
        });
        let mut leases = [(); 3].map(|()| Some(world.connect(&pool)));
        for number in [1, 2, 0] {
            drop(leases[number].take());
            world.pass(1_000);
        }
        world.pass(60_000);
        assert_eq!(pool.stats().idle, 1, "lifo: {lifo}");
        assert_eq!(world.connect(&pool).number, 0, "lifo: {lifo}");
    }
}

#[test]
fn connections_that_were_returned_at_different_times_are_closed_at_different_times() {
    let world = World::new();
    let pool =
        world.pool::<Queue>(|builder| builder.pool_size(3).max_overflow(0).idle_timeout(Duration::from_secs(30)));
    for lease in [(); 3].map(|()| world.connect(&pool)) {
        drop(lease);
        world.pass(10_000);
    }
    let live = [5_000, 10_000, 10_000].map(|ms| {
        world.pass(ms);
        world.log.open.get()
    });
    assert_eq!(live, [2, 1, 0]);
}

#[test]
fn no_timer_runs_without_idle_connections_before_the_first_return_and_after_the_last_close() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    let lease = world.connect(&pool);
    world.time.run();
    assert_eq!(world.time.timers(), 0);
    drop(lease);
    world.time.run();
    assert_eq!(world.time.timers(), 1);
    world.pass(1_500);
    assert_eq!(world.time.timers(), 0);
}

#[test]
fn a_busy_pool_sets_few_timers_not_one_for_every_return() {
    let world = World::new();
    let runtime = Dial::new(&world.time);
    let builder = QueuePool::builder(world.manager()).idle_timeout(Duration::from_secs(30));
    let pool = builder.build_on(runtime.clone()).unwrap();
    for _ in 0..1_000 {
        let lease = world.run(pool.connect()).unwrap();
        world.run(lease.close());
    }
    let sleeps = runtime.sleeps.get();
    assert!((1..=10).contains(&sleeps), "{sleeps}");
}

#[test]
fn while_it_is_being_closed_it_counts_against_the_maximum_a_waiter_is_served_when_it_has_ended() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    fill(&world, &pool, 1);
    world.closes([Script::takes(200)]);
    world.pass(1_130);
    assert_eq!(pool.stats().closing, 1);
    let waiter = world.wait(&pool);
    world.pass(200);
    assert_eq!(world.served(waiter).number, 1);
    assert_eq!(world.log.most_open.get(), 1);
}

#[test]
fn a_close_that_fails_or_hangs_is_reported_and_its_slot_ends_anyway() {
    for (script, word) in [(Script::Fails("bye"), "bye"), (Script::Hangs, "late")] {
        let world = World::new();
        let pool = pool(&world, 1, 0);
        fill(&world, &pool, 1);
        world.closes([script]);
        world.pass(2_000);
        assert_eq!(world.trace(), format!("closing(0), close 0, error(close: {word})"));
        assert_eq!(pool.stats().total, 0);
    }
}

#[test]
fn an_emptied_slot_is_not_closed_again_and_counts_for_no_min_idle() {
    let world = World::new();
    let pool = pool(&world, 2, 1);
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    drop(first);
    world.run(second.invalidate());
    world.trace();
    world.pass(100_000);
    assert_eq!(world.trace(), "");
    assert_eq!((pool.stats().idle, world.log.open.get()), (1, 1));
    let _leases = [(); 2].map(|()| world.connect(&pool));
}

#[test]
fn what_is_stale_goes_in_its_time_like_the_rest() {
    let world = World::new();
    let pool = pool(&world, 2, 0);
    fill(&world, &pool, 2);
    pool.invalidate();
    world.pass(900);
    assert_eq!(world.trace(), "");
    world.pass(300);
    assert_eq!(world.trace().matches("close ").count(), 2);
    assert_eq!((pool.stats().total, world.log.open.get()), (0, 0));
}

#[test]
fn what_warm_opened_is_idle_from_then_on() {
    let world = World::new();
    let pool = pool(&world, 3, 0);
    world.run(pool.warm(3)).unwrap();
    world.pass(900);
    assert_eq!(pool.stats().idle, 3);
    world.pass(300);
    assert_eq!(pool.stats().idle, 0);
}

#[test]
fn what_an_opening_brings_whose_caller_has_left_is_idle_from_then_on() {
    let world = World::new();
    let pool = pool(&world, 1, 0);
    world.opens([Script::takes(10)]);
    drop(world.wait(&pool));
    world.pass(10);
    assert_eq!(pool.stats().idle, 1);
    world.pass(1_200);
    assert_eq!(pool.stats().idle, 0);
}

#[test]
fn dispose_and_close_leave_no_timer_behind() {
    for closes in [false, true] {
        let world = World::new();
        let pool = pool(&world, 2, 0);
        fill(&world, &pool, 2);
        if closes {
            world.run(pool.close());
        } else {
            world.run(pool.dispose());
        }
        world.time.run();
        assert_eq!(world.time.timers(), 0, "closes: {closes}");
    }
}

#[test]
fn recreate_carries_idle_timeout_and_min_idle() {
    let world = World::new();
    let pool = pool(&world, 3, 1).recreate();
    fill(&world, &pool, 3);
    world.pass(2_000);
    assert_eq!(pool.stats().idle, 1);
}

// Not here: a runtime ends with the future that it runs, whatever task still sleeps.
// - its timer does not keep the process alive
// - a caller that waits keeps the process alive beside it, and no longer than it waits
