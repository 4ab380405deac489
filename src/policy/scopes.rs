//! Every scope of every pool of one instance, by number, and the acts that reach all scopes of one pool: each is one
//! walk of that pool's scopes. Called by src/bindings.

use super::config::{Config, Sizes, Span, Violation};
use super::id::OperationId;
use super::pool::Pool;
use super::stats::Stats;
use super::step::Hooks;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// A list of scopes. The number of one that has ended is used again.
#[derive(Default)]
pub struct Scopes {
    /// Boxed, so that a longer list needs a small copy, and what a scope leaves is what the next one needs.
    scopes: Vec<Option<Box<Pool>>>,
    free: Vec<u32>,
}

impl Scopes {
    /// No scopes.
    pub const fn new() -> Self {
        Self { scopes: Vec::new(), free: Vec::new() }
    }

    /// Begins the first scope of a new pool; returns its number.
    pub fn begin(&mut self, config: Config) -> u32 {
        let number = self.number();
        self.scopes[number as usize] = Some(Box::new(Pool::numbered(config, number)));
        number
    }

    /// Begins a further scope of the pool that has this one; returns its number. `None` if there is no such scope.
    /// `context`: the I/O context to which it belongs, if it does. Scopes of other contexts cannot reach it, so it does
    /// not count among those that keep a connection.
    pub fn begin_beside(&mut self, number: u32, config: Config, context: Option<u32>) -> Option<u32> {
        let family = self.get(number)?.family.clone();
        let number = self.number();
        self.scopes[number as usize] = Some(Box::new(Pool::in_family(config, family, number, context)));
        Some(number)
    }

    fn number(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.scopes.push(None);
            self.scopes.len() as u32 - 1
        })
    }

    /// Forgets a scope, with all that it holds.
    pub fn end(&mut self, number: u32) {
        if let Some(scope) = self.scopes.get_mut(number as usize).and_then(Option::take) {
            scope.family.leave(scope.member);
            self.free.push(number);
        }
    }

    /// One scope.
    pub fn get(&self, number: u32) -> Option<&Pool> {
        self.scopes.get(number as usize)?.as_deref()
    }

    /// One scope, to call.
    #[inline]
    pub fn get_mut(&mut self, number: u32) -> Option<&mut Pool> {
        self.scopes.get_mut(number as usize)?.as_deref_mut()
    }

    fn each(&mut self, number: u32, mut run: impl FnMut(&mut Pool)) {
        let numbers = self.get(number).map(|scope| scope.family.numbers()).unwrap_or_default();
        for number in numbers {
            if let Some(scope) = self.get_mut(number) {
                run(scope);
            }
        }
    }

    // ---- acts on a whole pool

    /// Says which events of the pool have listeners.
    pub fn set_hooks(&mut self, number: u32, hooks: Hooks) {
        if let Some(scope) = self.get(number) {
            scope.family.set_events(hooks);
        }
    }

    /// Makes every open connection of the pool stale.
    pub fn invalidate_all(&mut self, number: u32) {
        if let Some(scope) = self.get(number) {
            scope.family.invalidate();
        }
    }

    /// Closes the idle connections of every scope, as spawned operations.
    pub fn dispose(&mut self, number: u32) {
        if let Some(scope) = self.get(number) {
            scope.family.dispose();
            self.each(number, Pool::close_idle);
        }
    }

    /// Ends the pool: begins or hastens the close of every scope. `Pool::closing` names the operation of each.
    pub fn close(&mut self, number: u32, patience: Span, drains: bool) {
        if let Some(scope) = self.get(number) {
            scope.family.close();
            self.each(number, |scope| {
                if !scope.closed || !scope.closes.is_empty() {
                    scope.begin_close(patience, drains);
                }
            });
        }
    }

    /// Changes the sizes of every scope of the pool, and of none if one of them breaks its rule.
    pub fn resize(&mut self, number: u32, sizes: Sizes) -> Result<(), Violation> {
        let mut resized = Vec::new();
        for number in self.get(number).map(|scope| scope.family.numbers()).unwrap_or_default() {
            if let Some(scope) = self.get(number) {
                resized.push((number, scope.config.resized(sizes)?));
            }
        }
        for (number, config) in resized {
            if let Some(scope) = self.get_mut(number) {
                scope.take_sizes(config);
            }
        }
        Ok(())
    }

    /// The pool's counters with the gauges of one scope.
    pub fn stats(&self, number: u32) -> Option<Stats> {
        self.get(number).map(Pool::stats)
    }

    /// The pool's counters with the gauges of all of its scopes. `context`: the I/O context that asks. Another request
    /// that is at rest may have ended, and its connections with it: nothing tells, so they are not counted.
    pub fn stats_everywhere(&mut self, number: u32, context: Option<u32>) -> Option<Stats> {
        let mut sum = self.get(number)?.stats();
        let own = self.get(number)?.member;
        self.each(number, |scope| {
            if scope.member != own && (scope.context == context || scope.is_certain()) {
                sum.add_gauges(&scope.stats());
            }
        });
        Some(sum)
    }

    /// Takes the number of a scope of this pool that has got something to do because of another scope.
    pub fn take_woken(&mut self, number: u32) -> Option<u32> {
        let woken = self.get(number)?.family.take_woken()?;
        self.get_mut(woken)?.close_surplus();
        Some(woken)
    }

    /// Names the operation of the close of one scope, if that is under way.
    pub fn closing(&self, number: u32) -> Option<OperationId> {
        self.get(number)?.closing()
    }
}
