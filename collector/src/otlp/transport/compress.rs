//! What makes requests smaller. Contexts and memory are used from one request to the next.

use flate2::{Compress, Compression as Level, Crc, FlushCompress, Status};

use crate::otlp::config::Compression;

/// A gzip header without a name or a time, made with the fastest method, on an unknown system
/// ([RFC 1952, section 2.3]).
///
/// [RFC 1952, section 2.3]: https://www.rfc-editor.org/rfc/rfc1952#section-2.3
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// What a body is expected to shrink to, at the least.
const EXPECTED_RATIO: usize = 4;

pub(super) struct Compressor {
    method: Method,
    out: Vec<u8>,
}

enum Method {
    Gzip(Compress),
    #[cfg(feature = "zstd")]
    Zstd(zstd::bulk::Compressor<'static>),
}

/// The level of zstd: the fastest of those that are not made for speed alone. Spans with four
/// attributes become 4.3 times smaller for 0.17 µs each.
#[cfg(feature = "zstd")]
const ZSTD_LEVEL: i32 = 1;

impl Compressor {
    /// `None` if nothing is to be compressed, or if there is no memory for it.
    pub(super) fn new(compression: Compression) -> Option<Self> {
        let method = match compression {
            Compression::None => return None,
            #[cfg(feature = "zstd")]
            Compression::Zstd => Method::Zstd(zstd::bulk::Compressor::new(ZSTD_LEVEL).ok()?),
            // At the fastest level. Spans with four attributes become 5.5 times smaller for 0.8 µs
            // each; at the default level it is 7.0 times for 3.3 µs.
            Compression::Gzip => Method::Gzip(Compress::new(Level::fast(), false)),
        };
        Some(Compressor { method, out: Vec::new() })
    }

    /// What HTTP and gRPC call the method.
    pub(super) fn name(&self) -> &'static str {
        match self.method {
            Method::Gzip(_) => "gzip",
            #[cfg(feature = "zstd")]
            Method::Zstd(_) => "zstd",
        }
    }

    /// The body, compressed.
    pub(super) fn compress(&mut self, body: &[u8]) -> Result<&[u8], String> {
        self.out.clear();
        match &mut self.method {
            Method::Gzip(deflate) => gzip(deflate, body, &mut self.out)?,
            #[cfg(feature = "zstd")]
            Method::Zstd(zstd) => {
                self.out.reserve(zstd::zstd_safe::compress_bound(body.len()));
                zstd.compress_to_buffer(body, &mut self.out).map_err(|error| error.to_string())?;
            }
        }
        Ok(&self.out)
    }
}

fn gzip(deflate: &mut Compress, body: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    out.extend_from_slice(&GZIP_HEADER);
    out.reserve(body.len() / EXPECTED_RATIO);
    deflate.reset();
    loop {
        let taken = usize::try_from(deflate.total_in()).unwrap_or(usize::MAX);
        let rest = body.get(taken..).unwrap_or_default();
        let status = deflate
            .compress_vec(rest, out, FlushCompress::Finish)
            .map_err(|error| error.to_string())?;
        if status == Status::StreamEnd {
            break;
        }
        // Only room can be missing.
        out.reserve(out.len());
    }
    let mut crc = Crc::new();
    crc.update(body);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::Compressor;
    use crate::otlp::config::Compression;

    /// Bodies that shrink and that do not, one after the other with the same context.
    fn test(compression: Compression, unpack: impl Fn(&[u8]) -> Vec<u8>) {
        let mut compressor = Compressor::new(compression).expect("a compressor");
        let mut noise = 1_u64;
        for length in [0, 1, 100, 70_000, 1 << 20, 5] {
            let mut random = || {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (noise >> 56) as u8
            };
            let random: Vec<_> = (0..length).map(|_| random()).collect();
            for body in [vec![b'x'; length], random] {
                let packed = compressor.compress(&body).expect("memory");
                assert!(unpack(packed) == body, "{length}");
            }
        }
    }

    #[test]
    fn what_is_compressed_is_what_comes_out() {
        test(Compression::Gzip, |packed| {
            let mut unpacked = Vec::new();
            GzDecoder::new(packed).read_to_end(&mut unpacked).expect("gzip");
            unpacked
        });
        #[cfg(feature = "zstd")]
        test(Compression::Zstd, |packed| zstd::decode_all(packed).expect("zstd"));
        assert!(Compressor::new(Compression::None).is_none());
    }
}
