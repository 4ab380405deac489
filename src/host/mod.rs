//! The pool for Rust programs of one thread: Rust Workers, other WebAssembly, and a runtime such as tokio's `LocalSet`.
//!
//! It decides by the same [`policy`](crate::policy) as the JavaScript package. This room performs the policy's steps:
//! it holds the connections, polls the [`Manager`]'s futures, and wakes callers.

extern crate std;

mod alarm;
mod asked;
mod borrowed;
mod callers;
mod checkout;
mod death;
mod drain;
mod emit;
mod error;
mod events;
mod lease;
mod manager;
pub mod managers;
mod operation;
mod options;
mod pool;
mod returns;
mod runtime;
mod shared;
mod signal;
mod strays;
#[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
mod tokio;
mod virtual_time;
#[cfg(target_arch = "wasm32")]
mod wasm;
mod watch;

pub use crate::policy::{Counts, Loss, ResetStyle, Sizes, Stats};
pub use error::{Error, LongHeld, OptionError, TimeoutError, TimeoutStep};
pub use events::{Background, Events, Rejection, Taken};
pub use lease::{Detached, Lease, Share};
pub use manager::{Manager, Reset};
pub use options::{Builder, OnHoldLimit};
pub use pool::{
    Assertion, AssertionPool, Disposal, LeaseOf, Null, NullPool, Patience, Pool, PoolKind, Queue, QueuePool, Singleton,
    SingletonThreadPool, Static, StaticPool, Within,
};
pub use runtime::{Anywhere, Crossing, Place, Runtime, Task};
#[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
pub use tokio::Tokio;
pub use virtual_time::VirtualTime;
#[cfg(target_arch = "wasm32")]
pub use wasm::JavaScript;
pub use watch::Watch;

/// The runtime of a pool that is built without one.
#[cfg(target_arch = "wasm32")]
pub type DefaultRuntime = JavaScript;
/// The runtime of a pool that is built without one.
#[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
pub type DefaultRuntime = Tokio;
/// The runtime of a pool that is built without one: there is none, so [`Builder::build_on`] is given one.
#[cfg(not(any(target_arch = "wasm32", feature = "tokio")))]
pub type DefaultRuntime = VirtualTime;

/// Whether a panic unwinds this thread. Where panics abort, no code is linked for it.
fn is_unwinding() -> bool {
    cfg!(panic = "unwind") && std::thread::panicking()
}
