//! The boundary, from the Rust side of it: options in, words and numbers out. Runs in Node and in headless Chromium
//! (`wasm-pack test`); what the pool decides is tested natively in tests/policy.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, reason = "test functions speak through their names")]

use edgepool::bindings::{self, Core};
use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;

const ASLEEP: i32 = 1 << 30;
const INDEX: i32 = (1 << 20) - 1;
const WAIT: i32 = 0;
const OPEN: i32 = 1;
const DONE: i32 = 7;
const OK: i32 = 0;

fn set(options: &Object, key: &str, value: impl Into<JsValue>) {
    Reflect::set(options, &key.into(), &value.into()).expect("a plain object takes any key");
}

fn get(object: &JsValue, key: &str) -> JsValue {
    Reflect::get(object, &key.into()).expect("a plain object answers any key")
}

/// The options as the shell completes them.
fn options() -> Object {
    let options = Object::new();
    set(&options, "poolSize", 1);
    set(&options, "maxOverflow", 0);
    set(&options, "maxWaiters", f64::INFINITY);
    set(&options, "timeout", 30_000);
    set(&options, "driverTimeout", 30_000);
    set(&options, "deadline", f64::INFINITY);
    set(&options, "useLifo", false);
    set(&options, "resetOnReturn", "none");
    options
}

fn core() -> Core {
    Core::new(options().into()).unwrap_or_else(|_| panic!("the options are complete"))
}

fn code(step_word: i32) -> i32 {
    !step_word & 15
}

/// Checks out of an empty pool and opens at once; answers the lease.
fn first_lease(core: &Core) -> i32 {
    let operation = !bindings::checkout(core.number());
    assert_eq!(code(core.resume(operation)), OPEN);
    let lease = core.advance(operation, OK);
    assert!(lease >= 0);
    lease
}

#[wasm_bindgen_test]
fn an_option_that_breaks_its_rule_is_named() {
    let bad: [(&str, JsValue); 14] = [
        ("poolSize", JsValue::from(-1)),
        ("poolSize", JsValue::from(1.5)),
        ("poolSize", JsValue::from("5")),
        ("poolSize", JsValue::from(f64::NAN)),
        ("poolSize", JsValue::NULL),
        ("maxOverflow", JsValue::from(-2)),
        ("maxOverflow", Object::new().into()),
        ("maxWaiters", JsValue::from(-1)),
        ("timeout", JsValue::from(f64::NAN)),
        ("timeout", JsValue::from(-1)),
        ("driverTimeout", JsValue::from("30s")),
        ("deadline", JsValue::from(true)),
        ("useLifo", JsValue::from(1)),
        ("resetOnReturn", JsValue::from("Rollback")),
    ];
    for (option, value) in bad {
        let options = options();
        set(&options, option, value);
        let refused = Core::new(options.into()).err().expect("a bad value is refused");
        assert_eq!(get(&refused, "option").as_string().as_deref(), Some(option));
    }
}

#[wasm_bindgen_test]
fn a_return_hands_the_lease_to_the_waiter_in_one_word() {
    let core = core();
    let lease = first_lease(&core);
    let waiter = !bindings::checkout(core.number());
    assert_eq!(code(core.resume(waiter)), WAIT);
    assert!(core.tick_wanted(), "the first waiter needs a timer");
    assert!(core.tick(0.0) > 0);
    let second = !bindings::checkout(core.number());
    assert_eq!(second & ASLEEP, ASLEEP, "the next one needs nothing");
    let handed_over = bindings::checkin(core.number(), lease, true) - 2;
    assert_eq!(handed_over & INDEX, waiter & INDEX);
    let granted = lease & INDEX | handed_over & !INDEX;
    assert!(granted >= 0 && granted != lease, "same slot, next generation");
    assert_eq!(bindings::checkin(core.number(), lease, true), 0, "the old handle is stale");
}

#[wasm_bindgen_test]
fn numbers_arrive_under_their_public_names() {
    let core = core();
    first_lease(&core);
    let stats = core.stats();
    for (name, value) in
        [("total", 1.0), ("used", 1.0), ("idle", 0.0), ("openFailed", 0.0), ("max", 1.0), ("timedOut", 0.0)]
    {
        assert_eq!(get(&stats, name).as_f64(), Some(value), "{name}");
    }
    let counts = core.counts();
    for (name, value) in [("size", 1.0), ("checkedIn", 0.0), ("overflow", 0.0), ("checkedOut", 1.0)] {
        assert_eq!(get(&counts, name).as_f64(), Some(value), "{name}");
    }
}

#[wasm_bindgen_test]
fn a_pool_without_limit_says_infinity() {
    let options = options();
    set(&options, "poolSize", 0);
    let core = Core::new(options.into()).unwrap_or_else(|_| panic!("0 is no limit"));
    assert_eq!(get(&core.stats(), "max").as_f64(), Some(f64::INFINITY));
}

#[wasm_bindgen_test]
async fn an_operation_survives_the_wait_for_a_promise() {
    let core = core();
    let operation = !bindings::checkout(core.number());
    assert_eq!(code(core.resume(operation)), OPEN);
    JsFuture::from(Promise::resolve(&JsValue::from("a connection"))).await.expect("it was resolved");
    let lease = core.advance(operation, OK);
    assert!(lease >= 0);
    assert_eq!(bindings::checkin(core.number(), lease, true), 0);
}

#[wasm_bindgen_test]
fn whatever_an_integer_names_a_stale_handle_does_nothing() {
    let core = core();
    for handle in [0, 1, 1 << 20, (1 << 30) - 1] {
        assert_eq!(bindings::checkin(core.number(), handle, true), 0);
        assert_eq!(code(core.resume(handle)), DONE);
        assert_eq!(code(core.advance(handle, OK)), DONE);
        assert!(!core.abort(handle));
        assert_eq!(core.detach(handle), -1);
    }
    assert_eq!(get(&core.stats(), "total").as_f64(), Some(0.0));
}
