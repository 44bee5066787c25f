//! A host that writes down what a guest tells it, by the contract and nothing else.

use std::fmt::Write;

use observe_abi::guest::{self, attribute};
use wasmtime::{Caller, Engine, Extern, FuncType, Linker, Module, Store, Val, ValType};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p1::{self, WasiP1Ctx};

/// What the host says of its interest when it wants everything.
pub(super) const EVERYTHING: u32 = guest::interest::ANSWERED
    | guest::interest::SPANS
    | guest::interest::LOGS
    | guest::interest::METRICS;

/// What `context` gives.
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";

/// What is taken, in letters: a *n*umber, a *l*ong one, a *d*ouble, a *t*ext, *a*ttributes, a *b*uffer.
/// The functions that give something have a `>` at the end.
const SHAPES: [(&str, &str); 17] = [
    (guest::INTEREST, ">"),
    (guest::SPAN_BEGIN, "nta>"),
    (guest::SPAN_END, "n"),
    (guest::SPAN_OPEN, "nnta>"),
    (guest::SPAN_ENTER, "n"),
    (guest::SPAN_EXIT, "n"),
    (guest::SPAN_CLOSE, "n"),
    (guest::SPAN_ATTRIBUTES, "na"),
    (guest::SPAN_EVENT, "nta"),
    (guest::SPAN_STATUS, "nnt"),
    (guest::SPAN_LINK, "nta"),
    (guest::LOG, "nnta"),
    (guest::INSTRUMENT, "nttt>"),
    (guest::RECORD_I64, "nla"),
    (guest::RECORD_F64, "nda"),
    (guest::CONTEXT, "b>"),
    (guest::BAGGAGE, "b>"),
];

struct State {
    wasi: WasiP1Ctx,
    calls: Vec<String>,
    interest: u32,
    given: i32,
}

/// What a guest told, and the error that it ended with.
pub(super) struct Told {
    pub(super) calls: Vec<String>,
    pub(super) error: Option<String>,
}

/// The core type of an import of the contract.
pub(super) fn core_type(engine: &Engine, name: &str) -> Option<FuncType> {
    let (_, shape) = SHAPES.iter().find(|(of, _)| *of == name)?;
    let params = shape.chars().flat_map(|letter| match letter {
        'n' => vec![ValType::I32],
        'l' => vec![ValType::I64],
        'd' => vec![ValType::F64],
        't' | 'a' | 'b' => vec![ValType::I32, ValType::I32],
        _ => Vec::new(),
    });
    let results = shape.ends_with('>').then_some(ValType::I32);
    Some(FuncType::new(engine, params, results))
}

/// Calls an exported function of a guest with numbers.
pub(super) fn told(module: &[u8], invoke: &str, arguments: &[i32], interest: u32) -> Told {
    let engine = Engine::default();
    let module = Module::new(&engine, module).expect("a valid module");
    let mut linker = Linker::new(&engine);
    p1::add_to_linker_sync(&mut linker, |state: &mut State| &mut state.wasi).expect("WASI");
    for (name, shape) in SHAPES {
        let ty = core_type(&engine, name).expect("it has a shape");
        let call = move |mut caller: Caller<'_, State>, params: &[Val], results: &mut [Val]| {
            call(&mut caller, (name, shape), params, results);
            Ok(())
        };
        linker.func_new(guest::MODULE, name, ty, call).expect("once");
    }
    let state =
        State { wasi: WasiCtxBuilder::new().build_p1(), calls: Vec::new(), interest, given: 0 };
    let mut store = Store::new(&engine, state);
    let instance = linker.instantiate(&mut store, &module).expect("all of it is there");
    let function = instance.get_func(&mut store, invoke).expect("it is exported");
    let params: Vec<Val> = arguments.iter().copied().map(Val::I32).collect();
    let mut results = vec![Val::I32(0); function.ty(&store).results().len()];
    let error = function.call(&mut store, &params, &mut results).err();
    Told { calls: store.into_data().calls, error: error.map(|error| format!("{error:#}")) }
}

