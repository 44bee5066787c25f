//! Names, units, labels and numbers as the text format has them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use crate::event::{Attribute, Value};

/// The name of a metric, with its unit and, for a counter, `_total` behind it.
pub(super) fn metric(name: &str, unit: &str, is_counter: bool) -> String {
    let mut name = identifier(name, true);
    let is_total = is_counter && name.ends_with("_total");
    if is_total {
        name.truncate(name.len() - "_total".len());
    }
    let unit = unit_words(unit);
    if !unit.is_empty() && !name.ends_with(&unit) {
        name = format!("{name}_{unit}");
    }
    if is_counter {
        name += "_total";
    }
    name
}

/// Only letters, digits and underscores, of which no two follow each other.
fn identifier(text: &str, with_colons: bool) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let fits = c.is_ascii_alphanumeric() || (with_colons && c == ':');
        if out.is_empty() && c.is_ascii_digit() {
            out.push('_');
        }
        if fits {
            out.push(c);
        } else if !out.ends_with('_') {
            out.push('_');
        }
    }
    if out.is_empty() { "_".to_owned() } else { out }
}

/// A unit of UCUM in words; what stands in braces is no unit.
fn unit_words(unit: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0_u32;
    for c in unit.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    let plain = plain.trim();
    if plain == "1" {
        return "ratio".to_owned();
    }
    let (of, per) = plain.split_once('/').unwrap_or((plain, ""));
    let (of, per) = (word(of.trim()), per_word(per.trim()));
    let text = match (of.is_empty(), per.is_empty()) {
        (false, false) => format!("{of}_per_{per}"),
        (true, false) => format!("per_{per}"),
        (_, true) => of.into_owned(),
    };
    if text.is_empty() { text } else { identifier(&text, false).trim_matches('_').to_owned() }
}

fn word(unit: &str) -> Cow<'_, str> {
    Cow::Borrowed(match unit {
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tibibytes",
        "kBy" | "KBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "%" => "percent",
        "1" => "",
        other => other,
    })
}

fn per_word(unit: &str) -> Cow<'_, str> {
    Cow::Borrowed(match unit {
        "s" => "second",
        "min" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        other => return word(other),
    })
}

/// The text behind `# HELP`.
pub(super) fn help(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

/// A number as Prometheus reads it.
pub(super) fn number(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".to_owned()
    } else if value == f64::NEG_INFINITY {
        "-Inf".to_owned()
    } else {
        // `NaN` is written by both in the same way.
        value.to_string()
    }
}

/// The labels of a series, by name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Attributes as labels. Of those that come to the same name the values are joined, in the order
    /// of their keys.
    pub(super) fn of(attributes: &[Attribute]) -> Self {
        // Of those with the same key the last counts.
        let by_key: BTreeMap<_, _> = attributes.iter().map(|a| (&*a.key, &a.value)).collect();
        let mut labels = BTreeMap::new();
        labels.insert("otel_scope_name".to_owned(), "observe".to_owned());
        labels.insert("otel_scope_version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let mut own: BTreeMap<String, String> = BTreeMap::new();
        for (key, value) in by_key {
            let value = text(value);
            own.entry(identifier(key, false))
                .and_modify(|known| {
                    known.push(';');
                    known.push_str(&value);
                })
                .or_insert(value);
        }
        // What a metric says of itself does not stand for its scope.
        for (name, value) in own {
            labels.entry(name).or_insert(value);
        }
        Labels(labels)
    }

    /// Without a label that has a meaning of its own.
    pub(super) fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }

    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        let mut labels = self.clone();
        labels.0.insert(name.to_owned(), value.to_owned());
        labels
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(f, "{}{name}=\"{value}\"", if index == 0 { '{' } else { ',' })?;
        }
        if self.0.is_empty() { Ok(()) } else { f.write_str("}") }
    }
}

/// A value as the text of a label.
fn text(value: &Value) -> String {
    match value {
        Value::Empty => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Bytes(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Value::Array(array) => {
            let values: Vec<_> = array.values().iter().map(text).collect();
            format!("[{}]", values.join(","))
        }
        Value::KeyValueList(list) => {
            let item = |item: &Attribute| format!("{}:{}", item.key, text(&item.value));
            let items: Vec<_> = list.attributes().iter().map(item).collect();
            format!("{{{}}}", items.join(","))
        }
    }
}
