//! `timeout`: how long a caller waits for a connection.

use crate::fakes::{Of, Script, Waiter, World};
use edgepool::{Error, Queue, Runtime, TimeoutStep, VirtualTime, Within};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

fn pool(world: &World, timeout: impl Into<Option<Duration>>) -> Of<Queue> {
    world.pool(|builder| builder.pool_size(1).max_overflow(0).timeout(timeout))
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn own(time: Duration) -> Within {
    Within { timeout: Some(time), ..Within::default() }
}

#[test]
fn a_waiter_is_refused_after_the_timeout_with_the_pools_own_error() {
    let world = World::new();
    let pool = pool(&world, ms(5_000));
    let _held = world.connect(&pool);
    let error = world.refused(&pool);
    assert_eq!(error.code(), "ERR_POOL_TIMEOUT");
    world.assert_time(5_000.0);
    assert_eq!(pool.stats().timed_out, 1);
}

#[test]
fn a_timeout_of_any_length_is_never_early_and_late_by_at_most_a_fiftieth_or_10_ms() {
    for length in [1, 7, 60, 999, 30_000, 3_600_000] {
        for of_call in [false, true] {
            let world = World::new();
            let pool = pool(&world, if of_call { ms(1) } else { ms(length) });
            let _held = world.connect(&pool);
            let within = if of_call { own(ms(length)) } else { Within::default() };
            assert!(matches!(world.run(pool.connect_within(within)), Err(Error::Timeout(_))));
            world.assert_time(length as f64);
        }
    }
}

#[test]
fn each_of_many_waiters_that_come_at_odd_times_has_its_own_full_time() {
    let world = World::new();
    let pool = pool(&world, ms(1_000));
    let _held = world.connect(&pool);
    let mut waiters: Vec<(f64, Waiter<'_>)> = Vec::new();
    for at in 0..20 {
        waiters.push((world.time.now_ms(), world.wait(&pool)));
        world.pass(7 * at % 40);
    }
    while let Some((from_ms, mut waiter)) = (!waiters.is_empty()).then(|| waiters.remove(0)) {
        while world.poll(waiter.as_mut()).is_none() {
            world.pass(1);
        }
        let waited_ms = world.time.now_ms() - from_ms;
        assert!((1_000.0..=1_021.0).contains(&waited_ms), "{waited_ms}");
    }
}

#[test]
fn timeouts_of_single_calls_end_each_in_its_time_in_whatever_order_they_were_asked_for() {
    let world = World::new();
    let pool = pool(&world, None);
    let _held = world.connect(&pool);
    let mut waiters: Vec<(u64, Waiter<'_>)> =
        [300, 100, 200].map(|time| (time, Box::pin(pool.connect_within(own(ms(time)))) as Waiter<'_>)).into();
    for (_, waiter) in &mut waiters {
        assert!(world.waits(waiter));
    }
    waiters.sort_by_key(|(time, _)| *time);
    for (time, mut waiter) in waiters {
        while world.poll(waiter.as_mut()).is_none() {
            world.pass(1);
        }
        world.assert_time(time as f64);
    }
    assert_eq!(pool.stats().timed_out, 3);
}

#[test]
fn a_caller_that_is_served_in_time_is_not_refused_afterwards() {
    let world = World::new();
    let pool = pool(&world, ms(100));
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    world.pass(90);
    drop(held);
    world.pass(1_000);
    assert_eq!(world.served(waiter).number, 0);
}

#[test]
fn a_time_out_in_the_middle_of_the_queue_leaves_the_others_in_their_order() {
    let world = World::new();
    let pool = pool(&world, None);
    let held = world.connect(&pool);
    let first = world.wait(&pool);
    let mut middle: Waiter<'_> = Box::pin(pool.connect_within(own(ms(50))));
    assert!(world.waits(&mut middle));
    let mut last = world.wait(&pool);
    world.pass(60);
    assert!(matches!(world.poll(middle.as_mut()), Some(Err(Error::Timeout(_)))));
    drop(held);
    assert!(world.waits(&mut last));
    drop(world.served(first));
    drop(world.served(last));
}

#[test]
fn a_timeout_of_0_does_not_queue_at_all_an_idle_or_a_new_connection_or_the_error_at_once() {
    let world = World::new();
    let pool = pool(&world, Duration::ZERO);
    let lease = world.connect(&pool);
    assert!(matches!(world.refused(&pool), Error::Timeout(_)));
    assert_eq!((world.time.now_ms(), pool.stats().waited), (0.0, 0));
    drop(lease);
    drop(world.connect(&pool));
}

#[test]
fn a_calls_own_0_refuses_at_once_and_its_own_long_time_waits_on_whatever_the_pools_timeout() {
    let world = World::new();
    let pool = pool(&world, ms(100));
    let held = world.connect(&pool);
    assert!(matches!(world.run(pool.connect_within(own(Duration::ZERO))), Err(Error::Timeout(_))));
    assert_eq!(world.time.now_ms(), 0.0);
    let mut waiter: Waiter<'_> = Box::pin(pool.connect_within(own(Duration::MAX)));
    assert!(world.waits(&mut waiter));
    world.pass(100_000);
    assert!(world.waits(&mut waiter));
    drop(held);
    drop(world.served(waiter));
}

#[test]
fn a_timeout_of_null_waits_without_end_a_month_and_more() {
    let world = World::new();
    let pool = pool(&world, None);
    let held = world.connect(&pool);
    let mut waiter = world.wait(&pool);
    world.pass(40 * 24 * 3_600_000);
    assert!(world.waits(&mut waiter));
    drop(held);
    drop(world.served(waiter));
}

#[test]
fn the_timeout_covers_the_queue_not_the_opening() {
    let world = World::new();
    let pool = pool(&world, ms(100));
    world.opens([Script::takes(500)]);
    assert_eq!(world.connect(&pool).number, 0);
}

#[test]
fn the_timeout_ends_where_the_queue_ends_a_woken_waiter_may_open_for_longer() {
    let world = World::new();
    let pool = pool(&world, ms(100));
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    world.pass(90);
    world.opens([Script::takes(500)]);
    world.run(held.invalidate());
    world.pass(500);
    assert_eq!(world.served(waiter).number, 1);
}

#[test]
fn the_error_says_where_the_caller_stood_and_how_the_pool_did() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).timeout(ms(5_000)).name("orders"));
    let line = line!() + 1;
    let _held = world.run(pool.connect()).unwrap();
    let _other = world.wait(&pool);
    let Error::Timeout(timeout) = world.refused(&pool) else { panic!("it was in time") };
    assert_eq!((timeout.step, timeout.option, timeout.timeout_ms), (TimeoutStep::Wait, "timeout", 5_000.0));
    assert_eq!((timeout.stats.used, timeout.stats.max, timeout.counts.size), (1, 1.0, 1));
    let [held] = timeout.longest_held[..] else { panic!("one lease is out") };
    assert_eq!(held.taken_at.map(|taken_at| taken_at.line()), Some(line));
    let text = timeout.to_string();
    assert!(
        text.starts_with("no connection came free within 5000 ms (timeout) in the pool orders: 1 in use"),
        "{text}"
    );
    assert!(text.contains(&format!("(taken at {}:{line}:", file!())), "{text}");
}

#[test]
fn the_error_names_the_pools_timeout_or_the_calls_own_whichever_ran_out() {
    let world = World::new();
    let pool = pool(&world, ms(5_000));
    let _held = world.connect(&pool);
    let Err(Error::Timeout(timeout)) = world.run(pool.connect_within(own(ms(50)))) else { panic!("it was in time") };
    assert_eq!(timeout.timeout_ms, 50.0);
}

#[test]
fn the_error_lists_for_how_long_the_longest_held_leases_have_been_out_five_at_most() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(8).max_overflow(0).timeout(ms(1_000)));
    let _leases: Vec<_> = (0..8).map(|_| world.connect(&pool)).collect();
    let Error::Timeout(timeout) = world.refused(&pool) else { panic!("it was in time") };
    assert_eq!(timeout.longest_held.len(), 5);
    assert!(timeout.longest_held.iter().all(|held| held.ms >= 990), "{:?}", timeout.longest_held);
}

