//! A manager whose every call the test decides, on a runtime whose time the test passes.

use edgepool::{
    Background, Builder, Error, Events, Lease, LeaseOf, Loss, Manager, Pool, PoolKind, Queue, QueuePool, Rejection,
    Reset, Runtime, Share, Taken, Task, VirtualTime, Watch,
};
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

impl Script {
    pub(crate) fn takes(ms: u32) -> Self {
        Self::Takes(ms, Box::new(Self::Ok))
    }
}

/// What has happened, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Open,
    Reset(u32, Reset),
    Ping(u32),
    Close(u32),
    Terminate(u32),
    /// A statement was to be stopped.
    Cancel(u32),
    /// It was neither closed nor terminated.
    Dropped(u32),
    /// An event, of this connection if it was shown.
    Event(&'static str, Option<u32>),
    /// What no caller gets.
    Error(Background, Option<&'static str>),
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => write!(formatter, "open"),
            Self::Reset(number, Reset::Rollback) => write!(formatter, "rollback {number}"),
            Self::Reset(number, Reset::Commit) => write!(formatter, "commit {number}"),
            Self::Reset(number, Reset::Session) => write!(formatter, "session {number}"),
            Self::Ping(number) => write!(formatter, "ping {number}"),
            Self::Close(number) => write!(formatter, "close {number}"),
            Self::Terminate(number) => write!(formatter, "terminate {number}"),
            Self::Cancel(number) => write!(formatter, "cancel {number}"),
            Self::Dropped(number) => write!(formatter, "dropped {number}"),
            Self::Event(event, Some(number)) => write!(formatter, "{event}({number})"),
            Self::Event(event, None) => write!(formatter, "{event}()"),
            Self::Error(background, word) => {
                write!(formatter, "error({}: {})", format!("{background:?}").to_lowercase(), word.unwrap_or("late"))
            }
        }
    }
}

type Within = Rc<dyn Fn(&'static str)>;
type Act = Box<dyn FnOnce()>;

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
    pub(crate) cancel_scripts: RefCell<VecDeque<Script>>,
    /// What a listener answers, by its event.
    pub(crate) answers: RefCell<VecDeque<(&'static str, Rejection<Failure>)>>,
    /// Runs in each listener, with the event.
    pub(crate) within: RefCell<Option<Within>>,
    /// Runs in the next opening, before it is awaited.
    pub(crate) in_open: RefCell<Option<Act>>,
    pub(crate) in_reset: RefCell<Option<Act>>,
    /// Runs in the next call that is scripted, before its answer.
    pub(crate) in_call: RefCell<Option<Act>>,
    /// Runs in the next termination, while the connection is still open.
    pub(crate) in_terminate: RefCell<Option<Act>>,
    /// Runs as the manager is asked what an error says of a connection.
    pub(crate) in_loss: RefCell<Option<Act>>,
    /// Connections come with an open transaction.
    pub(crate) opens_in_transaction: Cell<bool>,
    /// The next connection dies before its opening has answered.
    pub(crate) dies_in_open: Cell<bool>,
    /// For how long leases were out when they were reported, and where they were taken.
    pub(crate) held: RefCell<Vec<(u64, Option<Taken>)>>,
    /// Why connections were invalidated.
    pub(crate) reasons: RefCell<Vec<&'static str>>,
    /// Runs in each call into the manager, with its name.
    pub(crate) in_each_call: RefCell<Option<Within>>,
    /// The most connections that were open at once.
    pub(crate) most_open: Cell<u32>,
    /// The most openings that ran at once.
    pub(crate) most_opening: Cell<u32>,
    pub(crate) opening: Cell<u32>,
    pub(crate) watches: RefCell<Vec<Watch<Fake>>>,
    /// How often the manager was asked whether a transaction is open.
    pub(crate) asked: Cell<u32>,
}

impl Log {
    pub(crate) fn take(&self) -> Vec<Call> {
        self.calls.take()
    }

    /// What has happened since, as one line.
    pub(crate) fn trace(&self) -> String {
        self.take().iter().map(Call::to_string).collect::<Vec<_>>().join(", ")
    }

    fn note(&self, call: Call) {
        self.calls.borrow_mut().push(call);
    }

    fn enter(&self, call: &'static str) {
        let act = self.in_each_call.borrow().clone();
        if let Some(act) = act {
            act(call);
        }
    }
}

/// Counts an opening until its end, also if it is dropped.
struct Opening(Rc<Log>);

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.opening.set(self.0.opening.get() - 1);
    }
}

