//! The events of a pool, as a trait with nothing to implement.

extern crate std;

use super::manager::Manager;
use core::time::Duration;
use std::rc::Rc;

/// Why a listener of `first_connect`, `connect` or `checkout` refuses a connection.
#[derive(Debug)]
pub enum Rejection<E> {
    /// The caller gets this error, and the connection is terminated.
    Failed(E),
    /// This connection is dead: the caller gets another one.
    Disconnected {
        /// Why.
        error: E,
        /// Whether every connection as old as this one is replaced, too.
        pool: bool,
    },
}

/// In which call an error came that no caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Background {
    /// An opening without a caller.
    Open,
    /// A ping whose caller has left.
    Ping,
    /// A reset: the connection is terminated.
    Reset,
    /// A polite close.
    Close,
    /// A listener.
    Listener,
    /// A connection has died in use.
    Disconnect,
}

/// The place in a program that called `connect()`.
pub type Taken = &'static core::panic::Location<'static>;

/// Listens to a pool. Each method is called when its event happens, and must not panic. They take no time: what has to
/// be awaited belongs to the manager.
///
/// ```
/// # use edgepool::{Background, Events, Manager, QueuePool, Watch};
/// # use std::rc::Rc;
/// # struct Counters;
/// # impl Manager for Counters {
/// #     type Connection = u32;
/// #     type Error = std::io::Error;
/// #     async fn open(&self, _: Watch<Self>) -> std::io::Result<u32> { Ok(0) }
/// # }
/// struct Log;
///
/// impl Events<Counters> for Log {
///     fn error(&self, background: Background, error: Option<&Rc<std::io::Error>>) {
///         eprintln!("{background:?}: {error:?}");
///     }
/// }
///
/// let builder = QueuePool::builder(Counters).events(Log);
/// ```
#[allow(unused_variables, reason = "the defaults do nothing")]
pub trait Events<M: Manager>: 'static {
    /// The first connection of the pool was opened.
    fn first_connect(&self, connection: &mut M::Connection) -> Result<(), Rejection<M::Error>> {
        Ok(())
    }

    /// A connection was opened.
    fn connect(&self, connection: &mut M::Connection) -> Result<(), Rejection<M::Error>> {
        Ok(())
    }

    /// A connection is about to be handed out. A shared connection that others have already is not shown again.
    fn checkout(&self, connection: &mut M::Connection) -> Result<(), Rejection<M::Error>> {
        Ok(())
    }

    /// A connection comes back and is about to be reset.
    fn reset(&self, connection: &mut M::Connection) {}

    /// A slot goes back to the pool, with its connection or emptied.
    fn checkin(&self, connection: Option<&mut M::Connection>) {}

    /// A connection is not to be trusted, and about to be terminated. `connection` is `None` while a lease has it
    /// still; `error` says why, if that is known.
    fn invalidate(&self, connection: Option<&mut M::Connection>, error: Option<&Rc<M::Error>>) {}

    /// A connection was marked to be replaced later.
    fn soft_invalidate(&self) {}

    /// A connection is about to be closed. `None`: a lease has it still.
    fn close(&self, connection: Option<&mut M::Connection>) {}

    /// A connection has left the pool.
    fn detach(&self) {}

    /// A connection that has left the pool is about to be closed.
    fn close_detached(&self, connection: Option<&mut M::Connection>) {}

    /// A lease has been out for this long (`hold_limit`). `taken_at`: the call of `connect()`.
    fn held(&self, time: Duration, taken_at: Option<Taken>) {}

    /// Something failed that no caller is to know. `None`: it took too long.
    fn error(&self, background: Background, error: Option<&Rc<M::Error>>) {}
}
