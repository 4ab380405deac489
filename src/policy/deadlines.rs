//! When operations run out of time. One host timer serves them all, and arming reads no clock: an operation is stamped
//! at the next tick, so its time ends a little late and never early. Decides nothing about what a time-out means.
//!
//! Spans are rounded up to 128 steps per power of two, so that operations of one class end in the order in which they
//! were armed and each class is a plain ring. Late by at most: rounding 1/128, stamping 1/128 of the span (or 5 ms, or
//! as long as the span if that is shorter).
//! Waiters on the pool's own timeout need no ring of their own: the queue has them in that order already.
//!
//! A late tick ends nothing. If the host was busy past the end of a span, the answer may lie in a socket. So the host
//! gets a grace, and one turn of its loop, before a tick judges. A timer that rings also tells the time: its delay has
//! passed, even if the clock stood still or went back.

use super::config::{LONGEST_SPAN_MS, Span};
use super::operation::{NO_CLASS, NO_STAMP, Operation, Operations, Queue, Timer};
use super::ring::Ring;
use alloc::vec::Vec;

/// A waiter on the pool's own timeout.
const IN_QUEUE: u16 = NO_CLASS - 1;

/// Later than any timer, so that one comparison finds it missing or late.
const NO_TIMER: u32 = u32::MAX;

/// A quiet class holds operations that nothing waits for: idle times, lost leases. They keep no host awake.
struct Class {
    span_ms: u32,
    grain_ms: u32,
    is_quiet: bool,
    operations: Ring<Timer>,
}

/// A tick that comes later than this after the end of the timer is late.
const LATE_MS: u32 = 10;
/// The grace after a late tick is as long as the tick was late, and at most this long.
const LONGEST_GRACE_MS: u32 = 50;
/// If the grace ends so much too late, the loop is overloaded: the host gets no further turn.
const OVERLOAD_MS: u32 = 100;
/// If no ring comes for this long, the timer was lost with its context: the next tick judges.
const LOST_RING_MS: u32 = 1000;
/// A clock that shows less than this part of the delay of a timer that rings stands still.
const STILL: u32 = 16;
/// By so much a timer may ring early, or a coarse clock may lag behind it.
const COARSE_MS: u32 = 20;

/// When a span ends that is counted from now: one more millisecond for the fraction that the reading lost.
fn stamp(now: u32, span_ms: u32) -> u32 {
    now.wrapping_add(span_ms + 1).max(NO_STAMP + 1)
}

/// How long an operation may wait for its stamp.
const fn grain_ms(span_ms: u32) -> u32 {
    match span_ms {
        0 => 1,
        1..5 => span_ms,
        5..640 => 5,
        _ => span_ms / 128,
    }
}

/// For the end of a span a leap of the clock counts for no more: longer than any span, and short enough not to look
/// like the past.
const LONGEST_LEAP_MS: u64 = LONGEST_SPAN_MS as u64 + 2;
/// A leap of more than thirty years is a fault of the clock.
const IMPOSSIBLE_LEAP_MS: f64 = (1u64 << 40) as f64;

/// What the host gets before a tick judges the operations that are due.
#[derive(Clone, Copy)]
enum Patience {
    None,
    /// Time for what is about to arrive.
    Grace {
        ends: u32,
    },
    /// One turn of its loop, for what has arrived.
    Turn {
        began: u32,
    },
}

pub(crate) struct Deadlines {
    /// The pool's own timeout, and its grain.
    queue_span_ms: u32,
    queue_grain_ms: u32,
    /// Waiters on it, and how many of them have no stamp yet. Waiters with times of their own may stand between them.
    in_queue: u32,
    unstamped_in_queue: u32,
    classes: Vec<Class>,
    /// The class that was armed last, and what for.
    latest_class: usize,
    latest: (Span, bool),
    /// Operations in them, and how many of these are quiet.
    in_classes: u32,
    quiet: u32,
    /// Milliseconds, wrapping, counted from the first reading.
    now: u32,
    /// The same without a wrap, for ages: a connection may rest for longer than 49 days.
    age_now_ms: u64,
    /// The reading of the host's clock that `now` stands for.
    read_ms: Option<f64>,
    /// Whether the clock has gone back since the host timer was last set.
    has_gone_back: bool,
    /// What the host timer was last set to, or [`NO_TIMER`], and when.
    any_timer_ms: u32,
    set_at: u32,
    /// The same, but [`NO_TIMER`] if it was set for quiet operations alone: an operation with a caller wants it set
    /// again.
    timer_ms: u32,
    tick_wanted: bool,
    patience: Patience,
}

