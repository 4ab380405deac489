//! How many creators may run, in which order openings wait for that and for the first listeners, and when the pool
//! opens by itself.

use super::id::OperationId;
use super::record::Record;
use alloc::collections::VecDeque;

/// The places of creators: `maxConnecting` of them.
pub(crate) struct Places {
    limit: u32,
    taken: u32,
    /// Checkouts that have lost their connection and wait for a place, before all waiters.
    pub(crate) reopenings: VecDeque<OperationId>,
}

impl Places {
    pub(crate) const fn new(limit: u32) -> Self {
        Self { limit, taken: 0, reopenings: VecDeque::new() }
    }

    /// Whether one more creator may run.
    #[inline]
    pub(crate) const fn has_room(&self) -> bool {
        self.taken < self.limit
    }

    /// Counts the record's opening, once.
    pub(crate) fn take(&mut self, record: &mut Record) {
        self.taken += u32::from(!record.opens);
        record.opens = true;
    }

    /// Ends the record's opening, if it has a place. Called through [`super::Pool`], which then serves the next one.
    pub(crate) fn give_back(&mut self, record: &mut Record) {
        self.taken -= u32::from(record.opens);
        record.opens = false;
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
