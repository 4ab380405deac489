//! How many creators may run, when the next one may after one has failed, and in which order checkouts wait for that,
//! for a connection instead of their opening, and for the first listeners. Also when the pool
//! opens by itself.

use super::config::{Config, Span, UNLIMITED};
use super::id::OperationId;
use super::record::Record;
use alloc::collections::VecDeque;

/// The first pause after a failed opening, doubled with each further one up to the longest.
const FIRST_PAUSE_MS: u32 = 50;
pub(crate) const LONGEST_PAUSE_MS: u32 = 1000;

/// A creator that was given up counts for so long. One that has not answered by then may never answer.
pub(crate) const GIVEN_UP_MS: u32 = 600_000;

/// So many creators may run together with those that were given up, however small the pool: in a pool of one, one that
/// never answers must not be the last.
const LEAST_MOST: u32 = 5;

/// The places of creators: `maxConnecting` of them, fewer while openings fail.
pub(crate) struct Places {
    limit: u32,
    taken: u32,
    /// While openings fail, how many may run beside those that ran before: none, and after the pause one, the prober.
    allowed: u32,
    older: u32,
    /// Counts the pauses.
    round: u32,
    /// Creators that ran out of time and have not ended, and how many may run together with them.
    given_up: u32,
    most: u32,
    /// Since when the first of them has been so, at the earliest.
    given_up_since: u32,
    most_retries: u32,
    /// Openings that failed since one succeeded, those of one moment counted once.
    failures: u32,
    /// The operation whose time ends the pause, while there is one.
    pub(crate) back_off: Option<OperationId>,
    /// The operation that keeps a scope which remembers failures, while there is one.
    pub(crate) memory: Option<OperationId>,
    /// Whether the last failure leaves no hope: its error does not pass, or it was the last attempt.
    pub(crate) is_hopeless: bool,
    /// Checkouts that wait for an opening, the longest first. Some have had their connection since.
    pub(crate) openers: Line,
    /// Checkouts that wait for a place, before all waiters: they lost their connection, or their opening failed.
    pub(crate) reopenings: Line,
}

