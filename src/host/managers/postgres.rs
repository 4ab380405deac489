//! Clients of tokio-postgres, over any stream: a TCP stream of tokio's, or a socket of Workers.

extern crate std;

use crate::host::{Error, Loss, Manager, Notify, Reset, Task, Waiting, Wake, Watch, pair};
use core::fmt::{self, Display, Formatter};
use core::future::{Future, poll_fn};
use core::ops::{Deref, DerefMut};
use core::pin::Pin;
use core::task::{Context, Poll};
use std::boxed::Box;
use std::io;
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::{Client, Config, NoTls};

/// Makes a session as good as new. Not `DISCARD ALL`: a client goes on to use its prepared statements.
const RESET_SESSION: &str = "ROLLBACK; SET SESSION AUTHORIZATION DEFAULT; CLOSE ALL; UNLISTEN *; \
                             SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES; RESET ALL";

/// What reads and writes the stream of one client.
type Driver = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>>>>;

type Opening = Pin<Box<dyn Future<Output = Result<(Client, Driver), PostgresError>>>>;

type Spawn = Rc<dyn Fn(Task)>;

/// Opens clients of tokio-postgres.
///
/// Each client has a task that reads and writes its stream. A polite close ends when that task has ended, so nothing is
/// left of a pool that was closed.
pub struct Postgres {
    open: Box<dyn Fn(Spawn) -> Opening>,
    spawn: Spawn,
}

impl Postgres {
    /// Connects as `config` says, over the streams that `connect` opens. The hosts and ports of `config` are not used.
    pub fn new<S, E>(config: Config, connect: impl AsyncFn() -> Result<S, E> + 'static) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
        E: Into<Box<dyn core::error::Error>>,
    {
        let connect = Rc::new(connect);
        let open = move |spawn: Spawn| -> Opening {
            let (connect, config) = (connect.clone(), config.clone());
            Box::pin(async move {
                let stream = connect().await.map_err(|error| PostgresError::Connect(error.into()))?;
                let (client, connection) = config.connect_raw(Line::new(stream, spawn), NoTls).await?;
                Ok((client, Box::pin(connection) as Driver))
            })
        };
        Self { open: Box::new(open), spawn: Rc::new(spawn_local) }
    }

    /// Runs the tasks of connections. Default: the target's `spawn_local`.
    #[must_use]
    pub fn spawn_with(mut self, spawn: impl Fn(Task) + 'static) -> Self {
        self.spawn = Rc::new(spawn);
        self
    }
}

#[cfg(target_arch = "wasm32")]
fn spawn_local(task: Task) {
    wasm_bindgen_futures::spawn_local(task);
}

#[cfg(not(target_arch = "wasm32"))]
fn spawn_local(task: Task) {
    drop(tokio::task::spawn_local(task));
}

/// A client of tokio-postgres. Dropped, it says goodbye to its server in the background.
pub struct PostgresConnection {
    client: Client,
    cut: Wake,
    ended: Waiting,
}

impl Deref for PostgresConnection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for PostgresConnection {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// Cuts a connection whose close was given up.
struct Goodbye(Option<Wake>);

impl Drop for Goodbye {
    fn drop(&mut self) {
        if let Some(cut) = self.0.take() {
            cut.notify();
        }
    }
}

impl Manager for Postgres {
    type Connection = PostgresConnection;
    type Error = PostgresError;

    async fn open(&self, watch: Watch<Self>) -> Result<PostgresConnection, PostgresError> {
        let (client, driver) = (self.open)(self.spawn.clone()).await?;
        let (cut, is_cut) = pair();
        let (end, ended) = pair();
        (self.spawn)(Box::pin(drive(driver, is_cut, end, watch)));
        Ok(PostgresConnection { client, cut, ended })
    }

    async fn reset(&self, connection: &mut PostgresConnection, reset: Reset) -> Result<(), PostgresError> {
        let statements = match reset {
            Reset::Rollback => "ROLLBACK",
            Reset::Commit => "COMMIT",
            Reset::Session => RESET_SESSION,
        };
        Ok(connection.client.batch_execute(statements).await?)
    }

    async fn ping(&self, connection: &mut PostgresConnection) -> Result<bool, PostgresError> {
        match connection.client.batch_execute("").await {
            Ok(()) => Ok(true),
            Err(error) => {
                let error = PostgresError::from(error);
                if self.loss(&error, connection) == Loss::None { Err(error) } else { Ok(false) }
            }
        }
    }

    /// Ends when the server has closed the stream.
    async fn close(&self, connection: PostgresConnection) -> Result<(), PostgresError> {
        let PostgresConnection { client, cut, ended } = connection;
        let mut goodbye = Goodbye(Some(cut));
        drop(client);
        ended.await;
        goodbye.0 = None;
        Ok(())
    }

