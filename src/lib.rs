//! What edgepool decides, as a crate without a host.
//!
//! Two rooms live here. [`policy`] decides, and cannot reach anything else: the crate is `no_std`, and `std` is linked
//! under no name, so that a clock, a thread, a hash map's random order or JavaScript do not compile there. `bindings`
//! exists on wasm32 only and translates: numbers in, numbers out. The third room, the TypeScript in src/shell, performs
//! what the policy asks for. ARCHITECTURE.md draws the whole.

#![no_std]

extern crate alloc;
// Links the allocator and the panic handler; unnamed so that `std::` cannot be written.
extern crate std as _;

pub mod policy;

/// The encoding of the bindings: on every target, so that a native test can write the shell's half of it.
#[path = "bindings/protocol.rs"]
pub mod protocol;

#[cfg(target_arch = "wasm32")]
pub mod bindings;
