//! The settings of a pool, validated once: the rest of the policy trusts them. Which option broke its rule is answered
//! by name; the shell words the error, because it alone knows what the user wrote.

use super::id::MOST;
use super::kind::Kind;

/// Settings as numbers, as the bindings decode them. Durations in milliseconds. `NaN` stands for anything of a wrong
/// type, so that one check refuses both.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which kind of pool.
    pub kind: Option<Kind>,
    /// Connections kept open; 0 = no limit.
    pub pool_size: f64,
    /// Connections beyond `pool_size`; -1 = no limit.
    pub max_overflow: f64,
    /// Callers that may wait; infinity = no limit.
    pub max_waiters: f64,
    /// How long a caller may queue; infinity = for ever, 0 = not at all.
    pub timeout_ms: f64,
    /// How long one call into the driver may take; infinity = for ever.
    pub driver_timeout_ms: f64,
    /// How long the whole of a checkout may take; infinity = as long as its parts.
    pub deadline_ms: f64,
    /// Most recently returned first.
    pub use_lifo: Option<bool>,
    /// What happens to an open transaction at return.
    pub reset_on_return: Option<ResetStyle>,
    /// Age past which a connection is replaced; infinity = never, 0 = always.
    pub recycle_ms: f64,
    /// The part of it that is taken off at random, 0 to 1.
    pub recycle_jitter: f64,
    /// Ask a re-used connection whether it is alive.
    pub pre_ping: Option<bool>,
    /// Ask only what has been idle for so long.
    pub pre_ping_after_idle_ms: f64,
    /// How long a ping may take; infinity = for ever.
    pub ping_timeout_ms: f64,
    /// Idle time after which a connection is closed; infinity = never.
    pub idle_timeout_ms: f64,
    /// How many stay idle all the same.
    pub min_idle: f64,
    /// Uses after which a connection is closed at its return; infinity = no limit.
    pub max_uses: f64,
    /// Creators that may run at once; infinity = no limit.
    pub max_connecting: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kind: Some(Kind::Queue),
            pool_size: 5.0,
            max_overflow: 10.0,
            max_waiters: f64::INFINITY,
            timeout_ms: 30_000.0,
            driver_timeout_ms: 30_000.0,
            deadline_ms: f64::INFINITY,
            use_lifo: Some(false),
            reset_on_return: Some(ResetStyle::Rollback),
            recycle_ms: f64::INFINITY,
            recycle_jitter: 0.0,
            pre_ping: Some(false),
            pre_ping_after_idle_ms: 0.0,
            ping_timeout_ms: 5_000.0,
            idle_timeout_ms: f64::INFINITY,
            min_idle: 0.0,
            max_uses: f64::INFINITY,
            max_connecting: f64::INFINITY,
        }
    }
}

/// What a return does about an open transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetStyle {
    /// Roll it back, unless the driver knows that there is none.
    Rollback,
    /// Commit, always.
    Commit,
    /// Nothing.
    None,
}

/// The option that broke its rule, by the name that users write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// For example `"poolSize"`.
    pub option: &'static str,
}

/// A length of time in milliseconds, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// At most this long.
    Millis(u32),
    /// Without limit.
    Forever,
}

/// Longer than this counts as for ever: twelve days, half of what a host timer can count.
pub const LONGEST_SPAN_MS: u32 = 1 << 30;

impl Span {
    /// From milliseconds; a fraction rounds up so that nothing ends early. `None` for what is no duration.
    pub fn from_millis(ms: f64) -> Option<Self> {
        if ms.is_nan() || ms < 0.0 {
            return None;
        }
        if ms >= f64::from(LONGEST_SPAN_MS) {
            return Some(Self::Forever);
        }
        let whole = ms as u32;
        Some(Self::Millis(if f64::from(whole) < ms { whole + 1 } else { whole }))
    }
}

