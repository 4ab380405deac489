//! The policy, tested without a host: one file per option or behaviour, each test a promise. harness.rs is the scripted
//! host of all tests, and harness/invariants.rs checks the state after every call.
//!
//! Four files search for what no single test thinks of. model.rs compares random programs with a naive second model,
//! and runs them on pools of every kind. every_step.rs walks every path of an operation. sweep.rs does every possible
//! call to each operation of each kind, singly and in pairs. state_tables.rs writes state_tables.md, the table of what
//! follows what.
//!
//! A name that begins with a number proves that scenario of SQLAlchemy's catalogue.
#![cfg(not(target_arch = "wasm32"))]

mod harness;

mod abort;
mod assertion_pool;
mod at_once;
mod checkout_disconnected;
mod clock;
mod close;
mod config;
mod deadline;
mod detach;
mod dispose;
mod drain;
mod driver_timeout;
mod events;
mod every_step;
mod finalize;
mod first_connect;
mod hand_off;
mod hold_limit;
mod idle_timeout;
mod invalidate;
mod late_timer;
mod loss;
mod lost_leases;
mod max_age;
mod max_connecting;
mod max_overflow;
mod max_uses;
mod max_waiters;
mod min;
mod model;
mod notices;
mod null_pool;
mod open_retry;
mod open_timeout;
mod openers;
mod pool_size;
mod pre_ping;
mod priority;
mod protocol;
mod record_close;
mod recycle;
mod reset_on_return;
mod resize;
mod return_timeout;
mod scopes;
mod singleton_thread_pool;
mod stale_handles;
mod state_tables;
mod static_pool;
mod stats;
mod sweep;
mod timeout;
mod use_lifo;
mod warm;
