//! The room that translates: numbers in, numbers out, no decisions. wasm32 only; called through
//! src/shell/engine/policy.ts.
//!
//! The rules of this boundary:
//! - No call from here into JavaScript while the policy is borrowed, so that nothing can re-enter it. (The panic hook
//!   prints, and the instance is dead after it.)
//! - protocol.rs encodes and decodes every number: the *word* of a checkout, the *return word*, the *step word* and the
//!   *output*. An integer that crosses is an i32, and a handle has 30 bits. A duration is in whole milliseconds. A
//!   point in time is an f64: milliseconds of the host's own clock.
//! - A word that settles its caller has [`FLAG`] flipped if [`has_output`] would return true: the hot path asks for
//!   nothing else.
//! - Options come in as a slice of numbers. serde-wasm-bindgen carries statistics out, never on the hot path.

mod options;
mod pools;

extern crate std;

use crate::policy::{Begin, Condition, Counts, Hooks, LeaseId, Limits, Pool, Return, Sizes, Stats, Step};
use crate::protocol::{
    CONDITIONS, EVENTS, FLAG, LOSSES, NO_OUTPUT, OUTCOMES, POOLS_OWN, RETURNED, RETURNED_WITH_OUTPUT, aside_output,
    asleep, begin_word, hand_over_word, handle, notice_word, pending_word, refusal_number, span, staleness_number,
    step_word,
};
use core::cell::Cell;
pub use pools::Core;
use pools::{with, with_all};
use wasm_bindgen::prelude::*;

/// Smaller than the standard library's: the package is loaded more often than the pool allocates.
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();

std::thread_local! {
    /// Why the last checkout was refused, and the last notice: each is returned by a call of its own.
    static REFUSAL: Cell<i32> = const { Cell::new(0) };
    static NOTICE: Cell<i32> = const { Cell::new(0) };
}

/// The hot path: a checkout on the pool's own settings. `pool` is [`Core::number`]. Returns a word.
#[wasm_bindgen]
pub fn checkout(pool: u32) -> i32 {
    with(pool, |scope| match scope.checkout_at_once() {
        Some(Begin::Granted(lease)) => lease.to_bits() as i32,
        // One that begins like this waits.
        Some(Begin::Pending(id)) if !scope.tick_wanted() => asleep(id),
        Some(Begin::Pending(id)) => pending_word(id),
        Some(Begin::Refused(_)) | None => long_checkout(scope),
    })
}

/// The hot path: a return of a connection at rest. `pool` is [`Core::number`]. Returns a return word.
#[wasm_bindgen]
pub fn checkin(pool: u32, lease: i32, clean: bool) -> i32 {
    with(pool, |scope| match scope.checkin_at_once(handle(lease), clean) {
        Some(Return::HandedOver(waiter, lease)) => hand_over_word(waiter, lease),
        Some(_) if scope.has_output() => RETURNED_WITH_OUTPUT,
        Some(_) => RETURNED,
        None => long_checkin(scope, handle(lease), Condition::at_rest(clean)),
    })
}

/// A return of a connection in this condition, by its number in [`CONDITIONS`]. Returns a return word.
#[wasm_bindgen]
pub fn checkin_as(pool: u32, lease: i32, condition: i32) -> i32 {
    with(pool, |scope| {
        let result = scope.begin_checkin(handle(lease), CONDITIONS[condition as usize]);
        return_answer(scope, result)
    })
}

/// A checkout with settings of its own, or [`POOLS_OWN`]. Returns a word.
#[wasm_bindgen]
pub fn checkout_within(pool: u32, timeout_ms: i32, deadline_ms: i32, priority: i32, now_ms: f64) -> i32 {
    with(pool, |scope| {
        let own = |ms| (ms != POOLS_OWN).then(|| span(ms));
        let (timeout, deadline) = (own(timeout_ms), own(deadline_ms));
        let limits = Limits { timeout, deadline, priority: priority as u32, now_ms };
        let begin = scope.begin_checkout(Some(limits));
        begin_answer(scope, begin)
    })
}

/// A checkout of a caller that cannot wait. `counts`: whether its refusal is one for want of time. Returns a word.
#[wasm_bindgen]
pub fn checkout_now(pool: u32, now_ms: f64, counts: bool) -> i32 {
    with(pool, |scope| {
        let begin = scope.begin_checkout_now(now_ms, counts);
        begin_answer(scope, begin)
    })
}

/// The caller of the operation cannot wait, and leaves; `counts` as in [`checkout_now`]. Returns why it is refused, or
/// -1 if the operation has no such caller.
#[wasm_bindgen]
pub fn leave(pool: u32, operation: i32, counts: bool) -> i32 {
    with(pool, |scope| scope.leave(handle(operation), counts).map_or(-1, refusal_number))
}

