//! One operation: performs the steps that the policy asks for, as a future. Its caller polls it; if the caller leaves,
//! the runtime does. What the next step is, is decided in src/policy.

extern crate std;

use super::borrowed::Borrowed;
use super::callers::{Answer, Hold};
use super::death::Death;
use super::error::Error;
use super::events::Background;
use super::manager::{Manager, Reset};
use super::returns::End;
use super::runtime::Runtime;
use super::shared::Shared;
use super::signal::Flag;
use super::watch::{Held, Watch};
use crate::policy::{Condition, Loss, OperationId, Outcome, Refusal, Step};
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use std::boxed::Box;
use std::rc::Rc;

/// What a call into the manager came to.
enum Called<M: Manager> {
    Opened(Result<M::Connection, M::Error>, Watch<M>),
    /// Whether the connection is alive, or was asked to stop.
    Asked(Result<bool, M::Error>),
    Ended(Result<(), M::Error>),
}

type Call<M> = Pin<Box<dyn Future<Output = Called<M>>>>;

enum Stage<M: Manager> {
    /// Asks for its step first.
    Begun,
    /// Performs this step next.
    Next(Step),
    /// Is performing a step, or a call in it has panicked.
    Performing,
    /// Waits for a notice.
    Asleep,
    /// A call into the manager is under way.
    Calling(Step, Call<M>),
    Over,
}

pub(super) struct Operation<M: Manager, R: Runtime> {
    pub(super) shared: Rc<Shared<M, R>>,
    id: OperationId,
    flag: Rc<Flag>,
    stage: Stage<M>,
    /// The connection of a return, or the one that ends: another operation may take it out of its slot.
    pub(super) held: Option<Rc<Held<M>>>,
    is_return: bool,
    /// The caller's own `timeout` and `deadline`.
    own_ms: (f64, f64),
    is_timed: bool,
    /// Why the caller will get no connection, or why this one ends; and of the connection before.
    pub(super) error: Option<Rc<M::Error>>,
    disconnection: Option<Rc<M::Error>>,
}

impl<M: Manager, R: Runtime> Operation<M, R> {
    fn new(shared: Rc<Shared<M, R>>, id: OperationId, stage: Stage<M>) -> Self {
        let flag = Rc::new(Flag::default());
        shared.with(|state| Shared::enter_operation(state, id, flag.clone()));
        Self {
            shared,
            id,
            flag,
            stage,
            held: None,
            is_return: false,
            own_ms: (f64::INFINITY, f64::INFINITY),
            is_timed: false,
            error: None,
            disconnection: None,
        }
    }

    /// A checkout that has its step.
    pub(super) fn checkout(
        shared: Rc<Shared<M, R>>,
        id: OperationId,
        step: Step,
        own_ms: (f64, f64),
        is_timed: bool,
    ) -> Self {
        let mut operation = Self::new(shared, id, Stage::Next(step));
        operation.own_ms = own_ms;
        operation.is_timed = is_timed;
        operation
    }

    /// A checkout that was woken.
    pub(super) fn resumed(shared: Rc<Shared<M, R>>, id: OperationId, own_ms: (f64, f64), is_timed: bool) -> Self {
        let mut operation = Self::new(shared, id, Stage::Begun);
        operation.own_ms = own_ms;
        operation.is_timed = is_timed;
        operation
    }

    /// A return, or the end of this connection.
    pub(super) fn returning(shared: Rc<Shared<M, R>>, id: OperationId, held: Rc<Held<M>>) -> Self {
        let mut operation = Self::new(shared, id, Stage::Begun);
        operation.held = Some(held);
        operation.is_return = true;
        operation
    }

    /// One without a caller.
    pub(super) fn spawned(shared: Rc<Shared<M, R>>, id: OperationId) -> Self {
        Self::new(shared, id, Stage::Begun)
    }

