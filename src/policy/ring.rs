//! A queue of operations in order of arrival: append, take the first, and removal from the middle in constant time. A
//! removed place stays behind as a gap until it is at the front or gaps outnumber the rest, so memory is bounded by who
//! is in it. Carries the waiters (pool.rs) and the time classes (deadlines.rs).

use super::id::Slab;
use super::operation::Operation;
use alloc::vec::Vec;
use core::marker::PhantomData;

/// No index.
pub(crate) const NIL: u32 = u32::MAX;

/// Where an operation remembers its place in one kind of ring: it may be in rings of several kinds at once.
pub(crate) trait Track {
    fn place(operation: &mut Operation) -> &mut u32;
}

pub(crate) struct Ring<T: Track> {
    /// Indices of operations, [`NIL`] for a gap, each at the remainder of its place: the length is a power of two, so
    /// that is a mask, and the compiler knows it to be in bounds.
    indices: Vec<u32>,
    /// The place of the first, which is never a gap, and the next place to be given; places only grow, and wrap.
    first: u32,
    end: u32,
    gaps: u32,
    track: PhantomData<fn() -> T>,
}

impl<T: Track> Ring<T> {
    pub(crate) const fn new() -> Self {
        Self { indices: Vec::new(), first: 0, end: 0, gaps: 0, track: PhantomData }
    }

    pub(crate) fn len(&self) -> u32 {
        self.places() - self.gaps
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first == self.end
    }

    pub(crate) fn front(&self) -> Option<u32> {
        if self.is_empty() { None } else { Some(self.at(self.first)) }
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = u32> {
        (0..self.places()).map(|n| self.at(self.first.wrapping_add(n))).filter(|&index| index != NIL)
    }

    #[inline]
    pub(crate) fn push_back(&mut self, operations: &mut Slab<Operation>, index: u32) {
        *T::place(&mut operations[index]) = self.end;
        self.append(index);
    }

    /// The place of whoever comes next.
    pub(crate) fn end(&self) -> u32 {
        self.end
    }

    /// Appends an operation that was made with its place.
    #[inline]
    pub(crate) fn append(&mut self, index: u32) {
        if self.places() as usize == self.indices.len() {
            self.grow();
        }
        self.put(self.end, index);
        self.end = self.end.wrapping_add(1);
    }

    pub(crate) fn remove(&mut self, operations: &mut Slab<Operation>, index: u32) {
        let place = *T::place(&mut operations[index]);
        if place == self.first {
            self.pop_front();
            return;
        }
        self.put(place, NIL);
        self.gaps += 1;
        if self.gaps > self.len() + 64 {
            self.close_gaps(operations);
        }
    }

    /// Drops the first, and the gaps behind it.
    #[inline]
    pub(crate) fn pop_front(&mut self) {
        self.first = self.first.wrapping_add(1);
        if self.gaps > 0 {
            self.skip_gaps();
        }
    }

    #[cold]
    fn skip_gaps(&mut self) {
        while self.gaps > 0 && self.at(self.first) == NIL {
            self.first = self.first.wrapping_add(1);
            self.gaps -= 1;
        }
    }

    /// Paid for by the removals that made the gaps.
    fn close_gaps(&mut self, operations: &mut Slab<Operation>) {
        let mut end = self.first;
        for n in 0..self.places() {
            let index = self.at(self.first.wrapping_add(n));
            if index != NIL {
                self.put(end, index);
                *T::place(&mut operations[index]) = end;
                end = end.wrapping_add(1);
            }
        }
        self.end = end;
        self.gaps = 0;
    }

    /// Doubles a full ring, by a copy of itself behind it: in whichever half a place falls now, its index is there.
    #[cold]
    fn grow(&mut self) {
        if self.indices.is_empty() {
            self.indices.resize(16, NIL);
        } else {
            self.indices.extend_from_within(..);
        }
    }

    fn places(&self) -> u32 {
        self.end.wrapping_sub(self.first)
    }

    fn at(&self, place: u32) -> u32 {
        self.indices[place as usize & (self.indices.len() - 1)]
    }

    fn put(&mut self, place: u32, index: u32) {
        let mask = self.indices.len() - 1;
        self.indices[place as usize & mask] = index;
    }
}

#[cfg(test)]
mod tests {
    use super::super::operation::{Caller, Queue, State};
    use super::*;

    #[test]
    fn whoever_is_left_stays_in_order_through_many_removals() {
        let mut operations = Slab::new();
        let mut ring = Ring::<Queue>::new();
        // The places wrap on the way.
        (ring.first, ring.end) = (u32::MAX - 100, u32::MAX - 100);
        let mut expected: Vec<u32> = Vec::new();
        for round in 0..1000u32 {
            let index = operations.insert(Operation::new(State::Waiting, Caller::Checkout, NIL)).index();
            ring.push_back(&mut operations, index);
            expected.push(index);
            if round % 3 != 0 {
                let leaver = expected.remove((round * 7 % expected.len() as u32) as usize);
                ring.remove(&mut operations, leaver);
                operations.remove(leaver);
            }
            assert_eq!(ring.iter().collect::<Vec<_>>(), expected);
            assert_eq!(ring.len() as usize, expected.len());
            assert!(ring.places() as usize <= 2 * expected.len() + 65, "memory is not bounded by who is in it");
        }
    }
}
