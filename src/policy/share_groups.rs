//! Which callers share a connection. A group stands on one slot and holds it like one lease, for as long as it has a
//! member. The group that callers join is the current one; a group that is not joined any more keeps its slot, beside
//! the count, until its last member leaves. Empty in pools that share nothing. What a share may do is in sharing.rs.

use super::config::Span;
use super::id::OperationId;
use alloc::vec::Vec;

#[derive(Clone, Copy, Default)]
struct Group {
    /// Callers with a share, those on their way in and out included.
    members: u32,
    /// Whether no caller joins it any more.
    is_retired: bool,
    /// Whether one of its members has taken the connection out of the pool.
    is_taken: bool,
}

#[derive(Clone, Copy)]
struct Joiner {
    id: OperationId,
    timeout: Option<Span>,
    has_waited: bool,
}

#[derive(Default)]
pub(crate) struct ShareGroups {
    /// By slot.
    groups: Vec<Group>,
    /// The slot of the group that callers join.
    current: Option<u32>,
    retired: u32,
    /// By operation: what a caller that must queue again brings along.
    callers: Vec<Option<Joiner>>,
}

impl ShareGroups {
    fn group(&self, slot: u32) -> Group {
        self.groups.get(slot as usize).copied().unwrap_or_default()
    }

    pub(crate) fn current(&self) -> Option<u32> {
        self.current
    }

    /// How many slots are beside the count.
    #[inline]
    pub(crate) fn retired(&self) -> u32 {
        self.retired
    }

    pub(crate) fn members(&self, slot: u32) -> u32 {
        self.group(slot).members
    }

    /// Whether others have a share of the slot, too.
    pub(crate) fn is_joined(&self, slot: u32) -> bool {
        self.members(slot) > 1
    }

    pub(crate) fn is_retired(&self, slot: u32) -> bool {
        self.group(slot).is_retired
    }

    pub(crate) fn is_taken(&self, slot: u32) -> bool {
        self.group(slot).is_taken
    }

    pub(crate) fn mark_taken(&mut self, slot: u32) {
        self.groups[slot as usize].is_taken = true;
    }

    /// Adds a member, and makes the slot's group the current one. Returns whether it is the first member.
    pub(crate) fn join(&mut self, slot: u32) -> bool {
        if self.groups.len() <= slot as usize {
            self.groups.resize(slot as usize + 1, Group::default());
        }
        self.current = Some(slot);
        let group = &mut self.groups[slot as usize];
        group.members += 1;
        group.members == 1
    }

    /// Removes a member; returns whether others remain.
    pub(crate) fn leave(&mut self, slot: u32) -> bool {
        let Some(group) = self.groups.get_mut(slot as usize) else { return false };
        group.members = group.members.saturating_sub(1);
        group.members > 0
    }

    /// Lets no caller join the slot's group any more. Returns whether that is new.
    pub(crate) fn retire(&mut self, slot: u32) -> bool {
        let Some(group) = self.groups.get_mut(slot as usize) else { return false };
        if core::mem::replace(&mut group.is_retired, true) {
            return false;
        }
        self.retired += 1;
        if self.current == Some(slot) {
            self.current = None;
        }
        true
    }

    /// Forgets the group of a slot that ends.
    pub(crate) fn end(&mut self, slot: u32) {
        if let Some(group) = self.groups.get_mut(slot as usize) {
            self.retired -= u32::from(group.is_retired);
            *group = Group::default();
        }
        if self.current == Some(slot) {
            self.current = None;
        }
    }

    /// Keeps a caller's own timeout, and whether it counts as one that had to queue.
    pub(crate) fn keep(&mut self, id: OperationId, timeout: Option<Span>, has_waited: bool) {
        let index = id.index() as usize;
        if self.callers.len() <= index {
            self.callers.resize(index + 1, None);
        }
        self.callers[index] = Some(Joiner { id, timeout, has_waited });
    }

    /// Returns the timeout of a caller that queues again, and whether it has queued before.
    pub(crate) fn queue_again(&mut self, id: OperationId) -> (Option<Span>, bool) {
        match self.callers.get_mut(id.index() as usize) {
            Some(Some(joiner)) if joiner.id == id => (joiner.timeout, core::mem::replace(&mut joiner.has_waited, true)),
            // A caller on the pool's own times that queued at once.
            _ => (None, true),
        }
    }
}
