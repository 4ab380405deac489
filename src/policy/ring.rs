//! A queue of slab entries in order of arrival: append, take from either end, and removal from the middle in constant
//! time. A removed place stays behind as a gap until it is at an end or gaps outnumber the rest, so memory is bounded
//! by the number of entries. Carries the waiters and the idle slots (pool.rs), the time classes (deadlines.rs) and the
//! scopes that keep a connection (family.rs).

use super::id::NIL;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ops::IndexMut;

/// Where an entry remembers its place in one kind of ring. One entry may be in rings of several kinds at once.
pub(crate) trait Track {
    type Entry;

    fn place(entry: &Self::Entry) -> u32;

    fn set_place(entry: &mut Self::Entry, place: u32);
}

pub(crate) struct Ring<T: Track> {
    /// Indices of entries, [`NIL`] for a gap, each at the remainder of its place: the length is a power of two, so that
    /// is a mask, and the compiler knows it to be in bounds.
    indices: Vec<u32>,
    /// The place of the first entry, and the place after the last one; places wrap. Invariant: neither end is a gap.
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

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.first == self.end
    }

    #[inline(always)]
    pub(crate) fn front(&self) -> Option<u32> {
        if self.is_empty() { None } else { Some(self.at(self.first)) }
    }

    #[inline(always)]
    pub(crate) fn back(&self) -> Option<u32> {
        if self.is_empty() { None } else { Some(self.at(self.end.wrapping_sub(1))) }
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = u32> {
        (0..self.places()).map(|n| self.at(self.first.wrapping_add(n))).filter(|&index| index != NIL)
    }

    #[inline]
    pub(crate) fn push_back(&mut self, entries: &mut impl IndexMut<u32, Output = T::Entry>, index: u32) {
        T::set_place(&mut entries[index], self.end);
        self.append(index);
    }

    pub(crate) fn push_front(&mut self, entries: &mut impl IndexMut<u32, Output = T::Entry>, index: u32) {
        if self.places() as usize == self.indices.len() {
            self.grow();
        }
        self.first = self.first.wrapping_sub(1);
        self.put(self.first, index);
        T::set_place(&mut entries[index], self.first);
    }

    /// Puts an entry behind the first others.
    pub(crate) fn push_behind(&mut self, entries: &mut impl IndexMut<u32, Output = T::Entry>, index: u32, others: u32) {
        self.push_front(entries, index);
        if self.gaps > 0 && others > 0 {
            self.close_gaps(entries);
        }
        for n in 0..others {
            let place = self.first.wrapping_add(n);
            let other = self.at(place.wrapping_add(1));
            self.put(place, other);
            T::set_place(&mut entries[other], place);
        }
        let place = self.first.wrapping_add(others);
        self.put(place, index);
        T::set_place(&mut entries[index], place);
    }

    /// The place of the entry that is appended next.
    #[inline(always)]
    pub(crate) fn end(&self) -> u32 {
        self.end
    }

    /// Appends an entry that was made with its place.
    #[inline(always)]
    pub(crate) fn append(&mut self, index: u32) {
        if self.places() as usize == self.indices.len() {
            self.grow();
        }
        self.put(self.end, index);
        self.end = self.end.wrapping_add(1);
    }

    pub(crate) fn remove(&mut self, entries: &mut impl IndexMut<u32, Output = T::Entry>, index: u32) {
        let place = T::place(&entries[index]);
        debug_assert_eq!(self.at(place), index, "the entry is at another place");
        if place == self.first {
            return self.pop_front();
        }
        if place == self.end.wrapping_sub(1) {
            return self.pop_back();
        }
        self.put(place, NIL);
        self.gaps += 1;
        if self.gaps > self.len() + 64 {
            self.close_gaps(entries);
        }
    }

    /// Drops the first entry, and the gaps behind it.
    #[inline(always)]
    pub(crate) fn pop_front(&mut self) {
        self.first = self.first.wrapping_add(1);
        if self.gaps > 0 {
            self.skip_gaps();
        }
    }

    /// Drops the last entry, and the gaps before it.
    #[inline(always)]
    pub(crate) fn pop_back(&mut self) {
        self.end = self.end.wrapping_sub(1);
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
        while self.gaps > 0 && self.at(self.end.wrapping_sub(1)) == NIL {
            self.end = self.end.wrapping_sub(1);
            self.gaps -= 1;
        }
    }

    /// Paid for by the removals that made the gaps.
    fn close_gaps(&mut self, entries: &mut impl IndexMut<u32, Output = T::Entry>) {
        let mut end = self.first;
        for n in 0..self.places() {
            let index = self.at(self.first.wrapping_add(n));
            if index != NIL {
                self.put(end, index);
                T::set_place(&mut entries[index], end);
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

    #[inline(always)]
    fn places(&self) -> u32 {
        self.end.wrapping_sub(self.first)
    }

    #[inline(always)]
    fn at(&self, place: u32) -> u32 {
        self.indices[place as usize & (self.indices.len() - 1)]
    }

    #[inline(always)]
    fn put(&mut self, place: u32, index: u32) {
        let mask = self.indices.len() - 1;
        self.indices[place as usize & mask] = index;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::id::Slab;
    use alloc::collections::VecDeque;

    struct Places;

    impl Track for Places {
        type Entry = u32;

        fn place(entry: &u32) -> u32 {
            *entry
        }

        fn set_place(entry: &mut u32, place: u32) {
            *entry = place;
        }
    }

    #[test]
    fn the_entries_stay_in_order_through_many_removals_at_both_ends_and_between() {
        let mut entries: Slab<u32> = Slab::new();
        let mut ring = Ring::<Places>::new();
        // The places wrap on the way.
        (ring.first, ring.end) = (u32::MAX - 100, u32::MAX - 100);
        let mut expected: VecDeque<u32> = VecDeque::new();
        for round in 0..2000u32 {
            let index = entries.insert(NIL).index();
            if round % 7 == 0 {
                let behind = (round as usize % 4).min(expected.len());
                ring.push_behind(&mut entries, index, behind as u32);
                expected.insert(behind, index);
            } else {
                ring.push_back(&mut entries, index);
                expected.push_back(index);
            }
            if round % 3 != 0 {
                let place = match round % 5 {
                    0 => 0,
                    1 => expected.len() - 1,
                    _ => (round * 7 % expected.len() as u32) as usize,
                };
                let leaver = expected.remove(place).unwrap_or(NIL);
                ring.remove(&mut entries, leaver);
                entries.remove(leaver);
            }
            assert_eq!(ring.iter().collect::<VecDeque<_>>(), expected);
            assert_eq!((ring.len() as usize, ring.is_empty()), (expected.len(), expected.is_empty()));
            assert_eq!((ring.front(), ring.back()), (expected.front().copied(), expected.back().copied()));
            assert!(ring.places() as usize <= 2 * expected.len() + 65, "memory is not bounded by the entries");
        }
        while let Some(first) = ring.front() {
            ring.pop_front();
            assert_eq!(Some(first), expected.pop_front());
        }
        assert!(expected.is_empty());
    }
}
