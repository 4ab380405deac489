//! What the scopes of one pool share: numbers, and never a slot, so that no connection passes from one scope to
//! another. Each scope is a [`super::Pool`]; scopes.rs lists them.

use super::counters::Counters;
use super::id::{Handle, NIL, Slab};
use super::ring::{Ring, Track};
use super::step::{Event, Hooks};
use alloc::collections::VecDeque;
use core::cell::{Cell, RefCell};

/// Which pool-wide acts a connection has seen: counts of three kinds, in one number for one comparison. Each wraps
/// after two million acts, which no connection outlives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u64);

const COUNT_BITS: u32 = 21;

impl Generation {
    pub(crate) const FIRST: Self = Self(0);
    /// No connection has this one: it takes more acts than a program can do.
    const NONE: Self = Self(u64::MAX);

    const fn new(invalidation: u32, suspicion: u32, disposal: u32) -> Self {
        const MASK: u32 = (1 << COUNT_BITS) - 1;
        let (invalidation, suspicion, disposal) = (invalidation & MASK, suspicion & MASK, disposal & MASK);
        Self((invalidation as u64) << (2 * COUNT_BITS) | (suspicion as u64) << COUNT_BITS | disposal as u64)
    }

    /// Raised by an invalidation: a connection whose opening began before is stale.
    pub(crate) const fn invalidation(self) -> u32 {
        (self.0 >> (2 * COUNT_BITS)) as u32
    }

    /// Raised by losses: a connection whose opening began before, and that was not pinged since, is a suspect.
    pub(crate) const fn suspicion(self) -> u32 {
        (self.0 >> COUNT_BITS) as u32 & ((1 << COUNT_BITS) - 1)
    }

    /// Raised by a disposal: a connection from before is closed at its return.
    pub(crate) const fn disposal(self) -> u32 {
        self.0 as u32 & ((1 << COUNT_BITS) - 1)
    }

    /// The same, with the suspicion of another one.
    pub(crate) const fn as_trusted_as(self, other: Self) -> Self {
        Self::new(self.invalidation(), other.suspicion(), self.disposal())
    }

    /// What says how old a connection is.
    const fn age(self) -> u64 {
        self.0 >> COUNT_BITS
    }
}

/// The events that make a checkout or a return more than a change of state.
const INTERCEPTING: Hooks = Hooks::of(&[Event::Checkout, Event::Reset, Event::Checkin]).with_every_lease();

/// Names a scope within its family.
pub(crate) type MemberId = Handle<Member>;

/// A scope as the others see it.
pub(crate) struct Member {
    /// Its number in scopes.rs.
    number: u32,
    /// Its place among those that keep an idle connection, or [`NIL`].
    keeps_at: u32,
    /// Whether it must close that connection, because too many others have come to keep one.
    is_surplus: bool,
}

/// The scopes that keep an idle connection, the longest idle first.
struct Keepers;

impl Track for Keepers {
    type Entry = Member;

    fn place(member: &Member) -> u32 {
        member.keeps_at
    }

    fn set_place(member: &mut Member, place: u32) {
        member.keeps_at = place;
    }
}

/// The numbers of one pool, in all of its scopes.
pub(crate) struct Family {
    generation: Cell<Generation>,
    /// The generation while no event intercepts checkouts and returns, else none.
    clean_generation: Cell<Generation>,
    /// The age of a connection that was lost alone, and how many checkouts there were then.
    first_loss: Cell<Option<(u64, u64)>>,
    events: Cell<Hooks>,
    is_closed: Cell<bool>,
    /// Whether the firstConnect listeners have succeeded, and whether the connect listeners have, too.
    pub(crate) is_first_told: Cell<bool>,
    pub(crate) is_first_over: Cell<bool>,
    pub(crate) counters: Counters,
    members: RefCell<Slab<Member>>,
    keepers: RefCell<Ring<Keepers>>,
    /// Scopes that have something to do because of another one.
    woken: RefCell<VecDeque<u32>>,
}

impl Family {
    pub(crate) fn new() -> Self {
        Self {
            generation: Cell::new(Generation::FIRST),
            clean_generation: Cell::new(Generation::FIRST),
            first_loss: Cell::new(None),
            events: Cell::new(Hooks::default()),
            is_closed: Cell::new(false),
            is_first_told: Cell::new(false),
            is_first_over: Cell::new(false),
            counters: Counters::default(),
            members: RefCell::new(Slab::new()),
            keepers: RefCell::new(Ring::new()),
            woken: RefCell::new(VecDeque::new()),
        }
    }

