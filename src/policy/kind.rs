//! What tells one kind of pool from another. Sizes are in config.rs: NullPool is a queue that keeps nothing, the others
//! have a single slot. How callers share a connection is in sharing.rs.

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
    /// Whether callers share a connection.
    pub(crate) const fn shares(self) -> bool {
        matches!(self, Self::Singleton | Self::Static)
    }

    /// Whether a caller that joins a shared connection is checked like the first: by a ping and the checkout listeners.
    pub(crate) const fn checks_every_share(self) -> bool {
        matches!(self, Self::Static)
    }

    /// Whether a second caller is a mistake of the program.
    pub(crate) const fn is_exclusive(self) -> bool {
        matches!(self, Self::Assertion)
    }

    /// Whether each scope keeps one connection, and only so many scopes do.
    pub(crate) const fn keeps_one_per_scope(self) -> bool {
        matches!(self, Self::Singleton)
    }
}
