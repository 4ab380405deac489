//! The one timer of a pool. Its task sleeps until the policy wants the time, and ends if the policy wants no more.

extern crate std;

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
    /// When to ring, on the runtime's clock.
    due_ms: Cell<Option<f64>>,
    /// Until when the task sleeps at most.
    sleeps_until_ms: Cell<f64>,
    is_running: Cell<bool>,
    is_over: Cell<bool>,
    flag: Flag,
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self {
            due_ms: Cell::new(None),
            sleeps_until_ms: Cell::new(f64::INFINITY),
            is_running: Cell::new(false),
            is_over: Cell::new(false),
            flag: Flag::default(),
        }
    }

    /// Sets the alarm, or ends it.
    pub(super) fn set<M: Manager, R: Runtime>(shared: &Rc<Shared<M, R>>, due_ms: Option<f64>) {
        let alarm = &shared.alarm;
        alarm.due_ms.set(due_ms);
        if shared.crosses {
            // The request whose timer it would be may end first: each caller that waits has a timer of its own.
            return;
        }
        if !alarm.is_running.get() {
            if due_ms.is_some() {
                alarm.is_running.set(true);
                let (pool, alarm) = (Rc::downgrade(shared), alarm.clone());
                let running = Running { pool, alarm, has_begun: false };
                shared.runtime.spawn(Box::pin(run(running, shared.runtime.clone())));
            }
        } else if due_ms.is_none_or(|due_ms| due_ms < alarm.sleeps_until_ms.get()) {
            alarm.flag.raise();
        }
    }

    /// How long a caller that waits may sleep by a timer of its own.
    pub(super) fn next_ms(&self, now_ms: f64) -> u32 {
        const MOST_MS: f64 = 1000.0;
        ceil(self.due_ms.get().map_or(MOST_MS, |due_ms| (due_ms - now_ms).clamp(0.0, MOST_MS)))
    }

    /// Whether it would have rung by now. Of several callers whose timers end, one takes the ring.
    pub(super) fn is_due(&self, now_ms: f64) -> bool {
        self.due_ms.get().is_some_and(|due_ms| due_ms <= now_ms)
    }

    /// The pool is gone.
    pub(super) fn end(&self) {
        self.is_over.set(true);
        self.due_ms.set(None);
        self.flag.raise();
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
        alarm.sleeps_until_ms.set(f64::INFINITY);
        let due_ms = alarm.due_ms.get();
        let has_panicked = *has_begun && std::thread::panicking();
        if alarm.is_over.get() || due_ms.is_none() && !has_panicked {
            return;
        }
        let Some(pool) = pool.upgrade() else { return };
        pool.try_with(|state| state.policy.timer_lost());
        if has_panicked {
            // Callers wait for it.
            Alarm::set(&pool, Some(due_ms.unwrap_or_else(|| pool.runtime.now())));
        }
    }
}

async fn run<M: Manager, R: Runtime>(mut running: Running<M, R>, runtime: R) {
    running.has_begun = true;
    let (pool, alarm) = (running.pool.clone(), running.alarm.clone());
    while let Some(due_ms) = alarm.due_ms.get() {
        let left_ms = due_ms - runtime.now();
        if left_ms > 0.0 {
            alarm.sleeps_until_ms.set(due_ms);
            let mut sleep = runtime.sleep(ceil(left_ms));
            poll_fn(|context| {
                if alarm.flag.take() || Pin::new(&mut sleep).poll(context).is_ready() {
                    return Poll::Ready(());
                }
                alarm.flag.watch(context);
                Poll::Pending
            })
            .await;
            alarm.sleeps_until_ms.set(f64::INFINITY);
            continue;
        }
        alarm.due_ms.set(None);
        // A delay of nothing asks for one turn of the host's loop.
        let mut turn = runtime.sleep(0);
        poll_fn(|context| {
            // The request of a pool may end with it, and the turn with the request.
            if alarm.is_over.get() || Pin::new(&mut turn).poll(context).is_ready() {
                return Poll::Ready(());
            }
            alarm.flag.watch(context);
            Poll::Pending
        })
        .await;
        let Some(pool) = pool.upgrade() else { break };
        pool.tick(true);
        pool.afterwards();
    }
}

fn ceil(ms: f64) -> u32 {
    let whole = ms as u32;
    if f64::from(whole) < ms { whole.saturating_add(1) } else { whole }
}
