//! What the scopes of one pool have in common: numbers, and never a slot. Each scope is a [`Pool`] of its own here, so that
//! nothing can pass from one to the other; what holds for all of them (an invalidation, a close, which events are heard)
//! the bindings tell each in turn. Called by src/bindings.

use super::pool::Pool;

impl Pool {
    /// Takes over from another scope of the same pool what a new one must know: which events are heard, and whether the
    /// first connection has been told of.
    pub fn follow(&mut self, other: &Self) {
        self.set_hooks(other.hooks);
        self.first.is_told |= other.first.is_told;
        self.first.is_over |= other.first.is_over;
    }

    /// Takes over the counters of a scope that has ended, and what it knew.
    pub fn inherit(&mut self, ended: &Self) {
        self.counters.add(&ended.counters);
        self.first.is_told |= ended.first.is_told;
        self.first.is_over |= ended.first.is_over;
    }

    /// Whether there is nothing here: no connection, and nobody who wants one.
    pub fn is_empty(&self) -> bool {
        self.records.len() + self.operations.len() == 0
    }
}
