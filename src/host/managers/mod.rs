//! Managers of connections that many programs have, each behind a feature of its own.

#[cfg(feature = "tokio-postgres")]
mod postgres;
#[cfg(feature = "tokio-postgres")]
mod postgres_line;

#[cfg(feature = "tokio-postgres")]
pub use postgres::{Postgres, PostgresConnection, PostgresError};
