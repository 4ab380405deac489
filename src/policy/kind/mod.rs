//! Where slots come from and where they go to: what tells one kind of pool from another. The operations ask here and in
//! sharing.rs, and know no kind themselves.

pub(crate) mod queue;
pub(crate) mod sharing;

/// The kinds of pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Up to `poolSize` connections stay open, more are opened under load, callers queue.
    Queue,
    /// A connection for each lease: nothing is idle, nothing is limited.
    Null,
    /// One connection for each scope, shared by nested callers as if they were one.
    Singleton,
    /// One connection, shared by all callers, each checked by itself.
    Static,
    /// One connection, and never a second lease beside the first.
    Assertion,
}

impl Kind {
    /// Whether callers share a connection: [`sharing`] hands it out.
    pub(crate) const fn shares(self) -> bool {
        matches!(self, Self::Singleton | Self::Static)
    }

    /// Whether who joins a shared connection is checked like the first: pinged for, shown to the checkout listeners.
    pub(crate) const fn checks_every_share(self) -> bool {
        matches!(self, Self::Static)
    }

    /// Whether a second caller is a mistake of the program.
    pub(crate) const fn is_exclusive(self) -> bool {
        matches!(self, Self::Assertion)
    }
}
