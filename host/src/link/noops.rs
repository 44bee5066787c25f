//! Functions that do nothing, for guests of an observer that is disabled.

use observe_abi::{dylibso, guest, hooks};
use wasmtime::Linker;

use super::{Imports, NOTHING};
use crate::Error;

pub(super) fn add<T: 'static>(linker: &mut Linker<T>) -> Result<(), Error> {
    let mut imports = Imports::new(linker, hooks::MODULE);
    imports.add(hooks::ENTER, |_id: u32| NOTHING)?;
    imports.add(hooks::EXIT, |_token: i32| {})?;
    imports.add(hooks::UNWIND, |_token: i32| {})?;
    imports.add(hooks::MEMORY_GROW, |_: u32, _: u32, _: i64| {})?;
    imports.add(hooks::TABLE_GROW, |_: u32, _: u32, _: i64| {})?;
    imports.add(hooks::ALLOCATION, |_: u64, _: u64, _: u64| {})?;

    let mut imports = Imports::new(linker, guest::v1::MODULE);
    imports.add(guest::v1::SPAN_BEGIN, |_name: u32, _len: u32| 0)?;
    imports.add(guest::v1::SPAN_END, |_token: i32| {})?;

    let mut imports = Imports::new(linker, guest::MODULE);
    imports.add(guest::INTEREST, || guest::interest::ANSWERED)?;
    imports.add(guest::SPAN_BEGIN, |_: u32, _: u32, _: u32, _: u32, _: u32| 0)?;
    imports.add(guest::SPAN_END, |_: i32| {})?;
    imports.add(guest::SPAN_OPEN, |_: i32, _: u32, _: u32, _: u32, _: u32, _: u32| 0)?;
    imports.add(guest::SPAN_ENTER, |_: i32| {})?;
    imports.add(guest::SPAN_EXIT, |_: i32| {})?;
    imports.add(guest::SPAN_CLOSE, |_: i32| {})?;
    imports.add(guest::SPAN_ATTRIBUTES, |_: i32, _: u32, _: u32| {})?;
    imports.add(guest::SPAN_EVENT, |_: i32, _: u32, _: u32, _: u32, _: u32| {})?;
    imports.add(guest::SPAN_STATUS, |_: i32, _: i32, _: u32, _: u32| {})?;
    imports.add(guest::SPAN_LINK, |_: i32, _: u32, _: u32, _: u32, _: u32| {})?;
    imports.add(guest::LOG, |_: i32, _: i32, _: u32, _: u32, _: u32, _: u32| {})?;
    imports.add(guest::INSTRUMENT, |_: i32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32| 0)?;
    imports.add(guest::RECORD_I64, |_: i32, _: i64, _: u32, _: u32| {})?;
    imports.add(guest::RECORD_F64, |_: i32, _: f64, _: u32, _: u32| {})?;
    imports.add(guest::CONTEXT, |_: u32, _: u32| 0)?;
    imports.add(guest::BAGGAGE, |_: u32, _: u32| 0)?;
    imports.add(guest::SUBMIT, |_: u32, _: u32| {})?;

    let mut imports = Imports::new(linker, dylibso::MODULE);
    for name in [dylibso::ENTER, dylibso::EXIT, dylibso::MEMORY_GROW] {
        imports.add(name, |_: u32| {})?;
    }
    let mut imports = Imports::new(linker, dylibso::API_MODULE);
    imports.add(dylibso::SPAN_ENTER, |_name: u32, _len: u32| {})?;
    imports.add(dylibso::SPAN_EXIT, || {})?;
    imports.add(dylibso::SPAN_TAGS, |_tags: u32, _len: u32| {})?;
    imports.add(dylibso::METRIC, |_format: u32, _text: u32, _len: u32| {})?;
    imports.add(dylibso::LOG, |_level: u32, _text: u32, _len: u32| {})?;

    let mut imports = Imports::new(linker, dylibso::OLD_MODULE);
    for name in dylibso::OLD_HOOKS {
        imports.add(name, |_: u32| {})?;
    }
    let [span_enter, span_exit, span_tags, metric, log] = dylibso::OLD_API;
    imports.add(span_enter, |_name: u64, _len: u32| {})?;
    imports.add(span_exit, || {})?;
    imports.add(span_tags, |_tags: u64, _len: u32| {})?;
    imports.add(metric, |_format: u32, _text: u64, _len: u32| {})?;
    imports.add(log, |_level: u32, _text: u64, _len: u32| {})
}