#[test]
fn max_waiters_refuses_one_caller_too_many_at_once_and_lets_the_next_in_when_a_place_is_free() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).max_waiters(1));
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    let Error::QueueFull { stats, .. } = world.refused(&pool) else { panic!("it has a place") };
    assert_eq!(stats.waiting, 1);
    drop(waiter);
    let waiter = world.wait(&pool);
    drop(held);
    drop(world.served(waiter));
}

#[test]
fn a_caller_that_would_be_refused_for_want_of_time_is_refused_so_even_if_the_queue_is_full() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).max_waiters(0));
    let _held = world.connect(&pool);
    assert!(matches!(world.run(pool.connect_within(own(Duration::ZERO))), Err(Error::Timeout(_))));
}

#[test]
fn a_duration_of_a_fraction_of_a_millisecond_is_rounded_up() {
    let world = World::new();
    let pool = pool(&world, Duration::from_micros(1_500));
    let _held = world.connect(&pool);
    world.refused(&pool);
    assert!(world.time.now_ms() >= 2.0);
}

#[test]
fn ten_thousand_waiters_that_time_out_together_all_do_and_the_pool_goes_on() {
    let world = World::new();
    let pool = pool(&world, ms(1_000));
    let held = world.connect(&pool);
    let mut waiters: Vec<_> = (0..10_000).map(|_| world.wait(&pool)).collect();
    world.pass(1_020);
    for waiter in &mut waiters {
        assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Timeout(_)))));
    }
    drop(held);
    drop(world.connect(&pool));
    assert_eq!((pool.stats().timed_out, pool.stats().waiting), (10_000, 0));
}

