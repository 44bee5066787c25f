//! What others do, and the least that could be done.

pub mod floor;
pub mod guest_profiler;
pub mod observe_sdk;