impl Deadlines {
    pub(crate) const fn new(timeout: Span) -> Self {
        let queue_span_ms = match timeout {
            Span::Millis(ms) => ms,
            Span::Forever => LONGEST_SPAN_MS,
        };
        Self {
            queue_span_ms,
            queue_grain_ms: grain_ms(queue_span_ms),
            in_queue: 0,
            unstamped_in_queue: 0,
            classes: Vec::new(),
            latest_class: 0,
            // No time-out is as long.
            latest: (Span::Millis(u32::MAX), false),
            in_classes: 0,
            quiet: 0,
            now: 0,
            age_now_ms: 0,
            read_ms: None,
            has_gone_back: false,
            any_timer_ms: NO_TIMER,
            set_at: 0,
            timer_ms: NO_TIMER,
            tick_wanted: false,
            patience: Patience::None,
        }
    }

    /// Whether the host must call the tick soon: its timer is missing, late or no longer needed.
    #[inline]
    pub(crate) const fn tick_wanted(&self) -> bool {
        self.tick_wanted
    }

    /// Asks for a reading of the clock.
    pub(crate) fn want_tick(&mut self) {
        self.tick_wanted = true;
    }

    pub(crate) fn timer_lost(&mut self) {
        self.timer_ms = NO_TIMER;
        self.any_timer_ms = NO_TIMER;
    }

    /// The last reading, for the ends of spans.
    pub(crate) const fn now(&self) -> u32 {
        self.now
    }

    /// The last reading, for ages.
    pub(crate) const fn age_now_ms(&self) -> u64 {
        self.age_now_ms
    }

    /// Lets the operation run out of time after `span`, counted from now. A span without end is armed too: its timer
    /// keeps the host from ending while a caller waits. `is_quiet`: no caller waits for the end of this time.
    pub(crate) fn arm(&mut self, operations: &mut Operations, index: u32, span: Span, is_quiet: bool) {
        // Most steps have the same span as the one before.
        if self.latest != (span, is_quiet) {
            self.latest = (span, is_quiet);
            self.latest_class = self.class_of(span, is_quiet);
        }
        let class = &mut self.classes[self.latest_class];
        let operation = &mut operations[index];
        debug_assert_eq!(operation.class, NO_CLASS, "armed twice");
        operation.class = self.latest_class as u16;
        operation.due = NO_STAMP;
        class.operations.push_back(operations, index);
        self.in_classes += 1;
        self.quiet += u32::from(is_quiet);
        let timer_ms = if is_quiet { self.any_timer_ms } else { self.timer_ms };
        if timer_ms > class.grain_ms {
            self.tick_wanted = true;
        }
    }

    /// Arms a waiter on the pool's own timeout, which joins the queue.
    #[inline(always)]
    pub(crate) fn arm_in_queue(&mut self, waiter: &mut Operation) {
        waiter.class = IN_QUEUE;
        self.in_queue += 1;
        self.unstamped_in_queue += 1;
        if self.timer_ms > self.queue_grain_ms {
            self.tick_wanted = true;
        }
    }

    /// For how long the operation was armed, rounded; without end if it is not armed.
    pub(crate) fn span_of(&self, operation: &Operation) -> Span {
        let span_ms = match operation.class {
            NO_CLASS => LONGEST_SPAN_MS,
            IN_QUEUE => self.queue_span_ms,
            class => self.classes[class as usize].span_ms,
        };
        if span_ms < LONGEST_SPAN_MS { Span::Millis(span_ms) } else { Span::Forever }
    }

    #[inline(always)]
    pub(crate) fn disarm(&mut self, operations: &mut Operations, index: u32) {
        let operation = &mut operations[index];
        match core::mem::replace(&mut operation.class, NO_CLASS) {
            NO_CLASS => return,
            IN_QUEUE => {
                self.in_queue -= 1;
                self.unstamped_in_queue -= u32::from(!operation.is_stamped());
            }
            class => {
                if self.leave_class(class, operations, index) {
                    return;
                }
            }
        }
        if !self.is_loud() {
            // A quiet operation may have been armed since, and want the timer itself.
            self.tick_wanted = self.any_timer_ms != NO_TIMER || self.quiet > 0;
        }
    }

