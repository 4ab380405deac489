//! Many notices at once, and foreign code between them.

use crate::fakes::{Dial, Of, Script, Waiter, World};
use edgepool::{Error, Patience, Pool, Queue, QueuePool, ResetStyle, Runtime, Static, Within};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

fn closes_of_one_tick(takes: u32) {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(0).idle_timeout(Duration::from_millis(1_000)));
    let leases: Vec<_> = (0..5_000).map(|_| world.connect(&pool)).collect();
    drop(leases);
    if takes > 0 {
        world.closes((0..5_000).map(|_| Script::takes(takes)));
    }
    world.pass(1_500);
    assert_eq!((world.log.open.get(), pool.stats().total), (0, 0));
}

#[test]
fn all_of_5_000_closes_that_are_due_in_one_tick_happen_with_a_driver_that_is_synchronous() {
    closes_of_one_tick(0);
}

#[test]
fn all_of_5_000_closes_that_are_due_in_one_tick_happen_with_a_driver_that_is_asynchronous() {
    closes_of_one_tick(5);
}

#[test]
fn all_of_5_000_leases_that_close_does_not_wait_for_are_ended_with_a_driver_that_is_synchronous() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(0));
    let leases: Vec<_> = (0..5_000).map(|_| world.connect(&pool)).collect();
    world.run(pool.close_within(Patience { time: Some(Duration::from_millis(20)), drain: false }));
    assert!(leases.iter().all(|lease| !lease.is_valid()));
    drop(leases);
    world.time.run();
    assert_eq!((world.log.open.get(), pool.stats().total), (0, 0));
}

#[test]
fn a_close_listener_of_dispose_that_asks_for_a_connection_takes_no_waiters_place() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(2).max_overflow(0));
    let [idle, held] = [(); 2].map(|()| world.connect(&pool));
    drop(idle);
    let (own, time, asked) = (pool.clone(), world.time.clone(), RefCell::new(Vec::new()));
    world.within(move |event| {
        if event == "closing" {
            let pool = own.clone();
            let mut waiter = Box::pin(async move { pool.connect().await });
            let _ = time.poll_once(waiter.as_mut());
            asked.borrow_mut().push(waiter);
        }
    });
    world.closes([Script::takes(5)]);
    drop(pool.dispose());
    let waiter = world.wait(&pool);
    drop(held);
    world.log.within.take();
    drop(world.run(waiter).unwrap());
}

#[test]
fn a_listener_of_a_dead_connection_that_returns_leases_finds_every_waiter_in_its_place() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(2).max_overflow(0));
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    let waiters = [world.wait(&pool), world.wait(&pool)];
    let kept = RefCell::new(Some(second));
    world.within(move |event| {
        if event == "invalidate" {
            drop(kept.take());
        }
    });
    world.dies(0, Some("gone"));
    drop(first);
    for waiter in waiters {
        let lease = world.run(waiter).unwrap();
        std::mem::forget(lease);
    }
}

#[test]
fn a_static_pools_caller_whose_connection_dies_in_its_checkout_listener_gets_a_lease_of_the_next() {
    let world = World::new();
    let pool = world.listened::<Static>(|builder| builder);
    drop(world.connect(&pool));
    let log = world.log.clone();
    let died = std::cell::Cell::new(false);
    world.within(move |event| {
        if event == "checkout" && !died.replace(true) {
            let watch = log.watches.borrow()[0].clone();
            watch.died(None);
        }
    });
    let lease = world.connect(&pool);
    assert!(lease.is_valid());
    assert_eq!(lease.number, 1);
}

/// A caller that is asked for once, and then waits as a task.
fn ask<R: Runtime>(pool: &Pool<Queue, crate::fakes::Fake, R>, runtime: &R, ms: u64, answered: &Rc<Cell<u32>>) {
    let (own, answered) = (pool.clone(), answered.clone());
    let within = Within { timeout: Some(Duration::from_millis(ms)), ..Within::default() };
    let mut caller = Box::pin(async move {
        let answer = own.connect_within(within).await;
        answered.set(answered.get() + 1);
        drop(answer);
    });
    if caller.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        runtime.spawn(caller);
    }
}

