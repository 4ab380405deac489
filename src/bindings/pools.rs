//! The scopes of this instance, by number, and the handle that ends one. mod.rs calls them.

extern crate std;

use super::options;
use crate::policy::{Pool, Scopes};
use core::cell::RefCell;
use core::mem::ManuallyDrop;
use wasm_bindgen::prelude::*;

std::thread_local! {
    /// Every scope of every pool. Not behind the exported class: its reference count and borrow flag cost as much as a
    /// checkout. Never dropped, so that no access looks for a destructor.
    static SCOPES: RefCell<ManuallyDrop<Scopes>> = const { RefCell::new(ManuallyDrop::new(Scopes::new())) };
}

pub(super) fn with<R>(number: u32, run: impl FnOnce(&mut Pool) -> R) -> R {
    let answer = with_all(|scopes| scopes.get_mut(number).map(run));
    // Thrown only here: what a throw passes by is not dropped, and the list would stay borrowed.
    answer.unwrap_or_else(|| wasm_bindgen::throw_str("no such pool"))
}

#[inline(always)]
pub(super) fn with_all<R>(run: impl FnOnce(&mut Scopes) -> R) -> R {
    SCOPES.with(|scopes| {
        // Still borrowed only after a trap: then every call of every pool traps again, without another word.
        let Ok(mut scopes) = scopes.try_borrow_mut() else { core::arch::wasm32::unreachable() };
        run(&mut scopes)
    })
}

/// The policy of one scope of a pool. Freed when the shell's handle is collected, or before.
#[wasm_bindgen]
pub struct Core {
    number: u32,
}

impl Drop for Core {
    fn drop(&mut self) {
        SCOPES.with(|scopes| {
            // After a trap it stays borrowed; a finaliser that traps, too, would end the process.
            let Ok(mut scopes) = scopes.try_borrow_mut() else { return };
            scopes.end(self.number);
        });
    }
}

#[wasm_bindgen]
impl Core {
    /// `options`: every option as a number; options.rs has the order. Throws the name of the first that breaks its
    /// rule. `scope_of` is the number of a scope beside which this is a further scope of the same pool, or -1.
    /// `context` is the number of the I/O context to which it belongs, or -1.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &[f64], scope_of: i32, context: i32) -> Result<Self, JsValue> {
        console_error_panic_hook::set_once();
        let config = options::decode(options)?;
        let number = with_all(|scopes| {
            if scope_of < 0 {
                Some(scopes.begin(config))
            } else {
                scopes.begin_beside(scope_of as u32, config, u32::try_from(context).ok())
            }
        });
        number.map(|number| Self { number }).ok_or_else(|| JsValue::from_str("no such pool"))
    }

    /// What names this scope to the free functions.
    pub fn number(&self) -> u32 {
        self.number
    }
}