    pub(super) fn with_error(mut self, error: Option<Rc<M::Error>>) -> Self {
        self.error = error;
        self
    }

    pub(super) const fn id(&self) -> OperationId {
        self.id
    }

    // ---- performing

    fn advance(&self, outcome: Outcome) -> Step {
        self.flag.take();
        self.shared.advance(self.id, outcome, self.is_timed)
    }

    /// Performs a step. What answers at once leads to the next.
    fn perform(&mut self, step: Step) -> Stage<M> {
        match step {
            Step::Grant(lease) => self.grant(lease.index(), Hold::Slot(lease)),
            Step::Share(slot) => self.grant(slot, Hold::Share(self.id)),
            Step::Reject(refusal) => self.reject(refusal),
            Step::Done => {
                self.end();
                self.shared.settle(self.id, Answer::Done);
                Stage::Over
            }
            Step::Wait => {
                self.shared.drain();
                Stage::Asleep
            }
            _ => {
                self.shared.drain();
                match self.start(step) {
                    Ok(call) => Stage::Calling(step, call),
                    Err(outcome) => Stage::Next(self.advance(outcome)),
                }
            }
        }
    }

    fn end(&self) {
        self.shared.with(|state| Shared::end_operation(state, self.id));
    }

    fn grant(&mut self, slot: u32, hold: Hold) -> Stage<M> {
        self.end();
        if let Some(granted) = self.shared.with(|state| state.lend(slot, hold))
            && let Some(Answer::Granted(granted)) = self.shared.settle(self.id, Answer::Granted(granted))
        {
            // No caller is left.
            if let Some(operation) = self.shared.take_back(granted, End::Return) {
                self.shared.launch(operation);
            }
        }
        Stage::Over
    }

    fn reject(&mut self, refusal: Refusal) -> Stage<M> {
        let (own, disconnection) = (self.error.take(), self.disconnection.take());
        let error = self.shared.with(|state| self.shared.refusal(state, refusal, self.own_ms, own, disconnection));
        self.shared.settle(self.id, Answer::Refused(error));
        if refusal == Refusal::OpenTimeout {
            // The opening was dropped with its time: nothing of it can arrive.
            self.shared.drain();
            return Stage::Next(self.advance(Outcome::LateFailed));
        }
        self.end();
        Stage::Over
    }

    /// Calls the manager or a listener. `Err`: the outcome, at once.
    fn start(&mut self, step: Step) -> Result<Call<M>, Outcome> {
        let shared = self.shared.clone();
        match step {
            Step::Open(_) => {
                self.held = None;
                self.disconnection = self.error.take();
                shared.time_opening(self.id);
                Ok(Box::pin(async move {
                    let watch = Watch::new();
                    let opened = shared.manager.open(watch.clone()).await;
                    Called::Opened(opened, watch)
                }))
            }
            Step::Ping(slot) => {
                let held = self.held_for(Some(slot)).ok_or(Outcome::Ok)?;
                Ok(Box::pin(async move {
                    // Another sharer may be asking it.
                    poll_fn(|context| if held.is_lent_to_call(context) { Poll::Pending } else { Poll::Ready(()) })
                        .await;
                    // Callers that share the connection use it: it is not asked.
                    let Some(mut place) = Borrowed::of(&held) else { return Called::Asked(Ok(true)) };
                    Called::Asked(match place.get() {
                        Some(connection) => shared.manager.ping(connection).await,
                        None => Ok(true),
                    })
                }))
            }
            Step::Cancel(slot) => {
                let held = self.held_for(Some(slot)).ok_or(Outcome::Failed)?;
                Ok(Box::pin(async move {
                    let Some(mut place) = Borrowed::of(&held) else { return Called::Asked(Ok(false)) };
                    Called::Asked(match place.get() {
                        Some(connection) => shared.manager.cancel(connection).await,
                        None => Ok(false),
                    })
                }))
            }
            Step::Rollback(slot) | Step::Commit(slot) | Step::ResetSession(slot) => {
                let held = self.held_for(slot).ok_or(Outcome::Ok)?;
                let reset = reset_of(step);
                Ok(Box::pin(async move {
                    let Some(mut place) = Borrowed::of(&held) else { return Called::Ended(Ok(())) };
                    Called::Ended(match place.get() {
                        Some(connection) if matches!(step, Step::Rollback(_)) && shared.is_clean(connection) => Ok(()),
                        Some(connection) => shared.manager.reset(connection, reset).await,
                        None => Ok(()),
                    })
                }))
            }
            Step::Close(slot) => {
                let held = self.held_for(slot).ok_or(Outcome::Ok)?;
                shared.empty(&held);
                let connection = held.take_to_end().ok_or(Outcome::Ok)?;
                Ok(Box::pin(async move { Called::Ended(shared.manager.close(connection).await) }))
            }
            Step::Terminate(slot) => {
                if let Some(held) = self.held_for(slot) {
                    shared.empty(&held);
                    if let Some(connection) = held.take_to_end() {
                        shared.manager.terminate(connection);
                    }
                }
                if !self.is_return {
                    self.held = None;
                }
                Err(Outcome::Ok)
            }
            Step::Detach(slot) => {
                self.held = shared.held_at(slot);
                self.is_return = true;
                if let Some(held) = &self.held {
                    shared.empty(held);
                }
                Err(Outcome::Ok)
            }
            Step::Emit(event, slot) => Err(self.emit(event, slot)),
            _ => Err(Outcome::Ok),
        }
    }

