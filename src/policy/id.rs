//! Handles and the slab they point into. A handle is an index with a generation: a stale one is detected, never
//! mistaken for what lives at that index now. Used by every table of the policy; decides nothing about pools.

use alloc::vec::Vec;
use core::marker::PhantomData;

/// No index.
pub(crate) const NIL: u32 = u32::MAX;

/// Bits of a handle that are the index: 1,048,576 entries of one kind at once.
pub const INDEX_BITS: u32 = 20;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
/// Twenty bits of index and ten of generation: engines with pointer compression keep 30 bits as a small integer.
const HANDLE_MASK: u32 = (1 << 30) - 1;
/// The most entries that one slab can name at once.
pub const CAPACITY: usize = 1 << INDEX_BITS;
/// The most slots, and the most waiters, of one pool: half of what can be named. Checkouts are refused before the
/// operations fill up with detached and abandoned connections, so that returns, discards and the close find a place.
pub const MOST: usize = CAPACITY / 2;

/// What a [`LeaseId`] names.
pub enum LeaseKind {}
/// What an [`OperationId`] names.
pub enum OperationKind {}

/// Names a lease: a slot, for as long as this caller has it.
pub type LeaseId = Handle<LeaseKind>;
/// Names an operation from its begin to its last step.
pub type OperationId = Handle<OperationKind>;

/// Index and generation of one entry of a slab, in the 30 bits that cross to JavaScript as one integer. `T` tells the
/// handles of different slabs apart.
pub struct Handle<T> {
    raw: u32,
    kind: PhantomData<fn() -> T>,
}

impl<T> Handle<T> {
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
        write!(f, "{}.{}", self.index(), self.raw >> INDEX_BITS)
    }
}

/// One place of a slab. The hot path works on it directly, so that its bounds are checked once.
pub(crate) struct Entry<T> {
    pub(crate) value: T,
    /// Of a taken place its handle; of a free one [`FREE`], its next generation, and in place of the index the next
    /// free place. One word, written whole: a byte written and a word read right after cost the processor more than all
    /// else in a checkout.
    mark: u32,
}

/// Beyond the bits of a handle.
const FREE: u32 = 1 << 31;
/// What a free place that is the last names as the next: no index, since callers stay below [`CAPACITY`].
const NONE: u32 = INDEX_MASK;

impl<T> Entry<T> {
    const fn is_free(&self) -> bool {
        self.mark & FREE != 0
    }

    /// The handle of a taken place.
    #[inline(always)]
    pub(crate) const fn handle<K>(&self) -> Handle<K> {
        Handle::from_bits(self.mark)
    }

    /// Makes every handle to the entry stale and returns the next; the entry itself goes on.
    #[inline(always)]
    pub(crate) const fn renew<K>(&mut self) -> Handle<K> {
        self.mark = self.next_mark();
        Handle::from_bits(self.mark)
    }

    /// The same index under the next generation.
    const fn next_mark(&self) -> u32 {
        (self.mark + (1 << INDEX_BITS)) & HANDLE_MASK
    }
}

/// A vector whose free places are used again, the last freed first, each time under the next generation.
pub(crate) struct Slab<T, K = T> {
    entries: Vec<Entry<T>>,
    kind: PhantomData<fn() -> K>,
    /// The place to be used next, or [`NONE`], and how many are free.
    next_free: u32,
    free: u32,
}