    /// Whether an operation is armed that a caller waits for.
    const fn is_loud(&self) -> bool {
        self.in_queue > 0 || self.in_classes > self.quiet
    }

    /// Returns whether the class is quiet. A timer that was set for it may then run out unused: it is not set and
    /// cleared with every return.
    #[inline(never)]
    fn leave_class(&mut self, class: u16, operations: &mut Operations, index: u32) -> bool {
        let class = &mut self.classes[class as usize];
        let is_quiet = class.is_quiet;
        class.operations.remove(operations, index);
        self.in_classes -= 1;
        self.quiet -= u32::from(is_quiet);
        if is_quiet {
            self.tick_wanted &= self.in_queue + self.in_classes > 0;
        }
        is_quiet
    }

    /// Takes a reading of the host's clock for a tick, and stamps the operations that were armed before it. Returns
    /// whether it stamped any. `rings`: the host timer has run out with this reading.
    pub(crate) fn read_for_tick(
        &mut self,
        operations: &mut Operations,
        queue: &Ring<Queue>,
        now_ms: f64,
        rings: bool,
    ) -> bool {
        self.take_reading(now_ms);
        if rings {
            self.take_ring();
        }
        self.stamp_all(operations, queue)
    }

    /// Takes a reading beside the ticks.
    pub(crate) fn read(&mut self, operations: &mut Operations, queue: &Ring<Queue>, now_ms: f64) {
        self.take_reading(now_ms);
        // The ring may still tell how much time has passed. What is stamped before that would end early.
        if !self.may_leap() && !self.may_stand_still() {
            self.stamp_all(operations, queue);
        }
    }

    /// Whether the ring of the timer will tell of time that no reading has shown.
    const fn may_leap(&self) -> bool {
        self.has_gone_back && self.any_timer_ms != NO_TIMER
    }

    /// Whether the clock has shown so little since the timer was set that it may stand still.
    const fn may_stand_still(&self) -> bool {
        self.any_timer_ms != NO_TIMER && self.now.wrapping_sub(self.set_at) < self.any_timer_ms / STILL
    }

    /// When a span ends that is counted from the last reading.
    pub(crate) fn end_of(&mut self, span_ms: u32) -> u32 {
        // It is no stamp that could wait for the ring. So a tick comes before that.
        self.tick_wanted |= self.may_leap();
        self.now.wrapping_add(span_ms)
    }

    /// A clock that went back counts from where it is now: what it has lost is no debt.
    fn take_reading(&mut self, now_ms: f64) {
        let read_ms = self.read_ms.unwrap_or(now_ms);
        // Also false if one of them is no number.
        if !(now_ms.is_finite() && now_ms - read_ms < IMPOSSIBLE_LEAP_MS) {
            return;
        }
        self.has_gone_back |= now_ms < read_ms;
        let read_ms = read_ms.min(now_ms);
        // Whole milliseconds; the fraction stays for the next reading.
        let passed_ms = (now_ms - read_ms) as u64;
        self.read_ms = Some(read_ms + passed_ms as f64);
        self.pass(passed_ms);
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.wrapping_add(ms.min(LONGEST_LEAP_MS) as u32);
        self.age_now_ms = self.age_now_ms.saturating_add(ms);
    }

    /// The delay of a timer that rings has passed, if the clock has gone back, or has nearly stood still as it does
    /// when a test mocks only the timers. Otherwise the timer may have rung early.
    fn take_ring(&mut self) {
        let (delay_ms, passed_ms) = (self.any_timer_ms, self.now.wrapping_sub(self.set_at));
        if delay_ms == NO_TIMER || passed_ms >= delay_ms {
            return;
        }
        let missing_ms = delay_ms - passed_ms;
        if self.has_gone_back || missing_ms > COARSE_MS && passed_ms < delay_ms / STILL {
            self.pass(u64::from(missing_ms));
        }
    }

