//! Cuts what goes beyond the limits.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use super::Limits;
use crate::event::{
    Attribute, Chunk, LogRecord, SpanDetail, SpanRecord, Symbol, SymbolId, SymbolTable, TraceInfo,
    Value,
};
use crate::stats::Cut;
use crate::tables::Tables;

/// Holds chunks to limits.
pub(crate) struct Limiter {
    limits: Limits,
    tables: Tables<Option<Cropped>>,
}

/// A symbol table of which something was cut.
struct Cropped {
    table: Arc<SymbolTable>,
    /// How many attributes each symbol had beside those that are left.
    dropped: Vec<u32>,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Limiter { limits, tables: Tables::default() }
    }

    /// Cuts what goes beyond.
    pub(crate) fn apply(&mut self, chunk: &mut Chunk, cut: &mut Cut) {
        let limits = &self.limits;
        let symbols = &chunk.trace.symbols;
        let cropped = self.tables.get(symbols, |table| crop(limits, table, cut));
        let dropped = cropped.as_ref().map_or(&[][..], |cropped| &cropped.dropped);
        if let Some(cropped) = &*cropped {
            chunk.trace = Arc::new(TraceInfo {
                trace_id: chunk.trace.trace_id,
                parent: chunk.trace.parent.clone(),
                seed: chunk.trace.seed,
                symbols: Arc::clone(&cropped.table),
            });
        }
        let table = &chunk.trace.symbols;
        for span in &mut chunk.spans {
            let dropped_of = |id: SymbolId| dropped.get(id.0 as usize).copied();
            let dropped = span.symbol.and_then(dropped_of).unwrap_or_default();
            if span.detail.is_some() || dropped > 0 {
                limit_span(limits, span, table, dropped, cut);
            }
        }
        chunk.logs.iter_mut().for_each(|log| limit_log(limits, log, cut));
    }
}

/// Cuts what a symbol table has beyond the limits, if it has any.
fn crop(limits: &Limits, table: &SymbolTable, cut: &mut Cut) -> Option<Cropped> {
    let symbols = || (0..).map_while(|id| table.get(SymbolId(id)));
    let is_within = |symbol: &Symbol| {
        symbol.attributes.len() <= limits.span_attributes
            && symbol.attributes.iter().all(|own| fits(&own.value, limits.span_value_length))
    };
    if symbols().all(is_within) {
        return None;
    }
    let mut dropped = Vec::new();
    let symbols = symbols().map(|symbol| {
        let mut symbol = symbol.clone();
        // Each span will say so.
        let beyond = symbol.attributes.len().saturating_sub(limits.span_attributes);
        dropped.push(u32::try_from(beyond).unwrap_or(u32::MAX));
        symbol.attributes.truncate(limits.span_attributes);
        shorten(&mut symbol.attributes, limits.span_value_length, cut);
        symbol
    });
    let table = Arc::new(SymbolTable::new(symbols.collect()));
    Some(Cropped { table, dropped })
}

fn limit_span(
    limits: &Limits,
    span: &mut SpanRecord,
    table: &SymbolTable,
    dropped: u32,
    cut: &mut Cut,
) {
    let symbol = span.symbol.and_then(|id| table.get(id));
    let shared = symbol.map_or(&[][..], |symbol| &symbol.attributes);
    let SpanDetail {
        attributes,
        dropped_attributes,
        events,
        dropped_events,
        links,
        dropped_links,
        ..
    } = &mut **span.detail.get_or_insert_default();
    add(dropped_attributes, dropped as usize, &mut cut.attributes);
    limit_attributes(attributes, shared, limits.span_attributes, dropped_attributes, cut);
    shorten(attributes, limits.span_value_length, cut);
    add(dropped_events, events.len().saturating_sub(limits.span_events), &mut cut.events);
    events.truncate(limits.span_events);
    for event in events {
        let most = limits.event_attributes;
        limit_attributes(&mut event.attributes, &[], most, &mut event.dropped_attributes, cut);
        shorten(&mut event.attributes, limits.span_value_length, cut);
    }
    add(dropped_links, links.len().saturating_sub(limits.span_links), &mut cut.links);
    links.truncate(limits.span_links);
    for link in links {
        let most = limits.link_attributes;
        limit_attributes(&mut link.attributes, &[], most, &mut link.dropped_attributes, cut);
        shorten(&mut link.attributes, limits.span_value_length, cut);
    }
}

fn limit_log(limits: &Limits, log: &mut LogRecord, cut: &mut Cut) {
    let dropped = &mut log.dropped_attributes;
    limit_attributes(&mut log.attributes, &[], limits.log_attributes, dropped, cut);
    shorten(&mut log.attributes, limits.log_value_length, cut);
}

/// Keeps the attributes of the first so many keys, those that are shared among them. A key that comes
/// again takes no more room.
fn limit_attributes(
    attributes: &mut Vec<Attribute>,
    shared: &[Attribute],
    most: usize,
    dropped: &mut u32,
    cut: &mut Cut,
) {
    if shared.len() + attributes.len() <= most {
        return;
    }
    let mut keys: HashSet<Cow<'static, str>> =
        shared.iter().map(|attribute| attribute.key.clone()).collect();
    let before = attributes.len();
    attributes.retain(|attribute| {
        let is_known = keys.contains(&attribute.key);
        is_known || (keys.len() < most && keys.insert(attribute.key.clone()))
    });
    add(dropped, before - attributes.len(), &mut cut.attributes);
}

/// Counts what was dropped, on the record and in all.
fn add(dropped: &mut u32, number: usize, all: &mut u64) {
    *dropped = dropped.saturating_add(u32::try_from(number).unwrap_or(u32::MAX));
    *all += number as u64;
}

fn shorten(attributes: &mut [Attribute], length: Option<usize>, cut: &mut Cut) {
    let Some(length) = length else { return };
    for attribute in attributes {
        if !fits(&attribute.value, Some(length)) {
            shorten_value(&mut attribute.value, length);
            cut.values += 1;
        }
    }
}

fn fits(value: &Value, length: Option<usize>) -> bool {
    let Some(most) = length else { return true };
    match value {
        // No text has more characters than bytes.
        Value::String(text) => text.len() <= most || text.chars().nth(most).is_none(),
        Value::Bytes(bytes) => bytes.len() <= most,
        Value::Array(array) => array.values().iter().all(|value| fits(value, length)),
        Value::KeyValueList(list) => list.attributes().iter().all(|own| fits(&own.value, length)),
        Value::Empty | Value::Bool(_) | Value::Int(_) | Value::Double(_) => true,
    }
}

fn shorten_value(value: &mut Value, most: usize) {
    match value {
        Value::String(text) => {
            if let Some((end, _)) = text.char_indices().nth(most) {
                text.truncate(end);
                text.shrink_to_fit();
            }
        }
        Value::Bytes(bytes) if bytes.len() > most => *bytes = bytes[..most].into(),
        Value::Array(array) => {
            array.values_mut().iter_mut().for_each(|value| shorten_value(value, most));
        }
        Value::KeyValueList(list) => list.values_mut().for_each(|value| shorten_value(value, most)),
        Value::Bytes(_) | Value::Empty | Value::Bool(_) | Value::Int(_) | Value::Double(_) => {}
    }
}
