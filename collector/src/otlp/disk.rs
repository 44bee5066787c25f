//! Batches that outlive the process: written before they are sent, removed when they are settled.
//!
//! `format` has the bytes and does no input or output; `segment` is one file, `store` those of one
//! signal, `root` the directory of all signals, which one exporter owns.

mod contents;
mod format;
mod root;
mod segment;
mod store;

pub use contents::QueueContents;
pub(crate) use root::Root;
pub use root::{DiskQueue, DiskQueueError};
pub(crate) use store::{Origin, Read, Recovered, Refusal, Store, Unsynced};

#[cfg(test)]
#[path = "disk/store_tests.rs"]
mod tests;