#[test]
fn the_error_of_a_time_out_names_the_connections_that_are_being_returned_and_for_how_long() {
    let world = World::new();
    let pool = pool(&world, ms(500));
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::Hangs]);
    world.pass(100);
    drop(lease);
    let Error::Timeout(timeout) = world.refused(&pool) else { panic!("it was in time") };
    assert_eq!((timeout.stats.used, timeout.stats.returning, timeout.longest_held.len()), (1, 1, 0));
    let text = timeout.to_string();
    let (_, rest) = text.split_once(": 1 in use (1 being returned, for at least ").expect(&text);
    let (since, _) = rest.split_once(" ms), 0 idle").expect(&text);
    assert!((500..=510).contains(&since.parse::<u32>().unwrap()), "{text}");
}

#[test]
fn without_a_connection_that_is_being_returned_the_error_of_a_time_out_names_none() {
    let world = World::new();
    let pool = pool(&world, ms(500));
    let _held = world.connect(&pool);
    let text = world.refused(&pool).to_string();
    assert!(text.contains(": 1 in use, 0 idle"), "{text}");
}

#[test]
fn the_same_holds_for_the_timeout_of_one_call() {
    // Up to the longest time that is a limit, of more than twelve days.
    for length in [1, 7, 50, 129, 333, 1_000, 45_678, 1_073_741_823] {
        for pools in [Some(ms(1)), Some(ms(30_000)), None] {
            let world = World::new();
            let pool = pool(&world, pools);
            let _held = world.connect(&pool);
            let Err(Error::Timeout(timeout)) = world.run(pool.connect_within(own(ms(length)))) else { panic!() };
            assert_eq!(timeout.timeout_ms, length as f64);
            world.assert_time(length as f64);
        }
    }
}

#[test]
fn a_pools_timeout_of_0_lets_a_call_wait_that_asks_to() {
    let world = World::new();
    let pool = pool(&world, Duration::ZERO);
    let held = world.connect(&pool);
    let mut waiter: Waiter<'_> = Box::pin(pool.connect_within(own(ms(1_000))));
    assert!(world.waits(&mut waiter));
    drop(held);
    assert_eq!(world.served(waiter).number, 0);
}

#[test]
fn a_waiter_without_limit_leaves_the_others_theirs() {
    let world = World::new();
    let pool = pool(&world, ms(1_000));
    let _held = world.connect(&pool);
    let mut patient: Waiter<'_> = Box::pin(pool.connect_within(own(Duration::MAX)));
    assert!(world.waits(&mut patient));
    assert!(matches!(world.refused(&pool), Error::Timeout(_)));
    world.assert_time(1_000.0);
    assert!(world.waits(&mut patient));
}

