//! The life of a lease: a slot, for as long as one caller has it.

use super::id::LeaseId;
use super::pool::Pool;
use super::record::Phase;

impl Pool {
    /// Whether this lease still has its slot.
    pub fn is_leased(&self, lease: LeaseId) -> bool {
        self.records.get(lease).is_some_and(|record| record.phase == Phase::Leased)
    }

    /// The lease that the checkout of this slot will grant: what its listeners are shown.
    pub fn lease_of(&self, slot: u32) -> LeaseId {
        self.records.handle_of(slot)
    }

    /// Makes the slot a lease.
    pub(super) fn lease(&mut self, slot: u32) -> LeaseId {
        self.count_checkout(slot);
        self.records[slot].phase = Phase::Leased;
        self.limit_holding(slot);
        self.records.handle_of(slot)
    }

    pub(super) fn count_checkout(&mut self, slot: u32) {
        self.family.counters.checkouts.count();
        let record = &mut self.records[slot];
        record.held_since = None;
        record.fresh = false;
        record.uses = record.uses.saturating_add(1);
    }

    /// Ends a lease: its handle is stale from now on, so that it is returned only once. `None` if it had ended.
    pub(super) fn end_lease(&mut self, lease: LeaseId) -> Option<u32> {
        if !self.is_leased(lease) {
            return None;
        }
        let slot = lease.index();
        self.records.renew(slot);
        self.end_expiry(slot);
        let record = &mut self.records[slot];
        record.held_since = None;
        record.phase = Phase::Returning;
        // The return is seen by the next tick.
        self.seen_checkouts = u64::MAX;
        Some(slot)
    }
}