    fn stamp_all(&mut self, operations: &mut Operations, queue: &Ring<Queue>) -> bool {
        let mut stamped = false;
        // From the back, as far as there are waiters without a stamp: those with one came before.
        for index in queue.iter().rev() {
            if self.unstamped_in_queue == 0 {
                break;
            }
            let waiter = &mut operations[index];
            if waiter.class == IN_QUEUE && !waiter.is_stamped() {
                waiter.due = stamp(self.now, self.queue_span_ms);
                self.unstamped_in_queue -= 1;
                stamped = true;
            }
        }
        for class in &self.classes {
            for index in class.operations.iter().rev() {
                let operation = &mut operations[index];
                if operation.is_stamped() {
                    break;
                }
                // An idle time may end a fraction early: nothing waits for it.
                operation.due = stamp(self.now, class.span_ms - u32::from(class.is_quiet && class.span_ms > 0));
                stamped = true;
            }
        }
        stamped
    }

    /// Whether operations are due, and this tick is late: then it ends none of them, and [`Deadlines::plan_patience`]
    /// lets the host deliver what it has. A reading comes first. `rings`: the host timer has run out.
    pub(crate) fn is_late(&mut self, operations: &Operations, queue: &Ring<Queue>, rings: bool) -> bool {
        self.patience = if self.is_any_due(operations, queue) { self.patience_now(rings) } else { Patience::None };
        !matches!(self.patience, Patience::None)
    }

    fn patience_now(&self, rings: bool) -> Patience {
        let now = self.now;
        // A tick without a ring may come while the host still delivers.
        match self.patience {
            Patience::None => {
                // Without a timer there was no tick in time.
                let late_ms = match self.any_timer_ms {
                    NO_TIMER => LONGEST_GRACE_MS,
                    timer_ms => now.wrapping_sub(self.set_at).saturating_sub(timer_ms),
                };
                let ends = now.wrapping_add(late_ms.min(LONGEST_GRACE_MS));
                if late_ms > LATE_MS { Patience::Grace { ends } } else { Patience::None }
            }
            Patience::Grace { ends } => match now.wrapping_sub(ends) as i32 {
                late_ms if late_ms > if rings { OVERLOAD_MS } else { LOST_RING_MS } as i32 => Patience::None,
                _ if rings => Patience::Turn { began: now },
                _ => self.patience,
            },
            Patience::Turn { began } if rings || now.wrapping_sub(began) > LOST_RING_MS => Patience::None,
            Patience::Turn { .. } => self.patience,
        }
    }

    /// Returns how long the host timer should run until the grace has ended; 0 stands for one turn of the host's loop.
    pub(crate) fn plan_patience(&mut self) -> u32 {
        let left_ms = match self.patience {
            Patience::Grace { ends } => (ends.wrapping_sub(self.now) as i32).max(1) as u32,
            _ => 0,
        };
        self.set_timer(left_ms);
        left_ms
    }

    fn is_any_due(&self, operations: &Operations, queue: &Ring<Queue>) -> bool {
        let is_due = |index| operations[index].is_stamped() && self.is_past(&operations[index]);
        self.classes.iter().any(|class| class.operations.front().is_some_and(is_due))
            || self.in_queue > 0 && self.first_in(queue, operations).is_some_and(is_due)
    }

    fn first_in(&self, queue: &Ring<Queue>, operations: &Operations) -> Option<u32> {
        queue.iter().find(|&index| operations[index].class == IN_QUEUE)
    }

    /// For how long the first waiter on the pool's own timeout has been armed, since the reading that stamped it.
    pub(crate) fn longest_in_queue(&self, operations: &Operations, queue: &Ring<Queue>) -> Option<u32> {
        let first = &operations[self.first_in(queue, operations)?];
        let left = first.due.wrapping_sub(self.now);
        first.is_stamped().then(|| (self.queue_span_ms + 1).wrapping_sub(left))
    }

    /// Takes one operation whose time has ended; it is disarmed. A reading comes first.
    pub(crate) fn take_expired(&mut self, operations: &mut Operations) -> Option<u32> {
        for class in 0..self.classes.len() {
            while let Some(first) = self.classes[class].operations.front() {
                if !operations[first].is_stamped() || !self.is_past(&operations[first]) {
                    break;
                }
                self.disarm(operations, first);
                if self.classes[class].span_ms < LONGEST_SPAN_MS {
                    return Some(first);
                }
                self.arm(operations, first, Span::Forever, self.classes[class].is_quiet);
            }
        }
        None
    }

