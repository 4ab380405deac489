//! JavaScript as the host: tasks of wasm-bindgen-futures, wakers and promises to wait on, and the global timers.
//!
//! In Workers a waker would go on in the request that wakes. A promise goes on in the request that made it, so a caller
//! of a pool that crosses requests waits on one. It costs ten times as much.

use super::runtime::{Crossing, Place, Runtime, Task};
use super::signal::{Waiting, pair};
extern crate std;

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use js_sys::{Function, Promise, Reflect};
use std::boxed::Box;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout, catch)]
    fn set_timeout(callback: &Closure<dyn FnMut()>, ms: f64) -> Result<JsValue, JsValue>;

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

/// What Workers must have for a wait that another request ends. The first has the promise go on in its own request. The
/// second is the last before the date from which on it is tested.
const FLAGS: [&str; 2] = ["handle_cross_request_promise_resolution", "bind_asynclocalstorage_snapshot_to_request"];

/// The JavaScript that runs this module.
#[derive(Clone, Copy, Debug, Default)]
pub struct JavaScript;

impl Runtime for JavaScript {
    type Sleep = Sleep;
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

    fn crossing(&self) -> Crossing {
        let (resolve, promise) = promise();
        let resolve = Resolve(resolve);
        let ended = JsFuture::from(promise);
        Crossing { end: Box::new(move || drop(resolve)), ended: Box::pin(Ended(ended)) }
    }

    fn place(&self) -> Option<Marker> {
        Marker::here()
    }

    fn can_cross(&self) -> bool {
        if WEB_SOCKET_PAIR.with(Option::is_none) {
            return true;
        }
        let get = |of: &JsValue, name| Reflect::get(of, &JsValue::from_str(name)).ok();
        get(&js_sys::global(), "Cloudflare")
            .and_then(|cloudflare| get(&cloudflare, "compatibilityFlags"))
            .is_some_and(|flags| FLAGS.iter().all(|flag| get(&flags, flag).is_some_and(|is_on| is_on.is_truthy())))
    }
}

fn promise() -> (Function, Promise) {
    let mut kept = None;
    let promise = Promise::new(&mut |resolve, _| kept = Some(resolve));
    // The executor has run by now.
    (kept.unwrap_or_default(), promise)
}

/// Resolves the promise on which a caller waits, when it is dropped: a future of a promise is freed when that settles.
struct Resolve(Function);

impl Drop for Resolve {
    fn drop(&mut self) {
        // A resolve function of a promise does not throw.
        let _ = self.0.call0(&JsValue::UNDEFINED);
    }
}

/// Is ready when its promise is settled.
struct Ended(JsFuture);

impl Future for Ended {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context).map(|_| ())
    }
}

/// A timer. Cleared when it is dropped. Where Workers refuse one, at module scope, it does not end.
pub struct Sleep {
    timer: Option<JsValue>,
    wait: Waiting,
    _ring: Closure<dyn FnMut()>,
}

impl Sleep {
    fn new(ms: f64) -> Self {
        let (wake, wait) = pair();
        let mut wake = Some(wake);
        let ring = Closure::new(move || {
            if let Some(wake) = wake.take() {
                wake.wake();
            }
        });
        let timer = set_timeout(&ring, ms).ok();
        Self { timer, wait, _ring: ring }
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
    fn here() -> Option<Self> {
        WEB_SOCKET_PAIR.with(|class| {
            let Some(class) = class else { return Some(Self(None)) };
            // Outside of all contexts it throws.
            let pair = Reflect::construct(class, &js_sys::Array::new()).ok()?;
            Some(Self(Reflect::get_u32(&pair, 0).ok()))
        })
    }
}

impl Place for Marker {
    fn is_here(&self) -> bool {
        let Some(marker) = &self.0 else { return true };
        Reflect::get(marker, &JsValue::from_str("readyState")).is_ok()
    }
}
