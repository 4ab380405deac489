//! Handles and the slab they point into. A handle is an index with a generation: a stale one is detected, never
//! mistaken for what lives at that index now. Used by every table of the policy; decides nothing about pools.

use alloc::vec::Vec;
use core::marker::PhantomData;

/// Bits of a handle that are the index: 1,048,576 entries of one kind at once.
pub const INDEX_BITS: u32 = 20;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
/// Twenty bits of index and ten of generation: engines with pointer compression keep 30 bits as a small integer.
const GENERATION_MASK: u16 = (1 << 10) - 1;
/// The most entries that one slab can name at once.
pub const CAPACITY: usize = 1 << INDEX_BITS;
/// The most slots, and the most waiters, of one pool: half of what can be named. Checkouts are refused before the
/// operations fill up with detached and abandoned connections, so that returns, discards and the close find a place.
pub const MOST: usize = CAPACITY / 2;

/// Index and generation of one entry of a [`Slab`] of `T`, in the 30 bits that cross to JavaScript as one integer.
pub struct Handle<T> {
    raw: u32,
    kind: PhantomData<fn() -> T>,
}

impl<T> Handle<T> {
    pub(crate) const fn new(index: u32, generation: u16) -> Self {
        Self { raw: index | (generation as u32) << INDEX_BITS, kind: PhantomData }
    }

    /// The handle as an integer of 30 bits.
    pub const fn to_bits(self) -> u32 {
        self.raw
    }

    /// The inverse of [`Handle::to_bits`]. Any integer may be given: one that names nothing is stale.
    pub const fn from_bits(raw: u32) -> Self {
        Self { raw, kind: PhantomData }
    }

    /// Where the entry stands: below [`CAPACITY`], reused after the entry's end.
    pub const fn index(self) -> u32 {
        self.raw & INDEX_MASK
    }

    /// The bits of [`Handle::to_bits`] that are not the index.
    pub const fn generation_bits(self) -> u32 {
        self.raw & !INDEX_MASK
    }

    pub(crate) const fn generation(self) -> u16 {
        (self.raw >> INDEX_BITS) as u16
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Handle<T> {}

impl<T> PartialEq for Handle<T> {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl<T> Eq for Handle<T> {}

impl<T> core::fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.index(), self.generation())
    }
}

pub(crate) const fn next_generation(generation: u16) -> u16 {
    (generation + 1) & GENERATION_MASK
}

struct Entry<T> {
    value: T,
    /// The generation, and in [`OCCUPIED`] whether the place is taken: one word, because a byte written and a word read
    /// right after cost the processor more than all else in a checkout.
    mark: u32,
}

const OCCUPIED: u32 = 1 << 31;

impl<T> Entry<T> {
    const fn generation(&self) -> u16 {
        self.mark as u16
    }

    const fn is_occupied(&self) -> bool {
        self.mark & OCCUPIED != 0
    }
}

/// A vector whose free places are used again, each time under the next generation.
pub(crate) struct Slab<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Callers keep the count below [`CAPACITY`]; see [`MOST`].
    pub(crate) fn insert(&mut self, value: T) -> Handle<T> {
        if let Some(index) = self.free.pop() {
            let entry = &mut self.entries[index as usize];
            entry.value = value;
            let generation = entry.generation();
            entry.mark = generation as u32 | OCCUPIED;
            return Handle::new(index, generation);
        }
        let index = self.entries.len() as u32;
        self.entries.push(Entry { value, mark: OCCUPIED });
        Handle::new(index, 0)
    }

    /// Ends the entry at `index`: every handle to it is stale from now on.
    pub(crate) fn remove(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        debug_assert!(entry.is_occupied(), "removed twice");
        entry.mark = next_generation(entry.generation()) as u32;
        self.free.push(index);
    }

    /// Makes every handle to the entry stale and answers the next; the entry itself goes on.
    pub(crate) fn renew(&mut self, index: u32) -> Handle<T> {
        let entry = &mut self.entries[index as usize];
        let generation = next_generation(entry.generation());
        entry.mark = generation as u32 | OCCUPIED;
        Handle::new(index, generation)
    }

    pub(crate) fn get(&self, handle: Handle<T>) -> Option<&T> {
        let entry = self.entries.get(handle.index() as usize)?;
        (entry.mark == handle.generation() as u32 | OCCUPIED).then_some(&entry.value)
    }

    pub(crate) fn get_mut(&mut self, handle: Handle<T>) -> Option<&mut T> {
        let entry = self.entries.get_mut(handle.index() as usize)?;
        (entry.mark == handle.generation() as u32 | OCCUPIED).then_some(&mut entry.value)
    }

    pub(crate) fn handle_of(&self, index: u32) -> Handle<T> {
        Handle::new(index, self.entries[index as usize].generation())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.is_occupied())
            .map(|(index, entry)| (index as u32, &entry.value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.entries
            .iter_mut()
            .enumerate()
            .filter(|(_, entry)| entry.is_occupied())
            .map(|(index, entry)| (index as u32, &mut entry.value))
    }
}

/// By bare index, for links between entries that live and die together.
impl<T> core::ops::Index<u32> for Slab<T> {
    type Output = T;
    fn index(&self, index: u32) -> &T {
        &self.entries[index as usize].value
    }
}

impl<T> core::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.entries[index as usize].value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_handle_finds_nothing_at_its_old_index() {
        let mut slab = Slab::new();
        let first = slab.insert('a');
        slab.remove(first.index());
        let second = slab.insert('b');
        assert_eq!(second.index(), first.index());
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get(second), Some(&'b'));
    }

    #[test]
    fn a_handle_survives_the_trip_through_30_bits() {
        let handle = Handle::<()>::new(CAPACITY as u32 - 1, GENERATION_MASK);
        assert!(handle.to_bits() < 1 << 30);
        assert_eq!(Handle::from_bits(handle.to_bits()), handle);
    }
}
