//! What people see.

pub(crate) mod memory;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod tree;
pub(crate) mod units;