/// Logs each event, and answers as the test wants.
pub(crate) struct Listener(pub(crate) Rc<Log>);

impl Listener {
    fn on(&self, event: &'static str, connection: Option<&mut Connection>) -> Result<(), Rejection<Failure>> {
        self.0.note(Call::Event(event, connection.map(|connection| connection.number)));
        let within = self.0.within.borrow().clone();
        if let Some(within) = within {
            within(event);
        }
        let mut answers = self.0.answers.borrow_mut();
        let at = answers.iter().position(|(of, _)| *of == event);
        at.and_then(|at| answers.remove(at)).map_or(Ok(()), |(_, answer)| Err(answer))
    }

    fn tell(&self, event: &'static str, connection: Option<&mut Connection>) {
        let _ = self.on(event, connection);
    }
}

impl Events<Fake> for Listener {
    fn first_connect(&self, connection: &mut Connection) -> Result<(), Rejection<Failure>> {
        self.on("first_connect", Some(connection))
    }

    fn connect(&self, connection: &mut Connection) -> Result<(), Rejection<Failure>> {
        self.on("connect", Some(connection))
    }

    fn checkout(&self, connection: &mut Connection) -> Result<(), Rejection<Failure>> {
        self.on("checkout", Some(connection))
    }

    fn reset(&self, connection: &mut Connection) {
        self.tell("reset", Some(connection));
    }

    fn checkin(&self, connection: Option<&mut Connection>) {
        self.tell("checkin", connection);
    }

    fn invalidate(&self, connection: Option<&mut Connection>, error: Option<&Rc<Failure>>) {
        self.0.reasons.borrow_mut().extend(error.map(|error| error.0));
        self.tell("invalidate", connection);
    }

    fn soft_invalidate(&self) {
        self.tell("soft_invalidate", None);
    }

    fn close(&self, connection: Option<&mut Connection>) {
        self.tell("closing", connection);
    }

    fn detach(&self) {
        self.tell("detach", None);
    }

    fn close_detached(&self, connection: Option<&mut Connection>) {
        self.tell("close_detached", connection);
    }

    fn held(&self, time: Duration, taken_at: Option<Taken>) {
        self.0.held.borrow_mut().push((time.as_millis() as u64, taken_at));
        self.tell("held", None);
    }

    fn error(&self, background: Background, error: Option<&Rc<Failure>>) {
        self.0.note(Call::Error(background, error.map(|error| error.0)));
        let within = self.0.within.borrow().clone();
        if let Some(within) = within {
            within("error");
        }
    }
}

