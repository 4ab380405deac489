//! A caller that waits: for a connection, or for the end of its return. Polls its own operation. If it is dropped, it
//! leaves the queue, and its operation goes on for the pool.

extern crate std;

use super::asked::Own;
use super::callers::{Answer, Caller, Granted, Hold};
use super::error::Error;
use super::manager::Manager;
use super::operation::Operation;
use super::returns::End;
use super::runtime::{Crossing, Runtime};
use super::shared::Shared;
use super::signal::Flag;
use super::strays::Stray;
use crate::policy::{Begin, LeaseId, OperationId, Step};
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::boxed::Box;
use std::rc::Rc;

/// A caller until its answer.
pub(super) struct Attendance<M: Manager, R: Runtime> {
    shared: Rc<Shared<M, R>>,
    caller: Rc<Caller<M, R>>,
    /// Its own, in a pool that crosses requests.
    vigil: Option<Box<Vigil<R>>>,
    is_over: bool,
}

/// The wait and the timer of one caller.
struct Vigil<R: Runtime> {
    ended: Pin<Box<dyn Future<Output = ()>>>,
    timer: Option<R::Sleep>,
}

impl<M: Manager, R: Runtime> Attendance<M, R> {
    pub(super) fn new(
        shared: Rc<Shared<M, R>>,
        id: OperationId,
        operation: Option<Operation<M, R>>,
        own_ms: (f64, f64),
        is_timed: bool,
    ) -> Self {
        // In a pool that crosses requests it must not end with the request of its caller.
        let (own, task) = if shared.crosses { (None, operation) } else { (operation, None) };
        let caller = Rc::new(Caller {
            operation: Cell::new(id),
            work: Cell::new(own.map(Box::new)),
            answer: RefCell::new(None),
            flag: Flag::default(),
            end: RefCell::new(None),
            own_ms,
            is_timed,
        });
        shared.with(|state| Shared::attend(state, &caller));
        if let Some(task) = task {
            shared.launch(task);
        }
        Self { shared, caller, vigil: None, is_over: false }
    }

    /// Whether its wait has ended, or its timer has run out and given the pool the time.
    fn poll_vigil(&mut self, context: &mut Context<'_>) -> bool {
        let Shared { runtime, alarm, .. } = &*self.shared;
        let vigil = self.vigil.get_or_insert_with(|| {
            let Crossing { end, ended } = runtime.crossing();
            *self.caller.end.borrow_mut() = Some(end);
            Box::new(Vigil { ended, timer: None })
        });
        if vigil.ended.as_mut().poll(context).is_ready() {
            self.vigil = None;
            return true;
        }
        let timer = vigil.timer.get_or_insert_with(|| runtime.sleep(alarm.next_ms(runtime.now())));
        if Pin::new(timer).poll(context).is_pending() {
            return false;
        }
        vigil.timer = None;
        self.shared.tick(alarm.is_due(runtime.now()));
        self.shared.afterwards();
        true
    }

    /// Leaves what cannot end here to its own place.
    fn stray(&mut self) {
        let _attendance = Self {
            shared: self.shared.clone(),
            caller: self.caller.clone(),
            vigil: self.vigil.take(),
            is_over: core::mem::replace(&mut self.is_over, true),
        };
        self.shared.strays.keep(Stray::Caller { _attendance });
    }

    /// Polls the operation, if this caller still has it.
    fn work(&self, context: &mut Context<'_>) {
        let Some(mut operation) = self.caller.work.take() else { return };
        if Pin::new(&mut *operation).poll(context).is_ready() {
            return;
        }
        if self.caller.answer.borrow().is_some() {
            self.shared.runtime.spawn(Box::into_pin(operation));
        } else {
            self.caller.work.set(Some(operation));
        }
    }

    pub(super) fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Answer<M>> {
        loop {
            self.work(context);
            if let Some(answer) = self.caller.answer.take() {
                self.is_over = true;
                return Poll::Ready(answer);
            }
            if self.shared.crosses {
                if !self.poll_vigil(context) {
                    return Poll::Pending;
                }
            } else if !self.caller.flag.take() {
                self.caller.flag.watch(context);
                return Poll::Pending;
            }
        }
    }
}

impl<M: Manager, R: Runtime> Drop for Attendance<M, R> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if !self.shared.is_here() {
            return self.stray();
        }
        let answer = self.caller.answer.take();
        if let Some(Answer::Granted(granted)) = answer {
            if let Some(operation) = self.shared.take_back(granted, End::Return) {
                self.shared.launch(operation);
            }
        } else {
            let id = self.caller.operation.get();
            self.shared.with(|state| {
                Shared::forget_caller(state, id);
                state.policy.abort(id);
            });
        }
        // A call that has panicked was dropped by its poll: that operation has ended as one that failed.
        if let Some(operation) = self.caller.work.take() {
            self.shared.runtime.spawn(Box::into_pin(operation));
        }
        self.shared.afterwards();
    }
}

