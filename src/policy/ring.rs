//! A queue of operations in order of arrival: append, take the first, and removal from the middle in constant time. A
//! removed place stays behind as a gap until it is at the front or gaps outnumber the rest, so memory is bounded by who
//! is in it. Carries the waiters (pool.rs) and the time classes (deadlines.rs).

use super::id::Slab;
use super::operation::Operation;
use alloc::collections::VecDeque;
use core::marker::PhantomData;

/// No index.
pub(crate) const NIL: u32 = u32::MAX;

/// Where an operation remembers its place in one kind of ring: it may be in rings of several kinds at once.
pub(crate) trait Track {
    fn place(operation: &mut Operation) -> &mut u32;
}

pub(crate) struct Ring<T: Track> {
    /// Indices of operations, [`NIL`] for a gap; the first is never one.
    indices: VecDeque<u32>,
    /// The place of the first; places only grow, and wrap.
    first: u32,
    gaps: u32,
    track: PhantomData<fn() -> T>,
}

impl<T: Track> Ring<T> {
    pub(crate) const fn new() -> Self {
        Self { indices: VecDeque::new(), first: 0, gaps: 0, track: PhantomData }
    }

    pub(crate) fn len(&self) -> u32 {
        self.indices.len() as u32 - self.gaps
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    pub(crate) fn front(&self) -> Option<u32> {
        self.indices.front().copied()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.indices.iter().copied().filter(|&index| index != NIL)
    }

    pub(crate) fn push_back(&mut self, operations: &mut Slab<Operation>, index: u32) {
        *T::place(&mut operations[index]) = self.first.wrapping_add(self.indices.len() as u32);
        self.indices.push_back(index);
    }

    pub(crate) fn remove(&mut self, operations: &mut Slab<Operation>, index: u32) {
        let place = T::place(&mut operations[index]).wrapping_sub(self.first);
        if place == 0 {
            self.pop_front();
            return;
        }
        self.indices[place as usize] = NIL;
        self.gaps += 1;
        if self.gaps > self.len() + 64 {
            self.close_gaps(operations);
        }
    }

    /// Drops the first, and the gaps behind it.
    pub(crate) fn pop_front(&mut self) {
        self.indices.pop_front();
        self.first = self.first.wrapping_add(1);
        while self.gaps > 0 && self.indices.front() == Some(&NIL) {
            self.indices.pop_front();
            self.first = self.first.wrapping_add(1);
            self.gaps -= 1;
        }
    }

    /// Paid for by the removals that made the gaps.
    fn close_gaps(&mut self, operations: &mut Slab<Operation>) {
        self.indices.retain(|&index| index != NIL);
        self.gaps = 0;
        for (place, &index) in self.indices.iter().enumerate() {
            *T::place(&mut operations[index]) = self.first.wrapping_add(place as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::operation::{Queue, State};
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn whoever_is_left_stays_in_order_through_many_removals() {
        let mut operations = Slab::new();
        let mut ring = Ring::<Queue>::new();
        let mut expected: Vec<u32> = Vec::new();
        for round in 0..1000u32 {
            let index = operations.insert(Operation::new(State::Waiting, NIL)).index();
            ring.push_back(&mut operations, index);
            expected.push(index);
            if round % 3 != 0 {
                let leaver = expected.remove((round * 7 % expected.len() as u32) as usize);
                ring.remove(&mut operations, leaver);
                operations.remove(leaver);
            }
            assert_eq!(ring.iter().collect::<Vec<_>>(), expected);
            assert_eq!(ring.len() as usize, expected.len());
            assert!(ring.indices.len() <= 2 * expected.len() + 65, "memory is not bounded by who is in it");
        }
    }
}
