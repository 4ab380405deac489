//! The settings of a pool, validated once: the rest of the policy trusts them. [`OPTIONS`] is the one place that names
//! the options that cross as numbers, with their order, defaults and ranges; src/shell/protocol.ts is written from it.
//! [`Config::new`] returns the name of the option that broke its rule. The shell words the error, because the shell
//! alone knows what the user wrote.

use super::id::MOST;
use super::kind::Kind;

/// The kinds, by the numbers under which they cross, with the names of their classes.
pub const KINDS: [(Kind, &str); 5] = [
    (Kind::Queue, "QueuePool"),
    (Kind::Null, "NullPool"),
    (Kind::Singleton, "SingletonThreadPool"),
    (Kind::Static, "StaticPool"),
    (Kind::Assertion, "AssertionPool"),
];

/// The reset styles, by the numbers under which they cross, with the words that users write.
pub const RESET_STYLES: [(ResetStyle, &str); 4] = [
    (ResetStyle::None, "none"),
    (ResetStyle::Rollback, "rollback"),
    (ResetStyle::Commit, "commit"),
    (ResetStyle::Session, "session"),
];

/// How users write an option, and how the shell makes a number of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The pool's own choice: users do not write it.
    Kind,
    /// A number, as it is.
    Number,
    /// A duration.
    Duration,
    /// A duration, or null for no limit.
    Limit,
    /// A duration, or -1 for no limit.
    Age,
    /// True or false.
    Flag,
    /// A reset style.
    Style,
    /// What happens to a lease that is out for too long: `"report"` or `"terminate"`.
    Action,
    /// True, false, or a count.
    Retry,
}

/// An option that crosses as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumericOption {
    /// As users write it, for example `"poolSize"`.
    pub name: &'static str,
    /// How users write its value.
    pub form: Form,
    /// The kinds of pool that take it.
    pub kinds: &'static [Kind],
}

const EVERY_KIND: &[Kind] = &[Kind::Queue, Kind::Null, Kind::Singleton, Kind::Static, Kind::Assertion];
const QUEUE: &[Kind] = &[Kind::Queue];
/// A shared connection is meant to be held for long.
const NOT_SHARED: &[Kind] = &[Kind::Queue, Kind::Null, Kind::Assertion];

