//! Callers that wait, and what they are answered. By the index of its operation each is found, so that a stale handle
//! finds none.

extern crate std;

use super::error::Error;
use super::manager::Manager;
use super::operation::Operation;
use super::runtime::Runtime;
use super::signal::Flag;
use super::watch::Held;
use crate::policy::{LeaseId, OperationId};
use core::cell::{Cell, RefCell};
use std::boxed::Box;
use std::rc::Rc;
use std::vec::Vec;

/// A connection that a caller was granted.
pub(super) struct Granted<M: Manager> {
    pub(super) held: Rc<Held<M>>,
    pub(super) connection: Rc<M::Connection>,
    pub(super) hold: Hold,
}

/// How the policy names what a caller has.
#[derive(Clone, Copy)]
pub(super) enum Hold {
    /// A slot.
    Slot(LeaseId),
    /// A share of the connection of a slot.
    Share(OperationId),
    /// A connection that has left the pool.
    Detached(OperationId),
}

/// What a caller that waits is to do.
pub(super) enum Answer<M: Manager> {
    /// It has a connection.
    Granted(Granted<M>),
    /// It gets none.
    Refused(Error<M::Error>),
    /// Its return, or the close, is over as far as it waits.
    Done,
}

/// A caller whose operation may be answered by others.
pub(super) struct Caller<M: Manager, R: Runtime> {
    /// The operation that has this caller now.
    pub(super) operation: Cell<OperationId>,
    /// The operation itself, while the caller polls it; not during a poll. A caller that is not polled must not hold
    /// it up, so it becomes a task once the caller has its answer, or its step has run out of time.
    pub(super) work: Cell<Option<Box<Operation<M, R>>>>,
    pub(super) answer: RefCell<Option<Answer<M>>>,
    /// Raised once it has its answer.
    pub(super) flag: Flag,
    /// Ends its wait in a pool that crosses requests.
    pub(super) end: RefCell<Option<Box<dyn FnOnce()>>>,
    /// The caller's own `timeout` and `deadline`, in milliseconds.
    pub(super) own_ms: (f64, f64),
    pub(super) is_timed: bool,
}

impl<M: Manager, R: Runtime> Caller<M, R> {
    /// Gives it its answer. It must be woken then, once nothing is borrowed.
    pub(super) fn settle(&self, answer: Answer<M>) {
        *self.answer.borrow_mut() = Some(answer);
    }

    pub(super) fn wake(&self) {
        let end = self.end.borrow_mut().take();
        match end {
            Some(end) => end(),
            None => self.flag.raise(),
        }
    }
}

/// By the index of its operation.
pub(super) struct Party<T> {
    pub(super) operation: OperationId,
    pub(super) is: Rc<T>,
}

pub(super) fn find<T>(list: &[Option<Party<T>>], operation: OperationId) -> Option<&Rc<T>> {
    let party = list.get(operation.index() as usize)?.as_ref()?;
    (party.operation == operation).then_some(&party.is)
}

pub(super) fn enter<T>(list: &mut Vec<Option<Party<T>>>, operation: OperationId, is: Rc<T>) {
    let index = operation.index() as usize;
    if list.len() <= index {
        list.resize_with(index + 1, || None);
    }
    list[index] = Some(Party { operation, is });
}

pub(super) fn leave<T>(list: &mut [Option<Party<T>>], operation: OperationId) -> Option<Rc<T>> {
    let party = list.get_mut(operation.index() as usize)?;
    party.take_if(|party| party.operation == operation).map(|party| party.is)
}
