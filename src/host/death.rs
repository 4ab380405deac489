//! A connection is gone: its death is reported, and ends it in the pool.

extern crate std;

use super::events::Background;
use super::manager::Manager;
use super::operation::Operation;
use super::runtime::Runtime;
use super::shared::Shared;
use super::watch::Held;
use crate::policy::{Loss, Return};
use std::rc::Rc;

/// What the reporter of a death needs of its pool, whatever its runtime is.
pub(super) trait Death<M: Manager> {
    fn died(self: Rc<Self>, held: &Rc<Held<M>>, cause: Option<Rc<M::Error>>);
}

impl<M: Manager, R: Runtime> Death<M> for Shared<M, R> {
    fn died(self: Rc<Self>, held: &Rc<Held<M>>, cause: Option<Rc<M::Error>>) {
        if held.is_dead.replace(true) || !self.is_current(held) {
            return;
        }
        let dying = Dying { shared: &self, held, cause: cause.as_ref() };
        let loss = {
            // A connection that a caller has cannot be looked at.
            let place = held.connection.try_borrow().ok();
            let connection = place.as_ref().and_then(|place| place.as_ref());
            match (&cause, connection) {
                (Some(error), Some(connection)) => self.manager.loss(error, connection),
                _ => Loss::Alone,
            }
        };
        // The manager has answered.
        core::mem::forget(dying);
        self.bury(held, cause.as_ref(), loss);
    }
}

/// While the manager is asked about a dead connection. If it panics, the connection is buried without its answer.
struct Dying<'dead, M: Manager, R: Runtime> {
    shared: &'dead Rc<Shared<M, R>>,
    held: &'dead Rc<Held<M>>,
    cause: Option<&'dead Rc<M::Error>>,
}

impl<M: Manager, R: Runtime> Drop for Dying<'_, M, R> {
    #[cold]
    fn drop(&mut self) {
        self.shared.bury(self.held, self.cause, Loss::Alone);
    }
}

impl<M: Manager, R: Runtime> Shared<M, R> {
    fn bury(self: &Rc<Self>, held: &Rc<Held<M>>, cause: Option<&Rc<M::Error>>, loss: Loss) {
        // The manager is foreign code, and may have ended the connection.
        if !self.is_current(held) {
            return;
        }
        let (result, was_in_use) = self.with(|state| {
            let was_in_use = state.policy.is_in_use(held.slot);
            (state.policy.connection_died(held.slot, loss), was_in_use)
        });
        let operation = if let Return::Pending(id) = result {
            self.empty(held);
            Some(Operation::returning(self.clone(), id, held.clone()).with_error(cause.cloned()))
        } else {
            None
        };
        self.drain();
        if was_in_use {
            self.report(Background::Disconnect, cause);
        }
        if let Some(operation) = operation {
            self.launch(operation);
        }
        self.afterwards();
    }
}
