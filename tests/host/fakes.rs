//! A manager whose every call the test decides, on a runtime whose time the test passes.

use edgepool::{Manager, Reset, VirtualTime, Watch};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// An error with a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) &'static str);

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for Failure {}

/// How one call into the manager goes.
#[derive(Clone, Debug)]
pub(crate) enum Script {
    Ok,
    Fails(&'static str),
    /// It ends after so many milliseconds.
    Takes(u32, Box<Self>),
    /// It never ends.
    Hangs,
    Panics,
    /// A ping says that the connection is dead.
    Dead,
}

/// What has happened, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Open,
    Reset(u32, Reset),
    Ping(u32),
    Close(u32),
    Terminate(u32),
    /// It was neither closed nor terminated.
    Dropped(u32),
}

#[derive(Default)]
pub(crate) struct Log {
    pub(crate) calls: RefCell<Vec<Call>>,
    opened: Cell<u32>,
    /// How many connections are open.
    pub(crate) open: Cell<u32>,
    pub(crate) open_scripts: RefCell<VecDeque<Script>>,
    pub(crate) reset_scripts: RefCell<VecDeque<Script>>,
    pub(crate) ping_scripts: RefCell<VecDeque<Script>>,
    pub(crate) close_scripts: RefCell<VecDeque<Script>>,
    pub(crate) watches: RefCell<Vec<Watch<Fake>>>,
}

impl Log {
    pub(crate) fn take(&self) -> Vec<Call> {
        self.calls.take()
    }

    fn note(&self, call: Call) {
        self.calls.borrow_mut().push(call);
    }
}

pub(crate) struct Connection {
    pub(crate) number: u32,
    pub(crate) in_transaction: bool,
    pub(crate) is_busy: bool,
    ended: bool,
    log: Rc<Log>,
}

impl Connection {
    fn end(mut self, call: fn(u32) -> Call) {
        self.ended = true;
        self.log.note(call(self.number));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.log.open.set(self.log.open.get() - 1);
        if !self.ended {
            self.log.note(Call::Dropped(self.number));
        }
    }
}

/// Opens numbered connections, from 0.
pub(crate) struct Fake {
    pub(crate) log: Rc<Log>,
    pub(crate) time: VirtualTime,
}

impl Fake {
    async fn play(&self, scripts: &RefCell<VecDeque<Script>>) -> Result<bool, Failure> {
        use edgepool::Runtime;
        let mut script = scripts.borrow_mut().pop_front().unwrap_or(Script::Ok);
        loop {
            script = match script {
                Script::Ok => return Ok(true),
                Script::Dead => return Ok(false),
                Script::Fails(word) => return Err(Failure(word)),
                Script::Hangs => pending().await,
                Script::Panics => panic!("a script"),
                Script::Takes(ms, then) => {
                    self.time.sleep(ms).await;
                    *then
                }
            };
        }
    }
}

impl Manager for Fake {
    type Connection = Connection;
    type Error = Failure;

    async fn open(&self, watch: Watch<Self>) -> Result<Connection, Failure> {
        self.log.note(Call::Open);
        self.play(&self.log.open_scripts).await?;
        let number = self.log.opened.replace(self.log.opened.get() + 1);
        self.log.open.set(self.log.open.get() + 1);
        self.log.watches.borrow_mut().push(watch);
        Ok(Connection { number, in_transaction: false, is_busy: false, ended: false, log: self.log.clone() })
    }

    async fn reset(&self, connection: &mut Connection, reset: Reset) -> Result<(), Failure> {
        self.log.note(Call::Reset(connection.number, reset));
        self.play(&self.log.reset_scripts).await?;
        connection.in_transaction = false;
        Ok(())
    }

    async fn ping(&self, connection: &mut Connection) -> Result<bool, Failure> {
        self.log.note(Call::Ping(connection.number));
        self.play(&self.log.ping_scripts).await
    }

    async fn close(&self, connection: Connection) -> Result<(), Failure> {
        connection.end(Call::Close);
        self.play(&self.log.close_scripts).await.map(|_| ())
    }

    fn terminate(&self, connection: Connection) {
        connection.end(Call::Terminate);
    }

    fn is_disconnect(&self, error: &Failure, _: &Connection) -> bool {
        error.0 == "lost"
    }

    fn is_transient(&self, error: &Failure) -> bool {
        error.0 == "refused"
    }

    fn in_transaction(&self, connection: &Connection) -> bool {
        connection.in_transaction
    }

    fn is_busy(&self, connection: &Connection) -> bool {
        connection.is_busy
    }
}

/// A runtime, and the log of a manager on it.
pub(crate) struct World {
    pub(crate) time: VirtualTime,
    pub(crate) log: Rc<Log>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { time: VirtualTime::new(), log: Rc::new(Log::default()) }
    }

    pub(crate) fn manager(&self) -> Fake {
        Fake { log: self.log.clone(), time: self.time.clone() }
    }

    /// Runs a future to its end, and passes the time that it waits for.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let value = self.time.run_until(future);
        self.time.run();
        value.expect("the future waits for nothing that comes")
    }

    pub(crate) fn pass(&self, ms: u64) {
        self.time.pass(Duration::from_millis(ms));
    }

    /// Runs what can run now. Returns the value of the future, if it has one.
    pub(crate) fn poll<T>(&self, mut future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
        let first = self.time.poll_once(future.as_mut());
        self.time.run();
        match first {
            Poll::Ready(value) => Some(value),
            Poll::Pending => match self.time.poll_once(future) {
                Poll::Ready(value) => {
                    self.time.run();
                    Some(value)
                }
                Poll::Pending => None,
            },
        }
    }

    /// The same for a future that is polled once and dropped.
    pub(crate) fn poll_and_drop<T>(&self, future: impl Future<Output = T>) {
        let mut future = pin!(future);
        let _ = self.time.poll_once(future.as_mut());
    }
}
