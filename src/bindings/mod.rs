//! The room that translates: numbers in, numbers out, no decisions. wasm32 only; src/shell/driver.ts is the one caller.
//!
//! The rules of this boundary:
//! - No call from here into JavaScript while the policy is borrowed: nothing can re-enter it. (The panic hook prints and
//!   the instance is dead after it.)
//! - Every number that crosses is an i32, and where it names something a handle of 30 bits. Durations are whole
//!   milliseconds, [`FOREVER`] where there is no limit; points in time are f64 milliseconds of the host's own clock.
//! - A *word* answers a checkout: 0 or more is a lease, below 0 its complement is an operation, with [`ASLEEP`] added
//!   where the operation only waits and there is nothing else to do. A *return word* answers a return: [`RETURNED`],
//!   [`RETURNED_WITH_NOTICE`], an operation's complement, or from 2 on, plus 2, the index of the waiter who has the slot
//!   now with the generation of the new lease where a handle has its own: the only news, in one integer.
//! - A *step word* answers `resume`, `advance` and `notice`: 0 or more is a lease (grant), below 0 its complement is a
//!   code in the low four bits and an argument above them.
//! - serde-wasm-bindgen carries options in and numbers out, never on the hot path.

mod options;

extern crate std;

use crate::policy::{Begin, Handle, LeaseId, Limits, Notice, OperationId, Outcome, Pool, Refusal, Return, Span, Step};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::mem::ManuallyDrop;
use wasm_bindgen::prelude::*;

/// A duration without limit.
const FOREVER: i32 = -1;
/// The pool's own setting.
const POOLS_OWN: i32 = -2;
/// In a word: the operation waits, no step and no tick is due.
const ASLEEP: i32 = 1 << 30;
/// The word of a begin that refuses: the refusal is read with [`Core::refusal`].
const REFUSED: i32 = i32::MIN;
/// The word of a return that ended at once.
const RETURNED: i32 = 0;
/// The same, and there is news: [`Core::next_notice`], then [`Core::next_child`], then [`Core::tick_wanted`].
const RETURNED_WITH_NOTICE: i32 = 1;
/// The argument of a step that concerns no slot.
const NO_SLOT: i32 = (1 << 20) - 1;

struct State {
    pool: Pool,
    refusal: i32,
    notice: i32,
}

std::thread_local! {
    /// Every pool of the instance, by its number. Not behind the exported class: its reference count and borrow flag cost
    /// as much as a checkout. Never dropped, so that no access looks for a destructor.
    static POOLS: RefCell<ManuallyDrop<Vec<Option<State>>>> = const { RefCell::new(ManuallyDrop::new(Vec::new())) };
}

fn with<R>(number: u32, run: impl FnOnce(&mut State) -> R) -> R {
    POOLS.with(|pools| {
        // Still borrowed only after a trap: then every call of every pool traps again, without another word.
        let Ok(mut pools) = pools.try_borrow_mut() else { core::arch::wasm32::unreachable() };
        match pools.get_mut(number as usize) {
            Some(Some(state)) => run(state),
            _ => wasm_bindgen::throw_str("no such pool"),
        }
    })
}

/// The hot path: a checkout on the pool's own settings. `pool` is [`Core::number`]. Answers a word.
#[wasm_bindgen]
pub fn checkout(pool: u32) -> i32 {
    with(pool, |state| match state.pool.checkout_at_once() {
        // One that begins like this waits.
        Some(Begin::Pending(id)) if !state.pool.tick_wanted() => asleep(id),
        Some(begin) => state.word(begin),
        None => state.long_checkout(),
    })
}

/// The hot path: a return. `pool` is [`Core::number`]. Answers a return word.
#[wasm_bindgen]
pub fn checkin(pool: u32, lease: i32, clean: bool) -> i32 {
    with(pool, |state| match state.pool.checkin_at_once(handle(lease), clean) {
        Some(result) => state.return_word(result),
        None => state.long_checkin(handle(lease), clean),
    })
}

/// One pool's policy. Freed when the shell's handle is collected.
#[wasm_bindgen]
pub struct Core {
    number: u32,
}

impl Drop for Core {
    fn drop(&mut self) {
        POOLS.with(|pools| {
            // After a trap it stays borrowed; a finaliser that traps, too, would end the process.
            if let Ok(mut pools) = pools.try_borrow_mut() {
                pools[self.number as usize] = None;
            }
        });
    }
}

#[wasm_bindgen]
impl Core {
    /// `options`: every option as a number, a boolean or a string; see options.rs. Throws `{ option }`, the name of the
    /// first that breaks its rule.
    #[wasm_bindgen(constructor)]
    pub fn new(options: JsValue) -> Result<Self, JsValue> {
        console_error_panic_hook::set_once();
        let state = State { pool: Pool::new(options::decode(options)?), refusal: 0, notice: 0 };
        POOLS.with_borrow_mut(|pools| {
            let number = pools.iter().position(Option::is_none).unwrap_or(pools.len());
            if number == pools.len() {
                pools.push(None);
            }
            pools[number] = Some(state);
            Ok(Self { number: number as u32 })
        })
    }

