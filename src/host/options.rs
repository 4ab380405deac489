//! The options of a pool, with the names and defaults of the JavaScript package.

extern crate std;

use super::error::{OptionError, method_of};
use super::events::Events;
use super::manager::Manager;
use super::pool::{Pool, PoolKind};
use super::runtime::{Runtime, millis};
use super::shared::Shared;
use crate::policy::{Config, OPTIONS, Place, Pool as Policy, ResetStyle, Settings};
use core::marker::PhantomData;
use core::time::Duration;
use std::rc::Rc;
use std::vec::Vec;

/// What happens to a lease that is out for longer than `hold_limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnHoldLimit {
    /// [`Events::held`] is called.
    Report,
    /// The same, and its slot is free. The connection is terminated when its holder lets go of it.
    Terminate,
}

/// Makes a pool. Each method sets an option.
pub struct Builder<K: PoolKind, M: Manager> {
    manager: M,
    settings: Settings,
    given: Vec<&'static str>,
    events: Option<Rc<dyn Events<M>>>,
    name: Rc<str>,
    crosses: bool,
    kind: PhantomData<K>,
}

/// By the name that it would have in JavaScript.
pub(super) const CROSSES: &str = "crossesRequests";
pub(super) const PRE_PING: &str = "prePing";

fn limit(time: Option<Duration>) -> f64 {
    time.map_or(f64::INFINITY, millis)
}

