//! How everything is encoded that crosses as a number: words, steps, notices, outcomes, refusals, events, durations.
//! Pure, and compiled for every target, so that a native test (tests/policy/protocol.rs) can write
//! src/shell/protocol.ts from these constants. Decides nothing.

use crate::policy::{
    Aside, Begin, Condition, Event, Handle, INDEX_BITS, LeaseId, Loss, Notice, OperationId, Outcome, Refusal, Span,
    Staleness, Step,
};

/// A duration without limit.
pub const FOREVER: i32 = -1;
/// The pool's own setting.
pub const POOLS_OWN: i32 = -2;
/// The index part of a handle.
pub const INDEX_MASK: i32 = (1 << INDEX_BITS) - 1;
/// The argument of a step that concerns no slot.
pub const NO_SLOT: i32 = INDEX_MASK;
/// In a step word: where the argument begins, above the code.
pub const ARGUMENT_SHIFT: i32 = 5;
/// In the argument of [`EMIT`]: where the event begins, above the slot.
pub const EVENT_SHIFT: i32 = INDEX_BITS as i32;
/// Above every handle. In a checkout's word: the operation waits, and neither a step nor a tick is due. In a return's
/// word: the first step is the reset. In the last step word of an operation: the pool has output.
pub const FLAG: i32 = 1 << 30;
/// The word of a checkout that is refused; `refusal` of the bindings answers why. No operation has this complement,
/// because a slab never grows to the last index.
pub const REFUSED: i32 = -FLAG;
/// The word of a return that ended at once.
pub const RETURNED: i32 = 0;
/// The word of a return that ended at once, and left output.
pub const RETURNED_WITH_OUTPUT: i32 = 1;
/// The least word of a return that gave the slot to a waiter.
pub const HANDED_OVER: i32 = 2;
/// Of `next_output`: there is none. Asides are below it.
pub const NO_OUTPUT: i32 = -1;