/// A `connect()` until it is answered.
pub(super) enum Checkout<M: Manager, R: Runtime> {
    /// Not asked yet.
    New(Rc<Shared<M, R>>, Own),
    Waiting(Attendance<M, R>),
    Over,
}

/// What the policy answers at once.
enum Begun<M: Manager> {
    Granted(Option<Granted<M>>),
    Refused(Error<M::Error>),
    Waits(OperationId),
    Runs(OperationId, Step),
}

impl<M: Manager, R: Runtime> Checkout<M, R> {
    #[inline]
    fn begin(shared: &Rc<Shared<M, R>>, own: Own) -> (Begun<M>, bool) {
        if let Err(error) = shared.check_place() {
            return (Begun::Refused(error), false);
        }
        let limits = shared.limits(own);
        let (now_ms, random) = (limits.map(|limits| limits.now_ms), shared.random());
        let is_timed = limits.is_some();
        let lent = |state: &mut super::shared::State<M, R>, lease: LeaseId| {
            Begun::Granted(state.lend(lease.index(), Hold::Slot(lease)))
        };
        let begun = shared.with(|state| match state.policy.begin_checkout(limits) {
            Begin::Granted(lease) => lent(state, lease),
            Begin::Refused(refusal) => Begun::Refused(shared.refusal(state, refusal, shared.own_ms(own), None, None)),
            Begin::Pending(id) if state.policy.is_waiting(id) => Begun::Waits(id),
            Begin::Pending(id) => {
                Shared::prepare(state, now_ms, random);
                match state.policy.resume(id) {
                    Step::Wait => Begun::Waits(id),
                    step => Begun::Runs(id, step),
                }
            }
        });
        (begun, is_timed)
    }
}

impl<M: Manager, R: Runtime> Future for Checkout<M, R> {
    type Output = Result<Granted<M>, Error<M::Error>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Self::New(..) = &*self {
            let Self::New(shared, own) = core::mem::replace(&mut *self, Self::Over) else {
                return Poll::Pending;
            };
            let (begun, is_timed) = Self::begin(&shared, own);
            let (id, step) = match begun {
                Begun::Granted(Some(granted)) => return Poll::Ready(Ok(granted)),
                Begun::Granted(None) => return Poll::Ready(Err(Error::LeaseEnded { pool: shared.name.clone() })),
                Begun::Refused(error) => {
                    shared.afterwards();
                    return Poll::Ready(Err(error));
                }
                Begun::Waits(id) => (id, None),
                Begun::Runs(id, step) => (id, Some(step)),
            };
            let own_ms = shared.own_ms(own);
            let operation = step.map(|step| Operation::checkout(shared.clone(), id, step, own_ms, is_timed));
            let is_waiting = operation.is_none();
            let attendance = Attendance::new(shared.clone(), id, operation, own_ms, is_timed);
            *self = Self::Waiting(attendance);
            if is_waiting && shared.has_output() {
                shared.afterwards();
            }
        }
        let Self::Waiting(attendance) = &mut *self else { return Poll::Pending };
        if !attendance.shared.is_here() {
            let error = attendance.shared.refuse_place();
            *self = Self::Over;
            return Poll::Ready(Err(error));
        }
        let Poll::Ready(answer) = attendance.poll_answer(context) else { return Poll::Pending };
        let pool = attendance.shared.name.clone();
        *self = Self::Over;
        Poll::Ready(match answer {
            Answer::Granted(granted) => Ok(granted),
            Answer::Refused(error) => Err(error),
            Answer::Done => Err(Error::Closed { pool }),
        })
    }
}

/// A return, or the close of a pool, until its caller need not wait any more. Dropped, it goes on by itself.
pub(super) struct Ending<M: Manager, R: Runtime>(Option<Attendance<M, R>>);

impl<M: Manager, R: Runtime> Ending<M, R> {
    pub(super) const fn over() -> Self {
        Self(None)
    }

    /// Of this operation.
    pub(super) fn of(shared: &Rc<Shared<M, R>>, operation: Operation<M, R>) -> Self {
        let forever = (f64::INFINITY, f64::INFINITY);
        Self(Some(Attendance::new(shared.clone(), operation.id(), Some(operation), forever, false)))
    }

    /// Of an operation that it does not poll.
    pub(super) fn of_other(shared: &Rc<Shared<M, R>>, id: OperationId) -> Self {
        let forever = (f64::INFINITY, f64::INFINITY);
        Self(Some(Attendance::new(shared.clone(), id, None, forever, false)))
    }
}

impl<M: Manager, R: Runtime> Future for Ending<M, R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(attendance) = &mut self.0 else { return Poll::Ready(()) };
        if attendance.poll_answer(context).is_pending() {
            return Poll::Pending;
        }
        self.0 = None;
        Poll::Ready(())
    }
}
