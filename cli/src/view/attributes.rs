//! Attributes, as they stand behind what they are of.

use std::fmt::Write as _;

use console::{measure_text_width, style, truncate_str};
use observe_collector::event::{Attribute, Value};

use crate::view::text::clean;

/// The widest that a value is shown, in columns.
const VALUE: usize = 40;

/// The widest that all of them are shown.
const ALL: usize = 120;

/// Elements of an array that are shown.
const ELEMENTS: usize = 8;

/// What the keys of the host's own attributes begin with, which the tree and the table tell anyway.
const OF_THE_HOST: [&str; 3] = ["wasm.", "code.", "process."];

/// Whether an attribute is one that the guest may have given.
pub(crate) fn is_from_guest(attribute: &Attribute) -> bool {
    !OF_THE_HOST.iter().any(|prefix| attribute.key.starts_with(prefix))
}

/// The attributes in a line: `order.id=42 customer=ada`; empty without any.
pub(crate) fn render<'a>(attributes: impl IntoIterator<Item = &'a Attribute>) -> String {
    let mut text = String::new();
    for Attribute { key, value } in attributes {
        if !text.is_empty() {
            text.push(' ');
        }
        text += &truncate_str(&clean(key), VALUE, "…");
        text.push('=');
        text += &truncate_str(&clean(&render_value(value)), VALUE, "…");
        // What follows would not be shown.
        if measure_text_width(&text) > ALL {
            break;
        }
    }
    truncate_str(&text, ALL, "…").into_owned()
}

fn render_value(value: &Value) -> String {
    match value {
        Value::Empty => String::new(),
        // So that it is clear where a text ends.
        Value::String(text) if text.is_empty() || text.contains([' ', '"', '=']) => {
            format!("{:?}", text.chars().take(VALUE).collect::<String>())
        }
        Value::String(text) => text.chars().take(VALUE + 1).collect(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Double(number) => format!("{number:?}"),
        Value::Bytes(bytes) => bytes.iter().take(VALUE).fold("0x".to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
        Value::Array(array) => {
            let values: Vec<_> = array.values().iter().take(ELEMENTS).map(render_value).collect();
            let rest = if array.values().len() > ELEMENTS { ", …" } else { "" };
            format!("[{}{rest}]", values.join(", "))
        }
        Value::KeyValueList(list) => format!("{{{}}}", render(list.attributes())),
    }
}

/// A line of so many columns at most, the last part of which is of less weight.
pub(crate) fn line(head: &str, tail: &str, width: usize) -> String {
    let head = truncate_str(head, width, "…");
    let rest = width.saturating_sub(measure_text_width(&head) + 2);
    if tail.is_empty() || rest == 0 {
        return format!("{}\n", head.trim_end());
    }
    let tail = style(truncate_str(tail, rest, "…")).for_stderr().dim();
    format!("{head}  {tail}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_its_form() {
        let attributes = [
            Attribute::new("n", 42),
            Attribute::new("text", "ada"),
            Attribute::new("words", "a b"),
            Attribute::new("yes", true),
            Attribute::new("half", 0.5),
            Attribute::new("bytes", vec![0_u8, 0xff, 0x10]),
            Attribute::new("texts", vec!["tea".to_owned(), "mug".to_owned()]),
        ];
        let expected =
            r#"n=42 text=ada words="a b" yes=true half=0.5 bytes=0x00ff10 texts=[tea, mug]"#;
        assert_eq!(render(&attributes), expected);
    }

    #[test]
    fn what_is_long_is_cut_and_cannot_steer_a_terminal() {
        let long = Attribute::new("k", "x".repeat(1_000_000));
        assert_eq!(measure_text_width(&render([&long])), "k=".len() + VALUE);
        let many: Vec<_> = (0..1000).map(|n| Attribute::new(format!("key{n}"), 1)).collect();
        assert_eq!(measure_text_width(&render(&many)), ALL);
        let array = Attribute::new("a", vec![1_i64; 100]);
        assert_eq!(render([&array]), "a=[1, 1, 1, 1, 1, 1, 1, 1, …]");
        assert_eq!(render([&Attribute::new("\x1b", "\x1b[2J")]), r"\u{1b}=\u{1b}[2J");
    }

    #[test]
    fn a_line_is_no_wider_than_it_may() {
        for width in 1..20 {
            let line = line("head", "tail=1", width);
            assert!(measure_text_width(line.trim_end()) <= width, "{width}: {line}");
        }
        assert_eq!(line("head", "tail=1", 99), "head  tail=1\n");
    }
}
