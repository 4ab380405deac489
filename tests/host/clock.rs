//! The clock and the one timer.

use crate::fakes::{Fake, Script, Waiter, World};
use edgepool::{Error, Lease, Queue, QueuePool, Runtime, Task, VirtualTime, Within};
use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

#[test]
fn reading_numbers_uses_no_time_either() {
    let world = World::new();
    let pool = world.queue(1);
    let readings = world.time.readings();
    let _ = (pool.stats(), pool.counts(), pool.status(), pool.is_closed());
    assert_eq!((world.time.readings(), world.time.timers()), (readings, 0));
}

#[test]
fn while_no_caller_waits_for_anything_no_timer_runs_and_no_clock_is_read() {
    let world = World::new();
    let pool = world.queue(2);
    drop(world.connect(&pool));
    world.time.run();
    let readings = world.time.readings();
    for _ in 0..100 {
        drop(world.connect(&pool));
    }
    assert_eq!((world.time.readings(), world.time.timers()), (readings, 0));
}

#[test]
fn one_timer_serves_every_waiter_opening_and_reset_whatever_their_times() {
    let world = World::new();
    let pool = world.queue(2);
    let _held = world.connect(&pool);
    world.opens([Script::Hangs]);
    let _opening = world.wait(&pool);
    let mut waiters: Vec<_> = (1..50)
        .map(|at| {
            let within = Within { timeout: Some(Duration::from_secs(at)), ..Within::default() };
            Box::pin(pool.connect_within(within))
        })
        .collect();
    for waiter in &mut waiters {
        assert!(world.poll(waiter.as_mut()).is_none());
    }
    world.time.run();
    assert_eq!(world.time.timers(), 1);
}

#[test]
fn the_timer_is_gone_when_the_last_waiter_is_served_refused_or_aborted() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let leaving = world.wait(&pool);
    let served = world.wait(&pool);
    world.time.run();
    assert_eq!(world.time.timers(), 1);
    drop(leaving);
    drop(held);
    let lease = world.served(served);
    world.pass(30_000);
    assert_eq!(world.time.timers(), 0);
    drop(lease);
}

#[test]
fn a_timer_ends_with_its_pool() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.idle_timeout(Duration::from_secs(60)));
    drop(world.connect(&pool));
    world.time.run();
    assert_eq!(world.time.timers(), 1);
    drop(pool);
    world.time.run();
    assert_eq!((world.time.timers(), world.log.open.get()), (0, 0));
}

#[test]
fn a_checkout_that_is_served_at_once_reads_the_clock_only_for_a_deadline_that_is_finite() {
    let world = World::new();
    let pool = world.queue(1);
    drop(world.connect(&pool));
    let readings = world.time.readings();
    drop(world.run(pool.connect()).unwrap());
    assert_eq!(world.time.readings(), readings);
    let within = Within { deadline: Some(Duration::from_secs(1)), ..Within::default() };
    drop(world.run(pool.connect_within(within)).unwrap());
    assert!(world.time.readings() > readings);
}

#[test]
fn timers_that_fire_late_do_no_harm() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    world.time.block(Duration::from_secs(29));
    world.pass(500);
    drop(held);
    drop(world.served(waiter));
}

#[test]
fn a_constructor_sets_no_timer_reads_no_clock_and_draws_no_random_number_the_hosts_included() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| {
        let builder = builder.min(3).idle_timeout(Duration::from_secs(1)).deadline(Duration::from_secs(1));
        builder.max_age(Duration::from_secs(60)).recycle_jitter(0.5).open_retry(3)
    });
    let again = pool.recreate();
    world.time.run();
    assert_eq!((world.time.readings(), world.time.timers(), world.trace().as_str()), (0, 0, ""));
    for pool in [pool, again] {
        assert!(world.poll(pin!(pool.close())).is_some());
    }
}

#[test]
fn pools_that_are_made_at_once_have_random_numbers_of_their_own() {
    let world = World::new();
    let pools: Vec<_> = (0..10)
        .map(|_| world.pool::<Queue>(|builder| builder.max_age(Duration::from_secs(10)).recycle_jitter(1.0)))
        .collect();
    for pool in &pools {
        drop(world.connect(pool));
    }
    world.pass(5_000);
    let left = pools.iter().filter(|pool| pool.stats().idle == 1).count();
    assert!((1..10).contains(&left), "{left}");
}