pub(crate) struct Connection {
    pub(crate) number: u32,
    pub(crate) in_transaction: bool,
    pub(crate) is_busy: bool,
    pub(crate) is_stuck: bool,
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
        let act = self.log.in_call.take();
        if let Some(act) = act {
            act();
        }
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
        self.log.enter("open");
        let act = self.log.in_open.take();
        if let Some(act) = act {
            act();
        }
        self.log.opening.set(self.log.opening.get() + 1);
        self.log.most_opening.set(self.log.most_opening.get().max(self.log.opening.get()));
        let opening = Opening(self.log.clone());
        self.play(&self.log.open_scripts).await?;
        drop(opening);
        let number = self.log.opened.replace(self.log.opened.get() + 1);
        self.log.open.set(self.log.open.get() + 1);
        self.log.most_open.set(self.log.most_open.get().max(self.log.open.get()));
        if self.log.dies_in_open.take() {
            watch.died(Some(Failure("gone")));
        }
        self.log.watches.borrow_mut().push(watch);
        Ok(Connection {
            number,
            in_transaction: self.log.opens_in_transaction.get(),
            is_busy: false,
            is_stuck: false,
            ended: false,
            log: self.log.clone(),
        })
    }

    async fn reset(&self, connection: &mut Connection, reset: Reset) -> Result<(), Failure> {
        self.log.note(Call::Reset(connection.number, reset));
        self.log.enter("reset");
        let act = self.log.in_reset.take();
        if let Some(act) = act {
            act();
        }
        self.play(&self.log.reset_scripts).await?;
        connection.in_transaction = false;
        connection.is_busy = false;
        Ok(())
    }

    async fn ping(&self, connection: &mut Connection) -> Result<bool, Failure> {
        self.log.note(Call::Ping(connection.number));
        self.log.enter("ping");
        self.play(&self.log.ping_scripts).await
    }

    fn can_ping(&self) -> bool {
        true
    }

    async fn close(&self, connection: Connection) -> Result<(), Failure> {
        connection.end(Call::Close);
        self.log.enter("close");
        self.play(&self.log.close_scripts).await.map(|_| ())
    }

    fn terminate(&self, connection: Connection) {
        let act = self.log.in_terminate.take();
        if let Some(act) = act {
            act();
        }
        connection.end(Call::Terminate);
        self.log.enter("terminate");
    }

    async fn cancel(&self, connection: &mut Connection) -> Result<bool, Failure> {
        self.log.note(Call::Cancel(connection.number));
        self.log.enter("cancel");
        self.play(&self.log.cancel_scripts).await
    }

    fn is_disconnect(&self, error: &Failure, _: &Connection) -> bool {
        self.log.enter("is_disconnect");
        error.0 == "lost"
    }

    fn loss(&self, error: &Failure, connection: &Connection) -> Loss {
        let act = self.log.in_loss.take();
        if let Some(act) = act {
            act();
        }
        match error.0 {
            "alone" => Loss::Alone,
            _ if self.is_disconnect(error, connection) => Loss::Others,
            _ => Loss::None,
        }
    }

    fn is_transient(&self, error: &Failure) -> bool {
        self.log.enter("is_transient");
        error.0 == "refused"
    }

    fn in_transaction(&self, connection: &Connection) -> bool {
        self.log.asked.set(self.log.asked.get() + 1);
        self.log.enter("in_transaction");
        connection.in_transaction
    }

    fn is_busy(&self, connection: &Connection) -> bool {
        self.log.enter("is_busy");
        connection.is_busy
    }

    fn is_stuck(&self, connection: &Connection) -> bool {
        self.log.enter("is_stuck");
        connection.is_stuck
    }
}

/// A pool of a kind.
pub(crate) type Of<K> = Pool<K, Fake, VirtualTime>;

/// A caller that waits.
pub(crate) type Waiter<'pool, L = Lease<Fake, VirtualTime>> =
    Pin<Box<dyn Future<Output = Result<L, Error<Failure>>> + 'pool>>;

/// A caller that foreign code may drop while the pool works for it.
pub(crate) type Leaver = Rc<RefCell<Option<Waiter<'static>>>>;

/// What callers of a pool of a kind have.
pub(crate) type LeaseFrom<K> = <K as PoolKind>::Lease<Fake, VirtualTime>;

/// What a [`Lease`] and a [`Share`] have in common beside [`LeaseOf`].
pub(crate) trait Holds: Sized {
    async fn close_reset(self);
    async fn invalidate_because(self, error: Failure);
    fn invalidate_soft(&self);
    fn is_valid(&self) -> bool;
}

