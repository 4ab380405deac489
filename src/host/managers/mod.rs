//! Managers of connections that many programs have. What needs another crate is behind a feature of its name.

#[cfg(target_arch = "wasm32")]
mod creator;
#[cfg(feature = "tokio-postgres")]
mod postgres;
#[cfg(feature = "tokio-postgres")]
mod postgres_line;

#[cfg(target_arch = "wasm32")]
pub use creator::{JsConnection, JsCreator, JsThrown};
#[cfg(feature = "tokio-postgres")]
pub use postgres::{Postgres, PostgresConnection, PostgresError};