    /// What names this pool to the free functions.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// A checkout with settings of its own, or [`POOLS_OWN`]. Answers a word.
    pub fn checkout_within(&self, timeout_ms: i32, deadline_ms: i32, now_ms: f64) -> i32 {
        self.with(|state| {
            let own = |ms| (ms != POOLS_OWN).then(|| span(ms));
            let limits = Limits { timeout: own(timeout_ms), deadline: own(deadline_ms), now_ms };
            let begin = state.pool.begin_checkout(Some(limits));
            state.word(begin)
        })
    }

    /// Why the last begin refused.
    pub fn refusal(&self) -> i32 {
        self.with(|state| state.refusal)
    }

    /// Ends a lease and terminates its connection. Answers a return word.
    pub fn invalidate(&self, lease: i32) -> i32 {
        self.with(|state| {
            let result = state.pool.begin_invalidate(handle(lease));
            state.return_word(result)
        })
    }

    /// Marks the lease's connection to be replaced at its next checkout.
    pub fn invalidate_soft(&self, lease: i32) {
        self.with(|state| state.pool.invalidate_soft(handle(lease)));
    }

    /// Marks every connection as old as the lease's.
    pub fn invalidate_as_old(&self, lease: i32) {
        self.with(|state| state.pool.invalidate_as_old(handle(lease)));
    }

    /// Marks every open connection.
    pub fn invalidate_all(&self) {
        self.with(|state| state.pool.invalidate_all());
    }

    /// Answers the operation that stands for the detached connection, or -1 where the lease had ended.
    pub fn detach(&self, lease: i32) -> i32 {
        self.with(|state| state.pool.detach(handle(lease)).map_or(-1, |id| id.to_bits() as i32))
    }

    /// Closes a detached connection. Answers a return word.
    pub fn close_detached(&self, operation: i32, clean: bool, abrupt: bool) -> i32 {
        self.with(|state| {
            let result = state.pool.begin_detached_close(handle(operation), clean, abrupt);
            state.return_word(result)
        })
    }

    /// The driver says that this slot's connection is gone.
    pub fn connection_died(&self, slot: i32) {
        self.with(|state| state.pool.connection_died(slot as u32));
    }

    /// The step of an operation that begins or was woken. Answers a step word.
    pub fn resume(&self, operation: i32) -> i32 {
        self.with(|state| step_word(state.pool.resume(handle(operation))))
    }

    /// How the step went, as an index of [`OUTCOMES`]. Answers the next step word.
    pub fn advance(&self, operation: i32, outcome: i32) -> i32 {
        self.with(|state| step_word(state.pool.advance(handle(operation), OUTCOMES[outcome as usize])))
    }

    /// The caller's signal. True: refuse the caller.
    pub fn abort(&self, operation: i32) -> bool {
        self.with(|state| state.pool.abort(handle(operation)))
    }

    /// The next operation that has news, or -1. [`Core::notice`] tells what it is.
    pub fn next_notice(&self) -> i32 {
        self.with(|state| {
            let Some((id, notice)) = state.pool.take_notice() else { return -1 };
            state.notice = notice_word(notice);
            id.to_bits() as i32
        })
    }

    /// The news that the last [`Core::next_notice`] found. A step word.
    pub fn notice(&self) -> i32 {
        self.with(|state| state.notice)
    }

    /// The next operation that wants a flow of its own, or -1.
    pub fn next_child(&self) -> i32 {
        self.with(|state| state.pool.take_child().map_or(-1, |id| id.to_bits() as i32))
    }

    /// Whether [`Core::tick`] is due.
    pub fn tick_wanted(&self) -> bool {
        self.with(|state| state.pool.tick_wanted())
    }

    /// Answers for how many milliseconds the host's timer should run, or -1 for no timer.
    pub fn tick(&self, now_ms: f64) -> i32 {
        self.with(|state| state.pool.tick(now_ms).map_or(-1, |delay_ms| delay_ms as i32))
    }

    /// The host could not set that timer.
    pub fn timer_lost(&self) {
        self.with(|state| state.pool.timer_lost());
    }

    /// Tells the time before a step of an operation that has a deadline.
    pub fn read_clock(&self, now_ms: f64) {
        self.with(|state| state.pool.read_clock(now_ms));
    }

    /// Whether the host's timer should keep its process alive.
    pub fn is_attended(&self) -> bool {
        self.with(|state| state.pool.is_attended())
    }

    /// Closes what is idle; the closes are children.
    pub fn dispose(&self) {
        self.with(|state| state.pool.dispose());
    }

    /// Ends the pool. Answers the operation whose [`Notice::Done`] says that it is over.
    pub fn close(&self, patience_ms: i32) -> i32 {
        self.with(|state| state.pool.begin_close(span(patience_ms)).to_bits() as i32)
    }

