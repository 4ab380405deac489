//! What was let go of in another place than its pool's: leases, and callers that were dropped there. Nothing of them
//! may be touched there, so they wait for the next call in their own place.

extern crate std;

use super::callers::Granted;
use super::checkout::Attendance;
use super::manager::Manager;
use super::returns::End;
use super::runtime::Runtime;
use super::shared::Shared;
use super::watch::Held;
use core::cell::{Cell, RefCell};
use std::rc::Rc;
use std::vec::Vec;

pub(super) enum Stray<M: Manager, R: Runtime> {
    Lease {
        granted: Granted<M>,
        is_invalid: bool,
    },
    /// Ends with its drop.
    Caller {
        _attendance: Attendance<M, R>,
    },
}

pub(super) struct Strays<M: Manager, R: Runtime> {
    are_there: Cell<bool>,
    list: RefCell<Vec<Stray<M, R>>>,
}

impl<M: Manager, R: Runtime> Strays<M, R> {
    pub(super) const fn new() -> Self {
        Self { are_there: Cell::new(false), list: RefCell::new(Vec::new()) }
    }

    pub(super) fn keep(&self, stray: Stray<M, R>) {
        self.list.borrow_mut().push(stray);
        self.are_there.set(true);
    }

    /// The pool is dropped elsewhere.
    pub(super) fn forget(&self) {
        core::mem::forget(self.list.take());
    }

    /// The pool is dropped in its place: returns what comes back to it.
    pub(super) fn leases(&self) -> Vec<Rc<Held<M>>> {
        let back = |stray| match stray {
            Stray::Lease { granted: Granted { held, connection, .. }, .. } => {
                *held.connection.borrow_mut() = Some(connection);
                Some(held)
            }
            Stray::Caller { .. } => None,
        };
        self.list.take().into_iter().filter_map(back).collect()
    }
}

impl<M: Manager, R: Runtime> Shared<M, R> {
    /// Called in the pool's place.
    #[inline(always)]
    pub(super) fn take_in_strays(self: &Rc<Self>) {
        if self.strays.are_there.get() {
            self.end_strays();
        }
    }

    #[cold]
    fn end_strays(self: &Rc<Self>) {
        self.strays.are_there.set(false);
        for stray in self.strays.list.take() {
            if let Stray::Lease { granted, is_invalid } = stray {
                let end = if is_invalid { End::Invalidate(None) } else { End::Return };
                if let Some(operation) = self.take_back(granted, end) {
                    self.launch(operation);
                }
            }
        }
    }
}
