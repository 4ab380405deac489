//! A pool belongs to the request or Durable Object of Workers in which it is used first, unless it crosses requests.

use crate::fakes::{Call, Fake, Script, World};
use edgepool::{Error, Place, QueuePool, Runtime, Task, VirtualTime};
use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// A runtime whose code runs where the test says. 0: outside of all requests.
#[derive(Clone)]
struct Contexts {
    time: VirtualTime,
    current: Rc<Cell<u32>>,
    crosses: bool,
}

struct Context {
    number: u32,
    current: Rc<Cell<u32>>,
}

impl Place for Context {
    fn is_here(&self) -> bool {
        self.current.get() == self.number
    }
}

impl Runtime for Contexts {
    type Sleep = <VirtualTime as Runtime>::Sleep;
    type Place = Context;

    fn now(&self) -> f64 {
        self.time.now()
    }

    fn sleep(&self, ms: u32) -> Self::Sleep {
        self.time.sleep(ms)
    }

    fn spawn(&self, task: Task) {
        self.time.spawn(task);
    }

    fn place(&self) -> Option<Context> {
        let number = self.current.get();
        (number > 0).then(|| Context { number, current: self.current.clone() })
    }

    fn can_cross(&self) -> bool {
        self.crosses
    }
}

type Pool = QueuePool<Fake, Contexts>;

/// A pool of one connection, used first in the context 1.
fn pool(world: &World) -> (Pool, Contexts) {
    let contexts = Contexts { time: world.time.clone(), current: Rc::new(Cell::new(1)), crosses: true };
    let builder = QueuePool::builder(world.manager()).pool_size(1).max_overflow(0);
    (builder.build_on(contexts.clone()).expect("valid options"), contexts)
}

fn crossing(world: &World) -> (Pool, Contexts) {
    let contexts = Contexts { time: world.time.clone(), current: Rc::new(Cell::new(1)), crosses: true };
    let builder = QueuePool::builder(world.manager()).pool_size(1).max_overflow(0).crosses_requests();
    (builder.build_on(contexts.clone()).expect("valid options"), contexts)
}

#[test]
fn a_pool_is_refused_in_another_request_with_the_words_of_javascript() {
    let world = World::new();
    let (pool, contexts) = pool(&world);
    drop(world.run(pool.connect()).unwrap());
    contexts.current.set(2);
    let Err(error) = world.run(pool.connect()) else { panic!("it belongs to another request") };
    assert_eq!(error.code(), "ERR_POOL_INVALID_REQUEST");
    assert!(error.to_string().starts_with("the pool pool belongs to another request or Durable Object"), "{error}");
    assert!(world.run(pool.warm(1)).is_err());
    contexts.current.set(1);
    assert!(world.run(pool.connect()).is_ok());
}

#[test]
fn a_pool_is_refused_outside_of_any_request_and_belongs_to_the_first_request_afterwards() {
    let world = World::new();
    let (pool, contexts) = pool(&world);
    contexts.current.set(0);
    let Err(error) = world.run(pool.connect()) else { panic!("there is no request") };
    assert!(matches!(error, Error::Nowhere { .. }));
    assert!(error.to_string().contains("was used outside of any request"), "{error}");
    contexts.current.set(3);
    assert!(world.run(pool.connect()).is_ok());
}

#[test]
fn a_lease_is_refused_in_another_request() {
    let world = World::new();
    let (pool, contexts) = pool(&world);
    let lease = world.run(pool.connect()).unwrap();
    assert!(lease.check().is_ok());
    contexts.current.set(2);
    let Err(error) = lease.check() else { panic!("it belongs to another request") };
    assert!(error.to_string().starts_with("this connection of the pool pool belongs to another request"), "{error}");
    assert!(!lease.is_valid());
    contexts.current.set(1);
    assert!(lease.is_valid());
}

#[test]
fn a_lease_that_is_let_go_in_another_request_comes_back_at_the_next_call_in_its_own() {
    let world = World::new();
    let (pool, contexts) = pool(&world);
    let mut lease = world.run(pool.connect()).unwrap();
    lease.in_transaction = true;
    world.log.take();
    contexts.current.set(2);
    drop(lease);
    world.time.run();
    assert_eq!((world.log.take(), pool.stats().used), (vec![], 1));
    contexts.current.set(1);
    let next = world.run(pool.connect()).unwrap();
    assert!(!next.in_transaction);
    assert_eq!(next.number, 0);
}

