//! What the pool, its leases, its operations and its timer share: the policy, the connections by slot, and the callers.
//!
//! The contract is that of ARCHITECTURE.md. After each call into the policy its output is drained, before any foreign
//! code runs. Managers, listeners, runtimes, wakers and the drop of a connection are foreign code: nothing is borrowed
//! while one of them runs.

extern crate std;

use super::alarm::Alarm;
use super::asked::Own;
use super::callers::{Answer, Caller, Granted, Hold, Party, enter, find, leave};
use super::error::{Error, LongHeld, TimeoutError, time_of};
use super::events::{Background, Events, Taken};
use super::manager::Manager;
use super::runtime::{Place, Runtime};
use super::signal::Flag;
use super::strays::Strays;
use super::watch::Held;
use crate::policy::{
    Config, Hooks, Limits, OperationId, Outcome, Pool, Refusal, ResetStyle, Settings, Sizes, Span, Step, Violation,
};
use core::cell::{Cell, OnceCell, RefCell};
use std::boxed::Box;
use std::collections::VecDeque;
use std::rc::Rc;
use std::vec::Vec;

pub(super) struct State<M: Manager, R: Runtime> {
    pub(super) policy: Pool,
    pub(super) slots: Vec<Option<Rc<Held<M>>>>,
    /// Callers that wait, and the flags of operations that perform steps.
    pub(super) callers: Vec<Option<Party<Caller<M, R>>>>,
    pub(super) flags: Vec<Option<Party<Flag>>>,
    /// Spawned operations that have not started.
    pub(super) spawned: VecDeque<OperationId>,
    /// Leases that were out for too long and are not reported yet, the next one last: for how many milliseconds, and
    /// where they were taken.
    pub(super) long_held: Vec<(u32, Option<Taken>)>,
    /// The error of the last opening, while openings fail and are tried again.
    pub(super) open_error: Option<Rc<M::Error>>,
}

/// What each checkout and return looks at, read once.
#[derive(Clone, Copy)]
pub(super) struct Traits {
    pub(super) tells_time: bool,
    pub(super) has_deadline: bool,
    pub(super) wants_random: bool,
    pub(super) retries: bool,
    pub(super) rolls_back: bool,
    pub(super) limits_holding: bool,
    pub(super) takes_back: bool,
    pub(super) resets_before: bool,
}

impl Traits {
    fn of(settings: &Settings, config: &Config, listens: bool) -> Self {
        let limits_holding = settings.hold_limit_ms != f64::INFINITY;
        let retries = config.retries();
        Self {
            tells_time: config.tells_time(),
            has_deadline: settings.deadline_ms != f64::INFINITY,
            wants_random: settings.recycle_jitter != 0.0 || retries,
            retries,
            rolls_back: settings.reset_on_return == Some(ResetStyle::Rollback),
            limits_holding,
            takes_back: limits_holding && settings.on_hold_limit == Some(true),
            resets_before: listens,
        }
    }
}

pub(super) struct Shared<M: Manager, R: Runtime> {
    pub(super) manager: Rc<M>,
    pub(super) runtime: R,
    pub(super) events: Option<Rc<dyn Events<M>>>,
    pub(super) name: Rc<str>,
    /// With the sizes as they are now.
    pub(super) settings: RefCell<Settings>,
    pub(super) alarm: Rc<Alarm>,
    state: RefCell<State<M, R>>,
    pub(super) traits: Cell<Traits>,
    /// Where the pool is used first. Elsewhere it is refused, unless it crosses.
    place: OnceCell<R::Place>,
    pub(super) crosses: bool,
    pub(super) strays: Strays<M, R>,
    /// 0 before the first number.
    random: Cell<u64>,
    pub(super) is_starting: Cell<bool>,
}

impl<M: Manager, R: Runtime> Shared<M, R> {
    pub(super) fn new(
        manager: Rc<M>,
        runtime: R,
        events: Option<Rc<dyn Events<M>>>,
        name: Rc<str>,
        settings: Settings,
        mut policy: Pool,
        crosses: bool,
    ) -> Self {
        if events.is_some() {
            policy.set_hooks(Hooks::from_bits((1 << 10) - 1));
        }
        policy.set_can_ping(manager.can_ping());
        let traits = Traits::of(&settings, policy.config(), events.is_some());
        let state = State {
            policy,
            slots: Vec::new(),
            callers: Vec::new(),
            flags: Vec::new(),
            spawned: VecDeque::new(),
            long_held: Vec::new(),
            open_error: None,
        };
        Self {
            manager,
            runtime,
            events,
            name,
            settings: RefCell::new(settings),
            alarm: Rc::new(Alarm::new()),
            state: RefCell::new(state),
            traits: Cell::new(traits),
            place: OnceCell::new(),
            crosses,
            strays: Strays::new(),
            random: Cell::new(0),
            is_starting: Cell::new(false),
        }
    }

