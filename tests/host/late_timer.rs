//! Timers that ring late, because the thread was busy.

use crate::fakes::{Of, Script, World};
use edgepool::{Error, Queue, QueuePool, Runtime, Task, TimeoutStep, VirtualTime, Within};
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

fn pool(world: &World) -> Of<Queue> {
    world.pool(|builder| {
        builder
            .pool_size(1)
            .max_overflow(0)
            .timeout(Duration::from_millis(100))
            .driver_timeout(Duration::from_millis(100))
            .pre_ping(true)
            .ping_timeout(Duration::from_millis(100))
    })
}

fn block(world: &World) {
    world.time.block(Duration::from_millis(500));
}

#[test]
fn a_waiter_is_served_if_its_connection_comes_back_right_after_the_block() {
    let world = World::new();
    let pool = pool(&world);
    let held = world.connect(&pool);
    let waiter = world.wait(&pool);
    block(&world);
    drop(held);
    world.pass(1);
    drop(world.served(waiter));
}

#[test]
fn waiters_are_served_in_order_and_those_for_whom_nothing_comes_back_are_refused() {
    let world = World::new();
    let pool = pool(&world);
    let held = world.connect(&pool);
    let first = world.wait(&pool);
    let mut second = world.wait(&pool);
    block(&world);
    drop(held);
    let _lease = world.served(first);
    world.pass(200);
    assert!(matches!(world.poll(second.as_mut()), Some(Err(Error::Timeout(_)))));
}

#[test]
fn a_waiter_is_refused_within_50_ms_after_the_block_if_nothing_comes_back() {
    let world = World::new();
    let pool = pool(&world);
    let _held = world.connect(&pool);
    let mut waiter = world.wait(&pool);
    block(&world);
    world.pass(50);
    let Some(Err(Error::Timeout(timeout))) = world.poll(waiter.as_mut()) else { panic!("it waits") };
    assert_eq!(timeout.step, TimeoutStep::Wait);
}

#[test]
fn a_loop_that_is_always_blocked_still_times_out() {
    let world = World::new();
    let pool = pool(&world);
    let _held = world.connect(&pool);
    let mut waiter = world.wait(&pool);
    for _ in 0..10 {
        world.time.block(Duration::from_millis(60));
        world.pass(1);
    }
    assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Timeout(_)))));
}

#[test]
fn a_call_during_the_block_or_right_after_it_refuses_no_waiter() {
    let world = World::new();
    let pool = pool(&world);
    let held = world.connect(&pool);
    let mut waiter = world.wait(&pool);
    world.pass(10);
    block(&world);
    // Each asks for a tick: the timer that runs is too long for its time.
    let others = [1, 5].map(|ms| {
        let within = Within { timeout: Some(Duration::from_millis(ms)), ..Within::default() };
        let mut other = Box::pin(pool.connect_within(within));
        assert!(world.time.poll_once(other.as_mut()).is_pending());
        other
    });
    assert!(world.time.poll_once(waiter.as_mut()).is_pending());
    drop(held);
    drop(world.served(waiter));
    drop(others);
}

#[test]
fn a_deadline_that_passed_during_the_block_still_gives_what_has_come() {
    let world = World::new();
    let pool =
        world.pool::<Queue>(|builder| builder.pool_size(1).driver_timeout(None).deadline(Duration::from_millis(400)));
    world.opens([Script::takes(450)]);
    let waiter = world.wait(&pool);
    block(&world);
    world.pass(1);
    drop(world.served(waiter));
}

#[test]
fn a_caller_that_goes_on_with_what_came_back_gets_none_that_has_grown_too_old_meanwhile() {
    let world = World::new();
    let pool =
        world.listened::<Queue>(|builder| builder.pool_size(2).max_overflow(0).recycle(Duration::from_millis(1_000)));
    let lease = world.connect(&pool);
    world.opens([Script::Hangs]);
    let mut waiter = world.wait(&pool);
    world.pass(900);
    world.trace();
    // Not run yet: the caller has the connection, and goes on with it after the block.
    drop(lease);
    block(&world);
    assert_eq!(world.run(waiter.as_mut()).unwrap().number, 1);
    let trace = world.trace();
    assert!(trace.contains("closing(0), terminate 0, open, connect(1)"), "{trace}");
}

