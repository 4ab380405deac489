//! Where slots come from and where they go to: what tells one kind of pool from another. The operations ask here and
//! know no kind themselves.

pub(crate) mod queue;
