//! The pool for Rust programs on JavaScript: its promises, timers and tasks, in Node and in a browser.
//! What does not depend on the runtime is tested natively in tests/host.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, reason = "test functions speak through their names")]

use edgepool::{
    AssertionPool, Background, Error, Events, Manager, Patience, QueuePool, Rejection, StaticPool, TimeoutStep, Watch,
    Within,
};
use js_sys::Promise;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use wasm_bindgen_test::wasm_bindgen_test;

#[derive(Debug)]
struct Failure(&'static str);

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl std::error::Error for Failure {}

/// Opens counters. The next openings take so long, or fail.
#[derive(Default)]
struct Numbers {
    opens_in_ms: Cell<u32>,
    fails: Cell<bool>,
    hangs_in_reset: Cell<bool>,
    opened: Cell<u32>,
    open: Rc<Cell<u32>>,
    watches: RefCell<Vec<Watch<Self>>>,
}

struct Number {
    value: u32,
    open: Rc<Cell<u32>>,
}

impl Drop for Number {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
    }
}

impl Manager for Numbers {
    type Connection = Number;
    type Error = Failure;

    async fn open(&self, watch: Watch<Self>) -> Result<Number, Failure> {
        if self.opens_in_ms.get() > 0 {
            sleep(self.opens_in_ms.get()).await;
        }
        if self.fails.take() {
            return Err(Failure("no route"));
        }
        self.opened.set(self.opened.get() + 1);
        self.open.set(self.open.get() + 1);
        self.watches.borrow_mut().push(watch);
        Ok(Number { value: 0, open: self.open.clone() })
    }

    async fn reset(&self, _: &mut Number, _: edgepool::Reset) -> Result<(), Failure> {
        if self.hangs_in_reset.get() {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

async fn sleep(ms: u32) {
    edgepool::Runtime::sleep(&edgepool::JavaScript, ms).await;
}

/// One turn of the microtasks.
async fn turn() {
    JsFuture::from(Promise::resolve(&JsValue::UNDEFINED)).await.expect("a promise that is resolved");
}

/// Waits until it is so, however busy the machine is.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        sleep(1).await;
    }
}

fn pool() -> QueuePool<Numbers> {
    QueuePool::builder(Numbers::default()).pool_size(1).max_overflow(0).build().expect("valid options")
}

fn poll_once<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[wasm_bindgen_test]
async fn a_waiter_has_the_connection_that_comes_back() {
    let pool = pool();
    let mut first = pool.connect().await.expect("it is free");
    first.value += 1;
    let waiter = pool.clone();
    spawn_local(async move {
        let mut second = waiter.connect().await.expect("it comes back");
        second.value += 1;
    });
    // The task begins in a microtask.
    turn().await;
    assert_eq!(pool.stats().waiting, 1);
    first.close().await;
    assert_eq!(pool.connect().await.expect("it comes back").value, 2);
}

#[wasm_bindgen_test]
async fn waiters_are_served_in_their_order() {
    let pool = pool();
    let held = pool.connect().await.expect("it is free");
    let order = Rc::new(RefCell::new(Vec::new()));
    for number in 0..5 {
        let (pool, order) = (pool.clone(), order.clone());
        spawn_local(async move {
            let lease = pool.connect().await.expect("it comes back");
            order.borrow_mut().push(number);
            turn().await;
            lease.close().await;
        });
    }
    turn().await;
    assert_eq!(pool.stats().waiting, 5);
    drop(held);
    drop(pool.connect().await.expect("it comes back"));
    assert_eq!(*order.borrow(), [0, 1, 2, 3, 4]);
}

#[wasm_bindgen_test]
async fn a_caller_that_waited_for_timeout_is_refused_with_the_pools_numbers() {
    let pool = QueuePool::builder(Numbers::default())
        .pool_size(1)
        .max_overflow(0)
        .timeout(Duration::from_millis(30))
        .build()
        .expect("valid options");
    let line = line!() + 1;
    let _held = pool.connect().await.expect("it is free");
    let Err(Error::Timeout(timeout)) = pool.connect().await else { panic!("no connection came free") };
    assert_eq!((timeout.step, timeout.option, timeout.timeout_ms), (TimeoutStep::Wait, "timeout", 30.0));
    assert_eq!((timeout.stats.used, timeout.stats.max, timeout.counts.size), (1, 1.0, 1));
    assert_eq!(timeout.longest_held[0].taken_at.map(|taken_at| taken_at.line()), Some(line));
    assert_eq!(pool.stats().timed_out, 1);
}

#[wasm_bindgen_test]
async fn a_calls_own_deadline_ends_its_wait() {
    let pool = pool();
    let _held = pool.connect().await.expect("it is free");
    let within = Within { deadline: Some(Duration::from_millis(10)), ..Within::default() };
    let Err(Error::Timeout(timeout)) = pool.connect_within(within).await else { panic!("no connection came free") };
    assert_eq!((timeout.option, timeout.timeout_ms), ("deadline", 10.0));
}

#[wasm_bindgen_test]
async fn an_opening_that_takes_too_long_is_dropped() {
    let pool = QueuePool::builder(Numbers::default())
        .pool_size(1)
        .open_timeout(Duration::from_millis(10))
        .build()
        .expect("valid options");
    pool.manager().opens_in_ms.set(60_000);
    let Err(Error::Timeout(timeout)) = pool.connect().await else { panic!("it opened") };
    assert_eq!((timeout.step, timeout.option), (TimeoutStep::Open, "open_timeout"));
    pool.manager().opens_in_ms.set(0);
    drop(pool.connect().await.expect("it opens"));
    assert_eq!(pool.manager().opened.get(), 1);
}

#[wasm_bindgen_test]
async fn a_caller_that_is_dropped_leaves_the_queue() {
    let pool = pool();
    let held = pool.connect().await.expect("it is free");
    {
        let mut waiting = pin!(pool.connect());
        assert!(poll_once(waiting.as_mut()).is_pending());
        assert_eq!(pool.stats().waiting, 1);
    }
    assert_eq!((pool.stats().waiting, pool.stats().aborted), (0, 1));
    held.close().await;
    assert_eq!(pool.stats().idle, 1);
}

#[wasm_bindgen_test]
async fn an_opening_goes_on_for_the_pool_if_its_caller_is_dropped() {
    let pool = pool();
    pool.manager().opens_in_ms.set(10);
    {
        let mut waiting = pin!(pool.connect());
        assert!(poll_once(waiting.as_mut()).is_pending());
    }
    until(|| pool.stats().idle == 1).await;
    assert_eq!(pool.manager().opened.get(), 1);
}

#[wasm_bindgen_test]
async fn a_served_caller_that_is_dropped_gives_the_connection_to_the_next() {
    let pool = pool();
    let held = pool.connect().await.expect("it is free");
    let mut next = Box::pin(pool.connect());
    {
        let mut first = pin!(pool.connect());
        assert!(poll_once(first.as_mut()).is_pending());
        assert!(poll_once(next.as_mut()).is_pending());
        drop(held);
    }
    assert_eq!(next.await.expect("it is served").value, 0);
}

#[wasm_bindgen_test]
async fn the_end_of_a_pool_waits_for_its_leases_and_refuses_its_waiters() {
    let pool = pool();
    let held = pool.connect().await.expect("it is free");
    let refused = Rc::new(Cell::new(false));
    let (waiter, flag) = (pool.clone(), refused.clone());
    spawn_local(async move {
        flag.set(matches!(waiter.connect().await, Err(Error::Closed { .. })));
    });
    turn().await;
    spawn_local(async move {
        sleep(5).await;
        held.close().await;
    });
    pool.close().await;
    assert!(refused.get());
    assert_eq!((pool.stats().total, pool.manager().open.get()), (0, 0));
    let error = pool.connect().await.expect_err("it is closed");
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("ERR_POOL_CLOSED", "the pool pool is closed: close() was called on it")
    );
}

