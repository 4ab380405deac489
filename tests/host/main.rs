//! The pool for Rust programs, on a runtime whose time stands still. A file that is named after a topic of
//! tests/conformance holds the same promises under the same names.

#![allow(unreachable_pub, reason = "the modules of a test share what they need")]

mod abort;
mod assertion_pool;
mod bad_input;
mod checkin;
mod checkout;
mod checkout_event;
mod clock;
mod close;
mod connect;
mod deadline;
mod detach;
mod dispose;
mod drain;
mod driver_timeout;
mod events;
mod every_kind;
mod failing_listeners;
mod fakes;
mod first_connect;
mod hand_off;
mod hold_limit;
mod idle_timeout;
mod invalidate;
mod invalidation_events;
mod late_timer;
mod lease;
mod max_age;
mod max_connecting;
mod max_uses;
mod min;
#[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
mod native;
mod notices;
mod null_pool;
mod on_disconnect;
mod open_retry;
mod open_timeout;
mod opening;
mod options;
mod order;
mod places;
mod pre_ping;
mod priority;
mod programs;
mod queue_pool;
mod re_entry;
mod recreate;
mod recycle;
mod reset_on_return;
mod resize;
mod return_timeout;
mod shared_connection;
mod singleton_thread_pool;
mod static_pool;
mod stats;
mod sweep;
mod timeout;
mod use_with;
mod warm;
