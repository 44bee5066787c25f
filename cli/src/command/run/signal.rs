//! Ctrl-C: the guest ends, and what it did until then is shown.

use std::process;

use observe_host::Interrupter;

use crate::exit_code;
use crate::view::text::say;

/// Has the first signal to end (SIGINT, SIGTERM, SIGHUP) stop the guest, and the second
/// this process.
pub(super) fn stop_on_signal(interrupter: Interrupter) {
    // Without a handler a signal ends the process, which is no reason not to run.
    let _ = ctrlc::set_handler(move || {
        if interrupter.is_interrupted() {
            process::exit(exit_code::INTERRUPTED.into());
        }
        interrupter.interrupt();
        say("observe: stopping the guest at its next call; once more to leave at once\n");
    });
}
