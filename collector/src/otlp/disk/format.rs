//! The bytes of a segment, without any input or output.
//!
//! A segment is a header and frames, one for each batch; beside it stands a file with a mark for
//! each batch that is settled. Numbers are little-endian, checksums CRC-32 (IEEE).
//!
//! | header, 32 bytes | |
//! |---|---|
//! | 0 | `OBSQUEUE` |
//! | 8 | version, 16 bits: 1 |
//! | 10 | signal, 8 bits: 1 traces, 2 logs, 3 metrics |
//! | 11 | what a body is, 8 bits: 1, an OTLP request as protobuf, not compressed |
//! | 12 | salt, 64 bits, random |
//! | 20 | when it was made, in seconds since 1970, 64 bits |
//! | 28 | checksum of what is before |
//!
//! | frame, 20 bytes and the body | |
//! |---|---|
//! | 0 | `BTCH` |
//! | 4 | length of the body, 32 bits |
//! | 8 | items in it, 32 bits |
//! | 12 | checksum of the body |
//! | 16 | checksum of the salt, the offset of the frame in the file, and what is before |
//!
//! | mark, 16 bytes | |
//! |---|---|
//! | 0 | `DONE` |
//! | 4 | offset in the segment up to which all is settled, 64 bits |
//! | 12 | checksum of the salt and what is before |
//!
//! The salt and the offset keep bytes that lay on the disk before, or that were moved there, from
//! being taken for a frame. Since the head of a frame has a checksum of its own, a damaged body
//! costs one batch, whose number of items is known.

use std::ops::Range;

use crate::stats::Signal;

pub(super) const HEADER: usize = 32;
pub(super) const HEAD: usize = 20;
pub(super) const MARK: usize = 16;

/// No body is larger. Batches have a few hundred kilobytes; one with a single enormous log
/// record may have as much as that record.
pub(super) const MAX_BODY: usize = 64 << 20;

const MAGIC: [u8; 8] = *b"OBSQUEUE";
const VERSION: u16 = 1;
const PROTOBUF: u8 = 1;
const FRAME: [u8; 4] = *b"BTCH";
const DONE: [u8; 4] = *b"DONE";

/// What stands at the beginning of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) signal: Signal,
    pub(super) salt: u64,
    /// Seconds since 1970.
    pub(super) created: u64,
}

/// Why a file is no segment that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    /// It ends too early, so nothing is in it.
    Short,
    /// A later release wrote it.
    Later,
    Damaged,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) len: u32,
    pub(super) items: u32,
    checksum: u32,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10] = signal_code(self.signal);
        bytes[11] = PROTOBUF;
        bytes[12..20].copy_from_slice(&self.salt.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.created.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        let bytes: &[u8; HEADER] = bytes.first_chunk().ok_or(BadHeader::Short)?;
        if bytes[..8] != MAGIC {
            return Err(BadHeader::Damaged);
        }
        if u32_at(bytes, 28) != crc32fast::hash(&bytes[..28]) {
            return Err(BadHeader::Damaged);
        }
        if u16::from_le_bytes([bytes[8], bytes[9]]) != VERSION || bytes[11] != PROTOBUF {
            return Err(BadHeader::Later);
        }
        let signal = Signal::ALL.into_iter().find(|signal| signal_code(*signal) == bytes[10]);
        Ok(Header {
            signal: signal.ok_or(BadHeader::Later)?,
            salt: u64_at(bytes, 12),
            created: u64_at(bytes, 20),
        })
    }
}