    // ---- what every scope reads

    #[inline]
    pub(crate) fn generation(&self) -> Generation {
        self.generation.get()
    }

    #[inline]
    pub(crate) fn events(&self) -> Hooks {
        self.events.get()
    }

    pub(crate) fn set_events(&self, events: Hooks) {
        self.events.set(events);
        self.begin_generation(self.generation.get());
    }

    /// Makes every open connection stale.
    pub(crate) fn invalidate(&self) {
        let present = self.generation.get();
        self.begin_generation(Generation::new(present.invalidation() + 1, present.suspicion(), present.disposal()));
    }

    /// Makes every open connection a suspect.
    pub(crate) fn suspect(&self) {
        let present = self.generation.get();
        self.begin_generation(Generation::new(present.invalidation(), present.suspicion() + 1, present.disposal()));
    }

    /// Whether there was neither an invalidation nor a suspicion since the opening of a connection began.
    pub(crate) fn is_present_age(&self, generation: Generation) -> bool {
        generation.age() == self.generation.get().age()
    }

    /// Notes the loss of a connection of the present age. Returns whether fewer than `turns` checkouts ago another one
    /// of this age was lost.
    pub(crate) fn is_second_loss(&self, turns: u64) -> bool {
        let (age, checkouts) = (self.generation.get().age(), self.counters.checkouts.get());
        let first = self.first_loss.replace(Some((age, checkouts)));
        first.is_some_and(|(first_age, then)| first_age == age && checkouts - then < turns)
    }

    /// Has every open connection closed at its return.
    pub(crate) fn dispose(&self) {
        let present = self.generation.get();
        self.begin_generation(Generation::new(present.invalidation(), present.suspicion(), present.disposal() + 1));
    }

    fn begin_generation(&self, generation: Generation) {
        self.generation.set(generation);
        let intercepts = self.events.get().has_any(INTERCEPTING);
        self.clean_generation.set(if intercepts { Generation::NONE } else { generation });
    }

    /// The generation of the connections on whose checkout or return the state alone decides, in a plain pool.
    #[inline(always)]
    pub(crate) fn clean_generation(&self) -> Generation {
        self.clean_generation.get()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    pub(crate) fn close(&self) {
        self.is_closed.set(true);
    }

    // ---- its scopes

    pub(crate) fn join(&self, number: u32) -> MemberId {
        self.members.borrow_mut().insert(Member { number, keeps_at: NIL, is_surplus: false })
    }

    pub(crate) fn leave(&self, member: MemberId) {
        self.forget_kept(member);
        self.members.borrow_mut().remove(member.index());
    }

    /// The numbers of its scopes.
    pub(crate) fn numbers(&self) -> alloc::vec::Vec<u32> {
        self.members.borrow().iter().map(|(_, member)| member.number).collect()
    }

    // ---- how many scopes keep a connection

    /// The scope keeps an idle connection. If more than `most` scopes do, the one that has been idle for longest is to
    /// close its own.
    pub(crate) fn keep(&self, member: MemberId, most: u32) {
        let (mut members, mut keepers) = (self.members.borrow_mut(), self.keepers.borrow_mut());
        keepers.push_back(&mut *members, member.index());
        if keepers.len() > most
            && let Some(longest_idle) = keepers.front()
        {
            keepers.pop_front();
            let surplus = &mut members[longest_idle];
            surplus.keeps_at = NIL;
            surplus.is_surplus = true;
            self.woken.borrow_mut().push_back(surplus.number);
        }
    }

    /// The scope keeps no idle connection any more.
    pub(crate) fn forget_kept(&self, member: MemberId) {
        let mut members = self.members.borrow_mut();
        members[member.index()].is_surplus = false;
        if members[member.index()].keeps_at != NIL {
            self.keepers.borrow_mut().remove(&mut *members, member.index());
            members[member.index()].keeps_at = NIL;
        }
    }

    /// Whether the scope is to close the connection that it keeps.
    pub(crate) fn is_surplus(&self, member: MemberId) -> bool {
        self.members.borrow()[member.index()].is_surplus
    }

    pub(crate) fn has_woken(&self) -> bool {
        !self.woken.borrow().is_empty()
    }

    pub(crate) fn take_woken(&self) -> Option<u32> {
        self.woken.borrow_mut().pop_front()
    }
}