fn call(caller: &mut Caller<'_, State>, of: (&str, &str), params: &[Val], results: &mut [Val]) {
    let (name, shape) = of;
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        panic!("the memory is exported");
    };
    let (memory, state) = memory.data_and_store_mut(&mut *caller);
    let mut line = name.to_owned();
    let mut params = params.iter();
    let mut next = || params.next().expect("as many as the shape says");
    let mut buffer = 0..0;
    for letter in shape.chars().filter(|letter| *letter != '>') {
        let value = next();
        let mut length = || next().unwrap_i32().cast_unsigned();
        line += &match letter {
            'n' => format!(" {}", value.unwrap_i32()),
            'l' => format!(" {}", value.unwrap_i64()),
            'd' => format!(" {:?}", value.unwrap_f64()),
            't' => format!(" {:?}", text(memory, value.unwrap_i32().cast_unsigned(), length())),
            'a' => attributes(memory, value.unwrap_i32().cast_unsigned(), length()),
            _ => {
                let start = value.unwrap_i32().cast_unsigned() as usize;
                buffer = start..start + length() as usize;
                String::new()
            }
        };
    }
    if let Some(result) = results.first_mut() {
        *result = Val::I32(match name {
            guest::INTEREST => state.interest.cast_signed(),
            guest::CONTEXT => write(&mut memory[buffer], TRACEPARENT),
            guest::BAGGAGE => write(&mut memory[buffer], &baggage()),
            guest::SPAN_BEGIN => {
                state.given += 1;
                -state.given
            }
            _ => {
                state.given += 1;
                state.given
            }
        });
    }
    state.calls.push(line);
}

/// What `baggage` gives: more than one would expect.
pub(super) fn baggage() -> String {
    format!("of={}", "x".repeat(1000))
}

fn write(buffer: &mut [u8], text: &str) -> i32 {
    if let Some(place) = buffer.get_mut(..text.len()) {
        place.copy_from_slice(text.as_bytes());
    }
    i32::try_from(text.len()).expect("a short text")
}

fn bytes(memory: &[u8], start: u32, length: u32) -> &[u8] {
    &memory[start as usize..][..length as usize]
}

fn text(memory: &[u8], start: u32, length: u32) -> &str {
    std::str::from_utf8(bytes(memory, start, length)).expect("UTF-8")
}

fn number<const N: usize>(memory: &[u8], start: u32) -> [u8; N] {
    *bytes(memory, start, N as u32).first_chunk().expect("so many")
}

fn attributes(memory: &[u8], start: u32, count: u32) -> String {
    let mut line = String::new();
    for place in (0..count).map(|at| start + at * attribute::SIZE as u32) {
        let word = |offset| u32::from_le_bytes(number(memory, place + offset));
        let key = text(memory, word(0), word(4));
        write!(line, " {key}={}", value(memory, place)).expect("memory");
    }
    line
}

fn value(memory: &[u8], record: u32) -> String {
    let word = |place| u32::from_le_bytes(number(memory, place));
    let long = |place| i64::from_le_bytes(number(memory, place));
    let double = |place| f64::from_le_bytes(number(memory, place));
    let (length, start) = (word(record + 12), word(record + 16));
    let elements = |size| (0..length).map(move |at| start + at * size);
    match word(record + 8) {
        attribute::STRING => format!("{:?}", text(memory, start, length)),
        attribute::BOOL => (long(record + 16) != 0).to_string(),
        attribute::I64 => long(record + 16).to_string(),
        attribute::F64 => format!("{:?}", double(record + 16)),
        attribute::BYTES => format!("bytes {:?}", bytes(memory, start, length)),
        attribute::STRINGS => {
            let texts = elements(8).map(|place| text(memory, word(place), word(place + 4)));
            format!("{:?}", texts.collect::<Vec<_>>())
        }
        attribute::BOOLS => {
            format!(
                "{:?}",
                bytes(memory, start, length).iter().map(|b| *b != 0).collect::<Vec<_>>()
            )
        }
        attribute::I64S => format!("{:?}", elements(8).map(long).collect::<Vec<_>>()),
        attribute::F64S => format!("{:?}", elements(8).map(double).collect::<Vec<_>>()),
        other => panic!("no type {other}"),
    }
}
