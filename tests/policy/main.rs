//! The policy, tested without a host: one file per option or behaviour, each test a promise. harness.rs is the scripted
//! host that they all use, harness/ledger.rs checks the books after every call; books.rs compares random programs with a
//! second, naive set of books, and runs them on pools of every kind; every_step.rs walks through every way in which an
//! operation can go; sweep.rs does to each operation everything that can be done to it, singly and in pairs;
//! state_tables.md says what follows what. Names that begin with a number prove that scenario of SQLAlchemy's catalogue.
#![cfg(not(target_arch = "wasm32"))]

mod harness;

mod abort;
mod assertion_pool;
mod books;
mod checkout_disconnected;
mod clock;
mod close;
mod config;
mod deadline;
mod detach;
mod dispose;
mod driver_timeout;
mod emptying;
mod events;
mod every_step;
mod finalize;
mod first_connect;
mod hand_off;
mod idle_timeout;
mod invalidate;
mod lost_leases;
mod max_connecting;
mod max_overflow;
mod max_uses;
mod max_waiters;
mod news;
mod null_pool;
mod pool_size;
mod pre_ping;
mod protocol;
mod recycle;
mod reset_on_return;
mod scope;
mod singleton_thread_pool;
mod stale_handles;
mod state_tables;
mod static_pool;
mod stats;
mod sweep;
mod timeout;
mod use_lifo;
mod warm;
