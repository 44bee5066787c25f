//! What guests import to measure.

use observe_abi::guest;
use observe_collector::event::Number;
use wasmtime::{Caller, WasmTy};

use super::{Imports, say};
use crate::Error;
use crate::recorder::Recorder;
use crate::records::{Records, bytes};
use crate::strict::Import;

/// Adds the instruments to the import module of annotations.
pub(super) fn add<T: 'static>(
    imports: &mut Imports<'_, T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    let import = Import(guest::MODULE, guest::INSTRUMENT);
    imports.add(
        guest::INSTRUMENT,
        move |mut caller: Caller<'_, T>,
              kind: i32,
              name: u32,
              name_len: u32,
              unit: u32,
              unit_len: u32,
              description: u32,
              description_len: u32| {
            let texts = [(name, name_len), (unit, unit_len), (description, description_len)];
            say(&mut caller, recorder, import, |inner, memory| {
                inner.instrument(kind, texts.map(|(at, len)| bytes(memory, at.into(), len)))
            })
        },
    )?;
    add_record(imports, guest::RECORD_I64, Number::Int, recorder)?;
    add_record(imports, guest::RECORD_F64, Number::Double, recorder)
}

/// Adds what records measurements of one type.
fn add_record<T: 'static, V: WasmTy>(
    imports: &mut Imports<'_, T>,
    name: &'static str,
    number: impl Fn(V) -> Number + Copy + Send + Sync + 'static,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    let import = Import(guest::MODULE, name);
    imports.add(
        name,
        move |mut caller: Caller<'_, T>, instrument: i32, value: V, at: u32, count: u32| {
            let value = number(value);
            if count > 0 {
                return say(&mut caller, recorder, import, |inner, memory| {
                    inner.measure(instrument, value, &Records::at(memory, at, count));
                });
            }
            match recorder(caller.data_mut()).inner() {
                Some(inner) if !inner.instruments.record_quickly(instrument, value) => {
                    inner.strictly(import, |inner| inner.measure(instrument, value, &Records::NONE))
                }
                _ => Ok(()),
            }
        },
    )
}
