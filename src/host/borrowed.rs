//! A connection in the hands of a call into the manager, or of a listener.

extern crate std;

use super::manager::Manager;
use super::watch::Held;
use core::cell::RefMut;
use std::rc::Rc;

/// The connection while a call or a listener has it. If callers share it, none has it alone.
pub(super) struct Borrowed<'held, M: Manager> {
    place: RefMut<'held, Option<Rc<M::Connection>>>,
    /// Dropped after the place.
    _freed: Freed<'held, M>,
}

/// Wakes the sharers that wait for the connection.
struct Freed<'held, M: Manager>(&'held Held<M>);

impl<M: Manager> Drop for Freed<'_, M> {
    fn drop(&mut self) {
        // Taken out first: a waker is foreign code.
        let sharers = self.0.sharers.take();
        for sharer in sharers {
            sharer.wake();
        }
    }
}

impl<'held, M: Manager> Borrowed<'held, M> {
    pub(super) fn of(held: &'held Held<M>) -> Option<Self> {
        let place = held.connection.try_borrow_mut().ok()?;
        Some(Self { place, _freed: Freed(held) })
    }

    /// The same if no lease has the connection, so that a lease may come back while this lasts.
    pub(super) fn alone(held: &'held Held<M>) -> Option<Self> {
        let is_alone = |borrowed: &Self| borrowed.place.as_ref().is_some_and(|it| Rc::strong_count(it) == 1);
        Self::of(held).filter(is_alone)
    }

    pub(super) fn get(&mut self) -> Option<&mut M::Connection> {
        self.place.as_mut().and_then(Rc::get_mut)
    }
}
