//! What the author may have meant.

/// The one that is most like what was written, if it is like it at all.
pub(crate) fn to<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |known: &&str| strsim::damerau_levenshtein(written, known);
    known
        .iter()
        .copied()
        .min_by_key(distance)
        // A third of the letters may be wrong.
        .filter(|nearest| distance(nearest) <= nearest.len().max(written.len()) / 3)
}
