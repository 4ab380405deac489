//! The pool for Rust programs, on a runtime whose time stands still. A file that is named after a topic of
//! tests/conformance holds the same promises under the same names.

#![allow(unreachable_pub, reason = "the modules of a test share what they need")]

mod abort;
mod assertion_pool;
mod checkin;
mod checkout;
mod checkout_event;
mod close;
mod connect;
mod deadline;
mod detach;
mod dispose;
mod drain;
mod driver_timeout;
mod events;
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
mod queue_pool;
mod sweep;