    /// Whether a lease, or its return, has this slot.
    pub fn is_in_use(&self, slot: i32) -> bool {
        self.with(|state| state.pool.is_in_use(slot as u32))
    }

    /// Whether the slot of this opening was made for it.
    pub fn is_new_slot(&self, operation: i32) -> bool {
        self.with(|state| state.pool.is_new_slot(handle(operation)))
    }

    /// The public `PoolStats`.
    pub fn stats(&self) -> JsValue {
        self.with(|state| encode(&state.pool.stats()))
    }

    /// SQLAlchemy's four numbers: `{ size, checkedIn, overflow, checkedOut }`.
    pub fn counts(&self) -> JsValue {
        self.with(|state| encode(&state.pool.counts()))
    }

    /// For how many milliseconds the longest-held leases have been out, longest first, at most five.
    pub fn longest_held(&self) -> js_sys::Array {
        self.with(|state| state.pool.longest_held().iter().flatten().map(|&ms| JsValue::from(ms)).collect())
    }
}

impl Core {
    fn with<R>(&self, run: impl FnOnce(&mut State) -> R) -> R {
        with(self.number, run)
    }
}

impl State {
    /// Apart, and with an integer for an answer: the hot path needs no frame on the stack then.
    #[inline(never)]
    fn long_checkout(&mut self) -> i32 {
        let begin = self.pool.begin_checkout(None);
        self.word(begin)
    }

    /// Likewise.
    #[inline(never)]
    fn long_checkin(&mut self, lease: LeaseId, clean: bool) -> i32 {
        let result = self.pool.begin_checkin(lease, clean);
        self.return_word(result)
    }

    fn word(&mut self, begin: Begin) -> i32 {
        match begin {
            Begin::Granted(lease) => lease.to_bits() as i32,
            Begin::Pending(id) if self.pool.is_waiting(id) && !self.pool.tick_wanted() => asleep(id),
            Begin::Pending(id) => !(id.to_bits() as i32),
            Begin::Refused(refusal) => {
                self.refusal = refusal_code(refusal);
                REFUSED
            }
        }
    }

    fn return_word(&mut self, result: Return) -> i32 {
        match result {
            Return::HandedOver(waiter, lease) => (waiter.index() | lease.generation_bits()) as i32 + 2,
            Return::Pending(id) => !(id.to_bits() as i32),
            Return::Done if self.pool.has_news() => RETURNED_WITH_NOTICE,
            Return::Done => RETURNED,
        }
    }
}

fn asleep(id: OperationId) -> i32 {
    !(id.to_bits() as i32 | ASLEEP)
}

const OUTCOMES: [Outcome; 5] = [Outcome::Ok, Outcome::Failed, Outcome::TimedOut, Outcome::LateOk, Outcome::LateFailed];

/// Plain records of numbers always encode; `undefined` stands for the case that cannot be.
fn encode<T: serde::Serialize>(value: &T) -> JsValue {
    serde_wasm_bindgen::to_value(value).unwrap_or(JsValue::UNDEFINED)
}

fn handle<T>(bits: i32) -> Handle<T> {
    Handle::from_bits(bits as u32)
}

fn span(ms: i32) -> Span {
    if ms == FOREVER { Span::Forever } else { Span::Millis(ms as u32) }
}

fn code(code: i32, argument: i32) -> i32 {
    !(code | argument << 4)
}

fn slot_code(step: i32, slot: Option<u32>) -> i32 {
    code(step, slot.map_or(NO_SLOT, |slot| slot as i32))
}

fn step_word(step: Step) -> i32 {
    match step {
        Step::Grant(lease) => lease.to_bits() as i32,
        Step::Wait => code(0, 0),
        Step::Open(slot) => slot_code(1, Some(slot)),
        Step::Rollback(slot) => slot_code(2, slot),
        Step::Commit(slot) => slot_code(3, slot),
        Step::Close(slot) => slot_code(4, slot),
        Step::Terminate(slot) => slot_code(5, slot),
        Step::Reject(refusal) => code(6, refusal_code(refusal)),
        Step::Done => code(7, 0),
    }
}

fn notice_word(notice: Notice) -> i32 {
    match notice {
        Notice::Grant(lease) => lease.to_bits() as i32,
        Notice::Reject(refusal) => code(6, refusal_code(refusal)),
        Notice::Done => code(7, 0),
        Notice::Resume => code(8, 0),
        Notice::Expire => code(9, 0),
    }
}

fn refusal_code(refusal: Refusal) -> i32 {
    match refusal {
        Refusal::Failed => 0,
        Refusal::Aborted => 1,
        Refusal::Closed => 2,
        Refusal::QueueFull => 3,
        Refusal::WaitTimeout => 4,
        Refusal::WaitDeadline => 5,
        Refusal::OpenTimeout => 6,
        Refusal::OpenDeadline => 7,
    }
}