impl Places {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            limit: config.max_connecting,
            taken: 0,
            allowed: UNLIMITED,
            older: 0,
            round: 0,
            given_up: 0,
            given_up_since: 0,
            most: most_of(config),
            most_retries: config.most_retries(),
            failures: 0,
            back_off: None,
            memory: None,
            is_hopeless: false,
            openers: Line::default(),
            reopenings: Line::default(),
        }
    }

    pub(crate) fn resize(&mut self, config: &Config) {
        self.most = most_of(config);
        self.limit = config.max_connecting;
    }

    /// Whether one more creator may run.
    #[inline]
    pub(crate) const fn has_room(&self) -> bool {
        self.taken < self.limit && self.taken - self.older < self.allowed && !self.is_exhausted()
    }

    /// Whether as many creators were given up, or run, as may be at the server.
    pub(crate) const fn is_exhausted(&self) -> bool {
        self.most != UNLIMITED && self.taken.saturating_add(self.given_up) >= self.most
    }

    /// Whether creators that were given up take every place.
    pub(crate) const fn is_blocked(&self) -> bool {
        self.taken == 0 && self.is_exhausted()
    }

    /// Counts the record's opening, once.
    pub(crate) fn take(&mut self, record: &mut Record) {
        if !record.opens {
            self.taken += 1;
            record.opens = true;
            record.round = self.round;
        }
    }

    /// Ends the record's opening, if it has a place. Called through [`super::Pool`], which then serves the next one.
    pub(crate) fn give_back(&mut self, record: &mut Record) {
        if record.opens {
            self.taken -= 1;
            record.opens = false;
            if record.round != self.round {
                self.older = self.older.saturating_sub(1);
            }
        }
    }

    // ---- creators that ran out of time

    /// Counts a creator that was given up, if their number is limited. Returns whether it is.
    pub(crate) const fn give_up(&mut self, now: u32) -> bool {
        if self.given_up == 0 {
            self.given_up_since = now;
        }
        self.given_up += (self.most != UNLIMITED) as u32;
        self.most != UNLIMITED
    }

    /// Whether creators may have been given up so long ago that they count no more.
    pub(crate) const fn has_old(&self, now: u32) -> bool {
        self.given_up > 0 && now.wrapping_sub(self.given_up_since) > GIVEN_UP_MS
    }

    /// From now on those since then are the first.
    pub(crate) const fn keep_given_up(&mut self, since: u32) {
        self.given_up_since = since;
    }

    pub(crate) const fn forget_given_up(&mut self) {
        self.given_up -= 1;
    }

    // ---- openings that fail

    /// Notes that an opening failed. Returns the pause that begins with it, if it begins one. `random`: from 0 to 1.
    pub(crate) fn fail(&mut self, may_pass: bool, random: f64) -> Option<Span> {
        if self.most_retries == 0 {
            return None;
        }
        // Openings that began before the pause fail in it, which says nothing new.
        let begins = self.back_off.is_none();
        self.failures += u32::from(begins);
        self.is_hopeless = !may_pass || self.most_retries != UNLIMITED && self.failures > self.most_retries;
        if !begins {
            return None;
        }
        self.allowed = 0;
        self.older = self.taken;
        self.round = self.round.wrapping_add(1);
        let pause_ms = LONGEST_PAUSE_MS.min(FIRST_PAUSE_MS << (self.failures - 1).min(8));
        Some(Span::Millis((f64::from(pause_ms) * (1.0 - random / 2.0)) as u32))
    }

    /// The pause has ended: one opening may try.
    pub(crate) fn probe(&mut self) {
        self.back_off = None;
        self.allowed = 1;
    }

    /// Notes that an opening succeeded.
    pub(crate) fn succeed(&mut self) {
        self.failures = 0;
        self.is_hopeless = false;
        self.allowed = UNLIMITED;
        self.older = 0;
    }

    /// Whether openings fail: fewer may run than `maxConnecting`.
    pub(crate) const fn is_failing(&self) -> bool {
        self.failures > 0
    }
}

fn most_of(config: &Config) -> u32 {
    config.max_slots.saturating_mul(2).max(LEAST_MOST)
}

/// Operations in an order, by numbers that wrap: in which their callers came, or of their priorities.
#[derive(Default)]
pub(crate) struct Line(VecDeque<(u32, OperationId)>);

impl Line {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn front(&self) -> Option<(u32, OperationId)> {
        self.0.front().copied()
    }

    pub(crate) fn pop_front(&mut self) -> Option<(u32, OperationId)> {
        self.0.pop_front()
    }

    /// Nearly always at the end.
    pub(crate) fn insert(&mut self, arrival: u32, id: OperationId) {
        let place = self.0.partition_point(|&(other, _)| arrival.wrapping_sub(other) <= u32::MAX / 2);
        if place > 0 && self.0[place - 1] == (arrival, id) {
            return;
        }
        self.0.insert(place, (arrival, id));
    }

    /// Returns whether it was there.
    pub(crate) fn remove(&mut self, id: OperationId) -> bool {
        let place = self.0.iter().position(|&(_, other)| other == id);
        place.is_some_and(|place| self.0.remove(place).is_some())
    }

    pub(crate) fn retain(&mut self, keeps: impl FnMut(&(u32, OperationId)) -> bool) {
        self.0.retain(keeps);
    }
}

/// Which opening runs the first listeners of this scope, and which openings wait for that.
#[derive(Default)]
pub(crate) struct FirstUse {
    pub(crate) holder: Option<OperationId>,
    pub(crate) queue: VecDeque<OperationId>,
}

/// How the pool opens connections by itself, for `min`.
#[derive(Default)]
pub(crate) struct Filling {
    /// Whether the pool is in use: from its first call on, until it is disposed of.
    pub(crate) has_begun: bool,
    /// How many attempts have failed one after the other.
    pub(crate) failures: u32,
    /// The pause before the next attempt.
    pub(crate) pause: Option<OperationId>,
}
