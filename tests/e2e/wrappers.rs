//! Spans through wrappers that no compiler inlined end where the author ended them.

use crate::harness::{here, observe, output, repository, stderr};

/// The tree as it is shown: each span with its depth.
fn tree(shown: &str) -> Vec<(usize, &str)> {
    let spans = shown.lines().filter_map(|line| {
        let (before, name) = line.split_once("─ ")?;
        Some((before.chars().count(), name))
    });
    let spans: Vec<_> = spans.collect();
    let least = spans.iter().map(|(at, _)| *at).min().unwrap_or_default();
    spans.into_iter().map(|(at, name)| ((at - least) / 3, name)).collect()
}

#[test]
fn wrappers_need_not_be_inlined() {
    let dir = tempfile::tempdir().expect("a folder");
    for level in ["-O0", "-O2"] {
        let wasm = dir.path().join("guest.wasm");
        let mut clang = here("clang");
        clang.args(["--target=wasm32", "-std=c11", level, "-nostdlib", "-Wl,--no-entry"]);
        clang.arg("-I").arg(repository().join("guest-sdk/c")).arg("-o").arg(&wasm);
        let built = output(clang.arg("tests/e2e/wrappers/main.c"), b"");
        assert!(built.status.success(), "{}", stderr(&built));

        let mut run = observe();
        run.arg("run").arg(&wasm).args(["--all", "--min-duration", "0"]);
        let ran = output(run.args(["--invoke", "checkout", "1000"]), b"");
        assert!(ran.status.success(), "{}", stderr(&ran));
        let shown = stderr(&ran);
        let spans = tree(&shown);
        let expected = [
            (0, "instantiate"),
            (0, "checkout"),
            (1, "wrapped"),
            (2, "wrapped twice"),
            (3, "work"),
            (1, "guarded"),
            (2, "guarded by another"),
            (3, "work"),
            (1, "forgetful"),
            (2, "left open"),
            (1, "work"),
        ];
        assert_eq!(spans, expected, "{level}: {shown}");
        assert!(shown.contains("4 that begin or end a span for their callers"), "{shown}");
        assert!(!shown.contains("exits of no open call"), "{shown}");
    }
}