#[test]
fn max_waiters_of_0_lets_no_caller_wait() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).max_waiters(0));
    let held = world.connect(&pool);
    assert!(matches!(world.refused(&pool), Error::QueueFull { .. }));
    assert_eq!(world.time.now_ms(), 0.0);
    drop(held);
    assert_eq!(world.connect(&pool).number, 0);
}

#[test]
fn a_caller_that_leaves_the_queue_by_its_drop_or_a_time_out_makes_room_in_it() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).max_waiters(1).timeout(ms(1_000)));
    let _held = world.connect(&pool);
    drop(world.wait(&pool));
    let mut late = world.wait(&pool);
    assert!(matches!(world.refused(&pool), Error::QueueFull { .. }));
    world.pass(1_020);
    assert!(matches!(world.poll(late.as_mut()), Some(Err(Error::Timeout(_)))));
    let _last = world.wait(&pool);
}

/// A runtime whose clock shows so many milliseconds more than has passed.
#[derive(Clone)]
struct Stepping {
    time: VirtualTime,
    more_ms: Rc<Cell<f64>>,
}

impl Runtime for Stepping {
    type Sleep = <VirtualTime as Runtime>::Sleep;
    type Place = <VirtualTime as Runtime>::Place;

    fn now(&self) -> f64 {
        self.time.now() + self.more_ms.get()
    }

    fn sleep(&self, ms: u32) -> Self::Sleep {
        self.time.sleep(ms)
    }

    fn spawn(&self, task: edgepool::Task) {
        self.time.spawn(task);
    }

    fn place(&self) -> Option<Self::Place> {
        self.time.place()
    }
}

/// When a waiter is refused whose clock shows `from` more at first, and `then` after `at` milliseconds.
fn refused_at(timeout: u64, from: f64, at: u64, then: f64) -> f64 {
    let world = World::new();
    let runtime = Stepping { time: world.time.clone(), more_ms: Rc::new(Cell::new(from)) };
    let builder = edgepool::QueuePool::builder(world.manager()).pool_size(1).max_overflow(0).timeout(ms(timeout));
    let pool = builder.build_on(runtime.clone()).unwrap();
    let held = world.run(pool.connect()).unwrap();
    let mut waiter = Box::pin(pool.connect());
    assert!(world.poll(waiter.as_mut()).is_none());
    world.pass(at);
    runtime.more_ms.set(then);
    let Err(Error::Timeout(_)) = world.run(waiter) else { panic!("it is served") };
    drop(held);
    assert_eq!((pool.stats().idle, pool.stats().waiting), (1, 0));
    world.time.now_ms()
}

#[test]
fn a_clock_that_steps_back_stands_still_until_it_has_caught_up_nothing_ends_early() {
    let at_ms = refused_at(1_000, 0.0, 300, -500.0);
    assert!((1_000.0..=1_520.0).contains(&at_ms), "{at_ms}");
}

#[test]
fn a_clock_with_fractions_of_milliseconds_ends_nothing_early() {
    for fraction in [0.1, 0.5, 0.999] {
        for timeout in [1, 10, 129, 1_000] {
            // The fraction shrinks: a little less time has passed than the timer says.
            let waited_ms = refused_at(timeout, fraction, 1, 0.0) - fraction;
            let length = timeout as f64;
            let latest = length + (length / 50.0).max(10.0) + 1.0;
            assert!(waited_ms >= length - fraction && waited_ms <= latest, "{timeout} ms: {waited_ms}");
        }
    }
}

// Not here: a call without a time of its own has the pool's, so the longest Duration stands for null.
// - a call's own 0 refuses at once and its own null waits on, whatever the pool's timeout
//   = a_calls_own_0_refuses_at_once_and_its_own_long_time_waits_on_whatever_the_pools_timeout

// Not here: a caller without a signal leaves by its drop.
// - a caller that leaves the queue through a signal or a time-out makes room in it
//   = a_caller_that_leaves_the_queue_by_its_drop_or_a_time_out_makes_room_in_it