    /// The connection that the step concerns; kept until its end, since another operation may empty the slot.
    pub(super) fn held_for(&mut self, slot: Option<u32>) -> Option<Rc<Held<M>>> {
        if self.held.is_none() {
            self.held = slot.and_then(|slot| self.shared.held_at(slot));
        }
        self.held.clone()
    }

    // ---- outcomes

    fn ended(&mut self, step: Step, called: Called<M>) -> Outcome {
        self.end_doomed();
        match called {
            Called::Opened(Ok(connection), watch) => self.opened(step, connection, &watch),
            Called::Opened(Err(error), _) => {
                let is_transient = self.shared.manager.is_transient(&error);
                let error = self.note(Background::Open, error);
                // The drop of an error is foreign code.
                let before = self.shared.with(|state| state.open_error.replace(error));
                drop(before);
                if is_transient { Outcome::Unavailable } else { Outcome::Failed }
            }
            Called::Asked(answer) if matches!(step, Step::Ping(_)) => self.pinged(answer),
            Called::Asked(Ok(is_asked)) => {
                if is_asked {
                    Outcome::Ok
                } else {
                    Outcome::Failed
                }
            }
            Called::Asked(Err(error)) => {
                self.note(Background::Reset, error);
                Outcome::Failed
            }
            Called::Ended(Ok(())) => self.closed(step, Outcome::Ok),
            Called::Ended(Err(error)) => {
                let is_close = matches!(step, Step::Close(_));
                let is_gone = !is_close && self.is_gone(&error);
                let error = Rc::new(error);
                if !is_gone {
                    let background = if is_close { Background::Close } else { Background::Reset };
                    self.shared.report(background, Some(&error));
                }
                if !is_close {
                    self.error = Some(error);
                }
                self.closed(step, Outcome::Failed)
            }
        }
    }

    fn closed(&mut self, step: Step, outcome: Outcome) -> Outcome {
        if matches!(step, Step::Close(_)) && !self.is_return {
            self.held = None;
        }
        outcome
    }

    fn opened(&mut self, step: Step, connection: M::Connection, watch: &Watch<M>) -> Outcome {
        let Step::Open(slot) = step else { return Outcome::Failed };
        let held = self.shared.adopt(slot, connection);
        let pool: Rc<dyn Death<M>> = self.shared.clone();
        watch.report_to(&pool, &held);
        Outcome::Ok
    }

