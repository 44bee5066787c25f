//! .
pub mod event;