/// Returns why the last checkout was refused.
#[wasm_bindgen]
pub fn refusal(pool: u32) -> i32 {
    let _ = pool;
    REFUSAL.get()
}

/// Ends a lease and terminates its connection. Returns a return word.
#[wasm_bindgen]
pub fn invalidate(pool: u32, lease: i32) -> i32 {
    with(pool, |scope| {
        let result = scope.begin_invalidate(handle(lease));
        return_answer(scope, result)
    })
}

/// Marks the slot's connection to be replaced at its next checkout.
#[wasm_bindgen]
pub fn invalidate_soft(pool: u32, slot: i32) {
    with(pool, |scope| scope.invalidate_soft(slot as u32));
}

/// Marks every connection as old as the slot's.
#[wasm_bindgen]
pub fn invalidate_as_old(pool: u32, slot: i32) {
    with(pool, |scope| scope.invalidate_as_old(slot as u32));
}

/// Marks every open connection, in every scope.
#[wasm_bindgen]
pub fn invalidate_all(pool: u32) {
    with_all(|scopes| scopes.invalidate_all(pool));
}

/// Returns the operation that stands for the detached connection, or -1 if the lease had ended.
#[wasm_bindgen]
pub fn detach(pool: u32, lease: i32) -> i32 {
    with(pool, |scope| scope.detach(handle(lease)).map_or(-1, |id| id.to_bits() as i32))
}

/// Closes a detached connection in this condition. Returns a return word.
#[wasm_bindgen]
pub fn close_detached(pool: u32, operation: i32, condition: i32, abrupt: bool) -> i32 {
    with(pool, |scope| {
        let result = scope.begin_detached_close(handle(operation), CONDITIONS[condition as usize], abrupt);
        return_answer(scope, result)
    })
}

/// Takes a share back, of a connection in this condition. Returns a return word.
#[wasm_bindgen]
pub fn return_share(pool: u32, operation: i32, condition: i32) -> i32 {
    with(pool, |scope| {
        let result = scope.begin_share_return(handle(operation), CONDITIONS[condition as usize]);
        return_answer(scope, result)
    })
}

/// Ends a share and terminates its connection. Returns a return word.
#[wasm_bindgen]
pub fn invalidate_share(pool: u32, operation: i32) -> i32 {
    with(pool, |scope| {
        let result = scope.begin_share_invalidate(handle(operation));
        return_answer(scope, result)
    })
}

/// Takes the shared connection out of the pool for this share, whose operation stands for it. Returns whether the share
/// had not ended.
#[wasm_bindgen]
pub fn detach_share(pool: u32, operation: i32) -> bool {
    with(pool, |scope| scope.detach_share(handle(operation)))
}

/// Ends the slot's connection, whether or not a lease has it. Returns a return word.
#[wasm_bindgen]
pub fn empty_slot(pool: u32, slot: i32, abrupt: bool) -> i32 {
    with(pool, |scope| {
        let result = scope.begin_emptying(slot as u32, abrupt);
        return_answer(scope, result)
    })
}

/// Begins an event that nothing depends on, by its number. Returns a return word.
#[wasm_bindgen]
pub fn tell(pool: u32, event: i32) -> i32 {
    with(pool, |scope| {
        let result = scope.begin_telling(EVENTS[event as usize]);
        return_answer(scope, result)
    })
}

/// Takes that the dialect can ask a connection whether it is alive.
#[wasm_bindgen]
pub fn set_can_ping(pool: u32) {
    with(pool, |scope| scope.set_can_ping(true));
}

/// Takes that the slot's connection is lost, and by its number what that says of the others.
#[wasm_bindgen]
pub fn lose(pool: u32, slot: i32, loss: i32) {
    with(pool, |scope| scope.lose(slot as u32, LOSSES[loss as usize]));
}

/// Takes the driver's report that the slot's connection is gone; `loss` as in [`lose`]. Returns a return word.
#[wasm_bindgen]
pub fn connection_died(pool: u32, slot: i32, loss: i32) -> i32 {
    with(pool, |scope| {
        let result = scope.connection_died(slot as u32, LOSSES[loss as usize]);
        return_answer(scope, result)
    })
}

/// Reports a lease that was garbage-collected without being returned. Returns whether the lease was still active.
#[wasm_bindgen]
pub fn lose_lease(pool: u32, lease: i32) -> bool {
    with(pool, |scope| scope.lose_lease(handle(lease)))
}

