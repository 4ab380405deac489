//! What a caller has: a connection to itself, or a share of one.

extern crate std;

use super::callers::{Granted, Hold};
use super::checkout::Ending;
use super::error::Error;
use super::events::Taken;
use super::manager::Manager;
use super::returns::End;
use super::runtime::Runtime;
use super::shared::Shared;
use super::strays::Stray;
use crate::policy::Return;
use core::fmt;
use core::ops::{Deref, DerefMut};
use std::rc::Rc;

/// What [`Lease`] and [`Share`] have in common. `granted` is there until the end.
struct Holding<M: Manager, R: Runtime> {
    shared: Rc<Shared<M, R>>,
    granted: Option<Granted<M>>,
}

impl<M: Manager, R: Runtime> Holding<M, R> {
    #[inline(always)]
    fn connection(&self) -> &M::Connection {
        // Only a method that consumes the lease takes it.
        match &self.granted {
            Some(granted) => &granted.connection,
            None => unreachable!("a lease in use has its connection"),
        }
    }

    fn is_valid(&self) -> bool {
        self.granted.as_ref().is_some_and(|granted| !granted.held.is_doomed.get() && !granted.held.is_dead.get())
            && self.shared.is_here()
    }

    fn check(&self) -> Result<(), Error<M::Error>> {
        let pool = || self.shared.name.clone();
        if !self.shared.is_here() {
            return Err(Error::LeaseElsewhere { pool: pool() });
        }
        if self.is_valid() { Ok(()) } else { Err(Error::LeaseEnded { pool: pool() }) }
    }

    fn end(mut self, end: End<'_, M>) -> Ending<M, R> {
        let Some(granted) = self.granted.take() else { return Ending::over() };
        if !self.shared.is_here() {
            let is_invalid = !matches!(end, End::Return | End::Reset);
            self.shared.strays.keep(Stray::Lease { granted, is_invalid });
            return Ending::over();
        }
        let operation = self.shared.take_back(granted, end);
        operation.map_or_else(Ending::over, |operation| Ending::of(&self.shared, operation))
    }
}

impl<M: Manager, R: Runtime> fmt::Debug for Holding<M, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a connection of the pool {}", self.shared.name)
    }
}

impl<M: Manager, R: Runtime> Drop for Holding<M, R> {
    #[inline]
    fn drop(&mut self) {
        let Some(granted) = self.granted.take() else { return };
        if !self.shared.is_here() {
            self.shared.strays.keep(Stray::Lease { granted, is_invalid: false });
            return;
        }
        if let Some(operation) = self.shared.take_back(granted, End::Return) {
            self.shared.launch(operation);
        }
    }
}

macro_rules! holding {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name<M: Manager, R: Runtime>(Holding<M, R>);

        impl<M: Manager, R: Runtime> $name<M, R> {
            #[inline(always)]
            pub(super) fn new(shared: Rc<Shared<M, R>>, granted: Granted<M>, taken_at: Taken) -> Self {
                granted.held.taken_at.set(Some(taken_at));
                Self(Holding { shared, granted: Some(granted) })
            }

            /// Returns the connection, and ends when it is reset. A drop does the same in the background.
            pub async fn close(self) {
                self.0.end(End::Return).await;
            }

            /// Returns the connection after work that has failed. If the error says that the connection is lost, it is
            /// terminated.
            pub async fn close_after(self, error: &M::Error) {
                self.0.end(End::Failed(error)).await;
            }

            /// Returns the connection after its caller has ended the transaction: nothing is rolled back.
            pub async fn close_reset(self) {
                self.0.end(End::Reset).await;
            }

            /// Terminates the connection, which is not to be trusted. The pool opens another one.
            pub async fn invalidate(self) {
                self.0.end(End::Invalidate(None)).await;
            }

            /// The same with the reason, for [`Events::invalidate`](super::Events::invalidate).
            pub async fn invalidate_because(self, error: M::Error) {
                self.0.end(End::Invalidate(Some(Rc::new(error)))).await;
            }

            /// Fails if the connection is not to be used: in Workers by another request or Durable Object, or since the
            /// pool has taken it back or its death was reported. A `deref` does not look.
            pub fn check(&self) -> Result<(), Error<M::Error>> {
                self.0.check()
            }

            /// Whether [`check`](Self::check) succeeds.
            pub fn is_valid(&self) -> bool {
                self.0.is_valid()
            }

            /// Marks the connection to be replaced at its next checkout. This lease goes on.
            pub fn invalidate_soft(&self) {
                let shared = &self.0.shared;
                let Some(granted) = &self.0.granted else { return };
                if shared.is_current(&granted.held) {
                    shared.with(|state| state.policy.invalidate_soft(granted.held.slot));
                    if let Some(events) = &shared.events {
                        events.soft_invalidate();
                    }
                }
            }

            /// Marks every connection that is as old as this one or older. This lease goes on.
            pub fn invalidate_as_old(&self) {
                let shared = &self.0.shared;
                let Some(granted) = &self.0.granted else { return };
                if shared.is_current(&granted.held) {
                    shared.with(|state| state.policy.invalidate_as_old(granted.held.slot));
                }
            }
        }

        impl<M: Manager, R: Runtime> fmt::Debug for $name<M, R> {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl<M: Manager, R: Runtime> Deref for $name<M, R> {
            type Target = M::Connection;

            #[inline(always)]
            fn deref(&self) -> &M::Connection {
                self.0.connection()
            }
        }
    };
}

