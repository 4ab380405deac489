//! The room that decides: who gets which connection, when, and what must happen next. It performs nothing: no clock, no
//! promise, no JavaScript (lib.rs makes them unspellable here). Called by src/bindings, and by tests/policy directly.
//!
//! Start with pool.rs, which owns the state, and slots.rs, the rules of who is served; then one file per operation, each
//! around one table of (state, outcome): checkout.rs, opening.rs, checkin.rs, ending.rs, detached.rs, shutdown.rs;
//! upkeep.rs is what a pool does on its own account, scope.rs what the scopes of one pool have in common.

mod checkin;
mod checkout;
mod config;
mod deadlines;
mod detached;
mod ending;
mod id;
mod idle;
mod kind;
mod opening;
mod operation;
mod pool;
mod record;
mod ring;
mod scope;
mod shutdown;
mod slots;
mod stats;
mod step;
mod upkeep;

pub use config::{
    Config, Form, KINDS, LONGEST_SPAN_MS, NumericOption, OPTIONS, PLACES, Place, RESET_STYLES, ResetStyle, Settings,
    Span, Violation,
};
pub use id::{CAPACITY, Handle, INDEX_BITS, MOST};
pub use kind::Kind;
pub use operation::Operation;
pub use pool::{Limits, Pool};
pub use record::{Record, Staleness};
pub use stats::{Counts, Stats};
pub use step::{Begin, Event, Hooks, Notice, Outcome, Refusal, Return, Step};

/// Names an operation from its begin to its last step.
pub type OperationId = Handle<Operation>;
/// Names a lease: a slot, as long as this caller has it.
pub type LeaseId = Handle<Record>;