#[wasm_bindgen_test]
async fn a_close_that_drains_serves_its_waiters() {
    let pool = pool();
    let held = pool.connect().await.expect("it is free");
    let served = Rc::new(Cell::new(false));
    let (waiter, flag) = (pool.clone(), served.clone());
    spawn_local(async move { flag.set(waiter.connect().await.is_ok()) });
    turn().await;
    spawn_local(async move { held.close().await });
    pool.close_within(Patience { drain: true, ..Patience::default() }).await;
    assert!(served.get());
}

#[wasm_bindgen_test]
async fn a_lease_that_outlives_the_patience_of_a_close_is_ended() {
    let pool = pool();
    let held = pool.connect().await.expect("it is free");
    pool.close_within(Patience { time: Some(Duration::from_millis(10)), drain: false }).await;
    assert!(!held.is_valid());
    drop(held);
    assert_eq!(pool.manager().open.get(), 0);
}

#[derive(Default)]
struct Log(RefCell<Vec<String>>);

struct Listener(Rc<Log>);

impl Listener {
    fn note(&self, event: &str) {
        self.0.0.borrow_mut().push(event.to_owned());
    }
}

impl Events<Numbers> for Listener {
    fn first_connect(&self, _: &mut Number) -> Result<(), Rejection<Failure>> {
        self.note("first_connect");
        Ok(())
    }

    fn connect(&self, _: &mut Number) -> Result<(), Rejection<Failure>> {
        self.note("connect");
        Ok(())
    }

    fn checkout(&self, number: &mut Number) -> Result<(), Rejection<Failure>> {
        self.note("checkout");
        if number.value == 7 {
            return Err(Rejection::Disconnected { error: Failure("seven"), pool: false });
        }
        Ok(())
    }

    fn reset(&self, _: &mut Number) {
        self.note("reset");
    }

    fn checkin(&self, number: Option<&mut Number>) {
        self.note(if number.is_some() { "checkin" } else { "checkin of none" });
    }

