//! What guests import to measure.

use observe_abi::guest;
use observe_collector::event::Number;
use wasmtime::{Caller, WasmTy};

use super::{Imports, with_memory};
use crate::Error;
use crate::recorder::{Inner, Recorder};
use crate::records::{Records, bytes};

/// Adds the instruments to the import module of annotations.
pub(super) fn add<T: 'static>(
    imports: &mut Imports<'_, T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
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
            let instrument = |inner: &mut Inner, memory: &[u8]| {
                inner.instrument(kind, texts.map(|(at, len)| bytes(memory, at.into(), len)))
            };
            with_memory(&mut caller, recorder, instrument).unwrap_or(0)
        },
    )?;
    add_record(imports, guest::RECORD_I64, Number::Int, recorder)?;
    add_record(imports, guest::RECORD_F64, Number::Double, recorder)
}

/// Adds what records measurements of one type.
fn add_record<T: 'static, V: WasmTy>(
    imports: &mut Imports<'_, T>,
    name: &str,
    number: impl Fn(V) -> Number + Copy + Send + Sync + 'static,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    imports.add(
        name,
        move |mut caller: Caller<'_, T>, instrument: i32, value: V, at: u32, count: u32| {
            let value = number(value);
            if count > 0 {
                with_memory(&mut caller, recorder, |inner, memory| {
                    inner.record(instrument, value, &Records::at(memory, at, count));
                });
                return;
            }
            if let Some(inner) = recorder(caller.data_mut()).inner()
                && !inner.instruments.record_quickly(instrument, value)
            {
                inner.record(instrument, value, &Records::NONE);
            }
        },
    )
}
