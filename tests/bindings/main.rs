//! The boundary, from the Rust side of it: options in, words and numbers out. Runs in Node and in headless Chromium
//! (`wasm-pack test`); what the pool decides is tested natively in tests/policy.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, reason = "test functions speak through their names")]

use edgepool::bindings::{self, Core};
use js_sys::{Array, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;

const ASLEEP: i32 = 1 << 30;
const INDEX: i32 = (1 << 20) - 1;
const WAIT: i32 = 0;
const OPEN: i32 = 1;
const DONE: i32 = 7;
const OK: i32 = 0;
const FAILED: i32 = 1;

/// The numbers of an array, those of the arrays in it included.
fn numbers(value: &JsValue) -> Vec<f64> {
    let flat = Array::from(value).flat(1);
    flat.iter().map(|number| number.as_f64().expect("a number")).collect()
}

/// `PoolStats`, in the order in which src/shell/stats.ts names it.
const STATS: [&str; 20] = [
    "total",
    "idle",
    "used",
    "returning",
    "opening",
    "closing",
    "waiting",
    "detached",
    "max",
    "maxIdle",
    "minIdle",
    "opened",
    "openFailed",
    "checkouts",
    "waited",
    "timedOut",
    "aborted",
    "recycled",
    "invalidated",
    "leaked",
];

fn stat(core: &Core, name: &str) -> f64 {
    let stats = numbers(&bindings::stats(core.number(), false, -1));
    assert_eq!(stats.len(), STATS.len());
    stats[STATS.iter().position(|&known| known == name).expect("a number of that name")]
}

/// The options in their order, as the shell completes them: a QueuePool of one, without a reset.
const OPTIONS: [(&str, f64); 26] = [
    ("kind", 0.0),
    ("poolSize", 1.0),
    ("maxOverflow", 0.0),
    ("maxWaiters", f64::INFINITY),
    ("timeout", 30_000.0),
    ("driverTimeout", 30_000.0),
    ("returnTimeout", 1_000.0),
    ("openTimeout", -1.0),
    ("openRetry", -1.0),
    ("deadline", f64::INFINITY),
    ("useLifo", 0.0),
    ("resetOnReturn", 0.0),
    ("recycle", f64::INFINITY),
    ("maxAge", f64::INFINITY),
    ("recycleJitter", 0.0),
    ("prePing", 0.0),
    ("prePingAfterIdle", 0.0),
    ("pingTimeout", 5_000.0),
    ("idleTimeout", f64::INFINITY),
    ("minIdle", 0.0),
    ("min", 0.0),
    ("refill", 1.0),
    ("maxUses", f64::INFINITY),
    ("maxConnecting", f64::INFINITY),
    ("holdLimit", f64::INFINITY),
    ("onHoldLimit", 0.0),
];

/// The options with another value for one of them.
fn options_but(name: &str, value: f64) -> [f64; 26] {
    OPTIONS.map(|(option, own)| if option == name { value } else { own })
}

/// The pool lives as long as what this answers.
fn core() -> Core {
    Core::new(&options_but("", 0.0), -1, -1).unwrap_or_else(|_| panic!("the options are complete"))
}

fn code(step_word: i32) -> i32 {
    !step_word & 31
}

/// Checks out of an empty pool and opens at once; answers the lease.
fn first_lease(core: &Core) -> i32 {
    let operation = !bindings::checkout(core.number());
    assert_eq!(code(bindings::resume(core.number(), operation)), OPEN);
    let lease = bindings::advance(core.number(), operation, OK);
    assert!(lease >= 0);
    lease
}

#[wasm_bindgen_test]
fn an_option_that_breaks_its_rule_is_named() {
    let bad = [
        ("kind", 5.0),
        ("poolSize", -1.0),
        ("poolSize", 1.5),
        ("poolSize", f64::NAN),
        ("poolSize", f64::INFINITY),
        ("maxOverflow", -2.0),
        ("maxOverflow", f64::NAN),
        ("maxWaiters", -1.0),
        ("timeout", f64::NAN),
        ("timeout", -1.0),
        ("driverTimeout", f64::NAN),
        ("openTimeout", f64::NAN),
        ("openRetry", -2.0),
        ("deadline", -1.0),
        ("useLifo", 2.0),
        ("useLifo", f64::NAN),
        ("resetOnReturn", f64::NAN),
        ("recycle", -2.0),
        ("recycleJitter", 1.1),
        ("prePing", f64::NAN),
        ("prePingAfterIdle", -1.0),
        ("pingTimeout", f64::NAN),
        ("idleTimeout", f64::NAN),
        ("minIdle", -1.0),
        ("min", -1.0),
        ("refill", 2.0),
        ("maxUses", 0.0),
        ("maxConnecting", 0.0),
    ];
    for (option, value) in bad {
        let refused = Core::new(&options_but(option, value), -1, -1).err().expect("a bad value is refused");
        assert_eq!(refused.as_string().as_deref(), Some(option), "{value}");
    }
}

#[wasm_bindgen_test]
fn options_of_another_count_are_refused() {
    let complete = options_but("", 0.0);
    let [one_more, too_few] = [[&complete[..], &[0.0]].concat(), complete[1..].to_vec()];
    for options in [one_more, too_few, vec![]] {
        let refused = Core::new(&options, -1, -1).err().expect("another count of numbers is refused");
        assert!(refused.is_undefined(), "no option is named");
    }
}

#[wasm_bindgen_test]
fn a_return_hands_the_lease_to_the_waiter_in_one_word() {
    let core = core();
    let lease = first_lease(&core);
    let waiter = !bindings::checkout(core.number());
    assert_eq!(code(bindings::resume(core.number(), waiter)), WAIT);
    assert!(bindings::tick_wanted(core.number()), "the first waiter needs a timer");
    assert!(bindings::tick(core.number(), 0.0, false) > 0);
    let second = !bindings::checkout(core.number());
    assert_eq!(second & ASLEEP, ASLEEP, "the next one needs nothing");
    let handed_over = bindings::checkin(core.number(), lease, true) - 2;
    assert_eq!(handed_over & INDEX, waiter & INDEX);
    let granted = lease & INDEX | handed_over & !INDEX;
    assert!(granted >= 0 && granted != lease, "same slot, next generation");
    assert_eq!(bindings::checkin(core.number(), lease, true), 0, "the old handle is stale");
}

#[wasm_bindgen_test]
fn numbers_arrive_in_the_order_of_their_public_names() {
    let core = core();
    let lease = first_lease(&core);
    for (name, value) in
        [("total", 1.0), ("used", 1.0), ("idle", 0.0), ("max", 1.0), ("opened", 1.0), ("checkouts", 1.0)]
    {
        assert_eq!(stat(&core, name), value, "{name}");
    }
    assert_eq!(
        numbers(&bindings::counts(core.number())),
        [1.0, 0.0, 0.0, 1.0],
        "size, checked in, overflow, checked out"
    );
    let waiter = !bindings::checkout(core.number());
    assert_eq!(stat(&core, "waiting"), 1.0);
    assert!(bindings::abort(core.number(), waiter));
    assert_eq!(bindings::checkin(core.number(), lease, true), 0);
    for (name, value) in [("waiting", 0.0), ("waited", 1.0), ("aborted", 1.0), ("used", 0.0), ("idle", 1.0)] {
        assert_eq!(stat(&core, name), value, "{name}");
    }
    assert_eq!(numbers(&bindings::counts(core.number())), [1.0, 1.0, 0.0, 0.0]);
}

#[wasm_bindgen_test]
fn failures_are_counted_apart() {
    let core = core();
    let operation = !bindings::checkout(core.number());
    assert_eq!(code(bindings::resume(core.number(), operation)), OPEN);
    bindings::advance(core.number(), operation, FAILED);
    for (name, value) in [("openFailed", 1.0), ("opened", 0.0), ("timedOut", 0.0), ("total", 0.0)] {
        assert_eq!(stat(&core, name), value, "{name}");
    }
}

#[wasm_bindgen_test]
fn a_pool_without_limit_says_infinity() {
    let core = Core::new(&options_but("poolSize", 0.0), -1, -1).unwrap_or_else(|_| panic!("0 is no limit"));
    assert_eq!((stat(&core, "max"), stat(&core, "maxIdle")), (f64::INFINITY, f64::INFINITY));
}

#[wasm_bindgen_test]
async fn an_operation_survives_the_wait_for_a_promise() {
    let core = core();
    let operation = !bindings::checkout(core.number());
    assert_eq!(code(bindings::resume(core.number(), operation)), OPEN);
    JsFuture::from(Promise::resolve(&JsValue::from("a connection"))).await.expect("it was resolved");
    let lease = bindings::advance(core.number(), operation, OK);
    assert!(lease >= 0);
    assert_eq!(bindings::checkin(core.number(), lease, true), 0);
}

#[wasm_bindgen_test]
fn whatever_an_integer_names_a_stale_handle_does_nothing() {
    let core = core();
    for handle in [0, 1, 1 << 20, (1 << 30) - 1] {
        assert_eq!(bindings::checkin(core.number(), handle, true), 0);
        assert_eq!(code(bindings::resume(core.number(), handle)), DONE);
        assert_eq!(code(bindings::advance(core.number(), handle, OK)), DONE);
        assert!(!bindings::abort(core.number(), handle));
        assert_eq!(bindings::detach(core.number(), handle), -1);
    }
    assert_eq!(stat(&core, "total"), 0.0);
}

#[wasm_bindgen_test]
fn a_pool_s_number_is_its_own_while_it_lives() {
    let (one, other) = (core(), core());
    assert_ne!(one.number(), other.number());
    first_lease(&one);
    assert_eq!((stat(&one, "total"), stat(&other, "total")), (1.0, 0.0));
    let free = one.number();
    drop(one);
    let next = core();
    assert_eq!(next.number(), free);
    assert_eq!(stat(&next, "total"), 0.0, "nothing of the one before is left");
}

#[wasm_bindgen_test]
fn a_scope_of_a_pool_has_slots_of_its_own_and_the_pool_s_counters() {
    let first = core();
    let scope = Core::new(&options_but("", 0.0), first.number() as i32, -1);
    let scope = scope.unwrap_or_else(|_| panic!("the options are complete"));
    first_lease(&scope);
    assert_eq!((stat(&first, "total"), stat(&scope, "total")), (0.0, 1.0));
    assert_eq!((stat(&first, "opened"), stat(&scope, "opened")), (1.0, 1.0));
    assert_eq!(numbers(&bindings::stats(first.number(), true, -1))[0], 1.0, "gauges of every scope");
    drop(scope);
    assert_eq!((stat(&first, "opened"), numbers(&bindings::stats(first.number(), true, -1))[0]), (1.0, 0.0));
}

#[wasm_bindgen_test]
fn what_ends_a_pool_ends_every_scope_of_it_and_no_other_pool() {
    let (first, other) = (core(), core());
    let scope = Core::new(&options_but("", 0.0), first.number() as i32, -1);
    let scope = scope.unwrap_or_else(|_| panic!("the options are complete"));
    bindings::close(first.number(), 0, false);
    assert!(bindings::is_closed(first.number()) && bindings::is_closed(scope.number()));
    assert!(!bindings::is_closed(other.number()));
}
