//! The room that decides: which caller gets a connection, when, and what must happen next. It performs nothing: no
//! clock, no promise, no JavaScript (lib.rs makes them unspellable here). Called by src/bindings, and by tests/policy
//! directly.
//!
//! Start with pool.rs, which owns the state, and slots.rs, the rules of which caller is served; then one file per
//! operation: checkout.rs, opening.rs, checkin.rs, closing.rs, loss.rs, detach.rs, sharing.rs, pool_end.rs;
//! housekeeping.rs and filling.rs are what a pool does without being asked, resize.rs changes its sizes, scopes.rs and
//! family.rs are what the scopes of one pool have in common.

mod checkin;
mod checkout;
mod closing;
mod config;
mod counters;
mod deadlines;
mod detach;
mod family;
mod filling;
mod hold_limit;
mod housekeeping;
mod id;
mod idle;
mod kind;
mod lease;
mod loss;
mod max_age;
mod opening;
mod operation;
mod outbox;
mod places;
mod pool;
mod pool_end;
mod record;
mod resize;
mod ring;
mod scopes;
mod share_groups;
mod sharing;
mod slots;
mod stats;
mod step;

pub use config::{
    Config, Form, KINDS, LONGEST_SPAN_MS, NumericOption, OPTIONS, PLACES, Place, RESET_STYLES, ResetStyle, Settings,
    Sizes, Span, Violation,
};
pub use id::{CAPACITY, Handle, INDEX_BITS, LeaseId, MOST, OperationId};
pub use kind::Kind;
pub use pool::{Limits, MOST_PRIORITY, Pool};
pub use record::Staleness;
pub use scopes::Scopes;
pub use stats::{Counts, Stats};
pub use step::{Aside, Begin, Condition, Event, Hooks, Loss, Notice, Outcome, Refusal, Return, Step};
