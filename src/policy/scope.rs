//! What the scopes of one pool have in common: numbers, and never a slot. Each scope is a [`Pool`] of its own here, so that
//! nothing can pass from one to the other; what holds for all of them (an invalidation, a close, which events are heard)
//! the bindings tell each in turn. Called by src/bindings.

use super::operation::State;
use super::pool::Pool;

impl Pool {
    /// Takes over from another scope of the same pool what a new one must know: which events are heard, and whether the
    /// first connection has been told of.
    pub fn follow(&mut self, other: &Self) {
        self.set_hooks(other.hooks);
        self.learn(other);
    }

    /// Takes over the counters of a scope that has ended, and what it knew.
    pub fn inherit(&mut self, ended: &Self) {
        self.counters.add(&ended.counters);
        self.learn(ended);
    }

    /// Learns from another scope whether the first connection has been told of.
    pub fn learn(&mut self, other: &Self) {
        self.first.is_told |= other.first.is_told;
        self.first.is_over |= other.first.is_over;
    }

    /// Whether what is idle is all there is: nobody has a connection, or wants one.
    pub fn is_at_rest(&self) -> bool {
        self.records.len() == self.idle.len()
            && self.operations.iter().all(|(_, operation)| operation.state == State::Idling)
    }

    /// Whether the first connection has been told of in full.
    pub const fn is_first_over(&self) -> bool {
        self.first.is_over
    }

    /// Whether there is nothing here: no connection, and nobody who wants one.
    pub fn is_empty(&self) -> bool {
        self.records.len() + self.operations.len() == 0
    }
}
