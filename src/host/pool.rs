//! The pools: one type for each kind, and what all of them offer.

extern crate std;

use super::asked::Own;
use super::callers::{Answer, Granted};
use super::checkout::{Attendance, Checkout, Ending};
use super::error::{Error, OptionError};
use super::events::Taken;
use super::lease::{Lease, Share};
use super::manager::Manager;
use super::operation::Operation;
use super::options::Builder;
use super::runtime::{Runtime, millis};
use super::shared::Shared;
use crate::policy::{Config, Counts, Kind, Pool as Policy, Sizes, Span, Stats};
use core::any::Any;
use core::fmt;
use core::future::{Future, poll_fn};
use core::marker::PhantomData;
use core::panic::Location;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::boxed::Box;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

/// Which kind a pool is. See [`QueuePool`] and its siblings.
pub trait PoolKind: 'static + sealed::Sealed {
    /// The kind, as the policy names it.
    #[doc(hidden)]
    const KIND: Kind;
    /// What its callers get.
    type Lease<M: Manager, R: Runtime>: LeaseOf<M, R>;
}

/// What callers get: a [`Lease`] or a [`Share`].
pub trait LeaseOf<M: Manager, R: Runtime>: core::ops::Deref<Target = M::Connection> + sealed::Make<M, R> {
    /// Returns the connection, and ends when it is reset.
    #[allow(async_fn_in_trait, reason = "the pool is single-threaded")]
    async fn close(self);

    /// The same after work that has failed.
    #[allow(async_fn_in_trait, reason = "the pool is single-threaded")]
    async fn close_after(self, error: &M::Error);
}

mod sealed {
    use super::{Granted, Manager, Rc, Runtime, Shared, Taken};

    pub trait Sealed {}

    pub trait Make<M: Manager, R: Runtime> {
        #[doc(hidden)]
        #[allow(private_interfaces, reason = "the trait is sealed")]
        fn make(shared: Rc<Shared<M, R>>, granted: Granted<M>, taken_at: Taken) -> Self;
    }
}

macro_rules! leases {
    ($($lease:ident)*) => {
        $(impl<M: Manager, R: Runtime> sealed::Make<M, R> for $lease<M, R> {
            #[allow(private_interfaces, reason = "the trait is sealed")]
            #[inline(always)]
            fn make(shared: Rc<Shared<M, R>>, granted: Granted<M>, taken_at: Taken) -> Self {
                Self::new(shared, granted, taken_at)
            }
        }

        impl<M: Manager, R: Runtime> LeaseOf<M, R> for $lease<M, R> {
            async fn close(self) {
                Self::close(self).await;
            }

            async fn close_after(self, error: &M::Error) {
                Self::close_after(self, error).await;
            }
        })*
    };
}

leases! { Lease Share }

macro_rules! kinds {
    ($($(#[$doc:meta])* $pool:ident, $marker:ident: $kind:ident, $lease:ident;)*) => {
        $(
            #[doc = concat!("Marks a [`", stringify!($pool), "`].")]
            #[derive(Clone, Copy, Debug)]
            pub enum $marker {}

            impl sealed::Sealed for $marker {}

            impl PoolKind for $marker {
                const KIND: Kind = Kind::$kind;
                type Lease<M: Manager, R: Runtime> = $lease<M, R>;
            }

            $(#[$doc])*
            pub type $pool<M, R = super::DefaultRuntime> = Pool<$marker, M, R>;
        )*
    };
}

kinds! {
    /// A pool that keeps up to `pool_size` connections open, opens up to `max_overflow` more, and lets callers wait.
    QueuePool, Queue: Queue, Lease;
    /// A pool that keeps nothing: each lease has a new connection.
    NullPool, Null: Null, Lease;
    /// A pool of one connection, which all callers share.
    StaticPool, Static: Static, Share;
    /// A pool of one connection for each scope: of the one scope that a single-threaded host has.
    SingletonThreadPool, Singleton: Singleton, Share;
    /// A pool of one connection that refuses a second lease, so that a test finds a lease that was kept.
    AssertionPool, Assertion: Assertion, Lease;
}

/// A pool of the connections of a [`Manager`]. A clone is the same pool.
pub struct Pool<K: PoolKind, M: Manager, R: Runtime> {
    shared: Rc<Shared<M, R>>,
    kind: PhantomData<K>,
}

impl<K: PoolKind, M: Manager, R: Runtime> Clone for Pool<K, M, R> {
    fn clone(&self) -> Self {
        Self::of(self.shared.clone())
    }
}

impl<K: PoolKind, M: Manager, R: Runtime> fmt::Debug for Pool<K, M, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.status())
    }
}

