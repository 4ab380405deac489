//! Connections without I/O: numbers. A manager that is no database.

use edgepool::{JavaScript, Lease, Manager, OptionError, QueuePool, Watch};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;
use worker::Delay;

pub(crate) struct Numbers {
    next: Cell<u32>,
    takes_ms: u64,
}

impl Numbers {
    pub(crate) fn slow(takes_ms: u64) -> Self {
        Self { next: Cell::new(0), takes_ms }
    }
}

pub(crate) struct Number {
    pub(crate) number: u32,
}

impl Manager for Numbers {
    type Connection = Number;
    type Error = Infallible;

    async fn open(&self, _: Watch<Self>) -> Result<Number, Infallible> {
        if self.takes_ms > 0 {
            Delay::from(Duration::from_millis(self.takes_ms)).await;
        }
        Ok(Number { number: self.next.replace(self.next.get() + 1) })
    }
}

/// Three of them. `crosses`: for all requests of the isolate.
pub(crate) fn pool(crosses: bool) -> Result<QueuePool<Numbers>, OptionError> {
    let builder = QueuePool::builder(Numbers::slow(0)).pool_size(3).max_overflow(0);
    if crosses { builder.crosses_requests().build() } else { builder.build() }
}

thread_local! {
    static KEPT: RefCell<Vec<Lease<Numbers, JavaScript>>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn keep(lease: Lease<Numbers, JavaScript>) {
    KEPT.with_borrow_mut(|kept| kept.push(lease));
}

pub(crate) fn return_all() -> usize {
    let kept = KEPT.take();
    kept.len()
}

/// Opens by a checkout from the same pool.
struct Within {
    pool: Rc<RefCell<Option<QueuePool<Self>>>>,
}

impl Manager for Within {
    type Connection = ();
    type Error = edgepool::Error<Infallible>;

    async fn open(&self, _: Watch<Self>) -> Result<(), Self::Error> {
        let pool = self.pool.borrow().clone();
        let Some(pool) = pool else { return Ok(()) };
        match pool.connect().await {
            Ok(_) => Ok(()),
            Err(_) => Err(edgepool::Error::Closed { pool: "within".into() }),
        }
    }
}

/// A pool of one connection whose opening waits for that connection ends by its time.
pub(crate) async fn opens_within() -> String {
    let place = Rc::new(RefCell::new(None));
    let pool = QueuePool::builder(Within { pool: place.clone() })
        .pool_size(1)
        .max_overflow(0)
        .timeout(Duration::from_millis(50))
        .build();
    let Ok(pool) = pool else { return "no pool".into() };
    *place.borrow_mut() = Some(pool.clone());
    let result = pool.connect().await;
    place.borrow_mut().take();
    match result {
        Ok(_) => "opened".into(),
        Err(error) => format!("{}; {} in the pool", error.code(), pool.stats().total),
    }
}
