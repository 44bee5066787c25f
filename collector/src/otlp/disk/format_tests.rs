use super::{BadHeader, HEAD, HEADER, Head, Header, MARK, Piece, encode_mark, scan, settled};
use crate::stats::Signal;

const SALT: u64 = 0x0123_4567_89ab_cdef;

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % bound
    }
}

/// A segment with bodies of these lengths, the items of each one more than of the one before, and
/// where each frame ends.
fn segment(bodies: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    segment_of(SALT, bodies)
}

fn segment_of(salt: u64, bodies: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    let header = Header { signal: Signal::Traces, salt, created: 1_700_000_000 };
    let mut bytes = header.encode().to_vec();
    let mut ends = Vec::new();
    for (n, body) in bodies.iter().enumerate() {
        let head = Head::of(body, n as u64 + 1).expect("small");
        bytes.extend_from_slice(&head.encode(salt, bytes.len() as u64));
        bytes.extend_from_slice(body);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

fn bodies(random: &mut Random) -> Vec<Vec<u8>> {
    let body = |random: &mut Random| -> Vec<u8> {
        // Among them bodies that hold what is a frame in another segment. Nobody who makes a body
        // knows the salt.
        let (inner, _) = segment_of(!SALT, &[b"inner".to_vec()]);
        match random.below(4) {
            0 => Vec::new(),
            1 => inner,
            _ => (0..random.below(200)).map(|_| random.below(256) as u8).collect(),
        }
    };
    (0..1 + random.below(6)).map(|_| body(random)).collect()
}

/// The bodies and items of the frames that a scan finds.
fn found(bytes: &[u8]) -> Vec<(Vec<u8>, u32)> {
    let (pieces, end) = scan(bytes, SALT, HEADER);
    // Pieces follow one another from the header to the end.
    let mut at = HEADER.min(bytes.len()) as u64;
    let mut frames = Vec::new();
    for piece in pieces {
        let (Piece::Frame { at: range, .. } | Piece::Damage { at: range, .. }) = &piece;
        assert!(range.start == at && range.end > at, "{range:?} at {at}");
        at = range.end;
        if let Piece::Frame { at, items } = piece {
            frames.push((bytes[at.start as usize + HEAD..at.end as usize].to_vec(), items));
        }
    }
    assert!(at == end as u64 && end <= bytes.len());
    frames
}

fn written(bodies: &[Vec<u8>]) -> Vec<(Vec<u8>, u32)> {
    bodies.iter().enumerate().map(|(n, body)| (body.clone(), n as u32 + 1)).collect()
}

#[test]
fn what_is_written_is_read() {
    for seed in 0..200 {
        let bodies = bodies(&mut Random(seed));
        let (bytes, _) = segment(&bodies);
        let header = Header::decode(&bytes).expect("a header");
        assert_eq!(
            (header.signal, header.salt, header.created),
            (Signal::Traces, SALT, 1_700_000_000)
        );
        assert_eq!(found(&bytes), written(&bodies));
    }
}

#[test]
fn a_torn_tail_costs_what_was_not_written_to_its_end_and_is_no_damage() {
    for seed in 0..50 {
        let bodies = bodies(&mut Random(seed));
        let (bytes, ends) = segment(&bodies);
        for cut in HEADER..bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let end = ends[..whole].last().copied().unwrap_or(HEADER);
            for zeros in [0, 1, 30] {
                let mut torn = bytes[..cut].to_vec();
                if cut == end {
                    torn.resize(cut + zeros, 0);
                }
                let (pieces, valid) = scan(&torn, SALT, HEADER);
                assert_eq!((pieces.len(), valid), (whole, end), "seed {seed}, cut at {cut}");
                assert_eq!(found(&torn), written(&bodies[..whole]));
            }
        }
    }
}

#[test]
fn damage_costs_the_frames_that_it_hits_and_no_other() {
    for seed in 0..2_000 {
        let mut random = Random(seed);
        let bodies = bodies(&mut random);
        let (mut bytes, ends) = segment(&bodies);
        let hit = HEADER + random.below(bytes.len() - HEADER);
        bytes[hit] ^= 1 << random.below(8);
        let victim = ends.iter().filter(|end| **end <= hit).count();
        let mut expected = written(&bodies);
        expected.remove(victim);
        assert_eq!(found(&bytes), expected, "seed {seed}, byte {hit}");
        let (pieces, end) = scan(&bytes, SALT, HEADER);
        let start = if victim == 0 { HEADER } else { ends[victim - 1] };
        if hit >= start + HEAD {
            let at = start as u64..ends[victim] as u64;
            let items = Some(victim as u32 + 1);
            assert!(pieces.contains(&Piece::Damage { at, items }), "items are known");
        }
        assert!(end == bytes.len() || victim + 1 == bodies.len());
    }
}

#[test]
fn whatever_the_bytes_are_no_frame_is_found_that_was_not_written() {
    for seed in 0..5_000 {
        let mut random = Random(seed);
        let bodies = bodies(&mut random);
        let (mut bytes, _) = segment(&bodies);
        for _ in 0..1 + random.below(6) {
            let (a, b) = (random.below(bytes.len()), random.below(bytes.len()));
            let (from, to) = (a.min(b), a.max(b));
            match random.below(5) {
                0 => bytes[a] = random.below(256) as u8,
                1 => bytes[from..to].fill(0),
                2 => drop(bytes.drain(from..to)),
                // Frames that stand elsewhere.
                3 => bytes.extend_from_within(from..to),
                _ => bytes[from..to].reverse(),
            }
            if bytes.is_empty() {
                break;
            }
        }
        let written = written(&bodies);
        for frame in found(&bytes) {
            assert!(written.contains(&frame), "seed {seed}: {frame:?}");
        }
        let _ = Header::decode(&bytes);
        settled(&bytes, SALT);
    }
}

#[test]
fn frames_of_another_segment_are_none_of_this() {
    let (bytes, _) = segment(&[b"one".to_vec(), b"two".to_vec()]);
    let (pieces, end) = scan(&bytes, SALT + 1, HEADER);
    let all = Piece::Damage { at: HEADER as u64..bytes.len() as u64, items: None };
    assert_eq!((pieces, end), (vec![all], bytes.len()));
}

#[test]
fn headers_say_why_they_are_none() {
    let bytes = Header { signal: Signal::Logs, salt: SALT, created: 1 }.encode();
    for len in 0..HEADER {
        assert_eq!(Header::decode(&bytes[..len]), Err(BadHeader::Short));
    }
    for hit in 0..HEADER {
        let mut damaged = bytes;
        damaged[hit] ^= 1;
        assert_eq!(Header::decode(&damaged), Err(BadHeader::Damaged), "{hit}");
    }
    for (at, value) in [(8, 2), (10, 9), (11, 2)] {
        let mut later = bytes;
        later[at] = value;
        let checksum = crc32fast::hash(&later[..28]);
        later[28..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(Header::decode(&later), Err(BadHeader::Later), "{at}");
    }
}

#[test]
fn the_furthest_mark_that_is_whole_counts() {
    let marks: Vec<_> = [100, 200, 300].iter().flat_map(|at| encode_mark(SALT, *at)).collect();
    assert_eq!(settled(&marks, SALT), 300);
    for cut in 2 * MARK..3 * MARK {
        assert_eq!(settled(&marks[..cut], SALT), 200);
    }
    for hit in 2 * MARK..3 * MARK {
        let mut damaged = marks.clone();
        damaged[hit] ^= 0x80;
        assert_eq!(settled(&damaged, SALT), 200, "{hit}");
    }
    assert_eq!(settled(&marks, SALT + 1), 0);
    assert_eq!(settled(&[], SALT), 0);
}

#[test]
fn what_is_too_large_is_no_frame() {
    assert!(Head::of(&vec![0; super::MAX_BODY + 1], 1).is_none());
    assert!(Head::of(b"", u64::from(u32::MAX) + 1).is_none());
}