#[test]
fn the_timer_is_gone_when_the_last_call_into_the_driver_has_ended() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::takes(5)]);
    world.resets([Script::takes(5)]);
    let caller = world.wait(&pool);
    // The pool's own, and that of the manager.
    assert_eq!(world.time.timers(), 2);
    world.pass(5);
    let mut lease = world.served(caller);
    world.time.run();
    assert_eq!(world.time.timers(), 0);
    lease.in_transaction = true;
    let mut closing = pin!(lease.close());
    assert!(world.poll(closing.as_mut()).is_none());
    assert_eq!(world.time.timers(), 2);
    world.pass(5);
    assert!(world.poll(closing).is_some());
    world.time.run();
    assert_eq!(world.time.timers(), 0);
}

/// A runtime whose clock shows what a test wants, and whose sleeps take this part of their time. It counts them.
#[derive(Clone)]
struct Odd {
    time: VirtualTime,
    shows: Rc<dyn Fn(f64) -> f64>,
    part: f64,
    sleeps: Rc<Cell<u32>>,
}

impl Odd {
    fn clock(world: &World, shows: impl Fn(f64) -> f64 + 'static) -> Self {
        Self { time: world.time.clone(), shows: Rc::new(shows), part: 1.0, sleeps: Rc::default() }
    }

    fn sleeps(world: &World, part: f64) -> Self {
        Self { part, ..Self::clock(world, |ms| ms) }
    }

    /// A pool of one connection.
    fn pool(&self, world: &World, timeout_ms: u64) -> QueuePool<Fake, Self> {
        let builder = QueuePool::builder(world.manager()).pool_size(1).max_overflow(0);
        builder.timeout(Duration::from_millis(timeout_ms)).build_on(self.clone()).unwrap()
    }
}

impl Runtime for Odd {
    type Sleep = <VirtualTime as Runtime>::Sleep;
    type Place = <VirtualTime as Runtime>::Place;

    fn now(&self) -> f64 {
        (self.shows)(self.time.now())
    }

    fn sleep(&self, ms: u32) -> Self::Sleep {
        self.sleeps.set(self.sleeps.get() + 1);
        self.time.sleep((f64::from(ms) * self.part).ceil() as u32)
    }

    fn spawn(&self, task: Task) {
        self.time.spawn(task);
    }

    fn place(&self) -> Option<Self::Place> {
        self.time.place()
    }
}

type OddWaiter<'pool> = Waiter<'pool, Lease<Fake, Odd>>;

fn waits<'pool>(world: &World, pool: &'pool QueuePool<Fake, Odd>) -> OddWaiter<'pool> {
    let mut waiter: OddWaiter<'pool> = Box::pin(pool.connect());
    assert!(world.waits(&mut waiter), "it is served at once");
    waiter
}

fn has_timed_out(world: &World, waiter: &mut OddWaiter<'_>) -> bool {
    match world.poll(waiter.as_mut()) {
        None => false,
        Some(Err(Error::Timeout(_))) => true,
        Some(_) => panic!("it was served, or refused otherwise"),
    }
}

#[test]
fn a_busy_queue_sets_few_timers_far_fewer_than_it_has_callers() {
    let world = World::new();
    let runtime = Odd::sleeps(&world, 1.0);
    let pool = runtime.pool(&world, 30_000);
    let _held = world.run(pool.connect()).unwrap();
    let readings = world.time.readings();
    let mut waiters: Vec<_> = (0..5_000).map(|_| waits(&world, &pool)).collect();
    assert!(runtime.sleeps.get() <= 2, "{} timers", runtime.sleeps.get());
    assert!(world.time.readings() - readings <= 4, "{} readings", world.time.readings() - readings);
    world.pass(40_000);
    assert!(waiters.iter_mut().all(|waiter| has_timed_out(&world, waiter)));
    assert!(runtime.sleeps.get() <= 20, "{} timers", runtime.sleeps.get());
}

#[test]
fn timers_that_fire_late_or_early_do_no_harm() {
    for part in [0.1, 0.9, 1.5] {
        let world = World::new();
        let pool = Odd::sleeps(&world, part).pool(&world, 1_000);
        let _held = world.run(pool.connect()).unwrap();
        let mut waiter = waits(&world, &pool);
        let start_ms = world.time.now_ms();
        while !has_timed_out(&world, &mut waiter) {
            world.pass(1);
            assert!(world.time.now_ms() - start_ms < 3_000.0, "{part}: it still waits");
        }
        let took_ms = world.time.now_ms() - start_ms;
        assert!(took_ms >= 1_000.0, "{part}: {took_ms}");
        world.time.run();
        assert_eq!(world.time.timers(), 0);
    }
}

