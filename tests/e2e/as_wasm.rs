//! The instrumenter itself as Wasm: in the sandbox, too, the same bytes come out.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{cache, example, output, repository, stderr};
use observe_instrumenter::{Module, Plan, Selection};
use wasmtime::{Engine, Linker, Store};
use wasmtime_wasi::p1;
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::{I32Exit, WasiCtxBuilder};

/// Builds `tests/wasm-instrumenter`, where cargo keeps what tests make.
fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wasm-instrumenter");
    let manifest = repository().join("tests/wasm-instrumenter/Cargo.toml");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--release", "--target", "wasm32-wasip1"]);
    cargo.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(&target);
    // What is set for this machine's code is nothing to Wasm's.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let built = output(&mut cargo, b"");
    assert!(built.status.success(), "{}", stderr(&built));
    target.join("wasm32-wasip1/release/wasm-instrumenter.wasm")
}

/// What the program gave for a module: its exit status, and both outputs.
fn run(program: &wasmtime::Module, options: &[&str], wasm: &[u8]) -> (i32, Vec<u8>, String) {
    let mut linker = Linker::new(program.engine());
    p1::add_to_linker_sync(&mut linker, |wasi| wasi).expect("WASI");
    let (stdout, stderr) = (MemoryOutputPipe::new(64 << 20), MemoryOutputPipe::new(1 << 20));
    let mut wasi = WasiCtxBuilder::new();
    wasi.arg("wasm-instrumenter").args(options);
    wasi.stdin(MemoryInputPipe::new(wasm.to_vec())).stdout(stdout.clone()).stderr(stderr.clone());
    let mut store = Store::new(program.engine(), wasi.build_p1());
    let instance = linker.instantiate(&mut store, program).expect("it links");
    let start = instance.get_typed_func::<(), ()>(&mut store, "_start").expect("a command");
    let exit = match start.call(&mut store, ()) {
        Ok(()) => 0,
        Err(error) => error.downcast_ref::<I32Exit>().unwrap_or_else(|| panic!("{error:?}")).0,
    };
    (exit, stdout.contents().to_vec(), String::from_utf8_lossy(&stderr.contents()).into_owned())
}

#[test]
fn the_same_bytes_come_out_of_the_sandbox() {
    let engine = Engine::default();
    let program = wasmtime::Module::from_file(&engine, build()).expect("it compiles");
    let examples = ["annotated.wasm", "compute.wasm", "vowels.wasm", "vowels-c.wasm"].map(example);
    // With AssemblyScript's source map, and with DWARF and more functions than globals.
    let corpus = ["as-sha256.wasm", "zig-fmt.wasm", "gofmt-tinygo.wasm"];
    let corpus = corpus.map(|file| cache().join("corpus").join(file));
    for path in examples.iter().chain(&corpus) {
        let wasm = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for (options, selection) in
            [(&["--all"][..], Selection::all().allocations(true)), (&[], Selection::default())]
        {
            let module = Module::parse(&wasm).expect("a module");
            let here = Plan::new(&module, &selection).apply(&module).expect("it can be");
            let (exit, there, said) = run(&program, options, &wasm);
            assert_eq!(exit, 0, "{}: {said}", path.display());
            assert!(there == here.wasm, "{} {options:?} differs", path.display());
            let warnings = here.warnings.iter().map(|warning| format!("{warning}\n"));
            assert_eq!(said, warnings.collect::<String>(), "{}", path.display());
        }
    }
    let (exit, there, said) = run(&program, &[], b"no module");
    assert_eq!((exit, there.len()), (1, 0));
    assert!(said.contains("NotWasm"), "{said}");
}
