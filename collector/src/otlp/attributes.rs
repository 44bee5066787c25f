//! Which attributes are written: OTLP wants each key once.

use std::borrow::Cow;
use std::collections::HashSet;

use super::proto::put_attribute;
use crate::event::{Attribute, SpanDetail};

/// Up to so many attributes are compared each with each, which takes no memory.
const FEW: usize = 16;

/// Writes attributes as fields of this number: of those with the same key, the last.
pub(super) fn put_attributes(out: &mut Vec<u8>, field: u8, attributes: &[Attribute]) {
    if attributes.len() > FEW {
        let (_, last) = last_of_each_key(attributes);
        last.into_iter().for_each(|attribute| put_attribute(out, field, attribute));
        return;
    }
    let mut rest = attributes;
    while let Some((attribute, later)) = rest.split_first() {
        if !later.iter().any(|later| later.key == attribute.key) {
            put_attribute(out, field, attribute);
        }
        rest = later;
    }
}

/// Writes the attributes of one span: of those with the same key the last counts, and one of
/// the span counts more than one of its symbol.
///
/// Returns whether those of the symbol still have to be written; where the
/// span replaces some of them, the others are written here.
pub(super) fn put_own_attributes(
    out: &mut Vec<u8>,
    field: u8,
    shared: &[Attribute],
    detail: &SpanDetail,
) -> bool {
    let own = detail.attributes.as_slice();
    if own.is_empty() {
        return true;
    }
    let (keys, last) = last_of_each_key(own);
    let inherits = !shared.iter().any(|attribute| keys.contains(&attribute.key));
    if !inherits {
        for attribute in shared.iter().filter(|attribute| !keys.contains(&attribute.key)) {
            put_attribute(out, field, attribute);
        }
    }
    for attribute in last {
        put_attribute(out, field, attribute);
    }
    inherits
}

fn last_of_each_key(attributes: &[Attribute]) -> (HashSet<&Cow<'static, str>>, Vec<&Attribute>) {
    let mut keys = HashSet::with_capacity(attributes.len());
    let mut last: Vec<_> =
        attributes.iter().rev().filter(|attribute| keys.insert(&attribute.key)).collect();
    last.reverse();
    (keys, last)
}