#[test]
fn a_clock_that_goes_back_costs_nothing_or_a_small_step_at_most_itself() {
    for (back_ms, costs_ms) in [(50.0, 50), (1_500.0, 0), (3_600_000.0, 0)] {
        let world = World::new();
        let offset_ms = Rc::new(Cell::new(0.0));
        let shown = offset_ms.clone();
        let pool = Odd::clock(&world, move |ms| ms - shown.get()).pool(&world, 1_000);
        world.pass(10_000);
        let _held = world.run(pool.connect()).unwrap();
        let mut waiter = waits(&world, &pool);
        world.pass(500);
        offset_ms.set(back_ms);
        world.pass(499);
        assert!(!has_timed_out(&world, &mut waiter), "back by {back_ms}: early");
        world.pass(21 + costs_ms);
        assert!(has_timed_out(&world, &mut waiter), "back by {back_ms}: late");
        let mut next = waits(&world, &pool);
        world.pass(1_020);
        assert!(has_timed_out(&world, &mut next), "the next, back by {back_ms}: late");
    }
}

#[test]
fn a_timer_that_rings_tells_the_time_if_the_clock_stands_still() {
    for ms in [50, 1_000, 30_000] {
        let world = World::new();
        let pool = Odd::clock(&world, |_| 12_345.6).pool(&world, ms);
        let _held = world.run(pool.connect()).unwrap();
        let mut waiter = waits(&world, &pool);
        world.pass(ms - 6);
        assert!(!has_timed_out(&world, &mut waiter), "{ms} ms: early");
        world.pass(6 + (ms / 50).max(10));
        assert!(has_timed_out(&world, &mut waiter), "{ms} ms: late");
    }
}

#[test]
fn a_reading_that_is_no_finite_number_counts_for_nothing() {
    for reading in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
        let world = World::new();
        let is_odd = Rc::new(Cell::new(false));
        let odd = is_odd.clone();
        let pool = Odd::clock(&world, move |ms| if odd.get() { reading } else { ms }).pool(&world, 1_000);
        let _held = world.run(pool.connect()).unwrap();
        let mut waiter = waits(&world, &pool);
        world.pass(10);
        is_odd.set(true);
        world.pass(100);
        is_odd.set(false);
        world.pass(800);
        assert!(!has_timed_out(&world, &mut waiter), "{reading}: early");
        world.pass(1_000);
        assert!(has_timed_out(&world, &mut waiter), "{reading}: late");
    }
}

#[test]
fn a_time_that_ends_later_keeps_the_timer_of_the_host_and_ends_neither_late_nor_early() {
    let world = World::new();
    let runtime = Odd::sleeps(&world, 1.0);
    let builder = QueuePool::builder(world.manager()).pool_size(2).max_overflow(0).timeout(Duration::from_secs(2));
    let builder = builder.idle_timeout(Duration::from_secs(10)).hold_limit(Duration::from_secs(60));
    let pool = builder.build_on(runtime.clone()).unwrap();
    let mut leases = VecDeque::from([(); 2].map(|()| world.run(pool.connect()).unwrap()));
    for _ in 0..50 {
        let waiter = waits(&world, &pool);
        drop(leases.pop_front());
        leases.push_back(world.served(waiter));
    }
    assert!(runtime.sleeps.get() < 10, "{} timers", runtime.sleeps.get());
    let mut waiter = waits(&world, &pool);
    world.pass(1_900);
    assert!(!has_timed_out(&world, &mut waiter));
    world.pass(200);
    assert!(has_timed_out(&world, &mut waiter));
    drop(leases);
    world.pass(9_900);
    assert_eq!(pool.stats().idle, 2);
    world.pass(300);
    assert_eq!((pool.stats().idle, world.time.timers()), (0, 0));
}

// Not here: the clock of a Runtime must not call the pool.
// - a timer that rings tells its own time once, and not that of a timer that was set since
// Not here: a sleep of a Runtime cannot fail. Where Workers refuse timers they refuse the pool, too.
// - a clock whose timers cannot be set costs the caller an error, never the pool
// Not here: no timer of a Rust program holds its process.
// - the timer holds the process while a caller waits, and not for anything else
