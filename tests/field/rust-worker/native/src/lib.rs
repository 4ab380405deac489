//! See tests/sessions.rs.