#[test]
fn a_lease_that_is_invalidated_in_another_request_is_terminated_in_its_own() {
    let world = World::new();
    let (pool, contexts) = pool(&world);
    let lease = world.run(pool.connect()).unwrap();
    world.log.take();
    contexts.current.set(2);
    world.run(lease.invalidate());
    assert_eq!(world.log.take(), []);
    contexts.current.set(1);
    assert_eq!(world.run(pool.connect()).unwrap().number, 1);
    assert_eq!(world.log.take()[0], Call::Terminate(0));
}

#[test]
fn a_waiter_is_refused_in_another_request_and_leaves_the_queue_at_the_next_call_in_its_own() {
    let world = World::new();
    let (pool, contexts) = pool(&world);
    let held = world.run(pool.connect()).unwrap();
    let mut waiting = Box::pin(pool.connect());
    assert!(world.poll(waiting.as_mut()).is_none());
    contexts.current.set(2);
    assert!(matches!(world.poll(waiting.as_mut()), Some(Err(Error::Elsewhere { .. }))));
    drop(waiting);
    contexts.current.set(1);
    drop(held);
    assert!(world.run(pool.connect()).is_ok());
    world.time.run();
    assert_eq!((pool.stats().waiting, pool.stats().idle), (0, 1));
}

#[test]
fn the_drop_of_a_pool_in_another_request_touches_no_connection() {
    let world = World::new();
    let (pool, contexts) = pool(&world);
    drop(world.run(pool.connect()).unwrap());
    world.log.take();
    contexts.current.set(2);
    world.run(pool.close());
    world.run(pool.dispose());
    drop(pool);
    world.pass(100_000);
    assert_eq!(world.log.take(), []);
}

#[test]
fn a_pool_that_crosses_requests_serves_all_of_them() {
    let world = World::new();
    let (pool, contexts) = crossing(&world);
    let held = world.run(pool.connect()).unwrap();
    contexts.current.set(2);
    let mut waiting = pin!(pool.connect());
    assert!(world.poll(waiting.as_mut()).is_none());
    contexts.current.set(1);
    drop(held);
    contexts.current.set(2);
    assert_eq!(world.poll(waiting).expect("it was served").unwrap().number, 0);
}

#[test]
fn a_waiter_of_a_pool_that_crosses_requests_has_a_timer_of_its_own() {
    let world = World::new();
    let (pool, contexts) = crossing(&world);
    let _held = world.run(pool.connect()).unwrap();
    contexts.current.set(2);
    let within = edgepool::Within { timeout: Some(Duration::from_secs(5)), ..Default::default() };
    let mut waiting = pin!(pool.connect_within(within));
    assert!(world.poll(waiting.as_mut()).is_none());
    // Nothing but the caller itself is polled.
    let mut polls = 0;
    while world.time.poll_once(waiting.as_mut()).is_pending() {
        world.time.pass(Duration::from_millis(500));
        polls += 1;
    }
    // A late ring waits for a turn first.
    assert!((10..=12).contains(&polls), "{polls}");
    assert_eq!(pool.stats().timed_out, 1);
}

#[test]
fn an_opening_of_a_pool_that_crosses_requests_goes_on_if_its_caller_is_polled_no_more() {
    let world = World::new();
    let (pool, contexts) = crossing(&world);
    world.log.open_scripts.borrow_mut().push_back(Script::takes(10));
    let mut first = Box::pin(pool.connect());
    assert!(world.poll(first.as_mut()).is_none());
    contexts.current.set(2);
    world.pass(10);
    assert_eq!(pool.stats().opening, 0);
    // The request of the caller has ended: nothing polls or drops its future. Its lease is out for good.
    std::mem::forget(first);
    assert_eq!(pool.stats().used, 1);
}

#[test]
fn a_pool_that_crosses_requests_is_refused_by_name_if_the_host_cannot() {
    let world = World::new();
    let contexts = Contexts { time: world.time.clone(), current: Rc::new(Cell::new(1)), crosses: false };
    let Err(error) = QueuePool::builder(world.manager()).crosses_requests().build_on(contexts) else {
        panic!("it cannot");
    };
    assert_eq!(error.method(), "crosses_requests");
    assert!(error.to_string().contains("compatibility date 2025-06-30"), "{error}");
}
