//! The policy, tested without a host: one file per option or behaviour, each test a promise. harness.rs is the scripted
//! host that they all use and that checks the books after every call; books.rs compares random programs with a second,
//! naive set of books; every_step.rs walks through every way in which an operation can go. Names that begin with a
//! number prove that scenario of SQLAlchemy's catalogue.
#![cfg(not(target_arch = "wasm32"))]

mod harness;

mod abort;
mod books;
mod clock;
mod close;
mod config;
mod deadline;
mod detach;
mod dispose;
mod driver_timeout;
mod every_step;
mod hand_off;
mod invalidate;
mod max_overflow;
mod max_waiters;
mod news;
mod pool_size;
mod reset_on_return;
mod stale_handles;
mod stats;
mod timeout;
mod use_lifo;
