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
        if !alarm.is_running.get() {
            if due_ms.is_some() {
                alarm.is_running.set(true);
                shared.runtime.spawn(Box::pin(run(Rc::downgrade(shared), alarm.clone(), shared.runtime.clone())));
            }
        } else if due_ms.is_none_or(|due_ms| due_ms < alarm.sleeps_until_ms.get()) {
            alarm.flag.raise();
        }
    }

    /// The pool is gone.
    pub(super) fn end(&self) {
        self.is_over.set(true);
        self.due_ms.set(None);
        self.flag.raise();
    }
}

async fn run<M: Manager, R: Runtime>(pool: Weak<Shared<M, R>>, alarm: Rc<Alarm>, runtime: R) {
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
        runtime.sleep(0).await;
        let Some(pool) = pool.upgrade() else { break };
        pool.tick(true);
        pool.afterwards();
    }
    alarm.is_running.set(false);
}

fn ceil(ms: f64) -> u32 {
    let whole = ms as u32;
    if f64::from(whole) < ms { whole.saturating_add(1) } else { whole }
}