/// Reports a share that was garbage-collected without being returned. Returns whether the share was still active.
#[wasm_bindgen]
pub fn lose_share(pool: u32, operation: i32) -> bool {
    with(pool, |scope| scope.lose_share(handle(operation)))
}

/// Takes which events have listeners, for every scope: one bit for each, in the order of
/// [`Event`](crate::policy::Event).
#[wasm_bindgen]
pub fn set_hooks(pool: u32, bits: i32) {
    with_all(|scopes| scopes.set_hooks(pool, Hooks::from_bits(bits as u16)));
}

/// Takes a random number from 0 to 1, for the next opening.
#[wasm_bindgen]
pub fn set_random(pool: u32, random: f64) {
    with(pool, |scope| scope.set_random(random));
}

/// Takes that the slot has a finalizer for its next return.
#[wasm_bindgen]
pub fn add_finalizer(pool: u32, slot: i32) {
    with(pool, |scope| scope.add_finalizer(slot as u32));
}

/// Spawns at most `most` openings, until there are `count` connections. Returns how many are still missing.
#[wasm_bindgen]
pub fn warm(pool: u32, count: i32, most: i32) -> i32 {
    with(pool, |scope| scope.warm(count as u32, most as u32) as i32)
}

/// Takes that the creator is called now, and the clock was read.
#[wasm_bindgen]
pub fn time_opening(pool: u32, operation: i32) {
    with(pool, |scope| scope.time_opening(handle(operation)));
}

/// Returns whether an opening that failed is tried again. Then the clock is read before each creator is called.
#[wasm_bindgen]
pub fn retries(pool: u32) -> bool {
    with(pool, |scope| scope.config().retries())
}

/// Begins to keep `min` connections open, before any caller asks for one; the openings are spawned operations.
#[wasm_bindgen]
pub fn start(pool: u32) {
    with(pool, Pool::start);
}

/// Changes the sizes of every scope. What is undefined stays. Throws the name of the first that breaks its rule, and
/// then changes nothing.
#[wasm_bindgen]
#[expect(clippy::too_many_arguments, reason = "each is one option of the caller's")]
pub fn resize(
    pool: u32,
    pool_size: Option<f64>,
    max_overflow: Option<f64>,
    min_idle: Option<f64>,
    min: Option<f64>,
    idle_timeout_ms: Option<f64>,
    max_uses: Option<f64>,
    max_age_ms: Option<f64>,
) -> Result<(), JsValue> {
    let sizes = Sizes { pool_size, max_overflow, min_idle, min, idle_timeout_ms, max_uses, max_age_ms };
    with_all(|scopes| scopes.resize(pool, sizes)).map_err(|violation| JsValue::from_str(violation.option))
}

/// Takes that the scope is that of a Durable Object. `options`: those that it has there.
#[wasm_bindgen]
pub fn become_object(pool: u32, options: &[f64]) -> Result<(), JsValue> {
    let config = options::decode(options)?;
    with(pool, |scope| scope.become_object(config));
    Ok(())
}

/// Returns whether checkouts and returns must read the clock.
#[wasm_bindgen]
pub fn tells_time(pool: u32) -> bool {
    with(pool, |scope| scope.config().tells_time())
}

/// Returns the step of an operation that begins or was woken. Returns a step word.
#[wasm_bindgen]
pub fn resume(pool: u32, operation: i32) -> i32 {
    with(pool, |scope| {
        let step = scope.resume(handle(operation));
        step_answer(scope, step)
    })
}

/// Takes how the step went, as an index of [`OUTCOMES`]. Returns the next step word.
#[wasm_bindgen]
pub fn advance(pool: u32, operation: i32, outcome: i32) -> i32 {
    with(pool, |scope| {
        let step = scope.advance(handle(operation), OUTCOMES[outcome as usize]);
        step_answer(scope, step)
    })
}

/// Takes that the caller's signal was aborted. Returns whether the caller is to be refused.
#[wasm_bindgen]
pub fn abort(pool: u32, operation: i32) -> bool {
    with(pool, |scope| scope.abort(handle(operation)))
}

/// Returns the next operation that has a notice, which [`notice`] returns. After the notices, returns the next aside,
/// below [`NO_OUTPUT`]; or [`NO_OUTPUT`].
#[wasm_bindgen]
pub fn next_output(pool: u32) -> i32 {
    with(pool, |scope| match scope.take_notice() {
        Some((id, notice)) => {
            NOTICE.set(notice_word(notice));
            id.to_bits() as i32
        }
        None => scope.take_aside().map_or(NO_OUTPUT, aside_output),
    })
}

