//! A bar while a large module compiles.

use std::any::Any;
use std::time::Duration;

use cranelift_codegen::timing::{Pass, Profiler, set_thread_profiler};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long a compilation takes before it gets a bar.
const PATIENCE: Duration = Duration::from_millis(500);

/// Shows how many functions of a module are compiled.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar for so many functions, or one without an end where their number is not
    /// known, on standard error, if that is a terminal.
    ///
    /// Compilation must happen on rayon's threads, which it does in wasmtime, and no
    /// earlier than this.
    pub(crate) fn start(what: &str, functions: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(functions, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template(
            "{spinner} {prefix} [{bar:30}] {human_pos}/{human_len} functions, {elapsed}",
        );
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(format!("compiling {what}"));
        let counted = bar.clone();
        // If somebody built the pool before us there is no bar, which harms nothing.
        let _ = rayon::ThreadPoolBuilder::new()
            .start_handler(move |_| {
                set_thread_profiler(Box::new(Counter(counted.clone())));
            })
            .build_global();
        let shown = bar.clone();
        std::thread::spawn(move || {
            std::thread::sleep(PATIENCE);
            if !shown.is_finished() {
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(Duration::from_millis(100));
            }
        });
        Progress(bar)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Counts the functions that Cranelift begins to compile on one thread.
struct Counter(ProgressBar);

impl Profiler for Counter {
    fn start_pass(&self, pass: Pass) -> Box<dyn Any> {
        if pass == Pass::wasm_translate_function {
            self.0.inc(1);
        }
        // A unit takes no allocation.
        Box::new(())
    }
}