macro_rules! holds {
    ($($lease:ident)*) => {
        $(impl Holds for $lease<Fake, VirtualTime> {
            async fn close_reset(self) {
                Self::close_reset(self).await;
            }

            async fn invalidate_because(self, error: Failure) {
                Self::invalidate_because(self, error).await;
            }

            fn invalidate_soft(&self) {
                Self::invalidate_soft(self);
            }

            fn is_valid(&self) -> bool {
                Self::is_valid(self)
            }
        })*
    };
}

holds! { Lease Share }

/// Virtual time whose clock a test turns back, and whose sleeps are counted.
#[derive(Clone)]
pub(crate) struct Dial {
    time: VirtualTime,
    pub(crate) back_ms: Rc<Cell<f64>>,
    pub(crate) sleeps: Rc<Cell<u32>>,
    /// Runs in each reading of the clock, and as each sleep begins.
    pub(crate) within: Rc<RefCell<Option<Within>>>,
}

impl Dial {
    pub(crate) fn new(time: &VirtualTime) -> Self {
        Self { time: time.clone(), back_ms: Rc::default(), sleeps: Rc::default(), within: Rc::default() }
    }

    fn call(&self, what: &'static str) {
        let within = self.within.borrow().clone();
        if let Some(within) = within {
            within(what);
        }
    }
}

impl Runtime for Dial {
    type Sleep = <VirtualTime as Runtime>::Sleep;
    type Place = <VirtualTime as Runtime>::Place;

    fn now(&self) -> f64 {
        self.call("now");
        self.time.now() - self.back_ms.get()
    }

    fn sleep(&self, ms: u32) -> Self::Sleep {
        self.sleeps.set(self.sleeps.get() + 1);
        self.call("sleep");
        self.time.sleep(ms)
    }

    fn spawn(&self, task: Task) {
        self.time.spawn(task);
    }

    fn place(&self) -> Option<Self::Place> {
        self.time.place()
    }
}