/// Returns the notice that the last [`next_output`] found, as a step word.
#[wasm_bindgen]
pub fn notice(pool: u32) -> i32 {
    let _ = pool;
    NOTICE.get()
}

/// Returns whether [`next_output`] or [`tick`] is due.
#[wasm_bindgen]
pub fn has_output(pool: u32) -> bool {
    with(pool, |scope| scope.has_output())
}

/// Returns whether [`tick`] is due.
#[wasm_bindgen]
pub fn tick_wanted(pool: u32) -> bool {
    with(pool, |scope| scope.tick_wanted())
}

/// Takes the time; `rings`: the host's timer has run out. Returns for how many milliseconds the timer should run, 0 for
/// one turn of the host's loop, or -1 for no timer.
#[wasm_bindgen]
pub fn tick(pool: u32, now_ms: f64, rings: bool) -> i32 {
    with(pool, |scope| {
        let delay_ms = if rings { scope.ring(now_ms) } else { scope.tick(now_ms) };
        delay_ms.map_or(-1, |delay_ms| delay_ms as i32)
    })
}

/// Takes that the host could not set the timer.
#[wasm_bindgen]
pub fn timer_lost(pool: u32) {
    with(pool, |scope| scope.timer_lost());
}

/// Takes the time before a step of an operation that has a deadline.
#[wasm_bindgen]
pub fn read_clock(pool: u32, now_ms: f64) {
    with(pool, |scope| scope.read_clock(now_ms));
}

/// Returns whether the host's timer should keep its process alive.
#[wasm_bindgen]
pub fn is_attended(pool: u32) -> bool {
    with(pool, |scope| scope.is_attended())
}

/// Closes the idle connections of every scope; the closes are spawned operations.
#[wasm_bindgen]
pub fn dispose(pool: u32) {
    with_all(|scopes| scopes.dispose(pool));
}

/// Ends the pool in every scope, or hastens the end. `drains`: the callers that came before are served. [`closing`]
/// names the operation of each scope.
#[wasm_bindgen]
pub fn close(pool: u32, patience_ms: i32, drains: bool) {
    with_all(|scopes| scopes.close(pool, span(patience_ms), drains));
}

/// Names the operation of this scope's close, of which [`Notice::Done`](crate::policy::Notice::Done) says that it is
/// over; or -1 if it is over.
#[wasm_bindgen]
pub fn closing(pool: u32) -> i32 {
    with_all(|scopes| scopes.closing(pool).map_or(-1, |id| id.to_bits() as i32))
}

/// Ends this scope alone.
#[wasm_bindgen]
pub fn close_scope(pool: u32) {
    with(pool, |scope| scope.end_scope());
}

/// Names a scope of this pool that has got something to do because of another one, or -1.
#[wasm_bindgen]
pub fn next_scope(pool: u32) -> i32 {
    with_all(|scopes| scopes.take_woken(pool).map_or(-1, |number| number as i32))
}

/// Returns whether the scope was ended.
#[wasm_bindgen]
pub fn is_closed(pool: u32) -> bool {
    with(pool, |scope| scope.is_closed())
}

/// Returns whether all that there is in this scope is idle.
#[wasm_bindgen]
pub fn is_at_rest(pool: u32) -> bool {
    with(pool, |scope| scope.is_at_rest())
}

/// Returns whether there is nothing in this scope: no connection, and no waiter.
#[wasm_bindgen]
pub fn is_empty(pool: u32) -> bool {
    with(pool, |scope| scope.is_empty())
}

/// Returns whether a lease has this slot, including while it is checked out or returned.
#[wasm_bindgen]
pub fn is_in_use(pool: u32, slot: i32) -> bool {
    with(pool, |scope| scope.is_in_use(slot as u32))
}

/// Takes that the creator has returned the connection of the slot.
#[wasm_bindgen]
pub fn adopt(pool: u32, slot: i32) {
    with(pool, |scope| scope.adopt(slot as u32));
}

/// Returns the lease that the checkout of this slot will grant.
#[wasm_bindgen]
pub fn lease_of(pool: u32, slot: i32) -> i32 {
    with(pool, |scope| scope.lease_of(slot as u32).to_bits() as i32)
}

