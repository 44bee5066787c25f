//! One file for each subcommand.

mod coverage;
pub(crate) mod inspect;
pub(crate) mod instrument;
pub(crate) mod queue;
pub(crate) mod run;
mod select;
