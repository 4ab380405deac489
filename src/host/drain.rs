//! What each call into the policy leaves: its output is drained, before any foreign code runs. Then the time passes if
//! it is due, and what was spawned begins.

extern crate std;

use super::alarm::{Alarm, Due};
use super::callers::{Answer, Caller, Hold, Party, enter, find, leave};
use super::is_unwinding;
use super::manager::Manager;
use super::operation::Operation;
use super::runtime::Runtime;
use super::shared::{Shared, State, Traits};
use super::signal::Flag;
use super::watch::Held;
use crate::policy::{Aside, Condition, Notice};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Waker};
use core::time::Duration;
use std::boxed::Box;
use std::rc::Rc;
use std::vec::Vec;

impl<M: Manager, R: Runtime> Shared<M, R> {
    /// Drains the output of the last call, passes the time if it is due, and starts what was spawned.
    pub(super) fn afterwards(self: &Rc<Self>) {
        while self.with(|state| state.policy.has_output()) {
            self.drain();
            if self.with(|state| state.policy.tick_wanted()) {
                self.tick(false);
            }
        }
        // The outermost call starts them, in one loop: one of them may spawn others.
        if self.is_starting.replace(true) {
            return;
        }
        let _starting = Starting(self);
        self.start_spawned();
    }

    fn start_spawned(self: &Rc<Self>) {
        while let Some(id) = self.try_with(|state| state.spawned.pop_front()).flatten() {
            self.launch(Operation::spawned(self.clone(), id));
        }
    }

    /// Runs an operation without a caller: at once as far as everything that it calls answers at once, then as a task.
    pub(super) fn launch(&self, mut operation: Operation<M, R>) {
        if !self.runtime.is_running() {
            // Its drop ends it without another await.
            return;
        }
        let mut context = Context::from_waker(Waker::noop());
        // A second panic would end the process.
        if is_unwinding() || Pin::new(&mut operation).poll(&mut context).is_pending() {
            self.runtime.spawn(Box::pin(operation));
        }
    }

    /// Takes the time. `rings`: the alarm has run out.
    pub(super) fn tick(self: &Rc<Self>, rings: bool) {
        self.take_in_strays();
        let now_ms = self.runtime.now();
        let Traits { limits_holding, takes_back, .. } = self.traits.get();
        let delay_ms = self.with(|state| {
            let delay_ms = if rings { state.policy.ring(now_ms) } else { state.policy.tick(now_ms) };
            if limits_holding {
                state.note_held(takes_back);
            }
            delay_ms
        });
        self.drain();
        Alarm::set(self, delay_ms.map(|delay_ms| Due { since_ms: now_ms, delay_ms }));
        while let Some((ms, taken_at)) = self.with(|state| state.long_held.pop()) {
            if let Some(events) = &self.events {
                events.held(Duration::from_millis(u64::from(ms)), taken_at);
            }
        }
    }

    /// Settles every caller that the last call settled. The wakers run last.
    pub(super) fn drain(self: &Rc<Self>) {
        let mut woken: Vec<Rc<Caller<M, R>>> = Vec::new();
        let mut ended: Vec<Rc<Held<M>>> = Vec::new();
        let mut raised: Vec<Rc<Flag>> = Vec::new();
        // Operations that go on as tasks, and callers whose operation has a step.
        let mut tasks: Vec<Box<Operation<M, R>>> = Vec::new();
        let mut resumed: Vec<Rc<Caller<M, R>>> = Vec::new();
        let mut is_any_done = false;
        self.with(|state| {
            while let Some((id, notice)) = state.policy.take_notice() {
                match notice {
                    Notice::Resume | Notice::Expire => {
                        let caller = find(&state.callers, id);
                        if let Some(flag) = find(&state.flags, id) {
                            raised.push(flag.clone());
                            tasks.extend(caller.and_then(|caller| caller.work.take()));
                        } else {
                            resumed.extend(caller.cloned());
                        }
                    }
                    Notice::Follow(predecessor) => {
                        if let Some(caller) = leave(&mut state.callers, predecessor) {
                            tasks.extend(caller.work.take());
                            caller.operation.set(id);
                            resumed.push(caller.clone());
                            enter(&mut state.callers, id, caller);
                        }
                    }
                    settling => {
                        is_any_done |= matches!(settling, Notice::Done | Notice::Release);
                        let Some(caller) = leave(&mut state.callers, id) else {
                            if let Notice::Grant(lease) = settling {
                                // No caller is left: it goes straight back.
                                state.policy.begin_checkin(lease, Condition::Clean);
                            }
                            continue;
                        };
                        tasks.extend(caller.work.take());
                        let answer = match settling {
                            Notice::Grant(lease) => state.lend(lease.index(), Hold::Slot(lease)).map(Answer::Granted),
                            Notice::Reject(refusal) => {
                                Some(Answer::Refused(self.refusal(state, refusal, caller.own_ms, None, None)))
                            }
                            _ => Some(Answer::Done),
                        };
                        if let Some(answer) = answer {
                            caller.settle(answer);
                            woken.push(caller);
                        }
                    }
                }
            }
            if is_any_done && state.policy.has_ended() {
                // No close waits for them, and nothing else might ever end them.
                let opens = |party: &&Party<Flag>| state.policy.is_opening(party.operation);
                for Party { operation, is } in state.flags.iter().flatten().filter(opens) {
                    raised.push(is.clone());
                    tasks.extend(find(&state.callers, *operation).and_then(|caller| caller.work.take()));
                }
            }
            while let Some(aside) = state.policy.take_aside() {
                match aside {
                    Aside::Spawned(id) => state.spawned.push_back(id),
                    Aside::SlotEnded(slot) => ended.extend(state.slots.get_mut(slot as usize).and_then(Option::take)),
                }
            }
        });
        drop(ended);
        for flag in raised {
            flag.raise();
        }
        for operation in tasks {
            self.runtime.spawn(Box::into_pin(operation));
        }
        for caller in resumed {
            let id = caller.operation.get();
            let operation = Operation::resumed(self.clone(), id, caller.own_ms, caller.is_timed);
            self.runtime.spawn(Box::pin(operation));
        }
        for caller in woken {
            caller.wake();
        }
    }
}

/// Ends with the loop. If foreign code panics in it, what has not started becomes tasks.
struct Starting<'shared, M: Manager, R: Runtime>(&'shared Rc<Shared<M, R>>);

impl<M: Manager, R: Runtime> Drop for Starting<'_, M, R> {
    fn drop(&mut self) {
        self.0.is_starting.set(false);
        if is_unwinding() {
            self.0.start_spawned();
        }
    }
}

impl<M: Manager, R: Runtime> State<M, R> {
    /// Takes the leases that are out for too long at once: their slots may be lent again before they are reported.
    fn note_held(&mut self, takes_back: bool) {
        for (ms, slot) in self.policy.take_held().into_iter().rev() {
            let held = self.slots.get(slot as usize).and_then(Option::as_ref);
            if takes_back && let Some(held) = held {
                held.is_doomed.set(true);
            }
            self.long_held.push((ms, held.and_then(|held| held.taken_at.get())));
        }
    }
}
