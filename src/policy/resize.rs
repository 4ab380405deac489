//! Other sizes while the pool runs. A pool that grows serves its waiters in the same call. One that shrinks closes idle
//! connections at once, and the others at their return, until it is within its sizes.

use super::config::{Config, Sizes, Violation};
use super::pool::Pool;
use super::record::Phase;

impl Pool {
    /// Changes the sizes of this scope. Changes nothing if one of them breaks its rule.
    pub fn resize(&mut self, sizes: Sizes) -> Result<(), Violation> {
        let config = self.config.resized(sizes)?;
        self.take_sizes(config);
        Ok(())
    }

    /// The scope is that of a Durable Object, which lasts beyond the call that runs. Goes on with the settings that it
    /// has there.
    pub fn become_object(&mut self, config: Config) {
        self.lasts = true;
        self.take_sizes(config);
    }

    /// Goes on with settings that differ in their sizes and limits alone.
    pub(super) fn take_sizes(&mut self, config: Config) {
        self.places.resize(&config);
        let idles_otherwise = self.config.idle_timeout != config.idle_timeout;
        self.config = config;
        if idles_otherwise {
            self.time_idle_slots();
        }
        if self.is_closed() {
            self.admit_none();
        }
        self.look_if_plain();
        while self.has_too_many() || self.idle.len() > self.config.max_idle {
            let Some(slot) = self.idle.first_to_go() else { break };
            self.end_idle_slot(slot);
        }
        self.reap();
        self.has_freed = true;
        self.settle();
    }

    /// Whether there are more slots than the pool may have, those that end already left out.
    pub(super) fn has_too_many(&self) -> bool {
        self.records.len() - self.ending as usize > self.most_slots()
    }

    /// The most slots that the pool may have.
    pub(super) fn most_slots(&self) -> usize {
        (self.config.max_slots as usize).saturating_add(self.shares.retired() as usize)
    }

    // ---- the count of slots that end

    /// The slot ends with its connection.
    pub(super) fn begin_ending(&mut self, slot: u32) {
        self.ending += u32::from(self.records[slot].phase != Phase::Closing);
        self.records[slot].phase = Phase::Closing;
    }

    /// The connection of a slot that ends is closed.
    pub(super) fn end_ending(&mut self, slot: u32) {
        self.ending -= u32::from(self.records[slot].phase == Phase::Closing);
    }
}