    fn pinged(&mut self, answer: Result<bool, M::Error>) -> Outcome {
        let held = if self.is_return { self.held.clone() } else { self.held.take() };
        let is_current = held.as_ref().is_some_and(|held| self.shared.is_current(held));
        if !is_current && !self.is_return {
            // Another operation has ended the connection: the policy knows, and tries another one.
            return Outcome::Ok;
        }
        match answer {
            Ok(true) => Outcome::Ok,
            Ok(false) if self.is_return => Outcome::Failed,
            Ok(false) => Outcome::Disconnected,
            Err(error) => {
                let is_lost = held.is_some_and(|held| self.loss(&held, &error) != Loss::None);
                if self.is_return {
                    self.note(Background::Reset, error);
                    return Outcome::Failed;
                }
                if is_lost {
                    self.error = Some(Rc::new(error));
                    return Outcome::Disconnected;
                }
                self.note(Background::Ping, error);
                Outcome::Failed
            }
        }
    }

    fn loss(&self, held: &Held<M>, error: &M::Error) -> Loss {
        let Ok(place) = held.connection.try_borrow() else { return Loss::Alone };
        place.as_ref().map_or(Loss::Alone, |connection| self.shared.manager.loss(error, connection))
    }

    /// Whether a failed reset says nothing new: the death was reported, or it concerns its caller alone.
    fn is_gone(&self, error: &M::Error) -> bool {
        let Some(held) = &self.held else { return false };
        held.is_dead.get() || !self.shared.is_current(held) && self.loss(held, error) != Loss::None
    }

    /// Keeps an error for the caller. If no caller waits, it is reported.
    pub(super) fn note(&mut self, background: Background, error: M::Error) -> Rc<M::Error> {
        let error = Rc::new(error);
        if !self.shared.has_caller(self.id) {
            self.shared.report(background, Some(&error));
        }
        self.error = Some(error.clone());
        error
    }

    /// The time of a call ran out. The call was dropped.
    fn timed_out(&mut self, step: Step) -> Outcome {
        self.end_doomed();
        let background = match step {
            Step::Open(_) => Background::Open,
            Step::Ping(_) => Background::Ping,
            Step::Close(_) => Background::Close,
            _ => Background::Reset,
        };
        let is_dead = self.held.as_ref().is_some_and(|held| held.is_dead.get());
        let is_callers = background == Background::Ping && self.shared.has_caller(self.id);
        if !is_dead && !is_callers {
            self.shared.report(background, None);
        }
        if !self.is_return {
            self.held = None;
        }
        Outcome::TimedOut
    }

    /// Another operation has ended the connection while the call had it.
    fn end_doomed(&self) {
        if let Some(held) = &self.held {
            self.shared.end_doomed(held);
        }
    }

    // ---- left undone

    /// The operation is dropped before its end: its task was, or the manager has panicked. It ends without another
    /// await.
    fn give_up(&mut self) {
        let step = match core::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Over => return,
            Stage::Calling(_, call) => {
                drop(call);
                self.end_doomed();
                self.shared.try_with(|state| state.policy.advance(self.id, Outcome::Failed))
            }
            Stage::Next(step) => Some(step),
            Stage::Performing => self.shared.try_with(|state| state.policy.advance(self.id, Outcome::Failed)),
            Stage::Begun => self.shared.try_with(|state| state.policy.resume(self.id)),
            Stage::Asleep => {
                self.shared.try_with(|state| state.policy.abort(self.id));
                None
            }
        };
        let mut next = step;
        // More than an operation can have.
        for _ in 0..32 {
            let Some(step) = next else { break };
            let outcome = match step {
                Step::Grant(lease) => {
                    self.shared.try_with(|state| state.policy.begin_checkin(lease, Condition::Clean));
                    break;
                }
                Step::Share(_) => {
                    self.shared.try_with(|state| state.policy.begin_share_return(self.id, Condition::Clean));
                    break;
                }
                Step::Reject(Refusal::OpenTimeout) => Outcome::LateFailed,
                Step::Reject(_) | Step::Done => break,
                Step::Wait => {
                    self.shared.try_with(|state| state.policy.abort(self.id));
                    break;
                }
                Step::Close(slot) | Step::Terminate(slot) => {
                    let _ = self.start(Step::Terminate(slot));
                    Outcome::Ok
                }
                Step::Detach(_) => self.start(step).err().unwrap_or(Outcome::Ok),
                Step::Emit(..) => Outcome::Ok,
                _ => Outcome::Failed,
            };
            next = self.shared.try_with(|state| state.policy.advance(self.id, outcome));
        }
        self.shared.try_with(|state| Shared::end_operation(state, self.id));
        self.shared.afterwards();
    }
}