    /// Calls the policy, or looks at what is beside it. Runs no foreign code.
    #[inline(always)]
    pub(super) fn with<T>(&self, run: impl FnOnce(&mut State<M, R>) -> T) -> T {
        run(&mut self.state.borrow_mut())
    }

    /// The same from a drop that may come while the state is borrowed, as a panic unwinds.
    pub(super) fn try_with<T>(&self, run: impl FnOnce(&mut State<M, R>) -> T) -> Option<T> {
        self.state.try_borrow_mut().ok().map(|mut state| run(&mut state))
    }

    /// Changes the sizes, of which some decide whether the time matters.
    pub(super) fn resize(&self, sizes: Sizes) -> Result<(), Violation> {
        self.with(|state| {
            state.policy.resize(sizes)?;
            let mut settings = self.settings.borrow_mut();
            settings.take(sizes);
            self.traits.set(Traits::of(&settings, state.policy.config(), self.events.is_some()));
            Ok(())
        })
    }

    // ---- places

    /// A pool belongs to the I/O context of its first call. Refuses a call from another one.
    #[inline(always)]
    pub(super) fn check_place(self: &Rc<Self>) -> Result<(), Error<M::Error>> {
        if !self.is_here() {
            return Err(self.refuse_place());
        }
        self.take_in_strays();
        Ok(())
    }

    #[cold]
    pub(super) fn refuse_place(&self) -> Error<M::Error> {
        let pool = self.name.clone();
        if self.place.get().is_some() { Error::Elsewhere { pool } } else { Error::Nowhere { pool } }
    }

    #[inline(always)]
    pub(super) fn is_here(&self) -> bool {
        self.crosses || self.place.get().map_or_else(|| self.settle_place(), Place::is_here)
    }

    /// Returns whether the code runs in a place, which is the pool's from now on.
    #[cold]
    fn settle_place(&self) -> bool {
        self.runtime.place().is_some_and(|place| self.place.set(place).is_ok())
    }

    // ---- time

    /// The time, if the policy looks at it before an outcome. Read apart from it: a runtime is foreign code.
    pub(super) fn time_for(&self, is_timed: bool) -> Option<f64> {
        (self.traits.get().tells_time || is_timed).then(|| self.runtime.now())
    }

    /// A random number, if the policy wants one. The first takes the time into it.
    pub(super) fn random(&self) -> Option<f64> {
        self.traits.get().wants_random.then(|| self.next_random())
    }

    /// Gives the policy what it looks at before a checkout or an outcome.
    pub(super) fn prepare(state: &mut State<M, R>, now_ms: Option<f64>, random: Option<f64>) {
        if let Some(now_ms) = now_ms {
            state.policy.read_clock(now_ms);
        }
        if let Some(random) = random {
            state.policy.set_random(random);
        }
    }

    pub(super) fn time_opening(&self, id: OperationId) {
        if self.traits.get().retries {
            let now_ms = self.runtime.now();
            self.with(|state| {
                state.policy.read_clock(now_ms);
                state.policy.time_opening(id);
            });
        }
    }

