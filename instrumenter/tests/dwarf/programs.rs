//! Programs that compilers make, and what LLVM's checker says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cache;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dwarf/programs");

/// A file that is not there yet.
fn fresh(extension: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("dwarf-{}-{number}.{extension}", std::process::id());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Runs a compiler that writes to the file it is given.
fn compile(program: &str, run: impl FnOnce(&mut Command, &Path)) -> Vec<u8> {
    let out = fresh("wasm");
    let mut command = Command::new(program);
    // Compilers may leave files where they run.
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    run(command.stdin(Stdio::null()).stderr(Stdio::piped()), &out);
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}: run tests/setup"));
    let wasm = std::fs::read(&out);
    let _ = std::fs::remove_file(&out);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaint}");
    wasm.expect("the compiler's output")
}

pub(crate) fn c(arguments: &[&str]) -> Vec<u8> {
    compile("clang", |command, out| {
        command.args(["--target=wasm32-wasi", "-ffunction-sections"]).args(arguments);
        command.arg("-o").arg(out);
        command.args(["main.c", "parts.c"].map(|file| format!("{SOURCES}/{file}")));
    })
}

pub(crate) fn c64(arguments: &[&str]) -> Vec<u8> {
    compile("clang", |command, out| {
        command.args(["--target=wasm64", "-nostdlib", "-Wl,-mwasm64,--no-entry,--export-all"]);
        command.arg("-Wl,--allow-undefined").args(arguments);
        command.arg("-o").arg(out).arg(format!("{SOURCES}/freestanding.c"));
    })
}

pub(crate) fn rust(arguments: &[&str]) -> Vec<u8> {
    compile("rustc", |command, out| {
        command.args(["--target=wasm32-wasip1", "--edition=2024", "-Cdebuginfo=2"]);
        command.args(arguments).arg("-o").arg(out).arg(format!("{SOURCES}/main.rs"));
    })
}

pub(crate) fn zig(arguments: &[&str]) -> Vec<u8> {
    let python = cache().join("venv/bin/python");
    compile(&python.to_string_lossy(), |command, out| {
        command
            .args(["-m", "ziglang", "build-exe", "-target", "wasm32-wasi", "-fno-strip"])
            .args(arguments);
        for folder in ["ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"] {
            command.env(folder, cache().join("zig"));
        }
        command.arg(format!("-femit-bin={}", out.display())).arg(format!("{SOURCES}/main.zig"));
    })
}

/// Whether `llvm-dwarfdump --verify` finds nothing in the new module that it did not
/// find in the old one.
pub(crate) fn verify(name: &str, old: &[u8], new: &[u8]) {
    let (old, new) = (complaints(old), complaints(new));
    println!("{name}: llvm-dwarfdump --verify finds {} before", old.values().sum::<usize>());
    assert_eq!(old, new, "{name}: llvm-dwarfdump --verify");
}

/// What `llvm-dwarfdump --verify` complains of, and how often.
fn complaints(wasm: &[u8]) -> BTreeMap<String, usize> {
    let file = fresh("wasm");
    std::fs::write(&file, wasm).expect("can be written");
    let output = Command::new("llvm-dwarfdump").arg("--verify").arg(&file).output();
    let _ = std::fs::remove_file(&file);
    let output = output.expect("llvm-dwarfdump is there, or tests/setup brings it");
    let mut complaints = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if line.starts_with("error:") || line.starts_with("warning:") {
            // Without the addresses, which differ.
            let words = line.split_whitespace().filter(|word| !word.contains("0x"));
            *complaints.entry(words.collect::<Vec<_>>().join(" ")).or_default() += 1;
        }
    }
    complaints
}