/// Returns the numbers of the public `PoolStats`, in its order. The counters are those of every scope, and with
/// `everywhere` so are the gauges. `context` is the number of the I/O context that asks, or -1.
#[wasm_bindgen]
pub fn stats(pool: u32, everywhere: bool, context: i32) -> JsValue {
    let stats = with_all(|scopes| {
        if everywhere { scopes.stats_everywhere(pool, u32::try_from(context).ok()) } else { scopes.stats(pool) }
    });
    let Some(stats) = stats else { return JsValue::UNDEFINED };
    let Stats { total, idle, used, returning, opening, closing, waiting, detached, .. } = stats;
    let Stats { max, max_idle, min_idle, .. } = stats;
    let Stats { opened, open_failed, checkouts, waited, timed_out, aborted, recycled, invalidated, leaked, .. } = stats;
    let counters = [opened, open_failed, checkouts, waited, timed_out, aborted, recycled, invalidated, leaked];
    // As floats: a whole number of 64 bits would come out as a BigInt.
    encode(&(
        [total, idle, used, returning, opening, closing, waiting, detached],
        [max, max_idle, f64::from(min_idle)],
        counters.map(|counter| counter as f64),
    ))
}

/// Returns SQLAlchemy's four numbers: size, checked in, overflow, checked out.
#[wasm_bindgen]
pub fn counts(pool: u32) -> JsValue {
    with(pool, |scope| {
        let Counts { size, checked_in, overflow, checked_out } = scope.counts();
        encode(&[size, checked_in, overflow, checked_out].map(|count| count as f64))
    })
}

/// Returns for how many milliseconds the longest return has been under way and the first waiter has waited, each -1 if
/// there is none. Then for how many the longest-held leases have been out, each followed by its slot: at most five, the
/// longest first. If `now_ms` is `NaN`, the last reading of the clock counts.
#[wasm_bindgen]
pub fn longest_held(pool: u32, now_ms: f64) -> js_sys::Array {
    with(pool, |scope| {
        if !now_ms.is_nan() {
            scope.see_held(now_ms);
        }
        let held = scope.longest_held();
        let held = held.iter().flatten().flat_map(|&(ms, slot)| [f64::from(ms), f64::from(slot)]);
        let oldest = [scope.longest_return(), scope.longest_wait()].map(|ms| ms.map_or(-1.0, f64::from));
        oldest.into_iter().chain(held).map(JsValue::from).collect()
    })
}

/// Returns the leases that have come to be out for too long: for how many milliseconds, each followed by its slot.
#[wasm_bindgen]
pub fn take_held(pool: u32) -> js_sys::Array {
    with(pool, |scope| scope.take_held().into_iter().flat_map(|(ms, slot)| [ms, slot]).map(JsValue::from).collect())
}

/// Returns why the operation replaces its connection, by its number in `STALENESSES`.
#[wasm_bindgen]
pub fn staleness(pool: u32, operation: i32) -> i32 {
    with(pool, |scope| staleness_number(scope.staleness(handle(operation))))
}

/// Apart, and returning an integer, so that the hot path needs no frame on the stack.
#[inline(never)]
fn long_checkout(scope: &mut Pool) -> i32 {
    let begin = scope.begin_long_checkout(None);
    begin_answer(scope, begin)
}

/// Apart, as [`long_checkout`].
#[inline(never)]
fn long_checkin(scope: &mut Pool, lease: LeaseId, condition: Condition) -> i32 {
    let result = scope.begin_long_checkin(lease, condition);
    return_answer(scope, result)
}

/// A step that settles the caller is the last that the shell sees for now: its word has [`FLAG`] flipped if there is
/// output.
fn step_answer(scope: &Pool, step: Step) -> i32 {
    let settles = matches!(step, Step::Grant(_) | Step::Share(_) | Step::Reject(_) | Step::Done);
    step_word(step) ^ if settles && scope.has_news() { FLAG } else { 0 }
}

fn begin_answer(scope: &Pool, begin: Begin) -> i32 {
    match begin {
        Begin::Pending(id) if scope.is_waiting(id) && !scope.tick_wanted() => return asleep(id),
        Begin::Refused(refusal) => REFUSAL.set(refusal_number(refusal)),
        _ => {}
    }
    begin_word(begin)
}

#[inline(never)]
fn return_answer(scope: &Pool, result: Return) -> i32 {
    match result {
        Return::HandedOver(waiter, lease) => hand_over_word(waiter, lease),
        Return::Pending(id) if scope.is_resetting(id) => pending_word(id) ^ FLAG,
        Return::Pending(id) => pending_word(id),
        Return::Done if scope.has_news() => RETURNED_WITH_OUTPUT,
        Return::Done => RETURNED,
    }
}

/// Plain records of numbers always encode; `undefined` stands for the case that cannot be.
fn encode<T: serde::Serialize>(value: &T) -> JsValue {
    serde_wasm_bindgen::to_value(value).unwrap_or(JsValue::UNDEFINED)
}