#[test]
fn a_call_that_outlasts_its_time_in_its_synchronous_part_and_then_hangs_has_timed_out() {
    for place in ["open", "ping", "reset", "close"] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| {
            let builder = builder.pool_size(1).max_overflow(0).timeout(Duration::from_secs(5)).pre_ping(true);
            let builder = builder.driver_timeout(Duration::from_secs(30)).ping_timeout(Duration::from_secs(5));
            builder.reset_on_return(ResetStyle::Session)
        });
        let answered = Rc::default();
        let mut lease = (place != "open").then(|| world.connect(&pool));
        if place != "reset" {
            drop(lease.take());
            world.time.run();
        }
        let (own, time, count) = (pool.clone(), world.time.clone(), Rc::clone(&answered));
        // The clock goes on while the call does not return, and no timer can ring.
        *world.log.in_call.borrow_mut() = Some(Box::new(move || {
            ask(&own, &time, 10_000, &count);
            time.block(Duration::from_secs(31));
            // Anything that looks at the clock while the call has not returned.
            ask(&own, &time, 1, &count);
            ask(&own, &time, 1, &count);
        }));
        match place {
            "open" => world.opens([Script::Hangs]),
            "ping" => world.pings([Script::Hangs]),
            "reset" => world.resets([Script::Hangs]),
            _ => world.closes([Script::Hangs]),
        }
        match place {
            "reset" => drop(lease),
            "close" => drop(pool.dispose()),
            _ => ask(&pool, &world.time, 5_000, &answered),
        }
        world.pass(200_000);
        assert!(world.log.in_call.borrow().is_none(), "{place} is not called");
        let callers = if matches!(place, "open" | "ping") { 4 } else { 3 };
        assert_eq!(answered.get(), callers, "{place}: a caller waits for ever");
        drop(world.connect(&pool));
        world.time.run();
        let stats = pool.stats();
        assert_eq!((stats.used, stats.opening, stats.closing, stats.idle), (0, 0, 0, 1), "{place}");
        world.run(pool.close());
        world.pass(100);
        assert_eq!((world.log.open.get(), world.time.timers()), (0, 0), "{place}");
    }
}

#[derive(Default)]
struct Asked {
    pool: Option<Of<Queue>>,
    callers: Vec<Waiter<'static>>,
}

thread_local! {
    static ASKED: RefCell<Asked> = RefCell::default();
}

/// A waker that asks for connections when it wakes, and when it is dropped.
struct Asks;

impl Asks {
    fn ask() {
        let pool = ASKED.with_borrow(|asked| asked.pool.clone().filter(|_| asked.callers.len() < 2));
        let Some(pool) = pool else { return };
        let mut caller: Waiter<'static> = Box::pin(async move { pool.connect().await });
        assert!(caller.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending(), "it is served");
        ASKED.with_borrow_mut(|asked| asked.callers.push(caller));
    }
}

impl std::task::Wake for Asks {
    fn wake(self: Arc<Self>) {
        Self::ask();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        Self::ask();
    }
}

impl Drop for Asks {
    fn drop(&mut self) {
        Self::ask();
    }
}

#[test]
fn a_waker_that_calls_the_pool_as_it_wakes_or_is_dropped_takes_no_waiters_place() {
    for end in ["a grant", "a refusal", "an abort"] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).timeout(Duration::from_secs(1)));
        let lease = world.connect(&pool);
        ASKED.set(Asked { pool: Some(pool.clone()), callers: Vec::new() });
        let mut waiter = Box::pin(pool.connect());
        let waker = Waker::from(Arc::new(Asks));
        assert!(waiter.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        world.pass(100);
        let within = Within { timeout: Some(Duration::from_secs(10)), ..Within::default() };
        let mut other = Box::pin(pool.connect_within(within));
        assert!(world.poll(other.as_mut()).is_none());
        match end {
            "a grant" => {
                drop(lease);
                drop(world.served(waiter));
            }
            "a refusal" => {
                world.pass(1_000);
                assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Timeout(_)))));
                drop(lease);
            }
            _ => {
                drop(waiter);
                drop(lease);
            }
        }
        let asked = ASKED.take().callers;
        assert!(!asked.is_empty(), "{end}: the waker was not called");
        drop(world.served(other));
        for caller in asked {
            drop(world.run(caller).unwrap());
        }
        assert_eq!((pool.stats().idle, pool.stats().waiting), (1, 0), "{end}");
    }
}