/// What one caller asks for in place of the pool's settings. `None` stands for those; [`Duration::MAX`] for no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Within {
    /// How long it waits for a connection.
    pub timeout: Option<Duration>,
    /// How long the whole may take.
    pub deadline: Option<Duration>,
    /// Waiters of a higher priority are served first. Default 0. Above 2147483647 it counts as that.
    pub priority: u32,
}

/// How the end of a pool treats its callers.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long it waits for the leases; then they end. Default 10 s.
    pub time: Option<Duration>,
    /// Whether callers that came before are served first. Default false.
    pub drain: bool,
}

impl Default for Patience {
    fn default() -> Self {
        Self { time: Some(Duration::from_secs(10)), drain: false }
    }
}

impl Within {
    fn own(self) -> Own {
        let Self { timeout, deadline, priority } = self;
        Own::new(timeout.map(span), deadline.map(span), priority)
    }
}

/// The closes that [`Pool::dispose`] has begun. Ends with the last of them.
pub struct Disposal<M: Manager, R: Runtime>(Vec<Ending<M, R>>);

impl<M: Manager, R: Runtime> Future for Disposal<M, R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.retain_mut(|close| Pin::new(close).poll(context).is_pending());
        if self.0.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The manager's error that this one is, or has as its source.
fn cause_of<E: core::error::Error + 'static>(error: &impl Any) -> Option<&E> {
    type Sent = Box<dyn core::error::Error + Send + Sync>;
    type Kept = Box<dyn core::error::Error>;
    let any: &dyn Any = error;
    let found = any.downcast_ref::<E>();
    if found.is_some() {
        return found;
    }
    if let Some(Error::Manager(error)) = any.downcast_ref::<Error<E>>() {
        return Some(error);
    }
    let sent = any.downcast_ref::<Sent>().map(|error| &**error as &(dyn core::error::Error + 'static));
    let mut next = sent.or_else(|| any.downcast_ref::<Kept>().map(|error| &**error));
    while let Some(error) = next {
        let found = error.downcast_ref::<E>();
        if found.is_some() {
            return found;
        }
        next = error.source();
    }
    None
}

fn span(time: Duration) -> Span {
    Span::from_millis(millis(time)).unwrap_or(Span::Forever)
}

impl<K: PoolKind, M: Manager> Pool<K, M, super::DefaultRuntime> {
    /// Begins a pool with the default options.
    pub fn builder(manager: M) -> Builder<K, M> {
        Builder::new(manager)
    }
}

impl<K: PoolKind, M: Manager, R: Runtime> Pool<K, M, R> {
    pub(super) const fn of(shared: Rc<Shared<M, R>>) -> Self {
        Self { shared, kind: PhantomData }
    }

    /// Checks a connection out.
    ///
    /// ```
    /// # use edgepool::{Manager, QueuePool, VirtualTime, Watch};
    /// # struct Counters;
    /// # impl Manager for Counters {
    /// #     type Connection = u32;
    /// #     type Error = std::io::Error;
    /// #     async fn open(&self, _: Watch<Self>) -> std::io::Result<u32> { Ok(0) }
    /// # }
    /// # let time = VirtualTime::new();
    /// # let pool = QueuePool::builder(Counters).pool_size(1).build_on(time.clone()).unwrap();
    /// let count = time.run_until(async {
    ///     let mut lease = pool.connect().await.unwrap();
    ///     *lease += 1;
    ///     lease.close().await;
    ///     *pool.connect().await.unwrap()
    /// });
    /// assert_eq!(count, Some(1));
    /// ```
    ///
    /// Dropped before its end, the caller leaves the queue, and what was being opened for it
    /// is the next caller's.
    #[inline]
    #[track_caller]
    pub fn connect(&self) -> impl Future<Output = Result<K::Lease<M, R>, Error<M::Error>>> {
        self.ask(Own::default(), Location::caller())
    }

    /// The same with times of its own.
    #[track_caller]
    pub fn connect_within(&self, within: Within) -> impl Future<Output = Result<K::Lease<M, R>, Error<M::Error>>> {
        self.ask(within.own(), Location::caller())
    }

    #[inline]
    async fn ask(&self, own: Own, taken_at: Taken) -> Result<K::Lease<M, R>, Error<M::Error>> {
        // Here, before any future is made of it: the most frequent way through a pool that is not busy.
        let granted = match self.shared.lend_at_once(own) {
            Some(granted) => granted,
            None => Checkout::New(self.shared.clone(), own).await?,
        };
        Ok(sealed::Make::make(self.shared.clone(), granted, taken_at))
    }

    /// Checks out, runs `work`, and returns the connection when it has ended. If `work` fails with an error of the
    /// manager that says that the connection is lost, it is terminated. The error may be [`Manager::Error`] itself,
    /// the pool's [`Error`] or a boxed error, and a boxed one may have it as its source.
    ///
    /// ```
    /// # use edgepool::{Manager, QueuePool, VirtualTime, Watch};
    /// # struct Counters;
    /// # impl Manager for Counters {
    /// #     type Connection = u32;
    /// #     type Error = std::io::Error;
    /// #     async fn open(&self, _: Watch<Self>) -> std::io::Result<u32> { Ok(0) }
    /// # }
    /// # let time = VirtualTime::new();
    /// # let pool = QueuePool::builder(Counters).pool_size(1).build_on(time.clone()).unwrap();
    /// let work = pool.use_with(async |count| {
    ///     **count += 1;
    ///     Ok::<_, edgepool::Error<std::io::Error>>(**count)
    /// });
    /// assert_eq!(time.run_until(work).unwrap().unwrap(), 1);
    /// ```
    #[track_caller]
    pub fn use_with<T, E>(
        &self,
        work: impl AsyncFnOnce(&mut K::Lease<M, R>) -> Result<T, E>,
    ) -> impl Future<Output = Result<T, E>>
    where
        E: From<Error<M::Error>> + 'static,
    {
        self.lend_to(work, Own::default(), Location::caller())
    }

    /// The same with times of its own for the checkout.
    #[track_caller]
    pub fn use_within<T, E>(
        &self,
        within: Within,
        work: impl AsyncFnOnce(&mut K::Lease<M, R>) -> Result<T, E>,
    ) -> impl Future<Output = Result<T, E>>
    where
        E: From<Error<M::Error>> + 'static,
    {
        self.lend_to(work, within.own(), Location::caller())
    }

    async fn lend_to<T, E>(
        &self,
        work: impl AsyncFnOnce(&mut K::Lease<M, R>) -> Result<T, E>,
        own: Own,
        taken_at: Taken,
    ) -> Result<T, E>
    where
        E: From<Error<M::Error>> + 'static,
    {
        let mut lease = self.ask(own, taken_at).await?;
        let result = work(&mut lease).await;
        match result.as_ref().err().and_then(cause_of::<M::Error>) {
            Some(error) => lease.close_after(error).await,
            None => lease.close().await,
        }
        result
    }

    /// Opens connections until there are `count`, as far as the pool may. Fails with the first opening that does.
    pub async fn warm(&self, count: u32) -> Result<(), Error<M::Error>> {
        self.shared.check_place()?;
        let mut most = count;
        loop {
            if self.is_closed() {
                return Err(Error::Closed { pool: self.shared.name.clone() });
            }
            let (missing, opened) = self.shared.warm(count, most);
            self.start();
            most -= opened.len() as u32;
            let none = opened.is_empty();
            let (mut result, mut opened) = (Ok(()), opened);
            poll_fn(|context| {
                opened.retain_mut(|opening| match opening.poll_answer(context) {
                    Poll::Ready(Answer::Refused(error)) if result.is_ok() => {
                        result = Err(error);
                        false
                    }
                    answer => answer.is_pending(),
                });
                if opened.is_empty() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            result?;
            // If it may open no more now, openings fail, or callers have the places: it leaves the rest to them.
            if none
                && missing > 0
                && let Some(error) = self.shared.with(|state| state.open_error.clone())
            {
                return Err(Error::Manager(error));
            }
            if none || missing == 0 || most == 0 {
                return Ok(());
            }
        }
    }

    /// Closes the idle connections, and begins at once. Leases go on, and their connections are closed at their return.
    /// The pool stays usable. The future ends with the last close; dropped, the closes go on. In another request or
    /// Durable Object than the pool's it does nothing.
    pub fn dispose(&self) -> Disposal<M, R> {
        if !self.shared.is_here() {
            return Disposal(Vec::new());
        }
        self.shared.take_in_strays();
        self.shared.drain();
        let before = self.shared.spawned_len();
        self.shared.with(|state| state.policy.dispose());
        self.shared.drain();
        let closes = self.shared.spawned_since(before).into_iter().map(|id| Ending::of_other(&self.shared, id));
        let closes = closes.collect();
        self.shared.afterwards();
        Disposal(closes)
    }

    /// Makes another pool with the same options and sizes, manager, events and runtime. The two share nothing else.
    pub fn recreate(&self) -> Self {
        let Shared { manager, runtime, events, name, settings, crosses, .. } = &*self.shared;
        let settings = settings.borrow().clone();
        let Ok(config) = Config::new(&settings) else { unreachable!("they were checked") };
        let policy = Policy::new(config);
        let shared =
            Shared::new(manager.clone(), runtime.clone(), events.clone(), name.clone(), settings, policy, *crosses);
        Self::of(Rc::new(shared))
    }

    /// Ends the pool with the default [`Patience`]. Ends when every connection is closed.
    pub async fn close(&self) {
        self.close_within(Patience::default()).await;
    }

    /// Ends the pool: refuses callers, closes what is idle, and waits for the leases. In another request or Durable
    /// Object than the pool's it does nothing.
    pub async fn close_within(&self, patience: Patience) {
        if self.shared.check_place().is_err() {
            return;
        }
        let time = patience.time.map_or(Span::Forever, span);
        let id = self.shared.with(|state| state.policy.begin_close(time, patience.drain));
        let end = Ending::of_other(&self.shared, id);
        self.shared.afterwards();
        end.await;
    }

    /// Whether new callers are refused.
    pub fn is_closed(&self) -> bool {
        self.shared.with(|state| state.policy.is_closed())
    }

    /// Begins to keep `min` connections open before a caller asks for one.
    pub fn start(&self) {
        if self.shared.check_place().is_err() {
            return;
        }
        self.shared.with(|state| state.policy.start());
        self.shared.afterwards();
    }

    /// Marks every connection to be replaced at its next checkout.
    pub fn invalidate(&self) {
        self.shared.with(|state| state.policy.invalidate_all());
    }

    /// Changes the sizes. What is `None` stays.
    ///
    /// ```
    /// # use edgepool::{Manager, QueuePool, VirtualTime, Watch};
    /// # struct Counters;
    /// # impl Manager for Counters {
    /// #     type Connection = u32;
    /// #     type Error = std::io::Error;
    /// #     async fn open(&self, _: Watch<Self>) -> std::io::Result<u32> { Ok(0) }
    /// # }
    /// # let time = VirtualTime::new();
    /// # let pool = QueuePool::builder(Counters).pool_size(1).build_on(time.clone()).unwrap();
    /// use edgepool::Sizes;
    ///
    /// pool.resize(Sizes { pool_size: Some(20.0), ..Sizes::default() }).unwrap();
    /// let refused = pool.resize(Sizes { max_uses: Some(0.0), ..Sizes::default() }).unwrap_err();
    /// assert_eq!(refused.method(), "max_uses");
    /// ```
    pub fn resize(&self, sizes: Sizes) -> Result<(), OptionError> {
        let resized = self.shared.resize(sizes);
        self.shared.afterwards();
        resized.map_err(|violation| OptionError { option: violation.option, is_taken: true })
    }

    /// The pool's numbers.
    pub fn stats(&self) -> Stats {
        self.shared.with(|state| state.policy.stats())
    }

    /// SQLAlchemy's four numbers.
    pub fn counts(&self) -> Counts {
        self.shared.with(|state| state.policy.counts())
    }

    /// One line with the pool's name and SQLAlchemy's numbers.
    pub fn status(&self) -> String {
        let Counts { size, checked_in, overflow, checked_out } = self.counts();
        std::format!(
            "{} size: {size} connections in pool: {checked_in} current overflow: {overflow} checked out: {checked_out}",
            self.name()
        )
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What opens the connections.
    pub fn manager(&self) -> &M {
        &self.shared.manager
    }
}

impl<M: Manager, R: Runtime> Shared<M, R> {
    /// Begins openings in advance. Returns how many more there are to open, and those that have begun.
    fn warm(self: &Rc<Self>, count: u32, most: u32) -> (u32, Vec<Attendance<M, R>>) {
        self.drain();
        let before = self.spawned_len();
        let missing = self.with(|state| state.policy.warm(count, most));
        self.drain();
        let forever = (f64::INFINITY, f64::INFINITY);
        // Made before any of them begins: if one panics, the others end.
        let operations: Vec<_> =
            self.take_spawned(before).into_iter().map(|id| Operation::spawned(self.clone(), id)).collect();
        let attend =
            |operation: Operation<M, R>| Attendance::new(self.clone(), operation.id(), Some(operation), forever, false);
        let opened = operations.into_iter().map(attend).collect();
        self.afterwards();
        (missing, opened)
    }
}