macro_rules! options {
    ($($(#[$doc:meta])* $method:ident($value:ident: $type:ty) $name:literal => $setting:ident = $made:expr;)*) => {
        impl<K: PoolKind, M: Manager> Builder<K, M> {
            $($(#[$doc])*
            #[must_use]
            pub fn $method(mut self, $value: $type) -> Self {
                self.settings.$setting = $made;
                self.given.push($name);
                self
            })*
        }
    };
}

options! {
    /// Connections that are kept open; 0 stands for no limit. Default 5.
    pool_size(count: u32) "poolSize" => pool_size = f64::from(count);
    /// Connections beyond `pool_size`, closed at their return; `None` stands for no limit. Default 10.
    max_overflow(count: impl Into<Option<u32>>) "maxOverflow" => max_overflow = count.into().map_or(-1.0, f64::from);
    /// Callers that may wait; `None` stands for no limit. Default `None`.
    max_waiters(count: impl Into<Option<u32>>) "maxWaiters" =>
        max_waiters = count.into().map_or(f64::INFINITY, f64::from);
    /// How long a caller waits for a connection; `None` stands for no limit. Default 30 s.
    timeout(time: impl Into<Option<Duration>>) "timeout" => timeout_ms = limit(time.into());
    /// How long one call into the manager may take. Default 30 s.
    driver_timeout(time: impl Into<Option<Duration>>) "driverTimeout" => driver_timeout_ms = limit(time.into());
    /// How long a busy connection may take to come to rest at its return, and how long a return holds its caller.
    /// Default 1 s.
    return_timeout(time: impl Into<Option<Duration>>) "returnTimeout" => return_timeout_ms = limit(time.into());
    /// How long one opening may take. Default: as `driver_timeout`.
    open_timeout(time: impl Into<Option<Duration>>) "openTimeout" => open_timeout_ms = limit(time.into());
    /// How often in a row an opening that failed with a transient error is tried again; `None` stands for as long as a
    /// caller has time. Default: that if there is a `deadline`, else 0.
    open_retry(count: impl Into<Option<u32>>) "openRetry" => open_retry = count.into().map_or(f64::INFINITY, f64::from);
    /// How long the whole of `connect()` may take. Default: as long as its parts.
    deadline(time: impl Into<Option<Duration>>) "deadline" => deadline_ms = limit(time.into());
    /// Hand out the connection that came back last. Default false: the first.
    use_lifo(flag: bool) "useLifo" => use_lifo = Some(flag);
    /// What a return resets. Default [`ResetStyle::Rollback`].
    reset_on_return(style: ResetStyle) "resetOnReturn" => reset_on_return = Some(style);
    /// The age past which a connection is replaced at its next checkout. Default: none.
    recycle(time: impl Into<Option<Duration>>) "recycle" => recycle_ms = limit(time.into());
    /// The age past which a connection ends as soon as no caller has it. Default: none.
    max_age(time: impl Into<Option<Duration>>) "maxAge" => max_age_ms = limit(time.into());
    /// The part of `recycle` and `max_age` that is taken off at random, 0 to 1. Default 0.
    recycle_jitter(part: f64) "recycleJitter" => recycle_jitter = part;
    /// Ask a connection whether it is alive before a caller has it again: of a manager that
    /// [can ping](Manager::can_ping). Default false.
    pre_ping(flag: bool) "prePing" => pre_ping = Some(flag);
    /// Ask only if it was idle for so long. Default 0.
    pre_ping_after_idle(time: Duration) "prePingAfterIdle" => pre_ping_after_idle_ms = millis(time);
    /// How long a ping may take. Default 5 s.
    ping_timeout(time: impl Into<Option<Duration>>) "pingTimeout" => ping_timeout_ms = limit(time.into());
    /// How long a connection stays open while no caller has it. Default: without limit.
    idle_timeout(time: impl Into<Option<Duration>>) "idleTimeout" => idle_timeout_ms = limit(time.into());
    /// How many stay idle, however long. Default 0.
    min_idle(count: u32) "minIdle" => min_idle = f64::from(count);
    /// How many are kept open, in use or idle. Default 0.
    min(count: u32) "min" => min = f64::from(count);
    /// Whether the pool opens connections by itself, for `min`. Default true.
    refill(flag: bool) "refill" => refill = Some(flag);
    /// Uses after which a connection is closed at its return. Default: no limit.
    max_uses(count: impl Into<Option<u32>>) "maxUses" => max_uses = count.into().map_or(f64::INFINITY, f64::from);
    /// Openings that may run at once. Default: no limit.
    max_connecting(count: impl Into<Option<u32>>) "maxConnecting" =>
        max_connecting = count.into().map_or(f64::INFINITY, f64::from);
    /// How long a lease may be out before [`Events::held`] is called. Default: without limit.
    hold_limit(time: impl Into<Option<Duration>>) "holdLimit" => hold_limit_ms = limit(time.into());
    /// What happens then. Default [`OnHoldLimit::Report`].
    on_hold_limit(action: OnHoldLimit) "onHoldLimit" => on_hold_limit = Some(action == OnHoldLimit::Terminate);
}

impl<K: PoolKind, M: Manager> Builder<K, M> {
    pub(super) fn new(manager: M) -> Self {
        Self {
            manager,
            settings: Settings::defaults(K::KIND, Place::Isolate),
            given: Vec::new(),
            events: None,
            name: Rc::from("pool"),
            crosses: false,
            kind: PhantomData,
        }
    }

    /// The name of the pool in its errors. Default `"pool"`.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Rc::from(name);
        self
    }

    /// Listens to the pool.
    #[must_use]
    pub fn events(mut self, events: impl Events<M>) -> Self {
        self.events = Some(Rc::new(events));
        self
    }

    /// For connections without I/O of a host that keeps I/O apart: in Workers, one pool then serves all requests of an
    /// isolate. Default: a pool is refused outside of the request or Durable Object in which it is used first.
    #[must_use]
    pub fn crosses_requests(mut self) -> Self {
        self.crosses = true;
        self
    }

    /// Makes the pool on this runtime. Opens nothing. Fails with the option that is not allowed.
    pub fn build_on<R: Runtime>(self, runtime: R) -> Result<Pool<K, M, R>, OptionError> {
        let refused = |option: &'static str| OptionError { option, is_taken: true };
        for &given in &self.given {
            let option = OPTIONS.iter().find(|option| option.name == given);
            if option.is_none_or(|option| !option.kinds.contains(&K::KIND)) {
                return Err(OptionError { option: given, is_taken: false });
            }
        }
        if self.crosses && !runtime.can_cross() {
            return Err(refused(CROSSES));
        }
        let config = Config::new(&self.settings).map_err(|violation| refused(violation.option))?;
        if config.pings() && !self.manager.can_ping() {
            return Err(refused(PRE_PING));
        }
        let Self { manager, settings, events, name, crosses, .. } = self;
        let shared = Shared::new(Rc::new(manager), runtime, events, name, settings, Policy::new(config), crosses);
        Ok(Pool::of(Rc::new(shared)))
    }
}

#[cfg(any(target_arch = "wasm32", feature = "tokio"))]
impl<K: PoolKind, M: Manager> Builder<K, M> {
    /// Makes the pool on the runtime of its target: that of JavaScript on wasm32, else tokio's. Opens nothing. Fails
    /// with the option that is not allowed.
    pub fn build(self) -> Result<Pool<K, M, super::DefaultRuntime>, OptionError> {
        self.build_on(super::DefaultRuntime::default())
    }
}

impl OptionError {
    /// The option, by the name of its method.
    pub fn method(&self) -> std::string::String {
        method_of(self.option)
    }
}
