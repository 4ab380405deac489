//! A doubly linked list threaded through the entries of a slab: append, pop and removal from the middle in constant
//! time, and no memory of its own. Carries the waiters (waiters.rs) and the time classes (deadlines.rs).

use super::id::Slab;
use core::marker::PhantomData;

/// No index.
pub(crate) const NIL: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Links {
    previous: u32,
    next: u32,
}

impl Links {
    pub(crate) const UNLINKED: Self = Self { previous: NIL, next: NIL };
}

/// Which pair of links of an entry a list uses: an entry may be in several lists at once.
pub(crate) trait Chain {
    type Item;
    fn links(item: &mut Self::Item) -> &mut Links;
}

pub(crate) struct List<C: Chain> {
    head: u32,
    tail: u32,
    len: u32,
    chain: PhantomData<fn() -> C>,
}

impl<C: Chain> List<C> {
    pub(crate) const fn new() -> Self {
        Self { head: NIL, tail: NIL, len: 0, chain: PhantomData }
    }

    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.head == NIL
    }

    /// The first index, or [`NIL`].
    pub(crate) const fn head(&self) -> u32 {
        self.head
    }

    /// The index after this one, or [`NIL`].
    pub(crate) fn after(&self, slab: &mut Slab<C::Item>, index: u32) -> u32 {
        C::links(&mut slab[index]).next
    }

    pub(crate) fn push_back(&mut self, slab: &mut Slab<C::Item>, index: u32) {
        *C::links(&mut slab[index]) = Links { previous: self.tail, next: NIL };
        match self.tail {
            NIL => self.head = index,
            tail => C::links(&mut slab[tail]).next = index,
        }
        self.tail = index;
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, slab: &mut Slab<C::Item>, index: u32) {
        let Links { previous, next } = core::mem::replace(C::links(&mut slab[index]), Links::UNLINKED);
        match previous {
            NIL => self.head = next,
            previous => C::links(&mut slab[previous]).next = next,
        }
        match next {
            NIL => self.tail = previous,
            next => C::links(&mut slab[next]).previous = previous,
        }
        self.len -= 1;
    }
}
