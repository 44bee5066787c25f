//! Writes what the targets begin with to `corpus`: the modules of `examples` and of the
//! instrumenter's tests, instrumented too, their function maps and their names.
//! Usage: `cargo run --release --example seeds`

use std::error::Error;
use std::fs;
use std::path::Path;

use observe_instrumenter::{FuncIndex, Module, Plan, Selection};

fn main() -> Result<(), Box<dyn Error>> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR"));
    for target in ["module", "function_map", "name"] {
        fs::create_dir_all(fuzz.join("corpus").join(target))?;
    }
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::write(fuzz.join("corpus").join(target).join(name), bytes)
    };
    for folder in ["../examples", "../instrumenter/tests/rewrite"] {
        for entry in fs::read_dir(fuzz.join(folder))? {
            let path = entry?.path();
            if !path.extension().is_some_and(|extension| extension == "wasm" || extension == "wat")
            {
                continue;
            }
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let wasm = wat::parse_file(&path)?;
            let module = Module::parse(&wasm)?;
            let plan = Plan::new(&module, &Selection::all());
            write("module", &stem, &wasm)?;
            write("function_map", &stem, &plan.apply(&module)?.wasm)?;
            write("function_map", &format!("{stem}-map"), &plan.function_map(&module).encode())?;
            for function in plan.hooked() {
                let FuncIndex(index) = function.index;
                if let Some(name) = module.raw_name(function.index) {
                    write("name", &format!("{stem}-{index}"), name.as_bytes())?;
                }
            }
        }
    }
    for (n, name) in [
        "_ZNSt6vectorIiSaIiEE9push_backERKi",
        "_ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEE6appendEPKcm",
        "_ZNKRSt8optionalISt17basic_string_viewIcSt11char_traitsIcEEE5valueEv",
        "_ZZN3foo3barEvENKUlvE_clEv",
        "_ZGVZ1fvE1x",
        "_ZTVN10__cxxabiv120__si_class_type_infoE",
    ]
    .iter()
    .enumerate()
    {
        write("name", &format!("cpp-{n}"), name.as_bytes())?;
    }
    Ok(())
}
