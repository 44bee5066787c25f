//! What the exit status says. It is part of the interface.

/// The command line, an input or an output is at fault; a line on standard error
/// says which. Nothing was written. It is also what clap exits with.
pub(crate) const BAD_INPUT: u8 = 2;

/// `queue drain`: the backend did not take everything; standard error says what became of the rest.
pub(crate) const NOT_DELIVERED: u8 = 3;

/// The guest trapped: the status of a native program that calls `abort` (128 + SIGABRT),
/// as the `wasmtime` command has it.
pub(crate) const TRAP: u8 = 134;

/// The user stopped the guest (128 + SIGINT).
pub(crate) const INTERRUPTED: u8 = 130;

/// Whoever reads the standard output stopped reading (128 + SIGPIPE).
pub(crate) const BROKEN_PIPE: u8 = 141;

/// For the end of the help.
pub(crate) const HELP: &str = "\
Exit status:
  0    success; `run` gives the guest's own status instead
  2    the command line, an input or an output is at fault, and nothing was written
  3    `queue drain`: the backend did not take everything
  130  `run`: the guest was stopped, as by Ctrl-C
  134  `run`: the guest trapped
  141  whoever read the standard output went away";