/// Declares every option that crosses, in the order in which the options cross: its field in [`Settings`] with the type
/// and the default there, its name, form and kinds, then its field in [`Config`] with the type and the check that makes
/// the one of the other.
macro_rules! options {
    ($(
        $(#[$doc:meta])*
        $setting:ident: $number:ty = $default:expr, $name:literal, $form:ident, $kinds:expr =>
        $(#[$checked_doc:meta])*
        $field:ident: $checked:ty = $check:expr;
    )*) => {
        /// Settings as numbers, as the bindings decode them. Durations are in milliseconds. `NaN` stands for a value of
        /// a wrong type, so that one check refuses both.
        #[derive(Clone, Debug)]
        pub struct Settings {
            $($(#[$doc])* pub $setting: $number,)*
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($setting: $default,)* }
            }
        }

        impl Settings {
            /// Reads the numbers of [`OPTIONS`], in that order. What is missing is of a wrong type.
            pub fn from_numbers(numbers: &[f64]) -> Self {
                let mut numbers = numbers.iter().copied();
                Self { $($setting: <$number>::from_number(numbers.next().unwrap_or(f64::NAN)),)* }
            }

            /// Returns the numbers of [`OPTIONS`], in that order.
            pub fn to_numbers(&self) -> [f64; OPTIONS.len()] {
                [$(self.$setting.to_number(),)*]
            }
        }

        /// Every option that crosses, in order.
        pub const OPTIONS: [NumericOption; [$($name,)*].len()] =
            [$(NumericOption { name: $name, form: Form::$form, kinds: $kinds },)*];

        /// Settings that passed.
        #[derive(Clone, Debug)]
        pub struct Config {
            $($(#[$checked_doc])* pub(crate) $field: $checked,)*
            /// The most slots at once.
            pub(crate) max_slots: u32,
            /// The most slots kept idle.
            pub(crate) max_idle: u32,
        }

        impl Config {
            /// Checks every setting; the first that breaks its rule is named.
            pub fn new(settings: &Settings) -> Result<Self, Violation> {
                let mut config = Self {
                    $($field: $check(settings.$setting).ok_or(Violation { option: $name })?,)*
                    max_slots: 1,
                    max_idle: 1,
                };
                config.complete()?;
                Ok(config)
            }
        }
    };
}

options! {
    /// Which kind of pool.
    kind: Option<Kind> = Some(Kind::Queue), "kind", Kind, &[] =>
    kind: Kind = core::convert::identity;

    /// Connections kept open; 0 = no limit.
    pool_size: f64 = 5.0, "poolSize", Number, &[Kind::Queue, Kind::Singleton] =>
    pool_size: u32 = count;

    /// Connections beyond `pool_size`; -1 = no limit.
    max_overflow: f64 = 10.0, "maxOverflow", Number, QUEUE =>
    max_overflow: u32 = overflow;

    /// Callers that may wait; infinity = no limit.
    max_waiters: f64 = f64::INFINITY, "maxWaiters", Number, QUEUE =>
    /// At most [`MOST`].
    max_waiters: u32 = count_or_infinity;

    /// How long a caller may queue; infinity = no limit, 0 = not at all.
    timeout_ms: f64 = 30_000.0, "timeout", Limit, QUEUE =>
    timeout: Span = Span::from_millis;

    /// How long one call into the driver may take; infinity = no limit.
    driver_timeout_ms: f64 = 30_000.0, "driverTimeout", Limit, EVERY_KIND =>
    driver_timeout: Span = Span::from_millis;

    /// How long a busy connection may take to come to rest at its return, and how long a step of a return holds its
    /// caller; infinity = no limit of its own.
    return_timeout_ms: f64 = 1_000.0, "returnTimeout", Limit, EVERY_KIND =>
    return_timeout: Span = Span::from_millis;

    /// How long one opening may take; infinity = no limit, -1 = as `driver_timeout_ms`.
    open_timeout_ms: f64 = UNSET, "openTimeout", Limit, EVERY_KIND =>
    /// After [`Config::new`] always set.
    open_timeout: Option<Span> = span_if_set;

    /// How often in a row an opening that failed is tried again; infinity = as long as a caller has time, -1 =
    /// that if there is a `deadline_ms`, else never.
    open_retry: f64 = UNSET, "openRetry", Retry, EVERY_KIND =>
    /// After [`Config::new`] always set.
    open_retry: Option<u32> = count_if_set;

    /// How long the whole of a checkout may take; infinity = as long as its parts.
    deadline_ms: f64 = f64::INFINITY, "deadline", Limit, EVERY_KIND =>
    deadline: Span = Span::from_millis;

    /// Most recently returned first.
    use_lifo: Option<bool> = Some(false), "useLifo", Flag, QUEUE =>
    use_lifo: bool = core::convert::identity;

    /// What a return resets.
    reset_on_return: Option<ResetStyle> = Some(ResetStyle::Rollback), "resetOnReturn", Style, EVERY_KIND =>
    reset_on_return: ResetStyle = core::convert::identity;

    /// Age past which a connection is replaced; infinity = never, 0 = always.
    recycle_ms: f64 = f64::INFINITY, "recycle", Age, EVERY_KIND =>
    recycle: Span = Span::from_millis;

    /// Age past which a connection ends as soon as no caller has it; infinity = never.
    max_age_ms: f64 = f64::INFINITY, "maxAge", Duration, EVERY_KIND =>
    max_age: Span = age;

    /// The part of `recycle_ms` and `max_age_ms` that is taken off at random, 0 to 1.
    recycle_jitter: f64 = 0.0, "recycleJitter", Number, EVERY_KIND =>
    recycle_jitter: f64 = fraction;

    /// Ask a re-used connection whether it is alive.
    pre_ping: Option<bool> = Some(false), "prePing", Flag, EVERY_KIND =>
    pre_ping: bool = core::convert::identity;

    /// Ask only a connection that was idle for this long.
    pre_ping_after_idle_ms: f64 = 0.0, "prePingAfterIdle", Duration, EVERY_KIND =>
    pre_ping_after_idle: Span = Span::from_millis;

    /// How long a ping may take; infinity = no limit.
    ping_timeout_ms: f64 = 5_000.0, "pingTimeout", Limit, EVERY_KIND =>
    ping_timeout: Span = Span::from_millis;

    /// Idle time after which a connection is closed; infinity = never.
    idle_timeout_ms: f64 = f64::INFINITY, "idleTimeout", Limit, QUEUE =>
    idle_timeout: Span = Span::from_millis;

    /// How many stay idle, however long.
    min_idle: f64 = 0.0, "minIdle", Number, QUEUE =>
    min_idle: u32 = count;

    /// How many are kept open, in use or idle.
    min: f64 = 0.0, "min", Number, QUEUE =>
    min: u32 = count;

    /// Whether the pool opens connections by itself, for `min`.
    refill: Option<bool> = Some(true), "refill", Flag, QUEUE =>
    refills: bool = core::convert::identity;

    /// Uses after which a connection is closed at its return; infinity = no limit.
    max_uses: f64 = f64::INFINITY, "maxUses", Number, QUEUE =>
    max_uses: u32 = at_least_one;

    /// Creators that may run at once; infinity = no limit.
    max_connecting: f64 = f64::INFINITY, "maxConnecting", Number, QUEUE =>
    max_connecting: u32 = at_least_one;

    /// How long a lease may be out before it is reported; infinity = without limit.
    hold_limit_ms: f64 = f64::INFINITY, "holdLimit", Duration, NOT_SHARED =>
    hold_limit: Span = Span::from_millis;

    /// Whether a lease that is out for too long is taken back.
    on_hold_limit: Option<bool> = Some(false), "onHoldLimit", Action, NOT_SHARED =>
    takes_back: bool = core::convert::identity;
}

/// Where a pool serves, as far as that changes its defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The whole isolate, or a scope of the user's own.
    Isolate,
    /// One request of a host that has I/O contexts, or a Durable Object that is not known as one yet.
    Request,
    /// A Durable Object.
    Object,
}

/// The places, by the numbers under which the shell knows them.
pub const PLACES: [Place; 3] = [Place::Isolate, Place::Request, Place::Object];

impl Settings {
    /// Returns the defaults of a kind in a place.
    pub fn defaults(kind: Kind, place: Place) -> Self {
        let mut defaults = Self { kind: Some(kind), ..Self::default() };
        if kind != Kind::Queue {
            // Callers of the other kinds wait for a connection that is on its way, as long as that takes.
            defaults.timeout_ms = f64::INFINITY;
            return defaults;
        }
        if place == Place::Request {
            defaults.max_overflow = 0.0;
            // A request may have six connections at once; one is left for the user's own fetch().
            defaults.max_connecting = 5.0;
        }
        if place != Place::Isolate {
            // An open socket keeps a Durable Object in memory, and a request with a WebSocket may last for hours.
            defaults.idle_timeout_ms = 30_000.0;
        }
        defaults
    }
}

/// What crosses as a number, and back.
trait Number {
    fn from_number(number: f64) -> Self;
    fn to_number(&self) -> f64;
}

impl Number for f64 {
    fn from_number(number: f64) -> Self {
        number
    }

    fn to_number(&self) -> f64 {
        *self
    }
}

impl Number for Option<bool> {
    fn from_number(number: f64) -> Self {
        place_in(2, number).map(|place| place == 1)
    }

    fn to_number(&self) -> f64 {
        self.map_or(f64::NAN, |flag| f64::from(u8::from(flag)))
    }
}

impl Number for Option<Kind> {
    fn from_number(number: f64) -> Self {
        place_in(KINDS.len(), number).map(|place| KINDS[place].0)
    }

    fn to_number(&self) -> f64 {
        KINDS.iter().position(|&(kind, _)| Some(kind) == *self).map_or(f64::NAN, |place| place as f64)
    }
}

impl Number for Option<ResetStyle> {
    fn from_number(number: f64) -> Self {
        place_in(RESET_STYLES.len(), number).map(|place| RESET_STYLES[place].0)
    }

    fn to_number(&self) -> f64 {
        RESET_STYLES.iter().position(|&(style, _)| Some(style) == *self).map_or(f64::NAN, |place| place as f64)
    }
}

fn place_in(length: usize, number: f64) -> Option<usize> {
    count(number).map(|place| place as usize).filter(|&place| place < length)
}

/// What a return resets: an open transaction, or the whole session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetStyle {
    /// Roll it back, unless the driver knows that there is none.
    Rollback,
    /// Commit, always.
    Commit,
    /// Reset the whole session, always: the state of a session outlives its transactions.
    Session,
    /// Nothing.
    None,
}

/// The option that broke its rule, by the name that users write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// For example `"poolSize"`.
    pub option: &'static str,
}

/// The options that may change while the pool runs, as numbers; `None` keeps the present one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    /// `poolSize`.
    pub pool_size: Option<f64>,
    /// `maxOverflow`.
    pub max_overflow: Option<f64>,
    /// `minIdle`.
    pub min_idle: Option<f64>,
    /// `min`.
    pub min: Option<f64>,
    /// `idleTimeout`. The time of idle connections begins again.
    pub idle_timeout_ms: Option<f64>,
    /// `maxUses`. Uses before the first limit need not count.
    pub max_uses: Option<f64>,
    /// `maxAge`, for connections that open from now on; infinity = never.
    pub max_age_ms: Option<f64>,
}

