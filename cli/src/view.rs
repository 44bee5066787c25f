//! What people see.

pub(crate) mod attributes;
pub(crate) mod memory;
pub(crate) mod metrics;
pub(crate) mod records;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod tree;
pub(crate) mod units;