    /// Takes the waiters on the pool's own timeout whose time has ended, all in one walk, disarmed. A reading comes
    /// first.
    pub(crate) fn take_expired_in_queue(&mut self, operations: &mut Operations, queue: &Ring<Queue>) -> Vec<u32> {
        let mut expired = Vec::new();
        if self.in_queue == 0 {
            return expired;
        }
        for index in queue.iter().filter(|&index| operations[index].class == IN_QUEUE) {
            if !operations[index].is_stamped() || !self.is_past(&operations[index]) {
                break;
            }
            expired.push(index);
        }
        if self.queue_span_ms < LONGEST_SPAN_MS {
            for &index in &expired {
                self.disarm(operations, index);
            }
            return expired;
        }
        // A span without end goes on: the next reading stamps it again.
        for index in core::mem::take(&mut expired) {
            operations[index].due = NO_STAMP;
            self.unstamped_in_queue += 1;
        }
        expired
    }

    fn is_past(&self, operation: &Operation) -> bool {
        self.now.wrapping_sub(operation.due) < u32::MAX / 2
    }

    /// How long the host timer should run from the last reading, or `None` for no timer. While operations keep coming
    /// (`stamped`), ticks come often enough to stamp the next ones in time; else only for the next end.
    pub(crate) fn plan(&mut self, operations: &mut Operations, queue: &Ring<Queue>, stamped: bool) -> Option<u32> {
        let mut delay: Option<u32> = None;
        let mut consider = |span_ms: u32, first: &Operation, unstamped: bool| {
            let mut wanted = grain_ms(span_ms);
            if first.is_stamped() {
                let left = first.due.wrapping_sub(self.now);
                wanted = if stamped || unstamped { left.min(wanted) } else { left };
            }
            delay = Some(delay.map_or(wanted, |delay| delay.min(wanted)).max(1));
        };
        if self.in_queue > 0
            && let Some(first) = self.first_in(queue, operations)
        {
            consider(self.queue_span_ms, &operations[first], false);
        }
        for class in &self.classes {
            let Some(first) = class.operations.front() else { continue };
            // An operation that this tick itself armed waits for its stamp like any other.
            let unstamped = class.operations.iter().next_back().is_some_and(|last| !operations[last].is_stamped());
            consider(class.span_ms, &operations[first], unstamped);
        }
        self.set_timer(delay.unwrap_or(NO_TIMER));
        delay
    }

    fn set_timer(&mut self, ms: u32) {
        self.any_timer_ms = ms;
        self.timer_ms = if self.is_loud() { ms } else { NO_TIMER };
        self.set_at = self.now;
        self.has_gone_back = false;
        self.tick_wanted = false;
    }

    #[inline(never)]
    fn class_of(&mut self, span: Span, is_quiet: bool) -> usize {
        let span_ms = match span {
            Span::Millis(ms) => round_up(ms),
            Span::Forever => LONGEST_SPAN_MS,
        };
        let mut unused = None;
        for (index, class) in self.classes.iter().enumerate() {
            if (class.span_ms, class.is_quiet) == (span_ms, is_quiet) {
                return index;
            }
            if class.operations.is_empty() {
                unused = Some(index);
            }
        }
        let operations = match unused {
            Some(index) => core::mem::replace(&mut self.classes[index].operations, Ring::new()),
            None => Ring::new(),
        };
        let class = Class { span_ms, grain_ms: grain_ms(span_ms), is_quiet, operations };
        let Some(index) = unused else {
            self.classes.push(class);
            return self.classes.len() - 1;
        };
        self.classes[index] = class;
        index
    }
}

/// To the next multiple of the span's power of two by 128: at most 1/128 longer, exact up to 256 ms.
const fn round_up(span_ms: u32) -> u32 {
    let step = 1 << (32 - span_ms.leading_zeros()).saturating_sub(8);
    let rounded = span_ms.div_ceil(step).saturating_mul(step);
    if rounded < LONGEST_SPAN_MS { rounded } else { LONGEST_SPAN_MS - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_grows_by_at_most_a_hundred_and_twenty_eighth() {
        for span_ms in (0..5000).chain((5000..LONGEST_SPAN_MS - LONGEST_SPAN_MS / 64).step_by(1_000_003)) {
            let rounded = round_up(span_ms);
            assert!(rounded >= span_ms && rounded - span_ms <= span_ms / 128, "{span_ms} became {rounded}");
        }
    }
}