impl Settings {
    /// Takes the given sizes over.
    pub fn take(&mut self, sizes: Sizes) {
        let Sizes { pool_size, max_overflow, min_idle, min, idle_timeout_ms, max_uses, max_age_ms } = sizes;
        self.pool_size = pool_size.unwrap_or(self.pool_size);
        self.max_overflow = max_overflow.unwrap_or(self.max_overflow);
        self.min_idle = min_idle.unwrap_or(self.min_idle);
        self.min = min.unwrap_or(self.min);
        self.idle_timeout_ms = idle_timeout_ms.unwrap_or(self.idle_timeout_ms);
        self.max_uses = max_uses.unwrap_or(self.max_uses);
        self.max_age_ms = max_age_ms.unwrap_or(self.max_age_ms);
    }
}

/// A length of time in milliseconds, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Span {
    /// At most this long.
    Millis(u32),
    /// Without limit.
    Forever,
}

/// A longer duration counts as no limit: twelve days, half of what a host timer can count.
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

/// Stands for a setting that is not given, and depends on others.
const UNSET: f64 = -1.0;

/// Stands for "no limit" in the counts of a [`Config`].
pub(crate) const UNLIMITED: u32 = u32::MAX;

impl Config {
    /// The rules that look at more than one setting.
    fn complete(&mut self) -> Result<(), Violation> {
        if self.kind == Kind::Singleton && self.pool_size == 0 {
            return Err(Violation { option: "poolSize" });
        }
        let is_unlimited = self.pool_size == 0 || self.max_overflow == UNLIMITED;
        (self.max_slots, self.max_idle) = match self.kind {
            Kind::Queue => (
                if is_unlimited { UNLIMITED } else { self.pool_size.saturating_add(self.max_overflow) },
                if self.pool_size == 0 { UNLIMITED } else { self.pool_size },
            ),
            Kind::Null => (UNLIMITED, 0),
            Kind::Singleton | Kind::Static | Kind::Assertion => (1, 1),
        };
        self.max_waiters = if self.kind.is_exclusive() {
            // Behind a caller that waits for the return under way, a second one is one too many.
            1
        } else {
            self.max_waiters.min(MOST as u32)
        };
        self.open_timeout = self.open_timeout.or(Some(self.driver_timeout));
        // A caller with a deadline has said how long it has.
        let until_deadline = if self.deadline == Span::Forever { 0 } else { UNLIMITED };
        self.open_retry = self.open_retry.or(Some(until_deadline));
        // A connection that is never used again needs no ping, and grows old with its lease.
        self.pre_ping &= self.kind != Kind::Null;
        if self.kind == Kind::Null {
            self.max_age = Span::Forever;
        }
        Ok(())
    }

