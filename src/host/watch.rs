//! A connection in the pool's keeping, and the report of its death.

extern crate std;

use super::death::Death;
use super::events::Taken;
use super::manager::Manager;
use core::cell::{Cell, OnceCell, RefCell};
use core::task::{Context, Waker};
use std::rc::{Rc, Weak};
use std::vec::Vec;

/// One open connection, from its opening to its end. This has the connection, or a lease has it, or a call into it.
pub(super) struct Held<M: Manager> {
    /// The slot that it is in, or was.
    pub(super) slot: u32,
    /// `None` while a lease has it. Borrowed while a call into it is under way. Shared by the leases of a pool that
    /// shares.
    pub(super) connection: RefCell<Option<Rc<M::Connection>>>,
    /// Whether it is to be terminated as soon as it comes back.
    pub(super) is_doomed: Cell<bool>,
    /// Whether its death was reported.
    pub(super) is_dead: Cell<bool>,
    /// The call of `connect()` that had it last.
    pub(super) taken_at: Cell<Option<Taken>>,
    /// Sharers that wait for the end of a call into it.
    pub(super) sharers: RefCell<Vec<Waker>>,
}

impl<M: Manager> Held<M> {
    pub(super) fn new(slot: u32, connection: M::Connection) -> Self {
        Self {
            slot,
            connection: RefCell::new(Some(Rc::new(connection))),
            is_doomed: Cell::new(false),
            is_dead: Cell::new(false),
            taken_at: Cell::new(None),
            sharers: RefCell::new(Vec::new()),
        }
    }

    /// Whether a call or a listener has the connection. If so, the task is woken at its end.
    pub(super) fn is_lent_to_call(&self, context: &Context<'_>) -> bool {
        let is_lent = self.connection.try_borrow_mut().is_err();
        if is_lent {
            let waker = context.waker().clone();
            self.sharers.borrow_mut().push(waker);
        }
        is_lent
    }

    /// Takes the connection in order to end it. If a lease or a call has it, it is doomed instead.
    pub(super) fn take_to_end(&self) -> Option<M::Connection> {
        let connection = self.connection.try_borrow_mut().ok().and_then(|mut place| place.take());
        let Some(connection) = connection else {
            self.is_doomed.set(true);
            return None;
        };
        match Rc::try_unwrap(connection) {
            Ok(connection) => Some(connection),
            Err(shared) => {
                self.is_doomed.set(true);
                *self.connection.borrow_mut() = Some(shared);
                None
            }
        }
    }

    /// After a call or a lease: takes the connection if it was doomed in the meantime, and no other lease has it.
    pub(super) fn take_doomed(&self) -> Option<M::Connection> {
        if self.is_doomed.get() { self.take_to_end() } else { None }
    }
}

/// Reports the death of a connection. [`Manager::open`] is given one for each connection.
pub struct Watch<M: Manager> {
    pub(super) seen: Rc<Seen<M>>,
}

pub(super) struct Seen<M: Manager> {
    pub(super) is_dead: Cell<bool>,
    pub(super) error: RefCell<Option<Rc<M::Error>>>,
    /// Set once the connection is in its slot.
    pub(super) place: OnceCell<Place<M>>,
}

/// Where a connection is: its pool, and what holds it.
type Place<M> = (Weak<dyn Death<M>>, Weak<Held<M>>);

impl<M: Manager> Watch<M> {
    pub(super) fn new() -> Self {
        Self { seen: Rc::new(Seen { is_dead: Cell::new(false), error: RefCell::new(None), place: OnceCell::new() }) }
    }

    /// Reports that the connection is gone, and why if that is known. The first report counts. After the end of the
    /// pool or of the connection it does nothing.
    pub fn died(&self, error: Option<M::Error>) {
        let Seen { is_dead, error: cause, place } = &*self.seen;
        if is_dead.replace(true) {
            return;
        }
        *cause.borrow_mut() = error.map(Rc::new);
        if let Some((pool, held)) = place.get()
            && let (Some(pool), Some(held)) = (pool.upgrade(), held.upgrade())
        {
            pool.died(&held, self.cause());
        }
    }

    /// The connection is in its slot. A death that was reported before counts now.
    pub(super) fn report_to(&self, pool: &Rc<dyn Death<M>>, held: &Rc<Held<M>>) {
        if self.seen.place.set((Rc::downgrade(pool), Rc::downgrade(held))).is_ok() && self.seen.is_dead.get() {
            pool.clone().died(held, self.cause());
        }
    }

    fn cause(&self) -> Option<Rc<M::Error>> {
        self.seen.error.borrow().clone()
    }
}

impl<M: Manager> Clone for Watch<M> {
    fn clone(&self) -> Self {
        Self { seen: self.seen.clone() }
    }
}
