//! The settings of a pool, validated once: the rest of the policy trusts them. Which option broke its rule is answered
//! by name; the shell words the error, because it alone knows what the user wrote.

use super::id::MOST;

/// Settings as numbers, as the bindings decode them. Durations in milliseconds. `NaN` stands for anything of a wrong
/// type, so that one check refuses both.
#[derive(Clone, Debug)]
pub struct Settings {
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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pool_size: 5.0,
            max_overflow: 10.0,
            max_waiters: f64::INFINITY,
            timeout_ms: 30_000.0,
            driver_timeout_ms: 30_000.0,
            deadline_ms: f64::INFINITY,
            use_lifo: Some(false),
            reset_on_return: Some(ResetStyle::Rollback),
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
}

/// Stands for "no limit" in the counts of a [`Config`].
pub(crate) const UNLIMITED: u32 = u32::MAX;

impl Config {
    /// Checks every setting; the first that breaks its rule is named.
    pub fn new(settings: &Settings) -> Result<Self, Violation> {
        let pool_size = count(settings.pool_size).ok_or(Violation { option: "poolSize" })?;
        let max_overflow = match settings.max_overflow {
            -1.0 => UNLIMITED,
            value => count(value).ok_or(Violation { option: "maxOverflow" })?,
        };
        let max_waiters = match settings.max_waiters {
            f64::INFINITY => UNLIMITED,
            value => count(value).ok_or(Violation { option: "maxWaiters" })?,
        }
        .min(MOST as u32);
        let span = |ms, option| Span::from_millis(ms).ok_or(Violation { option });
        let unlimited = pool_size == 0 || max_overflow == UNLIMITED;
        Ok(Self {
            pool_size,
            max_slots: if unlimited { UNLIMITED } else { pool_size.saturating_add(max_overflow) },
            max_idle: if pool_size == 0 { UNLIMITED } else { pool_size },
            max_waiters,
            timeout: span(settings.timeout_ms, "timeout")?,
            driver_timeout: span(settings.driver_timeout_ms, "driverTimeout")?,
            deadline: span(settings.deadline_ms, "deadline")?,
            use_lifo: settings.use_lifo.ok_or(Violation { option: "useLifo" })?,
            reset_on_return: settings.reset_on_return.ok_or(Violation { option: "resetOnReturn" })?,
        })
    }
}

fn count(value: f64) -> Option<u32> {
    let whole = value as u32;
    (value >= 0.0 && value < f64::from(UNLIMITED) && f64::from(whole) == value).then_some(whole)
}
