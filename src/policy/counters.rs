//! What a pool counts over its whole life. Read through stats.rs.

use core::cell::Cell;

/// Counters of a pool since its construction, over all of its scopes. 64 bits: 32 are full after ten days at 5,000
/// checkouts a second.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) opened: Counter,
    pub(crate) open_failed: Counter,
    pub(crate) checkouts: Counter,
    pub(crate) waited: Counter,
    pub(crate) timed_out: Counter,
    pub(crate) aborted: Counter,
    pub(crate) recycled: Counter,
    pub(crate) invalidated: Counter,
    pub(crate) leaked: Counter,
}

/// One counter, shared by the scopes of a pool.
#[derive(Default)]
pub(crate) struct Counter(Cell<u64>);

impl Counter {
    #[inline]
    pub(crate) fn count(&self) {
        self.0.set(self.0.get() + 1);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}