    /// The same settings with other sizes, checked as in [`Config::new`].
    pub fn resized(&self, sizes: Sizes) -> Result<Self, Violation> {
        let mut config = self.clone();
        replace(&mut config.pool_size, sizes.pool_size, count, "poolSize")?;
        replace(&mut config.max_overflow, sizes.max_overflow, overflow, "maxOverflow")?;
        replace(&mut config.min_idle, sizes.min_idle, count, "minIdle")?;
        replace(&mut config.min, sizes.min, count, "min")?;
        replace(&mut config.idle_timeout, sizes.idle_timeout_ms, Span::from_millis, "idleTimeout")?;
        replace(&mut config.max_uses, sizes.max_uses, at_least_one, "maxUses")?;
        replace(&mut config.max_age, sizes.max_age_ms, age, "maxAge")?;
        config.complete()?;
        Ok(config)
    }

    /// Whether nothing in the settings asks for more than the state itself at a checkout or a return.
    pub(crate) fn is_plain(&self) -> bool {
        self.hands_over_plainly() && self.idle_timeout == Span::Forever
    }

    /// The same for a return whose connection goes to a waiter: it is not idle in between.
    pub(crate) fn hands_over_plainly(&self) -> bool {
        !self.pre_ping
            && !self.kind.shares()
            && self.keeps()
            && [self.recycle, self.max_age, self.hold_limit] == [Span::Forever; 3]
            && (self.max_uses, self.max_connecting) == (UNLIMITED, UNLIMITED)
    }