/// The clock asks for a connection in the `nth` call of this method. Returns whether there was one.
fn with_clock_that_asks(method: &'static str, nth: u32, ages: bool) -> bool {
    let note = format!("{method} {nth}, ages: {ages}");
    let world = World::new();
    let dial = Dial::new(&world.time);
    let builder = QueuePool::builder(world.manager()).pool_size(1).max_overflow(0).timeout(Duration::from_secs(1));
    // If the pool looks at ages, the clock is read before each step.
    let builder = if ages {
        builder.recycle(Duration::from_secs(60)).recycle_jitter(0.5).idle_timeout(Duration::from_secs(60))
    } else {
        builder
    };
    let pool = builder.reset_on_return(ResetStyle::Session).build_on(dial.clone()).unwrap();
    let (own, runtime, calls) = (pool.clone(), dial.clone(), Cell::new(0));
    let (asked, answered) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
    let (has_asked, count) = (asked.clone(), answered.clone());
    *dial.within.borrow_mut() = Some(Rc::new(move |what| {
        if what == method && calls.replace(calls.get() + 1) == nth {
            has_asked.set(true);
            ask(&own, &runtime, 10_000, &count);
        }
    }));
    let lease = world.run(pool.connect()).unwrap();
    let within = Within { deadline: Some(Duration::from_millis(500)), ..Within::default() };
    let mut first = Box::pin(pool.connect());
    let mut hasty = Box::pin(pool.connect_within(within));
    let mut last = Box::pin(pool.connect());
    assert!(world.poll(first.as_mut()).is_none(), "{note}");
    assert!(world.poll(hasty.as_mut()).is_none(), "{note}");
    assert!(world.poll(last.as_mut()).is_none(), "{note}");
    world.pass(600);
    assert!(matches!(world.poll(hasty.as_mut()), Some(Err(Error::Timeout(_)))), "{note}");
    drop(lease);
    drop(world.run(first).expect("the first in the queue"));
    drop(world.run(last).expect("the last in the queue"));
    world.pass(3_000);
    assert_eq!(answered.get(), u32::from(asked.get()), "{note}: a caller waits for ever");
    let stats = pool.stats();
    assert_eq!((stats.used, stats.idle, stats.waiting), (0, 1, 0), "{note}");
    asked.get()
}

#[test]
fn a_clock_that_calls_the_pool_while_it_is_read_or_set_takes_no_waiters_place() {
    for ages in [false, true] {
        for method in ["now", "sleep"] {
            let calls = (0..200).take_while(|&nth| with_clock_that_asks(method, nth, ages)).count();
            assert!((1..200).contains(&calls), "{method}: {calls}");
        }
    }
}

// Not here: a pool of the Rust host has one scope.
// - a scope that ends in the turn in which its waiter is woken refuses that waiter
// Not here: `terminate` is not awaited.
// - all of 5,000 leases that close() does not wait for are ended, with a driver that is asynchronous =
//     all_of_5_000_leases_that_close_does_not_wait_for_are_ended_with_a_driver_that_is_synchronous
// Not here: the Rust host has no log.
// - a logger that asks for connections at a hand-over takes no waiter's place
// Not here: a caller of Rust leaves by its drop. What the pool calls for it is its waker.
// - a signal that calls the pool while it is listened to, or left, takes no waiter's place =
//     a_waker_that_calls_the_pool_as_it_wakes_or_is_dropped_takes_no_waiters_place
// - a signal that refuses a listener costs its caller the lease, and the pool nothing
// - a signal that is aborted while its caller joins the queue refuses that caller