    fn terminate(&self, connection: PostgresConnection) {
        connection.cut.notify();
    }

    fn loss(&self, error: &PostgresError, connection: &PostgresConnection) -> Loss {
        let PostgresError::Postgres(error) = error else { return Loss::None };
        let Some(db_error) = error.as_db_error() else {
            // A client that goes on has seen the error of another.
            let is_lost = connection.client.is_closed() && (error.is_closed() || is_of_network(error));
            return if is_lost { Loss::Others } else { Loss::None };
        };
        let code = db_error.code();
        if [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::DATABASE_DROPPED,
        ]
        .contains(code)
        {
            return Loss::Others;
        }
        match db_error.parsed_severity() {
            Some(Severity::Panic) => Loss::Others,
            Some(Severity::Fatal) => Loss::Alone,
            // The server only reads, as after a failover: the connection is alive, and of no use.
            _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Loss::Alone,
            _ => Loss::None,
        }
    }

    fn is_transient(&self, error: &PostgresError) -> bool {
        match error {
            PostgresError::Connect(error) => error.is::<io::Error>(),
            PostgresError::Postgres(error) => {
                let shuts_down_or_is_full = |code| {
                    [
                        SqlState::ADMIN_SHUTDOWN,
                        SqlState::CRASH_SHUTDOWN,
                        SqlState::CANNOT_CONNECT_NOW,
                        SqlState::TOO_MANY_CONNECTIONS,
                    ]
                    .contains(code)
                };
                error.is_closed() || is_of_network(error) || error.code().is_some_and(shuts_down_or_is_full)
            }
            PostgresError::Pool(_) => false,
        }
    }
}

fn is_of_network(error: &tokio_postgres::Error) -> bool {
    core::error::Error::source(error).is_some_and(|source| source.is::<io::Error>())
}

/// The task of a connection: ends with it, and reports its death.
async fn drive(mut driver: Driver, mut is_cut: Waiting, end: Wake, watch: Watch<Postgres>) {
    let result = poll_fn(|context| {
        if Pin::new(&mut is_cut).poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        driver.as_mut().poll(context)
    })
    .await;
    drop(driver);
    end.notify();
    watch.died(result.err().map(PostgresError::from));
}

/// Why PostgreSQL, the way to it, or the pool failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum PostgresError {
    /// No stream was opened.
    Connect(Box<dyn core::error::Error>),
    /// The client failed.
    Postgres(tokio_postgres::Error),
    /// The pool refused. For work that has this for its error, as within `use_with`.
    Pool(Box<Error<Self>>),
}

impl Display for PostgresError {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(formatter, "no stream to the server was opened: {error}"),
            Self::Postgres(error) => match error.as_db_error() {
                Some(error) => error.fmt(formatter),
                None => error.fmt(formatter),
            },
            Self::Pool(error) => error.fmt(formatter),
        }
    }
}

impl core::error::Error for PostgresError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Connect(error) => Some(&**error),
            Self::Postgres(error) => Some(error),
            Self::Pool(error) => Some(&**error),
        }
    }
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<Error<Self>> for PostgresError {
    fn from(error: Error<Self>) -> Self {
        Self::Pool(Box::new(error))
    }
}

/// The stream of a client. Dropped, it is shut down: a socket of Workers does not end with its object.
struct Line<S: AsyncRead + AsyncWrite + Unpin + 'static> {
    stream: Option<S>,
    spawn: Spawn,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Line<S> {
    fn new(stream: S, spawn: Spawn) -> Self {
        Self { stream: Some(stream), spawn }
    }

    fn stream(self: Pin<&mut Self>) -> Option<Pin<&mut S>> {
        self.get_mut().stream.as_mut().map(Pin::new)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Drop for Line<S> {
    fn drop(&mut self) {
        // Native streams end by themselves, and their runtime may be gone.
        if cfg!(target_arch = "wasm32")
            && let Some(mut stream) = self.stream.take()
        {
            (self.spawn)(Box::pin(async move {
                // What was written last may fail, or the stream may be at its end.
                let _ = poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context)).await;
            }));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> AsyncRead for Line<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.stream() {
            Some(stream) => stream.poll_read(context, buffer),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> AsyncWrite for Line<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.stream() {
            Some(stream) => stream.poll_write(context, bytes),
            None => Poll::Ready(Ok(0)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.stream() {
            Some(stream) => stream.poll_flush(context),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = self.as_mut().stream() else { return Poll::Ready(Ok(())) };
        let poll = stream.poll_shutdown(context);
        if poll.is_ready() {
            self.get_mut().stream = None;
        }
        poll
    }
}
