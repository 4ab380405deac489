//! A connection comes back: what the manager says of it, what the policy makes of that, and which operation goes on.

extern crate std;

use super::callers::{Answer, Granted, Hold};
use super::manager::Manager;
use super::operation::Operation;
use super::runtime::Runtime;
use super::shared::Shared;
use super::watch::Held;
use crate::policy::{Condition, Loss, Return};
use std::boxed::Box;
use std::rc::Rc;

/// How a caller ends its hold of a connection.
pub(super) enum End<'error, M: Manager> {
    Return,
    /// With the error of its work, which may say that the connection is lost.
    Failed(&'error M::Error),
    /// Its caller has ended the transaction.
    Reset,
    /// With why, if that is known.
    Invalidate(Option<Rc<M::Error>>),
}

impl<M: Manager, R: Runtime> Shared<M, R> {
    /// Takes a connection back. Returns the operation that goes on, if one does.
    #[inline(always)]
    pub(super) fn take_back(self: &Rc<Self>, granted: Granted<M>, end: End<'_, M>) -> Option<Operation<M, R>> {
        let Granted { held, connection, hold } = granted;
        let asking = Asking { shared: self, held: &held, hold };
        let (condition, loss) = match end {
            End::Return => self.condition_of(&connection, None),
            // If its death was reported, the pool knows, and has ended it.
            End::Failed(error) => self.condition_of(&connection, (!held.is_dead.get()).then_some(error)),
            End::Reset => match self.condition_of(&connection, None) {
                (Condition::Open, loss) => (Condition::Clean, loss),
                other => other,
            },
            End::Invalidate(_) => (Condition::Open, Loss::None),
        };
        // The manager has answered.
        core::mem::forget(asking);
        *held.connection.borrow_mut() = Some(connection);
        if held.is_doomed.get() {
            return self.take_back_doomed(held, hold);
        }
        let is_invalid = matches!(end, End::Invalidate(_)) || loss == Loss::Others;
        let now_ms = if self.traits.get().tells_time { self.runtime.now() } else { 0.0 };
        let (result, woken, work) = self.with(|state| {
            if self.traits.get().tells_time {
                state.policy.read_clock(now_ms);
            }
            if loss == Loss::Others && !matches!(hold, Hold::Detached(_)) {
                state.policy.lose(held.slot, loss);
            }
            let policy = &mut state.policy;
            let result = match hold {
                Hold::Slot(lease) if is_invalid => policy.begin_invalidate(lease),
                Hold::Slot(lease) => policy.begin_checkin(lease, condition),
                Hold::Share(id) if is_invalid => policy.begin_share_invalidate(id),
                Hold::Share(id) => policy.begin_share_return(id, condition),
                Hold::Detached(id) => policy.begin_detached_close(id, condition, is_invalid),
            };
            let Return::HandedOver(waiter, lease) = result else { return (result, None, None) };
            // To a waiter, without a notice: the most frequent way through a busy pool.
            let granted = state.lend(lease.index(), Hold::Slot(lease));
            let caller = Self::forget_caller(state, waiter);
            let work = caller.as_ref().and_then(|caller| caller.work.take());
            let woken = granted.zip(caller).map(|(granted, caller)| {
                caller.settle(Answer::Granted(granted));
                caller
            });
            (result, woken, work)
        });
        match result {
            Return::HandedOver(..) => {
                if let Some(work) = work {
                    self.runtime.spawn(Box::into_pin(work));
                }
                if let Some(caller) = woken {
                    caller.wake();
                }
                None
            }
            Return::Done => {
                if self.with(|state| state.policy.has_output()) {
                    self.afterwards();
                }
                None
            }
            Return::Pending(id) => {
                let why = if let End::Invalidate(why) = end { why } else { None };
                Some(Operation::returning(self.clone(), id, held).with_error(why))
            }
        }
    }

    /// The pool has ended the connection in the meantime: what comes back is terminated.
    #[cold]
    fn take_back_doomed(self: &Rc<Self>, held: Rc<Held<M>>, hold: Hold) -> Option<Operation<M, R>> {
        let result = self.with(|state| match hold {
            // The lease has ended with its connection.
            Hold::Slot(_) => Return::Done,
            Hold::Share(id) => state.policy.begin_share_return(id, Condition::Clean),
            Hold::Detached(id) => state.policy.begin_detached_close(id, Condition::Clean, true),
        });
        let operation = match result {
            Return::Pending(id) => Some(Operation::returning(self.clone(), id, held.clone())),
            _ => None,
        };
        self.drain();
        self.end_doomed(&held);
        self.afterwards();
        operation
    }

    pub(super) fn condition_of(&self, connection: &M::Connection, error: Option<&M::Error>) -> (Condition, Loss) {
        let loss = error.map_or(Loss::None, |error| self.manager.loss(error, connection));
        let is_lost = loss != Loss::None;
        let condition = if self.manager.is_stuck(connection) {
            Condition::Stuck
        } else if self.manager.is_busy(connection) {
            if is_lost { Condition::GivenUp } else { Condition::Busy }
        } else if is_lost {
            Condition::Lost
        } else {
            let looks = self.traits.get().rolls_back && !self.traits.get().resets_before;
            Condition::at_rest(!self.traits.get().rolls_back || looks && !self.manager.in_transaction(connection))
        };
        (condition, loss)
    }

    /// A reset listener may have ended the transaction.
    pub(super) fn is_clean(&self, connection: &M::Connection) -> bool {
        self.traits.get().resets_before && !self.manager.in_transaction(connection)
    }
}

/// While the manager is asked about a connection that comes back. If it panics, the connection is gone, and its slot
/// must not be.
struct Asking<'back, M: Manager, R: Runtime> {
    shared: &'back Rc<Shared<M, R>>,
    held: &'back Rc<Held<M>>,
    hold: Hold,
}

impl<M: Manager, R: Runtime> Drop for Asking<'_, M, R> {
    #[cold]
    fn drop(&mut self) {
        let Self { shared, held, hold } = self;
        let result = shared.try_with(|state| match *hold {
            Hold::Slot(lease) => state.policy.begin_invalidate(lease),
            Hold::Share(id) => state.policy.begin_share_invalidate(id),
            Hold::Detached(id) => state.policy.begin_detached_close(id, Condition::Clean, true),
        });
        if let Some(Return::Pending(id)) = result {
            shared.launch(Operation::returning(shared.clone(), id, held.clone()));
        }
        shared.afterwards();
    }
}
