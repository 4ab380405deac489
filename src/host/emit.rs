//! The events of an operation: its listeners are shown the connection, and some of them may refuse it.

extern crate std;

use super::borrowed::Borrowed;
use super::events::{Background, Events, Rejection};
use super::manager::Manager;
use super::operation::Operation;
use super::runtime::Runtime;
use super::shared::Shared;
use super::watch::Held;
use crate::policy::{Event, Outcome};
use std::rc::Rc;

impl<M: Manager, R: Runtime> Operation<M, R> {
    pub(super) fn emit(&mut self, event: Event, slot: Option<u32>) -> Outcome {
        let shared = self.shared.clone();
        let Some(events) = &shared.events else { return Outcome::Ok };
        let held = match event {
            Event::Checkin => slot.and_then(|slot| shared.held_at(slot)),
            Event::Invalidate | Event::Close => self.held_for(slot),
            _ => self.held.clone().or_else(|| slot.and_then(|slot| shared.held_at(slot))),
        };
        let shown = held.as_deref().map(|held| Shown { shared: &shared, held });
        let mut place = held.as_deref().and_then(Borrowed::alone);
        let connection = place.as_mut().and_then(Borrowed::get);
        let result = Self::listen(&**events, event, connection, self.error.as_ref());
        drop(place);
        drop(shown);
        let Err(rejection) = result else { return Outcome::Ok };
        let (error, outcome) = match rejection {
            Rejection::Failed(error) => (error, Outcome::Failed),
            Rejection::Disconnected { error, .. } if event != Event::Checkout => (error, Outcome::Failed),
            Rejection::Disconnected { error, pool: true } => (error, Outcome::DisconnectedAll),
            Rejection::Disconnected { error, pool: false } => (error, Outcome::Disconnected),
        };
        self.note(Background::Listener, error);
        outcome
    }

    fn listen(
        events: &dyn Events<M>,
        event: Event,
        connection: Option<&mut M::Connection>,
        why: Option<&Rc<M::Error>>,
    ) -> Result<(), Rejection<M::Error>> {
        match (event, connection) {
            (Event::FirstConnect, Some(connection)) => events.first_connect(connection),
            (Event::Connect, Some(connection)) => events.connect(connection),
            (Event::Checkout, Some(connection)) => events.checkout(connection),
            (event, connection) => {
                match (event, connection) {
                    (Event::Reset, Some(connection)) => events.reset(connection),
                    (Event::Checkin, connection) => events.checkin(connection),
                    (Event::Invalidate, connection) => events.invalidate(connection, why),
                    (Event::SoftInvalidate, _) => events.soft_invalidate(),
                    (Event::Close, connection) => events.close(connection),
                    (Event::Detach, _) => events.detach(),
                    (Event::CloseDetached, connection) => events.close_detached(connection),
                    _ => {}
                }
                Ok(())
            }
        }
    }
}

/// While a listener has the connection, which may end in it. Dropped after the listener's hold of it.
struct Shown<'shown, M: Manager, R: Runtime> {
    shared: &'shown Shared<M, R>,
    held: &'shown Held<M>,
}

impl<M: Manager, R: Runtime> Drop for Shown<'_, M, R> {
    fn drop(&mut self) {
        self.shared.end_doomed(self.held);
    }
}
