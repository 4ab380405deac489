//! The pools of this instance: a list by number, and which of them are the scopes of one pool. Makes and ends them;
//! mod.rs calls them.

extern crate std;

use super::options;
use crate::policy::Pool;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::mem::ManuallyDrop;
use wasm_bindgen::prelude::*;

pub(super) struct State {
    pub pool: Pool,
    /// The same for every scope of one pool, which the shell makes: each is a pool of its own here, with a number of
    /// its own. The first is made with the pool and keeps the counters of those that have ended.
    family: u32,
    is_first: bool,
    /// Why the last begin refused, and what the last news were: asked for by calls of their own.
    pub refusal: i32,
    pub notice: i32,
}

std::thread_local! {
    /// Every pool of the instance, by its number. Not behind the exported class: its reference count and borrow flag
    /// cost as much as a checkout. Never dropped, so that no access looks for a destructor.
    static POOLS: RefCell<ManuallyDrop<Vec<Option<State>>>> = const { RefCell::new(ManuallyDrop::new(Vec::new())) };
    /// Numbers that can be used again.
    static FREE: RefCell<ManuallyDrop<Vec<u32>>> = const { RefCell::new(ManuallyDrop::new(Vec::new())) };
    /// Of the next pool.
    static FAMILIES: Cell<u32> = const { Cell::new(0) };
}

pub(super) fn with<R>(number: u32, run: impl FnOnce(&mut State) -> R) -> R {
    let answer = with_all(|pools| pools.get_mut(number as usize).and_then(Option::as_mut).map(run));
    // Thrown only here: what a throw passes by is not dropped, and the list would stay borrowed.
    answer.unwrap_or_else(|| wasm_bindgen::throw_str("no such pool"))
}

#[inline(always)]
fn with_all<R>(run: impl FnOnce(&mut Vec<Option<State>>) -> R) -> R {
    POOLS.with(|pools| {
        // Still borrowed only after a trap: then every call of every pool traps again, without another word.
        let Ok(mut pools) = pools.try_borrow_mut() else { core::arch::wasm32::unreachable() };
        run(&mut pools)
    })
}

/// Every scope of the pool of which this is one, by its number.
pub(super) fn each_scope(number: u32, run: &mut dyn FnMut(u32, &mut State)) {
    let family = with(number, |state| state.family);
    with_all(|pools| {
        for (number, state) in pools.iter_mut().enumerate() {
            if let Some(state) = state.as_mut().filter(|state| state.family == family) {
                run(number as u32, state);
            }
        }
    });
}

/// The policy of one scope of a pool. Freed when the shell's handle is collected, or before.
#[wasm_bindgen]
pub struct Core {
    number: u32,
}

impl Drop for Core {
    fn drop(&mut self) {
        POOLS.with(|pools| {
            // After a trap it stays borrowed; a finaliser that traps, too, would end the process.
            let Ok(mut pools) = pools.try_borrow_mut() else { return };
            let Some(ended) = pools[self.number as usize].take() else { return };
            FREE.with_borrow_mut(|free| free.push(self.number));
            if let Some(first) = pools.iter_mut().flatten().find(|state| state.is_first && state.family == ended.family)
            {
                first.pool.inherit(&ended.pool);
            }
        });
    }
}

#[wasm_bindgen]
impl Core {
    /// `options`: every option as a number; see options.rs. Throws the name of the first that breaks its rule.
    /// `scope_of` is the number of a pool of which this is a further scope, or -1.
    #[wasm_bindgen(constructor)]
    pub fn new(options: JsValue, scope_of: i32) -> Result<Self, JsValue> {
        console_error_panic_hook::set_once();
        let mut pool = Pool::new(options::decode(options)?);
        let is_first = scope_of < 0;
        let mut family = 0;
        if !is_first {
            let first = scope_of as u32;
            if !with(first, |state| state.pool.is_first_over()) {
                each_scope(first, &mut |_, other| pool.learn(&other.pool));
            }
            with(first, |state| {
                state.pool.learn(&pool);
                pool.follow(&state.pool);
                family = state.family;
            });
        }
        with_all(|pools| {
            let number = FREE.with_borrow_mut(|free| free.pop()).map_or(pools.len(), |number| number as usize);
            if number == pools.len() {
                pools.push(None);
            }
            if is_first {
                family = FAMILIES.replace(FAMILIES.get() + 1);
            }
            pools[number] = Some(State { pool, family, is_first, refusal: 0, notice: 0 });
            Ok(Self { number: number as u32 })
        })
    }

    /// What names this pool to the free functions.
    pub fn number(&self) -> u32 {
        self.number
    }
}
