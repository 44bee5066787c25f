//! pprof's format, by [`profile.proto`].
//!
//! [`profile.proto`]: https://github.com/google/pprof/blob/main/proto/profile.proto

use std::collections::HashMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Profile, Weight};
use crate::otlp::proto::{put_head, put_message, put_uint, put_varint, varint_len};

/// `Profile.sample_type`.
const SAMPLE_TYPE: u8 = 1;
/// `Profile.sample`.
const SAMPLE: u8 = 2;
/// `Profile.location`.
const LOCATION: u8 = 4;
/// `Profile.function`.
const FUNCTION: u8 = 5;
/// `Profile.string_table`.
const STRING_TABLE: u8 = 6;

/// The strings that each profile has: the first must be empty. Then the types of what is told,
/// with their units.
const STRINGS: [&str; 5] = ["", "calls", "count", "time", "nanoseconds"];

impl Profile {
    /// The profile as `pprof` and its like read it: compressed with gzip, with two values for each
    /// path, `calls` and `time`.
    pub fn to_pprof(&self) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        // A vector takes all that it is given.
        let _ = gzip.write_all(&self.to_uncompressed_pprof());
        gzip.finish().unwrap_or_default()
    }

    fn to_uncompressed_pprof(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, unit) in [(1, 2), (3, 4)] {
            put_message(&mut out, SAMPLE_TYPE, |out| {
                put_uint(out, 1, kind);
                put_uint(out, 2, unit);
            });
        }
        let paths = self.paths();
        let (mut names, mut ids) = (Vec::new(), HashMap::new());
        for (calls, weight) in &paths {
            let path: Vec<u64> = calls
                .iter()
                .map(|name| {
                    *ids.entry(*name).or_insert_with(|| {
                        names.push(*name);
                        // Zero stands for none.
                        names.len() as u64
                    })
                })
                .collect();
            let Weight { calls, self_nanos } = *weight;
            put_message(&mut out, SAMPLE, |out| {
                // The innermost first.
                put_packed(out, 1, path.into_iter().rev());
                // Values are signed.
                let signed = |value: u64| value.min(i64::MAX as u64);
                put_packed(out, 2, [signed(calls), signed(self_nanos)].into_iter());
            });
        }
        let numbered = || (1_u64..).zip(&names);
        for (id, _) in numbered() {
            put_message(&mut out, LOCATION, |out| {
                put_uint(out, 1, id);
                // `Location.line`, `Line.function_id`.
                put_message(out, 4, |out| put_uint(out, 1, id));
            });
        }
        for (id, _) in numbered() {
            put_message(&mut out, FUNCTION, |out| {
                put_uint(out, 1, id);
                // `Function.name` and `Function.system_name`.
                let name = id + STRINGS.len() as u64 - 1;
                put_uint(out, 2, name);
                put_uint(out, 3, name);
            });
        }
        for text in STRINGS.iter().chain(&names) {
            put_head(&mut out, STRING_TABLE, text.len());
            out.extend_from_slice(text.as_bytes());
        }
        out
    }
}

/// A list of integers.
fn put_packed(out: &mut Vec<u8>, field: u8, items: impl Iterator<Item = u64> + Clone) {
    put_head(out, field, items.clone().map(varint_len).sum());
    items.for_each(|item| put_varint(out, item));
}
