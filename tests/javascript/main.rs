//! The pool for Rust programs on JavaScript: its promises and its timers. Runs in Node and in headless Chromium
//! (`wasm-pack test`); what does not depend on the runtime is tested natively in tests/host.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, reason = "test functions speak through their names")]

use edgepool::{Error, Manager, QueuePool, Watch};
use js_sys::Promise;
use std::convert::Infallible;
use std::time::Duration;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use wasm_bindgen_test::wasm_bindgen_test;

struct Numbers;

impl Manager for Numbers {
    type Connection = u32;
    type Error = Infallible;

    async fn open(&self, _: Watch<Self>) -> Result<u32, Infallible> {
        Ok(0)
    }
}

fn pool() -> QueuePool<Numbers> {
    QueuePool::builder(Numbers)
        .pool_size(1)
        .max_overflow(0)
        .timeout(Duration::from_millis(20))
        .build()
        .expect("valid options")
}

#[wasm_bindgen_test]
async fn a_waiter_has_the_connection_that_comes_back() {
    let pool = pool();
    let mut first = pool.connect().await.expect("it is free");
    *first += 1;
    let waiter = pool.clone();
    spawn_local(async move {
        let mut second = waiter.connect().await.expect("it comes back");
        *second += 1;
    });
    // The task begins in a microtask.
    JsFuture::from(Promise::resolve(&JsValue::UNDEFINED)).await.expect("a promise that is resolved");
    assert_eq!(pool.stats().waiting, 1);
    first.close().await;
    assert_eq!(*pool.connect().await.expect("it comes back"), 2);
}

#[wasm_bindgen_test]
async fn a_caller_that_waited_for_timeout_is_refused() {
    let pool = pool();
    let _held = pool.connect().await.expect("it is free");
    assert!(matches!(pool.connect().await, Err(Error::Timeout(_))));
    assert_eq!(pool.stats().timed_out, 1);
}

#[wasm_bindgen_test]
async fn the_end_of_a_pool_waits_for_its_leases() {
    let pool = pool();
    let held = pool.connect().await.expect("it is free");
    spawn_local(async move { held.close().await });
    pool.close().await;
    assert_eq!(pool.stats().total, 0);
}