    /// Whether checkouts and returns must tell the time: the age of a connection, or for how long it was idle, is
    /// looked at.
    pub fn tells_time(&self) -> bool {
        let looks_at_age = matches!(self.recycle, Span::Millis(1..)) || self.max_age != Span::Forever;
        looks_at_age || self.pre_ping && self.pre_ping_after_idle != Span::Millis(0)
    }

    /// How long one opening may take.
    pub(crate) fn opening_span(&self) -> Span {
        self.open_timeout.unwrap_or(self.driver_timeout)
    }

    /// How often in a row an opening that failed is tried again.
    pub(crate) fn most_retries(&self) -> u32 {
        self.open_retry.unwrap_or(0)
    }

    /// Whether an opening that failed is tried again. Then openings must tell the time.
    pub fn retries(&self) -> bool {
        self.most_retries() > 0
    }

    /// Whether a connection may be handed out again.
    pub(crate) fn keeps(&self) -> bool {
        !matches!(self.kind, Kind::Null)
    }

    /// Whether checkouts ping, so that the dialect must be able to.
    pub fn pings(&self) -> bool {
        self.pre_ping
    }

    /// Whether callers share a connection, so that a lease is an operation.
    pub fn shares(&self) -> bool {
        self.kind.shares()
    }

    /// Whether all sharers of a connection lose it when one of them invalidates its lease.
    pub fn invalidates_for_all(&self) -> bool {
        self.kind.shares() && !self.kind.checks_every_share()
    }
}

fn replace<T>(
    present: &mut T,
    given: Option<f64>,
    check: fn(f64) -> Option<T>,
    option: &'static str,
) -> Result<(), Violation> {
    if let Some(value) = given {
        *present = check(value).ok_or(Violation { option })?;
    }
    Ok(())
}

fn count(value: f64) -> Option<u32> {
    let whole = value as u32;
    (value >= 0.0 && value < f64::from(UNLIMITED) && f64::from(whole) == value).then_some(whole)
}

fn overflow(value: f64) -> Option<u32> {
    if value == -1.0 { Some(UNLIMITED) } else { count(value) }
}

fn count_or_infinity(value: f64) -> Option<u32> {
    if value == f64::INFINITY { Some(UNLIMITED) } else { count(value) }
}

fn count_if_set(value: f64) -> Option<Option<u32>> {
    if value == UNSET { Some(None) } else { count_or_infinity(value).map(Some) }
}

fn span_if_set(ms: f64) -> Option<Option<Span>> {
    if ms == UNSET { Some(None) } else { Span::from_millis(ms).map(Some) }
}

fn at_least_one(value: f64) -> Option<u32> {
    count_or_infinity(value).filter(|&count| count > 0)
}

fn age(ms: f64) -> Option<Span> {
    Span::from_millis(ms).filter(|&span| span != Span::Millis(0))
}

fn fraction(value: f64) -> Option<f64> {
    (0.0..=1.0).contains(&value).then_some(value)
}