impl Head {
    /// `None` for what is too large for a frame.
    pub(super) fn of(body: &[u8], items: u64) -> Option<Self> {
        let len = u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX_BODY)?;
        Some(Head { len, items: u32::try_from(items).ok()?, checksum: crc32fast::hash(body) })
    }

    pub(super) fn encode(&self, salt: u64, offset: u64) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..4].copy_from_slice(&FRAME);
        bytes[4..8].copy_from_slice(&self.len.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.items.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.checksum.to_le_bytes());
        let checksum = salted(salt, offset, &bytes[..16]);
        bytes[16..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The head in the bytes that begin at this offset of a segment; `None` if there is none.
    pub(super) fn decode(bytes: &[u8], salt: u64, offset: u64) -> Option<Self> {
        let bytes: &[u8; HEAD] = bytes.first_chunk()?;
        if bytes[..4] != FRAME || u32_at(bytes, 16) != salted(salt, offset, &bytes[..16]) {
            return None;
        }
        let (len, items) = (u32_at(bytes, 4), u32_at(bytes, 8));
        (len as usize <= MAX_BODY).then_some(Head { len, items, checksum: u32_at(bytes, 12) })
    }

    pub(super) fn is_of(&self, body: &[u8]) -> bool {
        body.len() == self.len as usize && crc32fast::hash(body) == self.checksum
    }

    /// How many bytes head and body take.
    pub(super) fn frame_len(&self) -> u64 {
        HEAD as u64 + u64::from(self.len)
    }
}

/// The mark that says that all up to an offset is settled.
pub(super) fn encode_mark(salt: u64, offset: u64) -> [u8; MARK] {
    let mut bytes = [0; MARK];
    bytes[..4].copy_from_slice(&DONE);
    bytes[4..12].copy_from_slice(&offset.to_le_bytes());
    let checksum = salted(salt, offset, &DONE);
    bytes[12..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The offset up to which all is settled, by the marks of a segment; 0 without any.
pub(super) fn settled(marks: &[u8], salt: u64) -> u64 {
    let (marks, _) = marks.as_chunks::<MARK>();
    let offsets = marks.iter().map(|mark| (u64_at(mark, 4), mark));
    offsets
        .filter(|(offset, mark)| encode_mark(salt, *offset) == **mark)
        .map(|(o, _)| o)
        .max()
        .unwrap_or(0)
}

/// A part of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Frame {
        at: Range<u64>,
        items: u32,
    },
    /// Bytes that cannot be used, and how many items were in them, where that is known.
    Damage {
        at: Range<u64>,
        items: Option<u32>,
    },
}

/// Tells what is in a segment after its header, from an offset on: frames and damage in their
/// order, and where the last of them ends. What comes after that is a frame that was not written
/// to its end. Takes time linear in the bytes.
pub(super) fn scan(bytes: &[u8], salt: u64, from: usize) -> (Vec<Piece>, usize) {
    let mut pieces = Vec::new();
    let mut at = from.min(bytes.len());
    while at < bytes.len() {
        let rest = &bytes[at..];
        if let Some(head) = Head::decode(rest, salt, at as u64) {
            let len = HEAD + head.len as usize;
            let Some(frame) = rest.get(..len) else { return (pieces, at) };
            let range = at as u64..(at + len) as u64;
            pieces.push(if head.is_of(&frame[HEAD..]) {
                Piece::Frame { at: range, items: head.items }
            } else {
                Piece::Damage { at: range, items: Some(head.items) }
            });
            at += len;
            continue;
        }
        let next = next_frame(bytes, salt, at + 1);
        // After a power failure, zeros stand for what did not get to the disk. A head that is cut
        // off begins as one.
        let begins = rest.len() < HEAD && rest.iter().zip(&FRAME).all(|(a, b)| a == b);
        if next.is_none() && (begins || rest.iter().all(|byte| *byte == 0)) {
            return (pieces, at);
        }
        let end = next.unwrap_or(bytes.len());
        pieces.push(Piece::Damage { at: at as u64..end as u64, items: None });
        at = end;
    }
    (pieces, at)
}

/// Where the next frame begins whose head is whole.
fn next_frame(bytes: &[u8], salt: u64, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = bytes.get(at..)?;
        at += rest.windows(FRAME.len()).position(|window| window == FRAME)?;
        if Head::decode(&bytes[at..], salt, at as u64).is_some() {
            return Some(at);
        }
        at += 1;
    }
}

fn signal_code(signal: Signal) -> u8 {
    match signal {
        Signal::Traces => 1,
        Signal::Logs => 2,
        Signal::Metrics => 3,
    }
}

fn salted(salt: u64, offset: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|n| bytes[at + n]))
}

fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|n| bytes[at + n]))
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