    /// For jitter alone: xorshift64*.
    fn next_random(&self) -> f64 {
        let mut random = match self.random.get() {
            0 => self.first_random(),
            random => random,
        };
        random ^= random >> 12;
        random ^= random << 25;
        random ^= random >> 27;
        self.random.set(random);
        (random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Differs among the pools that live at once, so that those that were made together drift apart: Workers stop the
    /// clock.
    fn first_random(&self) -> u64 {
        let address = core::ptr::from_ref(self).addr() as u64;
        self.runtime.now().to_bits() ^ address.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1
    }

    /// What a checkout passes to the policy: `None` for the pool's own settings and no time.
    #[inline(always)]
    pub(super) fn limits(&self, own: Own) -> Option<Limits> {
        let traits = self.traits.get();
        if own.is_plain() && !traits.has_deadline && !traits.tells_time {
            return None;
        }
        let (timeout, deadline, priority) = own.asked();
        Some(Limits { timeout, deadline, priority, now_ms: self.runtime.now() })
    }

    /// Lends the next idle connection, if the policy looks at nothing but its state.
    #[inline(always)]
    pub(super) fn lend_at_once(self: &Rc<Self>, own: Own) -> Option<Granted<M>> {
        let traits = self.traits.get();
        if !own.is_plain() || traits.has_deadline || traits.tells_time || self.check_place().is_err() {
            return None;
        }
        let state = &mut *self.state.borrow_mut();
        let lease = state.policy.take_clean()?;
        state.lend(lease.index(), Hold::Slot(lease))
    }

    // ---- callers and operations

    pub(super) fn attend(state: &mut State<M, R>, caller: &Rc<Caller<M, R>>) {
        enter(&mut state.callers, caller.operation.get(), caller.clone());
    }

    /// The caller waits no more.
    pub(super) fn forget_caller(state: &mut State<M, R>, id: OperationId) -> Option<Rc<Caller<M, R>>> {
        leave(&mut state.callers, id)
    }

    pub(super) fn enter_operation(state: &mut State<M, R>, id: OperationId, flag: Rc<Flag>) {
        enter(&mut state.flags, id, flag);
    }

    pub(super) fn end_operation(state: &mut State<M, R>, id: OperationId) {
        leave(&mut state.flags, id);
    }

    pub(super) fn has_caller(&self, id: OperationId) -> bool {
        self.with(|state| find(&state.callers, id).is_some())
    }

    /// Settles the caller of an operation by its own last step. Returns what no caller took.
    pub(super) fn settle(&self, id: OperationId, answer: Answer<M>) -> Option<Answer<M>> {
        let Some(caller) = self.with(|state| leave(&mut state.callers, id)) else { return Some(answer) };
        caller.settle(answer);
        caller.wake();
        None
    }

    // ---- connections

    pub(super) fn held_at(&self, slot: u32) -> Option<Rc<Held<M>>> {
        self.with(|state| state.slots.get(slot as usize).cloned().flatten())
    }

    pub(super) fn adopt(&self, slot: u32, connection: M::Connection) -> Rc<Held<M>> {
        let held = Rc::new(Held::new(slot, connection));
        let before = self.with(|state| {
            let index = slot as usize;
            if state.slots.len() <= index {
                state.slots.resize_with(index + 1, || None);
            }
            state.slots[index] = Some(held.clone());
            state.policy.adopt(slot);
            state.open_error.take()
        });
        // The drop of an error is foreign code.
        drop(before);
        held
    }

    /// Takes the connection out of its slot, if it is still there.
    pub(super) fn empty(&self, held: &Rc<Held<M>>) {
        self.with(|state| {
            if let Some(place) = state.slots.get_mut(held.slot as usize) {
                place.take_if(|present| Rc::ptr_eq(present, held));
            }
        });
    }

    /// Terminates a connection that has ended in the pool while a call, a listener or a lease had it.
    pub(super) fn end_doomed(&self, held: &Held<M>) {
        if let Some(connection) = held.take_doomed() {
            self.manager.terminate(connection);
        }
    }

    pub(super) fn is_current(&self, held: &Rc<Held<M>>) -> bool {
        self.with(|state| state.has(held))
    }

    pub(super) fn report(&self, background: Background, error: Option<&Rc<M::Error>>) {
        if let Some(events) = &self.events {
            events.error(background, error);
        }
    }

    /// The `timeout` and `deadline` of a caller, in milliseconds.
    pub(super) fn own_ms(&self, own: Own) -> (f64, f64) {
        let (timeout, deadline, _) = own.asked();
        let ms = |own: Option<Span>, pools: f64| match own {
            None => pools,
            Some(Span::Millis(ms)) => f64::from(ms),
            Some(Span::Forever) => f64::INFINITY,
        };
        let settings = self.settings.borrow();
        (ms(timeout, settings.timeout_ms), ms(deadline, settings.deadline_ms))
    }

    pub(super) fn has_output(&self) -> bool {
        self.with(|state| state.policy.has_output())
    }

    pub(super) fn spawned_len(&self) -> usize {
        self.with(|state| state.spawned.len())
    }

    /// The operations that were spawned since there were so many.
    pub(super) fn spawned_since(&self, before: usize) -> Vec<OperationId> {
        self.with(|state| state.spawned.iter().skip(before).copied().collect())
    }

    /// Takes the operations that were spawned since there were so many.
    pub(super) fn take_spawned(&self, before: usize) -> Vec<OperationId> {
        let taken = self.spawned_since(before);
        self.with(|state| state.spawned.truncate(before));
        taken
    }

    // ---- refusals

    /// Returns the error of a refused caller. `own`: the error that its operation met.
    pub(super) fn refusal(
        &self,
        state: &mut State<M, R>,
        refusal: Refusal,
        own_ms: (f64, f64),
        own: Option<Rc<M::Error>>,
        disconnection: Option<Rc<M::Error>>,
    ) -> Error<M::Error> {
        let pool = self.name.clone();
        match refusal {
            Refusal::Closed | Refusal::Aborted => Error::Closed { pool },
            Refusal::QueueFull => Error::QueueFull { pool, stats: Box::new(state.policy.stats()) },
            Refusal::InUse => {
                // The pool has one slot.
                let taken_at = state.slots.first().and_then(|held| held.as_ref()?.taken_at.get());
                Error::InUse { pool, taken_at }
            }
            Refusal::Disconnected => Error::Disconnected { pool, last: disconnection.or(own) },
            Refusal::Failed => match own.or_else(|| state.open_error.clone()) {
                Some(error) => Error::Manager(error),
                None => Error::Disconnected { pool, last: None },
            },
            _ => {
                let (step, option, timeout_ms) = time_of(refusal, &self.settings.borrow(), own_ms);
                Error::Timeout(Box::new(TimeoutError {
                    pool,
                    step,
                    option,
                    timeout_ms,
                    stats: state.policy.stats(),
                    counts: state.policy.counts(),
                    longest_held: state.longest_held(),
                    cause: state.open_error.clone(),
                    returning_ms: state.policy.longest_return(),
                }))
            }
        }
    }

    pub(super) fn advance(&self, id: OperationId, outcome: Outcome, is_timed: bool) -> Step {
        let (now_ms, random) = (self.time_for(is_timed), self.random());
        self.with(|state| {
            Self::prepare(state, now_ms, random);
            state.policy.advance(id, outcome)
        })
    }
}

impl<M: Manager, R: Runtime> State<M, R> {
    /// Takes the connection out of its slot for a caller. A shared one stays there, too.
    pub(super) fn lend(&mut self, slot: u32, hold: Hold) -> Option<Granted<M>> {
        let held = self.slots.get(slot as usize)?.as_ref()?;
        let connection = {
            let mut place = held.connection.borrow_mut();
            if let Hold::Share(_) = hold { place.clone() } else { place.take() }
        }?;
        Some(Granted { held: held.clone(), connection, hold })
    }

    fn longest_held(&self) -> Vec<LongHeld> {
        let taken_at = |slot: u32| self.slots.get(slot as usize)?.as_ref()?.taken_at.get();
        let longest = self.policy.longest_held();
        longest.iter().flatten().map(|&(ms, slot)| LongHeld { ms, taken_at: taken_at(slot) }).collect()
    }

    pub(super) fn has(&self, held: &Rc<Held<M>>) -> bool {
        let present = self.slots.get(held.slot as usize).and_then(Option::as_ref);
        present.is_some_and(|present| Rc::ptr_eq(present, held))
    }
}

impl<M: Manager, R: Runtime> Drop for Shared<M, R> {
    /// The pool, its leases and its operations are gone: what is idle ends.
    fn drop(&mut self) {
        self.alarm.end();
        if !self.is_here() {
            // Nothing of it may be touched here, not even by its drop.
            core::mem::forget(core::mem::take(&mut self.state.get_mut().slots));
            self.strays.forget();
            return;
        }
        for held in self.strays.leases() {
            if let Some(connection) = held.take_to_end() {
                self.manager.terminate(connection);
            }
        }
        let slots = core::mem::take(&mut self.state.get_mut().slots);
        for held in slots.into_iter().flatten() {
            if let Some(connection) = held.take_to_end() {
                self.manager.terminate(connection);
            }
        }
    }
}