#[test]
fn an_opening_a_ping_and_a_reset_whose_answer_comes_right_after_the_block_are_in_time() {
    let world = World::new();
    let pool = pool(&world);
    world.opens([Script::takes(10)]);
    let waiter = world.wait(&pool);
    block(&world);
    world.pass(1);
    let mut lease = world.served(waiter);
    lease.in_transaction = true;
    world.resets([Script::takes(10)]);
    drop(lease);
    block(&world);
    world.pass(1);
    assert_eq!(pool.stats().idle, 1);
    world.pings([Script::takes(10)]);
    let waiter = world.wait(&pool);
    block(&world);
    world.pass(1);
    assert_eq!(world.served(waiter).number, 0);
    assert_eq!(pool.stats().opened, 1);
}

#[test]
fn a_listener_that_panics_in_the_timer_takes_the_time_from_no_one() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| {
        let builder = builder.pool_size(1).max_overflow(0).timeout(Duration::from_millis(100));
        builder.hold_limit(Duration::from_millis(50))
    });
    let _held = world.connect(&pool);
    world.within(|event| assert_ne!(event, "held", "a panic"));
    let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.pass(60)));
    assert!(passed.is_err());
    world.log.within.take();
    assert!(matches!(world.refused(&pool), Error::Timeout(_)));
}

type Kept = Rc<RefCell<Option<Task>>>;

/// A runtime whose tasks end with it, while its pools live on.
#[derive(Clone)]
struct Ended {
    time: VirtualTime,
    tasks: Rc<RefCell<Vec<Kept>>>,
}

impl Runtime for Ended {
    type Sleep = <VirtualTime as Runtime>::Sleep;
    type Place = <VirtualTime as Runtime>::Place;

    fn now(&self) -> f64 {
        self.time.now()
    }

    fn sleep(&self, ms: u32) -> Self::Sleep {
        self.time.sleep(ms)
    }

    fn spawn(&self, task: Task) {
        let task = Rc::new(RefCell::new(Some(task)));
        self.tasks.borrow_mut().push(task.clone());
        self.time.spawn(Box::pin(poll_fn(move |context| match &mut *task.borrow_mut() {
            Some(task) => task.as_mut().poll(context),
            None => Poll::Ready(()),
        })));
    }

    fn place(&self) -> Option<Self::Place> {
        self.time.place()
    }
}

#[test]
fn a_pool_that_outlives_the_tasks_of_its_runtime_sets_its_timer_again() {
    let world = World::new();
    let runtime = Ended { time: world.time.clone(), tasks: Rc::default() };
    let builder = QueuePool::builder(world.manager()).pool_size(1).max_overflow(0);
    let pool = builder.timeout(Duration::from_millis(100)).build_on(runtime.clone()).unwrap();
    let _held = world.run(pool.connect()).unwrap();
    let mut waiter = Box::pin(pool.connect());
    assert!(world.poll(waiter.as_mut()).is_none());
    drop(waiter);
    for task in runtime.tasks.take() {
        drop(task.take());
    }
    assert!(matches!(world.run(pool.connect()), Err(Error::Timeout(_))));
}

// Not here: a listener of Rust is not awaited, so no time passes in it.
// - an opening, a ping, a listener and a reset whose answer comes right after the block are in time =
//     an_opening_a_ping_and_a_reset_whose_answer_comes_right_after_the_block_are_in_time
// Not here: an opening that has run out of its time is dropped, so nothing of it comes late.
// - a connection that came too late is closed once, also if its close takes too long in one go =
//     a_connection_that_would_open_too_late_is_not_opened_and_no_caller_gets_it
