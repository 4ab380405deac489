//! What wasm.mjs calls.

use crate::{Cycle, Deadpool, Edgepool, TASKS, alone, as_one_of_many};
use std::cell::Cell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

/// A pool, by the number of its kind: 0 for this crate, 1 for deadpool.
#[wasm_bindgen]
pub struct Contestant(Kind);

#[derive(Clone)]
enum Kind {
    Edgepool(Edgepool),
    Deadpool(Deadpool),
}

#[wasm_bindgen]
impl Contestant {
    /// Makes one.
    #[wasm_bindgen(constructor)]
    pub fn new(kind: u32) -> Self {
        Self(if kind == 0 { Kind::Edgepool(Edgepool::new()) } else { Kind::Deadpool(Deadpool::new(None)) })
    }

    /// Runs so many cycles, one after the other.
    pub async fn alone(&self, cycles: u32) {
        match self.0.clone() {
            Kind::Edgepool(pool) => alone(&pool, cycles).await,
            Kind::Deadpool(pool) => alone(&pool, cycles).await,
        }
    }

    /// Runs them in a thousand tasks.
    pub async fn together(&self, cycles: u32) {
        match self.0.clone() {
            Kind::Edgepool(pool) => together(pool, cycles).await,
            Kind::Deadpool(pool) => together(pool, cycles).await,
        }
    }
}

async fn together(pool: impl Cycle, cycles: u32) {
    let (mut resolve, left) = (None, Rc::new(Cell::new(TASKS)));
    let end = js_sys_promise(&mut resolve);
    let resolve = Rc::new(resolve);
    for _ in 0..TASKS {
        let (pool, left, resolve) = (pool.clone(), left.clone(), resolve.clone());
        spawn_local(async move {
            as_one_of_many(pool, cycles).await;
            left.set(left.get() - 1);
            if left.get() == 0
                && let Some(resolve) = &*resolve
            {
                let _ = resolve.call0(&JsValue::UNDEFINED);
            }
        });
    }
    let _ = wasm_bindgen_futures::JsFuture::from(end).await;
}

fn js_sys_promise(kept: &mut Option<js_sys::Function>) -> js_sys::Promise {
    js_sys::Promise::new(&mut |resolve, _| *kept = Some(resolve))
}
