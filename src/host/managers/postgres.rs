//! Clients of tokio-postgres, over any stream: a TCP stream of tokio's, or a socket of Workers.

extern crate std;

use super::postgres_line::{Line, Tls, Traffic};
use crate::host::signal::{Waiting, Wake, pair};
use crate::host::{Error, Loss, Manager, Reset, Task, Watch};
use core::cell::RefCell;
use core::fmt::{self, Display, Formatter};
use core::future::{Future, poll_fn};
use core::ops::{Deref, DerefMut};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::boxed::Box;
use std::io;
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::tls::TlsConnect;
use tokio_postgres::{Client, Config, NoTls};

/// Makes a session as good as new. Not `DISCARD ALL`: a client goes on to use its prepared statements.
const RESET_SESSION: &str = "ROLLBACK; SET SESSION AUTHORIZATION DEFAULT; CLOSE ALL; UNLISTEN *; \
                             SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES; RESET ALL";

/// What reads and writes the stream of one client.
type Driver = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>>>>;

type Opening = Pin<Box<dyn Future<Output = Result<(Client, Driver, Rc<Traffic>), PostgresError>>>>;

pub(super) type Spawn = Rc<dyn Fn(Task)>;

/// Opens clients of tokio-postgres.
///
/// Each client has a task that reads and writes its stream. A polite close ends when that task has ended, so nothing is
/// left of a pool that was closed.
///
/// The manager reads along what the client and its server say. It knows without a round trip whether a transaction is
/// open and whether a statement is under way. So a return with neither resets nothing, and the next caller has the
/// connection at once.
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
        Self::over(move |spawn| {
            let (connect, config) = (connect.clone(), config.clone());
            Box::pin(async move {
                let traffic = Rc::new(Traffic::default());
                let stream = connect().await.map_err(|error| PostgresError::Connect(error.into()))?;
                let line = Line::new(stream, spawn, traffic.clone());
                let (client, connection) = config.connect_raw(line, NoTls).await?;
                Ok((client, Box::pin(connection) as Driver, traffic))
            })
        })
    }

    /// The same with TLS, if the `ssl_mode` of `config` asks for it and the server has it.
    pub fn with_tls<S, T, E>(config: Config, tls: T, connect: impl AsyncFn() -> Result<S, E> + 'static) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
        T: TlsConnect<S, Stream: 'static, Future: 'static> + Clone + 'static,
        E: Into<Box<dyn core::error::Error>>,
    {
        let connect = Rc::new(connect);
        Self::over(move |spawn| {
            let (connect, config, tls) = (connect.clone(), config.clone(), Tls(tls.clone()));
            Box::pin(async move {
                let traffic = Rc::new(Traffic::default());
                let stream = connect().await.map_err(|error| PostgresError::Connect(error.into()))?;
                let line = Line::new(stream, spawn, traffic.clone());
                let (client, connection) = config.connect_raw(line, tls).await?;
                Ok((client, Box::pin(connection) as Driver, traffic))
            })
        })
    }

    fn over(open: impl Fn(Spawn) -> Opening + 'static) -> Self {
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
    work: Rc<Work>,
    cut: Wake,
    ended: Waiting,
}

impl PostgresConnection {
    /// Whether statements are under way, or were begun and are not sent.
    fn is_at_work(&self) -> bool {
        // What the client was called for lies in a queue until the driver is polled.
        !self.work.advance() || self.work.traffic.is_under_way()
    }
}

/// The driver of a client. Its task polls it, and so does the pool when it looks at the connection.
struct Work {
    driver: RefCell<Option<Driver>>,
    /// Of the task.
    waker: RefCell<Option<Waker>>,
    traffic: Rc<Traffic>,
}

impl Work {
    /// Sends and takes what can be, at once. Returns whether it could.
    fn advance(&self) -> bool {
        let Ok(mut place) = self.driver.try_borrow_mut() else { return false };
        let Some(waker) = self.waker.borrow().clone() else { return false };
        let Some(driver) = &mut *place else { return false };
        match driver.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => true,
            Poll::Ready(result) => {
                *place = Some(Box::pin(core::future::ready(result)));
                drop(place);
                waker.wake();
                false
            }
        }
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Result<(), tokio_postgres::Error>> {
        *self.waker.borrow_mut() = Some(context.waker().clone());
        match &mut *self.driver.borrow_mut() {
            Some(driver) => driver.as_mut().poll(&mut Context::from_waker(context.waker())),
            None => Poll::Ready(Ok(())),
        }
    }
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
            cut.wake();
        }
    }
}

impl Manager for Postgres {
    type Connection = PostgresConnection;
    type Error = PostgresError;

    async fn open(&self, watch: Watch<Self>) -> Result<PostgresConnection, PostgresError> {
        let (client, driver, traffic) = (self.open)(self.spawn.clone()).await?;
        let work = Rc::new(Work { driver: RefCell::new(Some(driver)), waker: RefCell::new(None), traffic });
        let (cut, is_cut) = pair();
        let (end, ended) = pair();
        (self.spawn)(Box::pin(drive(work.clone(), is_cut, end, watch)));
        Ok(PostgresConnection { client, work, cut, ended })
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

    fn can_ping(&self) -> bool {
        true
    }

    /// Ends when the server has closed the stream.
    async fn close(&self, connection: PostgresConnection) -> Result<(), PostgresError> {
        let PostgresConnection { client, cut, ended, .. } = connection;
        let mut goodbye = Goodbye(Some(cut));
        drop(client);
        ended.await;
        goodbye.0 = None;
        Ok(())
    }

    fn terminate(&self, connection: PostgresConnection) {
        connection.cut.wake();
    }

    /// Without a round trip: a statement that is under way may open a transaction, so it counts as one.
    fn in_transaction(&self, connection: &PostgresConnection) -> bool {
        connection.is_at_work() || connection.work.traffic.in_transaction()
    }

    fn is_busy(&self, connection: &PostgresConnection) -> bool {
        !connection.client.is_closed() && connection.is_at_work()
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
async fn drive(work: Rc<Work>, mut is_cut: Waiting, end: Wake, watch: Watch<Postgres>) {
    let result = poll_fn(|context| {
        if Pin::new(&mut is_cut).poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        work.poll(context)
    })
    .await;
    let driver = work.driver.borrow_mut().take();
    drop(driver);
    end.wake();
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