impl<T, K> Slab<T, K> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), kind: PhantomData, next_free: NONE, free: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free as usize
    }

    /// Callers keep the count below [`CAPACITY`]; see [`MOST`].
    #[inline(never)]
    pub(crate) fn insert(&mut self, value: T) -> Handle<K> {
        self.insert_inline(value)
    }

    /// The same for the hot path: a call would need a frame on the stack for its argument.
    #[inline(always)]
    pub(crate) fn insert_inline(&mut self, value: T) -> Handle<K> {
        let index = self.next_free;
        if let Some(entry) = self.entries.get_mut(index as usize) {
            self.next_free = entry.mark & INDEX_MASK;
            self.free -= 1;
            let mark = entry.mark & HANDLE_MASK & !INDEX_MASK | index;
            *entry = Entry { value, mark };
            return Handle::from_bits(mark);
        }
        let mark = self.entries.len() as u32;
        self.entries.push(Entry { value, mark });
        Handle::from_bits(mark)
    }

    /// Ends the entry at `index` and answers the handle that it had: every handle to it is stale from now on.
    #[inline]
    pub(crate) fn remove(&mut self, index: u32) -> Handle<K> {
        let entry = &mut self.entries[index as usize];
        debug_assert!(!entry.is_free(), "removed twice");
        let handle = Handle::from_bits(entry.mark);
        entry.mark = FREE | entry.next_mark() & !INDEX_MASK | self.next_free;
        self.next_free = index;
        self.free += 1;
        handle
    }

    #[inline]
    pub(crate) fn renew(&mut self, index: u32) -> Handle<K> {
        self.entries[index as usize].renew()
    }

    #[inline(always)]
    pub(crate) fn entry(&mut self, index: u32) -> &mut Entry<T> {
        &mut self.entries[index as usize]
    }

    #[inline(always)]
    pub(crate) fn entry_of(&mut self, handle: Handle<K>) -> Option<&mut Entry<T>> {
        self.entries.get_mut(handle.index() as usize).filter(|entry| entry.mark == handle.raw)
    }

    pub(crate) fn get(&self, handle: Handle<K>) -> Option<&T> {
        let entry = self.entries.get(handle.index() as usize)?;
        // No free place names itself as the next, so none of these is ever named.
        (entry.mark == handle.raw).then_some(&entry.value)
    }

    /// What stands at this index, if it has not ended.
    pub(crate) fn at(&self, index: u32) -> Option<&T> {
        self.entries.get(index as usize).filter(|entry| !entry.is_free()).map(|entry| &entry.value)
    }

    pub(crate) fn handle_of(&self, index: u32) -> Handle<K> {
        Handle::from_bits(self.entries[index as usize].mark)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| !entry.is_free())
            .map(|(index, entry)| (index as u32, &entry.value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.entries
            .iter_mut()
            .enumerate()
            .filter(|(_, entry)| !entry.is_free())
            .map(|(index, entry)| (index as u32, &mut entry.value))
    }
}

/// By bare index, for links between entries that live and die together.
impl<T, K> core::ops::Index<u32> for Slab<T, K> {
    type Output = T;
    fn index(&self, index: u32) -> &T {
        &self.entries[index as usize].value
    }
}

impl<T, K> core::ops::IndexMut<u32> for Slab<T, K> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.entries[index as usize].value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_handle_finds_nothing_at_its_old_index() {
        let mut slab: Slab<char> = Slab::new();
        let first = slab.insert('a');
        slab.remove(first.index());
        let second = slab.insert('b');
        assert_eq!(second.index(), first.index());
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get(second), Some(&'b'));
    }

    #[test]
    fn no_integer_names_a_free_place() {
        let mut slab: Slab<char> = Slab::new();
        let handles = ['a', 'b', 'c'].map(|value| slab.insert(value));
        for handle in handles {
            slab.remove(handle.index());
        }
        for index in 0..3 {
            for high in 0..1 << (32 - INDEX_BITS) {
                assert_eq!(slab.get(Handle::from_bits(index | high << INDEX_BITS)), None);
            }
        }
    }

    #[test]
    fn generations_come_round() {
        let mut slab: Slab<char> = Slab::new();
        let first = slab.insert('a');
        for _ in 1..1 << 10 {
            slab.remove(first.index());
            assert!(slab.insert('b') != first);
            assert_eq!(slab.len(), 1);
        }
        assert!(slab.renew(first.index()) == first);
    }
}
