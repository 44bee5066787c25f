//! The section [`build_id`](https://github.com/WebAssembly/tool-conventions/blob/main/BuildId.md),
//! which names a build, so that its debug information can be found: a length, and as many
//! bytes.
//!
//! An instrumented module is another build. Its id is as long as the one before and made of
//! it and of all else that the module holds, by SHA-256, so that the same input and plan
//! give the same id.

use sha2::{Digest, Sha256};

use crate::leb;

/// The name of the section.
pub(crate) const SECTION: &str = "build_id";

/// The id in the contents of the section; `None` where they are nothing else.
pub(crate) fn read(contents: &[u8]) -> Option<&[u8]> {
    let (len, id) = leb::split(contents).ok()?;
    (id.len() == len as usize).then_some(id)
}

/// An id for what was made of the build `old` and is `written`: all that comes before the
/// place of the id, and all that comes after it.
pub(crate) fn derive(old: &[u8], written: [&[u8]; 2]) -> Vec<u8> {
    let mut digest = Sha256::new();
    for part in [old, written[0], written[1]] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    let whole = digest.finalize();
    // Longer ids than a digest are not common: LLVM's have 16 or 20 bytes.
    let blocks = (0u64..)
        .flat_map(|n| Sha256::new_with_prefix(whole).chain_update(n.to_le_bytes()).finalize());
    blocks.take(old.len()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_the_length_of_the_one_before_and_depends_on_all() {
        let id = derive(&[1; 16], [b"ab", b"c"]);
        assert_eq!(id.len(), 16);
        assert_eq!(id, derive(&[1; 16], [b"ab", b"c"]));
        for other in [
            derive(&[2; 16], [b"ab", b"c"]),
            derive(&[1; 16], [b"a", b"bc"]),
            derive(&[1; 16], [b"ab", b"d"]),
        ] {
            assert_ne!(id, other);
        }
        let long = derive(&[1; 100], [b"ab", b"c"]);
        assert_eq!(long.len(), 100);
        assert_ne!(long[..32], long[32..64]);
        assert_eq!(derive(&[], [b"ab", b"c"]), [0; 0]);
    }

    #[test]
    fn an_id_is_all_that_the_section_holds() {
        assert_eq!(read(&[2, 7, 8]), Some(&[7, 8][..]));
        assert_eq!(read(&[0]), Some(&[][..]));
        for contents in [&[][..], &[2, 7], &[1, 7, 8], &[0x80], &[0xff, 0xff, 0xff, 0xff, 0x0f]] {
            assert_eq!(read(contents), None, "{contents:?}");
        }
    }
}
