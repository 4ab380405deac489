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
    /// Its number in the order of service; 0 before it was served.
    turn: u64,
    /// When its time in the queue ends, on the clock of deadlines.rs, once it has been there for long enough.
    due: Option<u32>,
}

/// What a caller brings along that queues again.
pub(crate) struct Again {
    pub(crate) timeout: Option<Span>,
    pub(crate) has_waited: bool,
    pub(crate) turn: u64,
    pub(crate) due: Option<u32>,
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
    /// How many callers have been served.
    turns: u64,
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
        let joiner = self.joiner(id);
        joiner.timeout = timeout;
        joiner.has_waited = has_waited;
    }

    /// The caller's own timeout.
    pub(crate) fn timeout_of(&self, id: OperationId) -> Option<Span> {
        self.callers.get(id.index() as usize)?.filter(|joiner| joiner.id == id)?.timeout
    }

    /// The caller is served. One that queues again keeps its turn.
    pub(crate) fn take_turn(&mut self, id: OperationId) {
        self.turns += 1;
        let turn = self.turns;
        let joiner = self.joiner(id);
        if joiner.turn == 0 {
            joiner.turn = turn;
        }
    }

    /// The caller leaves the queue, with time left until then.
    pub(crate) fn keep_due(&mut self, id: OperationId, due: u32) {
        self.joiner(id).due = Some(due);
    }

    /// The turn of a caller that was served before, else the last.
    pub(crate) fn turn_of(&self, id: OperationId) -> u64 {
        match self.callers.get(id.index() as usize) {
            Some(Some(joiner)) if joiner.id == id && joiner.turn > 0 => joiner.turn,
            _ => u64::MAX,
        }
    }

    /// Returns what a caller that queues again brings along; from then on it counts as one that had to queue.
    pub(crate) fn queue_again(&mut self, id: OperationId) -> Again {
        let turn = self.turn_of(id);
        let joiner = self.joiner(id);
        let has_waited = core::mem::replace(&mut joiner.has_waited, true);
        Again { timeout: joiner.timeout, has_waited, turn, due: joiner.due }
    }

    fn joiner(&mut self, id: OperationId) -> &mut Joiner {
        let index = id.index() as usize;
        if self.callers.len() <= index {
            self.callers.resize(index + 1, None);
        }
        // One that is not known yet is a caller on the pool's own times that queued at once.
        let unknown = Joiner { id, timeout: None, has_waited: true, turn: 0, due: None };
        let joiner = self.callers[index].get_or_insert(unknown);
        if joiner.id != id {
            *joiner = unknown;
        }
        joiner
    }
}
