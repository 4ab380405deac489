//! What a pool asks of the kind of connection that it keeps.

use super::watch::Watch;
use crate::policy::Loss;
use core::error::Error;

/// How a return resets a connection: the option `reset_on_return`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Roll back what the caller left open.
    Rollback,
    /// Commit what the caller left open.
    Commit,
    /// Reset the whole session, an open transaction included.
    Session,
}

/// Opens the connections of a pool, and makes every call into them.
///
/// The pool is single-threaded: no future needs to be `Send`. A future that ran out of its time is dropped, and a
/// dropped future must leave nothing open. What has a default may be left out.
#[allow(async_fn_in_trait, reason = "the pool is single-threaded, so no caller asks for a bound")]
pub trait Manager: 'static {
    /// A connection.
    type Connection: 'static;
    /// Why a call failed. Callers of `connect()` get that of [`open`](Self::open) and [`ping`](Self::ping).
    type Error: Error + 'static;

    /// Opens a connection. `watch` reports its death, if something sees it: the pool then replaces it without a ping.
    async fn open(&self, watch: Watch<Self>) -> Result<Self::Connection, Self::Error>
    where
        Self: Sized;

    /// Resets a connection that comes back. If it fails, the connection is terminated. Default: there is nothing to
    /// reset.
    async fn reset(&self, connection: &mut Self::Connection, reset: Reset) -> Result<(), Self::Error> {
        let _ = (connection, reset);
        Ok(())
    }

    /// Asks whether a connection is alive, if `pre_ping` is set: `false` or a disconnect stands for dead. Default: it
    /// is.
    async fn ping(&self, connection: &mut Self::Connection) -> Result<bool, Self::Error> {
        let _ = connection;
        Ok(true)
    }

    /// Whether [`ping`](Self::ping) asks the connection. If so, a loss that concerns others has each of them asked at
    /// its next checkout, and only the dead replaced. Default: no, so each of them is replaced.
    fn can_ping(&self) -> bool {
        false
    }

    /// Closes a connection politely. Default: drops it.
    async fn close(&self, connection: Self::Connection) -> Result<(), Self::Error> {
        drop(connection);
        Ok(())
    }

    /// Ends a connection that is not to be trusted, at once. Default: drops it.
    fn terminate(&self, connection: Self::Connection) {
        drop(connection);
    }

    /// Asks the server to stop the statement that its caller has given up, so that the connection can be kept. Returns
    /// whether it was asked. Default: it cannot be.
    async fn cancel(&self, connection: &mut Self::Connection) -> Result<bool, Self::Error> {
        let _ = connection;
        Ok(false)
    }

    /// Whether an error says that the connection is lost. Then all connections of its age are replaced, since the
    /// server may be gone, or asked first if they [can be](Self::can_ping). Default: no error does.
    fn is_disconnect(&self, error: &Self::Error, connection: &Self::Connection) -> bool {
        let _ = (error, connection);
        false
    }

    /// What an error says of the connection and of the others, if [`is_disconnect`](Self::is_disconnect) is too coarse.
    fn loss(&self, error: &Self::Error, connection: &Self::Connection) -> Loss {
        if self.is_disconnect(error, connection) { Loss::Others } else { Loss::None }
    }

    /// Whether an opening that failed with this error may succeed if it is tried again. Default: no.
    fn is_transient(&self, error: &Self::Error) -> bool {
        let _ = error;
        false
    }

    /// Whether a transaction is open, as far as can be known without asking the server. A return with none needs no
    /// reset. Default: true, so every return resets.
    fn in_transaction(&self, connection: &Self::Connection) -> bool {
        let _ = connection;
        true
    }

    /// Whether a statement is under way on a connection that comes back, which may end soon. Default: no.
    fn is_busy(&self, connection: &Self::Connection) -> bool {
        let _ = connection;
        false
    }

    /// Whether a connection comes back with something open that does not end by itself: a cursor, a `COPY`, a stream.
    /// It is terminated. Default: no.
    fn is_stuck(&self, connection: &Self::Connection) -> bool {
        let _ = connection;
        false
    }
}