/// Numbers the variants of an enum: a function from variant to number that the compiler keeps complete, the variants
/// by their numbers, and their names for protocol.ts.
macro_rules! numbered {
    ($(#[$doc:meta])* $function:ident, $list:ident, $names:ident: $of:ident { $($variant:ident = $number:literal,)* }
     $(never $never:ident)?) => {
        $(#[$doc])*
        pub const fn $function(value: $of) -> i32 {
            match value {
                $($of::$variant => $number,)*
                $($of::$never => -1,)?
            }
        }

        /// Every variant that crosses, by its number.
        pub const $list: &[$of] = &[$($of::$variant,)*];

        /// Their names.
        pub const $names: &[&str] = &[$(stringify!($variant),)*];

        const _: () = {
            let mut number = 0;
            while number < $list.len() {
                assert!($function($list[number]) == number as i32, "numbered from 0 without a gap");
                number += 1;
            }
        };
    };
}

numbered! {
    /// The number of an outcome.
    outcome_number, OUTCOMES, OUTCOME_NAMES: Outcome {
        Ok = 0,
        Failed = 1,
        TimedOut = 2,
        LateOk = 3,
        LateFailed = 4,
        Disconnected = 5,
        DisconnectedAll = 6,
        StillOpen = 7,
        Unavailable = 8,
    }
}

numbered! {
    /// The number of a condition.
    condition_number, CONDITIONS, CONDITION_NAMES: Condition {
        Open = 0,
        Clean = 1,
        Busy = 2,
        GivenUp = 3,
        Stuck = 4,
        Lost = 5,
    }
}

numbered! {
    /// The number of an event: in a set of events its bit.
    event_number, EVENTS, EVENT_NAMES: Event {
        FirstConnect = 0,
        Connect = 1,
        Checkout = 2,
        Reset = 3,
        Checkin = 4,
        Invalidate = 5,
        SoftInvalidate = 6,
        Close = 7,
        Detach = 8,
        CloseDetached = 9,
    }
}

numbered! {
    /// The number of a refusal.
    refusal_number, REFUSALS, REFUSAL_NAMES: Refusal {
        Failed = 0,
        Closed = 1,
        QueueFull = 2,
        WaitTimeout = 3,
        WaitDeadline = 4,
        OpenTimeout = 5,
        OpenDeadline = 6,
        PingDeadline = 7,
        ListenerTimeout = 8,
        ListenerDeadline = 9,
        Disconnected = 10,
        InUse = 11,
    }
    never Aborted
}

numbered! {
    /// The number of what a loss says.
    loss_number, LOSSES, LOSS_NAMES: Loss {
        None = 0,
        Alone = 1,
        Others = 2,
    }
}

/// Why an operation replaces its connection, in the words of the log, by number; 0 is for another reason.
pub const STALENESSES: &[&str] = &["", "age", "pool invalidated", "soft-invalidated"];

/// The number of a staleness in [`STALENESSES`].
pub const fn staleness_number(staleness: Option<Staleness>) -> i32 {
    match staleness {
        None => 0,
        Some(Staleness::Age) => 1,
        Some(Staleness::Pool) => 2,
        Some(Staleness::Soft) => 3,
    }
}

/// Codes of steps and notices, in the low bits of a step word's complement, with their names.
macro_rules! codes {
    ($($name:ident $constant:ident = $number:literal,)*) => {
        $(#[doc = concat!("The code of ", stringify!($name), ".")] pub const $constant: i32 = $number;)*
        /// The names of the codes, with their numbers.
        pub const CODES: &[(&str, i32)] = &[$((stringify!($name), $number),)*];
    };
}

codes! {
    Wait WAIT = 0,
    Open OPEN = 1,
    Rollback ROLLBACK = 2,
    Commit COMMIT = 3,
    Close CLOSE = 4,
    Terminate TERMINATE = 5,
    Reject REJECT = 6,
    Done DONE = 7,
    Resume RESUME = 8,
    Expire EXPIRE = 9,
    Ping PING = 10,
    Finalize FINALIZE = 11,
    Emit EMIT = 12,
    Share SHARE = 13,
    Detach DETACH = 14,
    ResetSession RESET_SESSION = 15,
    Cancel CANCEL = 16,
    Release RELEASE = 17,
    Follow FOLLOW = 18,
}

/// The gauges of the public statistics, in the order in which they cross.
pub const GAUGES: &[&str] = &["total", "idle", "used", "returning", "opening", "closing", "waiting", "detached"];
/// The limits, likewise.
pub const LIMITS: &[&str] = &["max", "maxIdle", "minIdle"];
/// The counters, likewise.
pub const COUNTERS: &[&str] =
    &["opened", "openFailed", "checkouts", "waited", "timedOut", "aborted", "recycled", "invalidated", "leaked"];

/// Reads a handle.
pub fn handle<T>(bits: i32) -> Handle<T> {
    Handle::from_bits(bits as u32)
}

/// Reads a duration.
pub fn span(ms: i32) -> Span {
    if ms == FOREVER { Span::Forever } else { Span::Millis(ms as u32) }
}

/// The word of a checkout that waits, and has no step.
pub fn asleep(id: OperationId) -> i32 {
    !(id.to_bits() as i32 | FLAG)
}

/// The word of a checkout that is granted or has a first step. A refusal's is [`REFUSED`].
pub fn begin_word(begin: Begin) -> i32 {
    match begin {
        Begin::Granted(lease) => lease.to_bits() as i32,
        Begin::Pending(id) => !(id.to_bits() as i32),
        Begin::Refused(_) => REFUSED,
    }
}

/// The word of a return that goes on.
pub fn pending_word(id: OperationId) -> i32 {
    !(id.to_bits() as i32)
}

/// The word of a return that gave its slot to a waiter: the waiter's index, with the generation of the new lease in the
/// place of its own. One integer holds both, because the shell knows the slot.
pub fn hand_over_word(waiter: OperationId, lease: LeaseId) -> i32 {
    (waiter.index() | lease.generation_bits()) as i32 + HANDED_OVER
}

fn step_code(code: i32, argument: i32) -> i32 {
    !(code | argument << ARGUMENT_SHIFT)
}

fn slot_code(code: i32, slot: Option<u32>) -> i32 {
    step_code(code, slot.map_or(NO_SLOT, |slot| slot as i32))
}

/// A step as a word.
pub fn step_word(step: Step) -> i32 {
    match step {
        Step::Grant(lease) => lease.to_bits() as i32,
        Step::Wait => step_code(WAIT, 0),
        Step::Open(slot) => slot_code(OPEN, Some(slot)),
        Step::Rollback(slot) => slot_code(ROLLBACK, slot),
        Step::Commit(slot) => slot_code(COMMIT, slot),
        Step::ResetSession(slot) => slot_code(RESET_SESSION, slot),
        Step::Close(slot) => slot_code(CLOSE, slot),
        Step::Terminate(slot) => slot_code(TERMINATE, slot),
        Step::Reject(refusal) => step_code(REJECT, refusal_number(refusal)),
        Step::Done => step_code(DONE, 0),
        Step::Ping(slot) => slot_code(PING, Some(slot)),
        Step::Cancel(slot) => slot_code(CANCEL, Some(slot)),
        Step::Finalize(slot) => slot_code(FINALIZE, Some(slot)),
        Step::Emit(event, slot) => {
            step_code(EMIT, slot.map_or(NO_SLOT, |slot| slot as i32) | event_number(event) << EVENT_SHIFT)
        }
        Step::Share(slot) => slot_code(SHARE, Some(slot)),
        Step::Detach(slot) => slot_code(DETACH, Some(slot)),
    }
}

/// A notice as a step word.
pub fn notice_word(notice: Notice) -> i32 {
    match notice {
        Notice::Grant(lease) => lease.to_bits() as i32,
        Notice::Reject(refusal) => step_code(REJECT, refusal_number(refusal)),
        Notice::Done => step_code(DONE, 0),
        Notice::Resume => step_code(RESUME, 0),
        Notice::Expire => step_code(EXPIRE, 0),
        Notice::Release => step_code(RELEASE, 0),
        Notice::Follow(predecessor) => slot_code(FOLLOW, Some(predecessor.index())),
    }
}

/// An aside as an output, below [`NO_OUTPUT`]; an ended slot is below every spawned operation.
pub fn aside_output(aside: Aside) -> i32 {
    match aside {
        Aside::Spawned(id) => NO_OUTPUT - 1 - id.to_bits() as i32,
        Aside::SlotEnded(slot) => NO_OUTPUT - 1 - FLAG - slot as i32,
    }
}