    fn invalidate(&self, _: Option<&mut Number>, error: Option<&Rc<Failure>>) {
        self.note(&format!("invalidate: {}", error.map_or("none", |error| error.0)));
    }

    fn close(&self, _: Option<&mut Number>) {
        self.note("close");
    }

    fn error(&self, background: Background, error: Option<&Rc<Failure>>) {
        self.note(&format!("error in {background:?}: {}", error.map_or("late", |error| error.0)));
    }
}

#[wasm_bindgen_test]
async fn listeners_see_each_event_in_its_order_and_may_refuse_a_connection() {
    let log = Rc::new(Log::default());
    let pool =
        QueuePool::builder(Numbers::default()).pool_size(1).events(Listener(log.clone())).build().expect("options");
    let mut lease = pool.connect().await.expect("it opens");
    lease.value = 7;
    lease.close().await;
    assert_eq!(log.0.take(), ["first_connect", "connect", "checkout", "reset", "checkin"]);
    let lease = pool.connect().await.expect("it is replaced");
    assert_eq!(lease.value, 0);
    assert_eq!(log.0.take(), ["checkout", "invalidate: seven", "close", "connect", "checkout"]);
    lease.invalidate_because(Failure("bad")).await;
    assert_eq!(log.0.take(), ["invalidate: bad", "close", "checkin of none"]);
    pool.manager().fails.set(true);
    let error = pool.connect().await.expect_err("it does not open");
    assert!(matches!(&error, Error::Manager(error) if error.0 == "no route"));
    assert_eq!((error.code(), error.to_string().as_str()), ("ERR_POOL_MANAGER", "no route"));
}

#[wasm_bindgen_test]
async fn a_reset_that_hangs_holds_its_caller_for_return_timeout() {
    let log = Rc::new(Log::default());
    let pool = QueuePool::builder(Numbers::default())
        .pool_size(1)
        .driver_timeout(Duration::from_millis(30))
        .return_timeout(Duration::from_millis(5))
        .events(Listener(log.clone()))
        .build()
        .expect("valid options");
    let lease = pool.connect().await.expect("it opens");
    pool.manager().hangs_in_reset.set(true);
    lease.close().await;
    assert_eq!(pool.stats().returning, 1);
    until(|| pool.stats().returning == 0).await;
    assert_eq!(pool.manager().open.get(), 0);
    assert!(log.0.borrow().contains(&"error in Reset: late".to_owned()));
}

#[wasm_bindgen_test]
async fn a_connection_that_dies_is_replaced() {
    let pool = pool();
    pool.connect().await.expect("it opens").close().await;
    let watch = pool.manager().watches.borrow()[0].clone();
    watch.died(Some(Failure("gone")));
    assert_eq!((pool.stats().total, pool.manager().open.get()), (0, 0));
    drop(pool.connect().await.expect("it opens"));
    assert_eq!(pool.manager().opened.get(), 2);
}

#[wasm_bindgen_test]
async fn an_idle_connection_is_closed_in_its_time() {
    let pool = QueuePool::builder(Numbers::default())
        .pool_size(1)
        .idle_timeout(Duration::from_millis(20))
        .build()
        .expect("valid options");
    pool.connect().await.expect("it opens").close().await;
    assert_eq!(pool.stats().idle, 1);
    until(|| pool.stats().idle == 0).await;
    assert_eq!(pool.manager().open.get(), 0);
}

#[wasm_bindgen_test]
async fn the_other_kinds_share_or_refuse() {
    let shared = StaticPool::builder(Numbers::default()).build().expect("valid options");
    let (first, second) = (shared.connect().await.expect("it opens"), shared.connect().await.expect("it is shared"));
    assert!(std::ptr::eq(&*first, &*second));
    let alone = AssertionPool::builder(Numbers::default()).build().expect("valid options");
    let _lease = alone.connect().await.expect("it opens");
    let error = alone.connect().await.expect_err("it is lent");
    assert!(matches!(error, Error::InUse { taken_at: Some(_), .. }));
    assert_eq!(error.code(), "ERR_POOL_ASSERTION");
}

#[wasm_bindgen_test]
async fn a_hundred_tasks_on_two_connections_never_meet_on_one() {
    let pool = QueuePool::builder(Numbers::default()).pool_size(2).max_overflow(0).build().expect("valid options");
    let done = Rc::new(Cell::new(0));
    for _ in 0..100 {
        let (pool, done) = (pool.clone(), done.clone());
        spawn_local(async move {
            for _ in 0..10 {
                let used = pool.use_with(async |lease| {
                    let before = lease.value;
                    turn().await;
                    assert_eq!(lease.value, before);
                    lease.value += 1;
                    Ok::<_, Error<Failure>>(())
                });
                used.await.expect("it is served");
            }
            done.set(done.get() + 1);
        });
    }
    until(|| done.get() == 100).await;
    assert_eq!((pool.stats().checkouts, pool.manager().opened.get()), (1000, 2));
}