/// Runs what panics. Returns whether it did.
pub(crate) fn panics<T>(run: impl FnOnce() -> T) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err()
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

    /// A pool with these options.
    pub(crate) fn pool<K: PoolKind>(&self, options: impl FnOnce(Builder<K, Fake>) -> Builder<K, Fake>) -> Of<K> {
        options(Pool::<K, Fake, edgepool::DefaultRuntime>::builder(self.manager()))
            .build_on(self.time.clone())
            .expect("valid options")
    }

    /// The same with a listener of every event.
    pub(crate) fn listened<K: PoolKind>(&self, options: impl FnOnce(Builder<K, Fake>) -> Builder<K, Fake>) -> Of<K> {
        self.pool(|builder| options(builder).events(Listener(self.log.clone())))
    }

    /// A queue pool of so many connections, without overflow.
    pub(crate) fn queue(&self, size: u32) -> QueuePool<Fake, VirtualTime> {
        self.pool::<Queue>(|builder| builder.pool_size(size).max_overflow(0))
    }

    /// Checks out, and passes the time that it takes.
    pub(crate) fn connect<K: PoolKind>(&self, pool: &Of<K>) -> LeaseFrom<K> {
        match self.run(pool.connect()) {
            Ok(lease) => lease,
            Err(error) => panic!("refused: {error}"),
        }
    }

    /// The error of a caller that is refused.
    pub(crate) fn refused<K: PoolKind>(&self, pool: &Of<K>) -> Error<Failure> {
        match self.run(pool.connect()) {
            Ok(_) => panic!("it has a connection"),
            Err(error) => error,
        }
    }

    /// Returns a lease, and passes the time that it takes.
    pub(crate) fn close(&self, lease: impl LeaseOf<Fake, VirtualTime>) {
        self.run(lease.close());
    }

    /// A caller that waits.
    pub(crate) fn wait<'pool, K: PoolKind>(&self, pool: &'pool Of<K>) -> Waiter<'pool, LeaseFrom<K>> {
        let mut waiter: Waiter<'pool, LeaseFrom<K>> = Box::pin(pool.connect());
        assert!(self.poll(waiter.as_mut()).is_none(), "it is served at once");
        waiter
    }

    /// A caller that waits. Once a slot is free the runtime has its operation, so that foreign code may drop it.
    pub(crate) fn leaver(&self, pool: &Of<Queue>) -> Leaver {
        let own = pool.clone();
        let mut waiter: Waiter<'static> = Box::pin(async move { own.connect().await });
        assert!(self.poll(waiter.as_mut()).is_none(), "it is served at once");
        Rc::new(RefCell::new(Some(waiter)))
    }

    /// A caller that waits and may outlive this borrow of the pool, for listeners.
    pub(crate) fn wait_apart<K: PoolKind>(&self, pool: &Of<K>) -> Waiter<'static, LeaseFrom<K>> {
        let own = pool.clone();
        let mut waiter: Waiter<'static, LeaseFrom<K>> = Box::pin(async move { own.connect().await });
        assert!(self.poll(waiter.as_mut()).is_none(), "it is served at once");
        waiter
    }

    /// What a caller that waited has now.
    pub(crate) fn served<L>(&self, mut waiter: Waiter<'_, L>) -> L {
        match self.poll(waiter.as_mut()) {
            Some(Ok(lease)) => lease,
            Some(Err(error)) => panic!("refused: {error}"),
            None => panic!("it still waits"),
        }
    }

    /// Whether a caller still waits.
    pub(crate) fn waits<L>(&self, waiter: &mut Waiter<'_, L>) -> bool {
        self.poll(waiter.as_mut()).is_none()
    }

    /// So much time has passed, or a little more: a timer may ring late by a fiftieth, or by 10 ms.
    pub(crate) fn assert_time(&self, ms: f64) {
        let now_ms = self.time.now_ms();
        assert!(now_ms >= ms && now_ms <= ms + (ms / 50.0).max(10.0), "{now_ms} in place of {ms}");
    }

    pub(crate) fn opens(&self, scripts: impl IntoIterator<Item = Script>) {
        self.log.open_scripts.borrow_mut().extend(scripts);
    }

    pub(crate) fn resets(&self, scripts: impl IntoIterator<Item = Script>) {
        self.log.reset_scripts.borrow_mut().extend(scripts);
    }

    pub(crate) fn pings(&self, scripts: impl IntoIterator<Item = Script>) {
        self.log.ping_scripts.borrow_mut().extend(scripts);
    }

    pub(crate) fn closes(&self, scripts: impl IntoIterator<Item = Script>) {
        self.log.close_scripts.borrow_mut().extend(scripts);
    }

    pub(crate) fn cancels(&self, scripts: impl IntoIterator<Item = Script>) {
        self.log.cancel_scripts.borrow_mut().extend(scripts);
    }

    /// The next listener of this event refuses the connection.
    pub(crate) fn listener_fails(&self, event: &'static str, word: &'static str) {
        self.log.answers.borrow_mut().push_back((event, Rejection::Failed(Failure(word))));
    }

    /// The next listener of this event finds the connection dead.
    pub(crate) fn listener_disconnects(&self, event: &'static str, word: &'static str, pool: bool) {
        self.log.answers.borrow_mut().push_back((event, Rejection::Disconnected { error: Failure(word), pool }));
    }

    /// Runs in each listener from now on.
    pub(crate) fn within(&self, act: impl Fn(&'static str) + 'static) {
        *self.log.within.borrow_mut() = Some(Rc::new(act));
    }

    /// Runs in each call into the manager from now on.
    pub(crate) fn in_calls(&self, act: impl Fn(&'static str) + 'static) {
        *self.log.in_each_call.borrow_mut() = Some(Rc::new(act));
    }

    /// The driver reports the death of a connection.
    pub(crate) fn dies(&self, number: usize, word: Option<&'static str>) {
        let watch = self.log.watches.borrow()[number].clone();
        watch.died(word.map(Failure));
        self.time.run();
    }

    /// What has happened since the last look.
    pub(crate) fn trace(&self) -> String {
        self.time.run();
        self.log.trace()
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
