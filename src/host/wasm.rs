//! JavaScript as the host: tasks of wasm-bindgen-futures, promises to wait on, and the global timers.
//!
//! In Workers a waker would go on in the request that wakes. A promise goes on in the request that made it, so a caller
//! waits on one.

use super::runtime::{Notify, Place, Runtime, Task};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, ms: f64) -> JsValue;

    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timer: &JsValue);

    #[wasm_bindgen(js_namespace = Date, js_name = now)]
    fn date_now() -> f64;

    #[wasm_bindgen(thread_local_v2, js_namespace = globalThis, js_name = performance)]
    static PERFORMANCE: Option<Clock>;

    type Clock;

    #[wasm_bindgen(method)]
    fn now(this: &Clock) -> f64;

    #[wasm_bindgen(thread_local_v2, js_namespace = globalThis, js_name = WebSocketPair)]
    static WEB_SOCKET_PAIR: Option<Function>;
}

/// The JavaScript that runs this module.
#[derive(Clone, Copy, Debug, Default)]
pub struct JavaScript;

impl Runtime for JavaScript {
    type Sleep = Sleep;
    type Notify = Resolve;
    type Wait = Wait;
    type Place = Marker;

    fn now(&self) -> f64 {
        PERFORMANCE.with(|clock| clock.as_ref().map_or_else(date_now, Clock::now))
    }

    fn sleep(&self, ms: u32) -> Sleep {
        Sleep::new(f64::from(ms))
    }

    fn spawn(&self, task: Task) {
        spawn_local(task);
    }

    fn wait(&self) -> (Resolve, Wait) {
        let (resolve, promise) = promise();
        (Resolve(resolve), Wait(JsFuture::from(promise)))
    }

    fn place(&self) -> Marker {
        Marker::here()
    }
}

fn promise() -> (Function, Promise) {
    let mut kept = None;
    let promise = Promise::new(&mut |resolve, _| kept = Some(resolve));
    // The executor has run by now.
    (kept.unwrap_or_default(), promise)
}

/// Resolves the promise on which a caller waits.
pub struct Resolve(Function);

impl Notify for Resolve {
    fn notify(self) {
        // A resolve function of a promise does not throw.
        let _ = self.0.call0(&JsValue::UNDEFINED);
    }
}

/// A wait on a promise of the request in which it began.
pub struct Wait(JsFuture);

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context).map(|_| ())
    }
}

/// A timer. Cleared when it is dropped.
pub struct Sleep {
    timer: Option<JsValue>,
    wait: Wait,
}

impl Sleep {
    fn new(ms: f64) -> Self {
        let (resolve, promise) = promise();
        let timer = set_timeout(&resolve, ms);
        Self { timer: Some(timer), wait: Wait(JsFuture::from(promise)) }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let poll = Pin::new(&mut self.wait).poll(context);
        if poll.is_ready() {
            self.timer = None;
        }
        poll
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            clear_timeout(timer);
        }
    }
}

/// An object that belongs to an I/O context of Workers, and throws when another one touches it. On other hosts there is
/// none.
pub struct Marker(Option<JsValue>);

impl Marker {
    fn here() -> Self {
        let marker = WEB_SOCKET_PAIR.with(|pair| {
            let pair = Reflect::construct(pair.as_ref()?, &js_sys::Array::new()).ok()?;
            Reflect::get_u32(&pair, 0).ok()
        });
        Self(marker)
    }
}

impl Place for Marker {
    fn is_here(&self) -> bool {
        let Some(marker) = &self.0 else { return true };
        Reflect::get(marker, &JsValue::from_str("readyState")).is_ok()
    }
}