impl<M: Manager, R: Runtime> Future for Operation<M, R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            // A stage stays in its place while foreign code runs: a panic there drops the operation.
            let next = match &mut this.stage {
                Stage::Over => {
                    this.shared.afterwards();
                    return Poll::Ready(());
                }
                Stage::Begun => Some(this.resume()),
                Stage::Asleep if this.flag.take() => Some(this.resume()),
                // Another sharer's ping or listener has the connection.
                Stage::Next(Step::Share(slot))
                    if this.shared.held_at(*slot).is_some_and(|held| held.is_lent_to_call(context)) =>
                {
                    None
                }
                Stage::Next(step) => Some(*step),
                Stage::Calling(step, call) => match call.as_mut().poll(context) {
                    // After the poll: an answer that has come is in time, however late it is looked at.
                    Poll::Pending if this.flag.take() => {
                        let step = *step;
                        // Dropped here: a dropped call has given its connection back.
                        this.stage = Stage::Performing;
                        Some(this.after_time(step))
                    }
                    Poll::Pending => None,
                    Poll::Ready(called) => {
                        let step = *step;
                        this.stage = Stage::Performing;
                        let outcome = this.ended(step, called);
                        Some(this.advance(outcome))
                    }
                },
                Stage::Asleep | Stage::Performing => None,
            };
            if let Some(step) = next {
                this.stage = Stage::Performing;
                this.stage = this.perform(step);
                continue;
            }
            this.flag.watch(context);
            this.shared.afterwards();
            if !this.flag.is_raised() {
                return Poll::Pending;
            }
        }
    }
}

impl<M: Manager, R: Runtime> Operation<M, R> {
    /// After a sleep, in which time has passed.
    fn resume(&self) -> Step {
        let (now_ms, random) = (self.shared.time_for(self.is_timed), self.shared.random());
        self.shared.with(|state| {
            Shared::prepare(state, now_ms, random);
            state.policy.resume(self.id)
        })
    }

    /// An opening that ran out of time was dropped, so it has failed in the end.
    fn after_time(&mut self, step: Step) -> Step {
        if matches!(step, Step::Open(_)) && self.shared.with(|state| state.policy.has_ended()) {
            // The pool has ended without it. Only warm() may wait for it still.
            let pool = self.shared.name.clone();
            self.shared.settle(self.id, Answer::Refused(Error::Closed { pool }));
            return self.advance(Outcome::Failed);
        }
        let outcome = self.timed_out(step);
        let next = self.advance(outcome);
        if !matches!((step, next), (Step::Open(_), Step::Wait)) {
            return next;
        }
        self.shared.drain();
        self.advance(Outcome::LateFailed)
    }
}

impl<M: Manager, R: Runtime> Drop for Operation<M, R> {
    fn drop(&mut self) {
        self.give_up();
    }
}

fn reset_of(step: Step) -> Reset {
    match step {
        Step::Commit(_) => Reset::Commit,
        Step::ResetSession(_) => Reset::Session,
        _ => Reset::Rollback,
    }
}