/// Settings that passed.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) kind: Kind,
    pub(crate) pool_size: u32,
    /// The most slots at once.
    pub(crate) max_slots: u32,
    /// The most slots kept idle.
    pub(crate) max_idle: u32,
    /// At most [`MOST`].
    pub(crate) max_waiters: u32,
    pub(crate) timeout: Span,
    pub(crate) driver_timeout: Span,
    pub(crate) deadline: Span,
    pub(crate) use_lifo: bool,
    pub(crate) reset_on_return: ResetStyle,
    pub(crate) recycle: Span,
    pub(crate) recycle_jitter: f64,
    pub(crate) pre_ping: bool,
    pub(crate) pre_ping_after_idle: Span,
    pub(crate) ping_timeout: Span,
    pub(crate) idle_timeout: Span,
    pub(crate) min_idle: u32,
    pub(crate) max_uses: u32,
    pub(crate) max_connecting: u32,
}

/// Stands for "no limit" in the counts of a [`Config`].
pub(crate) const UNLIMITED: u32 = u32::MAX;

impl Config {
    /// Checks every setting; the first that breaks its rule is named.
    pub fn new(settings: &Settings) -> Result<Self, Violation> {
        let kind = settings.kind.ok_or(Violation { option: "kind" })?;
        let pool_size = count(settings.pool_size).ok_or(Violation { option: "poolSize" })?;
        if kind == Kind::Singleton && pool_size == 0 {
            return Err(Violation { option: "poolSize" });
        }
        let max_overflow = match settings.max_overflow {
            -1.0 => UNLIMITED,
            value => count(value).ok_or(Violation { option: "maxOverflow" })?,
        };
        let span = |ms, option| Span::from_millis(ms).ok_or(Violation { option });
        let flag = |value: Option<bool>, option| value.ok_or(Violation { option });
        let queue_size = if pool_size == 0 || max_overflow == UNLIMITED {
            UNLIMITED
        } else {
            pool_size.saturating_add(max_overflow)
        };
        let (max_slots, max_idle) = match kind {
            Kind::Queue => (queue_size, if pool_size == 0 { UNLIMITED } else { pool_size }),
            Kind::Null => (UNLIMITED, 0),
            Kind::Singleton | Kind::Static | Kind::Assertion => (1, 1),
        };
        Ok(Self {
            kind,
            pool_size,
            max_slots,
            max_idle,
            max_waiters: match at_most(settings.max_waiters, 0, "maxWaiters")? {
                // Behind somebody who waits for the return under way a second caller is one too many.
                _ if kind.is_exclusive() => 1,
                most => most.min(MOST as u32),
            },
            timeout: span(settings.timeout_ms, "timeout")?,
            driver_timeout: span(settings.driver_timeout_ms, "driverTimeout")?,
            deadline: span(settings.deadline_ms, "deadline")?,
            use_lifo: flag(settings.use_lifo, "useLifo")?,
            reset_on_return: settings.reset_on_return.ok_or(Violation { option: "resetOnReturn" })?,
            recycle: span(settings.recycle_ms, "recycle")?,
            recycle_jitter: Some(settings.recycle_jitter)
                .filter(|jitter| (0.0..=1.0).contains(jitter))
                .ok_or(Violation { option: "recycleJitter" })?,
            // What is never used again needs no ping.
            pre_ping: flag(settings.pre_ping, "prePing")? && kind != Kind::Null,
            pre_ping_after_idle: span(settings.pre_ping_after_idle_ms, "prePingAfterIdle")?,
            ping_timeout: span(settings.ping_timeout_ms, "pingTimeout")?,
            idle_timeout: span(settings.idle_timeout_ms, "idleTimeout")?,
            min_idle: count(settings.min_idle).ok_or(Violation { option: "minIdle" })?,
            max_uses: at_most(settings.max_uses, 1, "maxUses")?,
            max_connecting: at_most(settings.max_connecting, 1, "maxConnecting")?,
        })
    }

    /// Whether checkouts and returns must tell the time: the age of a connection, or for how long it was idle, is looked
    /// at.
    pub fn tells_time(&self) -> bool {
        matches!(self.recycle, Span::Millis(1..)) || self.pre_ping && self.pre_ping_after_idle != Span::Millis(0)
    }
}

fn count(value: f64) -> Option<u32> {
    let whole = value as u32;
    (value >= 0.0 && value < f64::from(UNLIMITED) && f64::from(whole) == value).then_some(whole)
}

/// A count that may be infinite.
fn at_most(value: f64, least: u32, option: &'static str) -> Result<u32, Violation> {
    match value {
        f64::INFINITY => Ok(UNLIMITED),
        value => count(value).filter(|&count| count >= least).ok_or(Violation { option }),
    }
}
