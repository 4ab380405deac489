//! How everything is numbered that crosses as an integer: handles, durations, steps, outcomes, events, notices and
//! refusals. src/shell/protocol.ts says the same. Values only.

use crate::policy::{Event, Handle, Notice, OperationId, Outcome, Refusal, Span, Step};

/// A duration without limit.
pub(super) const FOREVER: i32 = -1;
/// The pool's own setting.
pub(super) const POOLS_OWN: i32 = -2;
/// In a word: the operation waits, no step and no tick is due.
pub(super) const ASLEEP: i32 = 1 << 30;
/// The word of a begin that refuses: the refusal is read with [`super::refusal`]. The complement of no operation: a slab does not
/// grow to the last index.
pub(super) const REFUSED: i32 = -ASLEEP;
/// The word of a return that ended at once.
pub(super) const RETURNED: i32 = 0;
/// The same, and there is news: [`super::next_news`], then [`super::tick_wanted`].
pub(super) const RETURNED_WITH_NOTICE: i32 = 1;
/// In the word of a return that goes on: its first step is the reset.
pub(super) const RESETS: i32 = 1 << 30;
/// In the last step word of an operation: there is news.
pub(super) const NEWS: i32 = 1 << 30;
/// Nothing has news, and nothing wants a flow.
pub(super) const NO_NEWS: i32 = -1;
/// The argument of a step that concerns no slot.
pub(super) const NO_SLOT: i32 = (1 << 20) - 1;

pub(super) fn asleep(id: OperationId) -> i32 {
    !(id.to_bits() as i32 | ASLEEP)
}

pub(super) const OUTCOMES: [Outcome; 7] = [
    Outcome::Ok,
    Outcome::Failed,
    Outcome::TimedOut,
    Outcome::LateOk,
    Outcome::LateFailed,
    Outcome::Disconnected,
    Outcome::DisconnectedAll,
];

/// By their numbers.
pub(super) const EVENTS: [Event; 10] = [
    Event::FirstConnect,
    Event::Connect,
    Event::Checkout,
    Event::Reset,
    Event::Checkin,
    Event::Invalidate,
    Event::SoftInvalidate,
    Event::Close,
    Event::Detach,
    Event::CloseDetached,
];

pub(super) fn handle<T>(bits: i32) -> Handle<T> {
    Handle::from_bits(bits as u32)
}

pub(super) fn span(ms: i32) -> Span {
    if ms == FOREVER { Span::Forever } else { Span::Millis(ms as u32) }
}

pub(super) fn code(code: i32, argument: i32) -> i32 {
    !(code | argument << 4)
}

pub(super) fn slot_code(step: i32, slot: Option<u32>) -> i32 {
    code(step, slot.map_or(NO_SLOT, |slot| slot as i32))
}

pub(super) fn step_word(step: Step) -> i32 {
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
        Step::Ping(slot) => slot_code(10, Some(slot)),
        Step::Finalize(slot) => slot_code(11, Some(slot)),
        Step::Emit(event, slot) => code(12, slot.map_or(NO_SLOT, |slot| slot as i32) | (event as i32) << 20),
        Step::Share(slot) => slot_code(13, Some(slot)),
        Step::Detach(slot) => slot_code(14, Some(slot)),
    }
}

pub(super) fn notice_word(notice: Notice) -> i32 {
    match notice {
        Notice::Grant(lease) => lease.to_bits() as i32,
        Notice::Reject(refusal) => code(6, refusal_code(refusal)),
        Notice::Done => code(7, 0),
        Notice::Resume => code(8, 0),
        Notice::Expire => code(9, 0),
    }
}

pub(super) fn refusal_code(refusal: Refusal) -> i32 {
    match refusal {
        Refusal::Failed => 0,
        Refusal::Aborted => 1,
        Refusal::Closed => 2,
        Refusal::QueueFull => 3,
        Refusal::WaitTimeout => 4,
        Refusal::WaitDeadline => 5,
        Refusal::OpenTimeout => 6,
        Refusal::OpenDeadline => 7,
        Refusal::PingDeadline => 8,
        Refusal::ListenerTimeout => 9,
        Refusal::ListenerDeadline => 10,
        Refusal::Disconnected => 11,
        Refusal::InUse => 12,
    }
}
