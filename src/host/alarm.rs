//! The one timer of a pool. Its task sleeps until the policy wants the time, and ends if the policy wants no more. It
//! rings when its sleep has ended, whatever the clock shows: the policy judges a clock that stands still or goes back.

extern crate std;

use super::is_unwinding;
use super::manager::Manager;
use super::runtime::Runtime;
use super::shared::Shared;
use super::signal::Flag;
use core::cell::Cell;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use std::boxed::Box;
use std::rc::{Rc, Weak};

pub(super) struct Alarm {
    due: Cell<Option<Due>>,
    /// When the sleep under way ends, on the runtime's clock. Most times are over before they end, so a later one keeps
    /// the sleep.
    rings_ms: Cell<Option<f64>>,
    is_running: Cell<bool>,
    is_over: Cell<bool>,
    flag: Flag,
}

/// When to ring.
#[derive(Clone, Copy)]
pub(super) struct Due {
    /// When this was asked for, on the runtime's clock.
    pub(super) since_ms: f64,
    pub(super) delay_ms: u32,
}

impl Due {
    fn at_ms(self) -> f64 {
        self.since_ms + f64::from(self.delay_ms)
    }

    /// A clock that has gone back, or shows no number, has shown no time.
    fn left_ms(self, now_ms: f64) -> f64 {
        let delay_ms = f64::from(self.delay_ms);
        delay_ms - (now_ms - self.since_ms).max(0.0).min(delay_ms)
    }
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self {
            due: Cell::new(None),
            rings_ms: Cell::new(None),
            is_running: Cell::new(false),
            is_over: Cell::new(false),
            flag: Flag::default(),
        }
    }

    /// Sets the alarm, or ends it.
    pub(super) fn set<M: Manager, R: Runtime>(shared: &Rc<Shared<M, R>>, due: Option<Due>) {
        let alarm = &shared.alarm;
        alarm.due.set(due);
        if shared.crosses {
            // The request whose timer it would be may end first: each caller that waits has a timer of its own.
            return;
        }
        if !alarm.is_running.get() {
            if due.is_some() {
                alarm.is_running.set(true);
                let (pool, alarm) = (Rc::downgrade(shared), alarm.clone());
                let running = Running { pool, alarm, has_begun: false };
                shared.runtime.spawn(Box::pin(run(running, shared.runtime.clone())));
            }
        } else if let Some(rings_ms) = alarm.rings_ms.get()
            && !due.is_some_and(|due| due.delay_ms > 0 && rings_ms <= due.at_ms())
        {
            alarm.flag.raise();
        }
    }

    /// How long a caller that waits may sleep by a timer of its own.
    pub(super) fn next_ms(&self, now_ms: f64) -> u32 {
        const MOST_MS: f64 = 1000.0;
        ceil(self.due.get().map_or(MOST_MS, |due| due.left_ms(now_ms).min(MOST_MS)))
    }

    /// Whether it would have rung by now. Of several callers whose timers end, one takes the ring.
    pub(super) fn is_due(&self, now_ms: f64) -> bool {
        self.due.get().is_some_and(|due| due.left_ms(now_ms) <= 0.0)
    }

    /// The pool is gone.
    pub(super) fn end(&self) {
        self.is_over.set(true);
        self.due.set(None);
        self.flag.raise();
    }

    /// Sleeps until it rings. Returns whether it does: not if it was set to an earlier time, or ended.
    async fn sleep<R: Runtime>(&self, runtime: &R, due: Due) -> bool {
        let (mut rings_ms, mut left_ms) = (due.at_ms(), due.left_ms(runtime.now()));
        loop {
            self.rings_ms.set(Some(rings_ms));
            // A delay of nothing asks for one turn of the host's loop.
            let mut sleep = runtime.sleep(ceil(left_ms));
            let has_ended = poll_fn(|context| {
                // The request of a pool may end with it, and the sleep with the request.
                if self.is_over.get() || self.flag.take() {
                    return Poll::Ready(false);
                }
                if Pin::new(&mut sleep).poll(context).is_ready() {
                    return Poll::Ready(true);
                }
                self.flag.watch(context);
                Poll::Pending
            })
            .await;
            self.rings_ms.set(None);
            let Some(due) = self.due.get().filter(|_| has_ended) else { return false };
            if rings_ms < due.at_ms() {
                // A clock that stands still does not tell that the sleep has ended.
                left_ms = due.at_ms() - rings_ms.max(runtime.now());
                rings_ms = due.at_ms();
                if left_ms > 0.0 {
                    continue;
                }
            }
            return true;
        }
    }
}

/// While the task runs. A listener or a manager that panics in it, or the end of its runtime, drops it before its end.
struct Running<M: Manager, R: Runtime> {
    pool: Weak<Shared<M, R>>,
    alarm: Rc<Alarm>,
    has_begun: bool,
}

impl<M: Manager, R: Runtime> Drop for Running<M, R> {
    fn drop(&mut self) {
        let Self { pool, alarm, has_begun } = self;
        alarm.is_running.set(false);
        alarm.rings_ms.set(None);
        let due = alarm.due.get();
        let has_panicked = *has_begun && is_unwinding();
        if alarm.is_over.get() || due.is_none() && !has_panicked {
            return;
        }
        let Some(pool) = pool.upgrade() else { return };
        pool.try_with(|state| state.policy.timer_lost());
        if has_panicked {
            // Callers wait for it.
            let now = || Due { since_ms: pool.runtime.now(), delay_ms: 0 };
            Alarm::set(&pool, Some(due.unwrap_or_else(now)));
        }
    }
}

async fn run<M: Manager, R: Runtime>(mut running: Running<M, R>, runtime: R) {
    running.has_begun = true;
    let (pool, alarm) = (running.pool.clone(), running.alarm.clone());
    while let Some(due) = alarm.due.get() {
        if !alarm.sleep(&runtime, due).await {
            continue;
        }
        let Some(pool) = pool.upgrade() else { break };
        pool.tick(true);
        pool.afterwards();
    }
}

fn ceil(ms: f64) -> u32 {
    let whole = ms as u32;
    if f64::from(whole) < ms { whole.saturating_add(1) } else { whole }
}
