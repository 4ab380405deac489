//! The pool for Rust programs, on a runtime whose time stands still. One file for each option or behaviour.

#![allow(unreachable_pub, reason = "the modules of a test share what they need")]

mod fakes;
mod queue_pool;
mod sweep;
