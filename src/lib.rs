//! A connection pool for programs of one thread, with the semantics of SQLAlchemy's pools: Rust Workers, other
//! WebAssembly, and tokio's `LocalSet`.
//!
//! ```
//! use edgepool::{Manager, QueuePool, VirtualTime, Watch};
//! # use std::convert::Infallible;
//!
//! struct Counters;
//!
//! impl Manager for Counters {
//!     type Connection = u32;
//!     type Error = Infallible;
//!
//!     async fn open(&self, _: Watch<Self>) -> Result<u32, Infallible> {
//!         Ok(0)
//!     }
//! }
//!
//! // In a program `build()` takes the runtime of the target.
//! let time = VirtualTime::new();
//! let pool = QueuePool::builder(Counters).pool_size(1).build_on(time.clone()).unwrap();
//! let count = time.run_until(async {
//!     for _ in 0..3 {
//!         *pool.connect().await.unwrap() += 1;
//!     }
//!     *pool.connect().await.unwrap()
//! });
//! assert_eq!(count, Some(3));
//! ```
//!
//! Three rooms live here. [`policy`] decides, and cannot reach anything else: the crate is `no_std`, and `std` is
//! linked under no name, so that a clock, a thread, a hash map's random order or JavaScript do not compile there.
//! `host` performs what the policy asks for, with a [`Manager`] and a [`Runtime`]. `bindings` exists on wasm32 only,
//! for the npm package, and translates: numbers in, numbers out. The TypeScript in src/shell then performs.
//! ARCHITECTURE.md draws the whole.

#![no_std]

extern crate alloc;
// Links the allocator and the panic handler; unnamed so that `std::` cannot be written.
extern crate std as _;

// Public for the tests, and no part of the interface.
#[doc(hidden)]
pub mod policy;

/// The encoding of the bindings: on every target, so that a native test can write the shell's half of it.
#[doc(hidden)]
#[path = "bindings/protocol.rs"]
pub mod protocol;

#[cfg(all(feature = "bindings", target_arch = "wasm32"))]
pub mod bindings;

#[cfg(feature = "host")]
pub mod host;

#[cfg(feature = "host")]
pub use host::*;

/// Runs the examples of docs/rust.md.
#[cfg(all(doctest, feature = "tokio", not(target_arch = "wasm32")))]
#[doc = include_str!("../docs/rust.md")]
pub struct Guide;