holding! {
    /// A connection that this caller alone has. It goes back to the pool when it is dropped.
    Lease
}

holding! {
    /// A connection that other callers may have at the same time: of a `StaticPool` or a `SingletonThreadPool`. It goes
    /// back to the pool with the last of them.
    Share
}

impl<M: Manager, R: Runtime> DerefMut for Lease<M, R> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut M::Connection {
        match self.0.granted.as_mut().and_then(|granted| Rc::get_mut(&mut granted.connection)) {
            Some(connection) => connection,
            None => unreachable!("a lease has its connection alone"),
        }
    }
}

impl<M: Manager, R: Runtime> Lease<M, R> {
    /// Takes the connection out of the pool for good. Its slot is free at once. Fails if the pool has ended the lease.
    pub fn detach(mut self) -> Result<Detached<M, R>, Error<M::Error>> {
        let shared = self.0.shared.clone();
        let ended = || Error::LeaseEnded { pool: shared.name.clone() };
        let Some(granted) = self.0.granted.take_if(|granted| !granted.held.is_doomed.get()) else {
            return Err(ended());
        };
        let Hold::Slot(lease) = granted.hold else { return Err(ended()) };
        shared.empty(&granted.held);
        let Some(id) = shared.with(|state| state.policy.detach(lease)) else {
            self.0.granted = Some(granted);
            return Err(ended());
        };
        let granted = Granted { hold: Hold::Detached(id), ..granted };
        let detached = Detached(Holding { shared: shared.clone(), granted: Some(granted) });
        shared.drain();
        // Its own by now: a listener that panics drops it, and that closes it.
        if let Some(events) = &shared.events {
            events.detach();
        }
        shared.afterwards();
        Ok(detached)
    }
}

/// A connection that has left the pool. It is closed when it is dropped.
pub struct Detached<M: Manager, R: Runtime>(Holding<M, R>);

impl<M: Manager, R: Runtime> Detached<M, R> {
    /// Resets the connection and closes it. A drop does the same in the background.
    pub async fn close(self) {
        self.0.end(End::Return).await;
    }

    /// Closes the connection after its caller has ended the transaction: nothing is rolled back.
    pub async fn close_reset(self) {
        self.0.end(End::Reset).await;
    }

    /// Whether no death of the connection was reported.
    pub fn is_valid(&self) -> bool {
        self.0.is_valid()
    }

    /// Terminates the connection without a reset.
    pub async fn invalidate(self) {
        self.0.end(End::Invalidate(None)).await;
    }

    /// Gives the connection away: the pool does not close it.
    pub fn into_inner(mut self) -> M::Connection {
        let Some(granted) = self.0.granted.take() else { unreachable!("it has its connection") };
        if let Hold::Detached(id) = granted.hold {
            let shared = &self.0.shared;
            let result =
                shared.with(|state| state.policy.begin_detached_close(id, crate::policy::Condition::Clean, true));
            if let Return::Pending(id) = result {
                // Nothing is left to end: the operation finds no connection.
                let operation = super::operation::Operation::returning(shared.clone(), id, granted.held.clone());
                shared.launch(operation);
            }
            shared.afterwards();
        }
        match Rc::try_unwrap(granted.connection) {
            Ok(connection) => connection,
            Err(_) => unreachable!("a detached connection has one holder"),
        }
    }
}

impl<M: Manager, R: Runtime> fmt::Debug for Detached<M, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl<M: Manager, R: Runtime> Deref for Detached<M, R> {
    type Target = M::Connection;

    fn deref(&self) -> &M::Connection {
        self.0.connection()
    }
}

impl<M: Manager, R: Runtime> DerefMut for Detached<M, R> {
    fn deref_mut(&mut self) -> &mut M::Connection {
        match self.0.granted.as_mut().and_then(|granted| Rc::get_mut(&mut granted.connection)) {
            Some(connection) => connection,
            None => unreachable!("a detached connection has one holder"),
        }
    }
}
