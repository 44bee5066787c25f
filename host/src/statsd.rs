//! Lines of metrics as [statsd] takes them, with what [DogStatsD] adds.
//!
//! A line is `name:value|type`, and then in any order `|@rate` and `|#key:value,key:value`. Several
//! values may follow each other with colons between them, but for sets, whose values may have
//! colons. Other parts, such as DogStatsD's time (`|T`) and container (`|c:`), are passed over: the
//! host knows both.
//!
//! | type | |
//! |---|---|
//! | `c` | a counter; it may also be given less than nothing |
//! | `g` | a gauge; a value with a sign is a difference, as statsd has it |
//! | `ms` | a histogram in milliseconds |
//! | `h`, `d` | a histogram |
//! | `s` | how many different values there were |
//!
//! Where only a share of the values is told, the rate, each stands for as many as were left out: a
//! counter is given its value so many times, and a histogram so many values.
//!
//! [statsd]: https://github.com/statsd/statsd/blob/master/docs/metric_types.md
//! [DogStatsD]: https://docs.datadoghq.com/developers/dogstatsd/datagram_shell/

use crate::guest_metrics::Kind;

/// The bytes that a text of lines may have: those of the largest datagram that DogStatsD's clients
/// send by default, over a Unix socket.
pub(crate) const MAX_BYTES: usize = 8192;

/// What one value does to a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change<'l> {
    /// Adds to a counter, or to a gauge.
    Add(f64),
    /// Sets a gauge.
    Set(f64),
    /// A value of a histogram, which stands for so many.
    Sample { value: f64, times: f64 },
    /// A value of a set.
    Member(&'l str),
}

/// A line.
#[derive(Debug, PartialEq)]
pub(crate) struct Line<'l> {
    pub(crate) name: &'l str,
    pub(crate) kind: Kind,
    /// In UCUM; empty where statsd knows none.
    pub(crate) unit: &'static str,
    pub(crate) changes: Vec<Change<'l>>,
    pub(crate) tags: &'l str,
}

impl<'l> Line<'l> {
    /// Reads a line; `None` where it is none.
    pub(crate) fn parse(line: &'l str) -> Option<Line<'l>> {
        let (name, rest) = line.split_once(':')?;
        let mut parts = rest.split('|');
        let (values, kind) = (parts.next()?, parts.next()?);
        let (kind, unit) = match kind {
            "c" => (Kind::Counter, ""),
            "g" => (Kind::Gauge, ""),
            "h" | "d" => (Kind::Histogram, ""),
            "ms" => (Kind::Histogram, "ms"),
            "s" => (Kind::Set, ""),
            _ => return None,
        };
        let (mut rate, mut tags) = (1.0, "");
        for part in parts {
            if let Some(given) = part.strip_prefix('@') {
                rate = number(given).filter(|rate| *rate > 0.0 && *rate <= 1.0)?;
            } else if let Some(given) = part.strip_prefix('#') {
                tags = given;
            }
        }
        let changes = match kind {
            Kind::Set => (!values.is_empty()).then(|| vec![Change::Member(values)]),
            _ => values.split(':').map(|value| change(kind, value, rate)).collect(),
        };
        let changes = changes?;
        (!name.is_empty()).then_some(Line { name, kind, unit, changes, tags })
    }
}

/// What a value does, of which only a share is told; `None` where it is no number.
fn change(kind: Kind, value: &str, rate: f64) -> Option<Change<'_>> {
    let number = number(value)?;
    Some(match kind {
        Kind::Histogram => Change::Sample { value: number, times: 1.0 / rate },
        Kind::Gauge if value.starts_with(['+', '-']) => Change::Add(number),
        Kind::Gauge => Change::Set(number),
        _ => Change::Add(number / rate),
    })
}

/// A number that is finite: what `f64` reads otherwise is none.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The keys and values of tags with commas between them; one without a colon is a key alone.
pub(crate) fn tags(tags: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let tags = tags.split(',').map(|tag| match tag.split_once(':') {
        Some((key, value)) => (key.trim(), Some(value.trim())),
        None => (tag.trim(), None),
    });
    tags.filter(|(key, _)| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line<'l>(
        name: &'l str,
        kind: Kind,
        changes: &[Change<'l>],
        tags: &'l str,
    ) -> Option<Line<'l>> {
        Some(Line { name, kind, unit: "", changes: changes.to_vec(), tags })
    }

    #[test]
    fn lines_are_read() {
        use Change::{Add, Member, Sample, Set};
        let counted = line("vowels.count", Kind::Counter, &[Add(1.0)], "");
        assert_eq!(Line::parse("vowels.count:1|c"), counted);
        let sampled = line("a", Kind::Counter, &[Add(4.0)], "k:v,w");
        assert_eq!(Line::parse("a:2|c|@0.5|#k:v,w"), sampled);
        assert_eq!(Line::parse("a:2|c|#k:v,w|@0.5|T1656581400|c:ci-0123|e:it-false"), sampled);
        for (text, change) in [("7", Set(7.0)), ("+7", Add(7.0)), ("-0.5", Add(-0.5))] {
            let expected = line("g", Kind::Gauge, &[change], "");
            assert_eq!(Line::parse(&format!("g:{text}|g")), expected);
        }
        let sample = |value| Sample { value, times: 10.0 };
        let samples = [sample(3.0), sample(4.5)];
        let timer = line("t", Kind::Histogram, &samples, "").map(|t| Line { unit: "ms", ..t });
        assert_eq!(Line::parse("t:3:4.5|ms|@0.1"), timer);
        for kind in ["h", "d"] {
            let histogram = line("t", Kind::Histogram, &samples, "");
            assert_eq!(Line::parse(&format!("t:3:4.5|{kind}|@0.1")), histogram);
        }
        let member = line("users", Kind::Set, &[Member("a:b c")], "k:v");
        assert_eq!(Line::parse("users:a:b c|s|#k:v"), member);
    }

    #[test]
    fn what_is_no_line_is_none() {
        for text in [
            "",
            "a",
            "a:",
            "a:1",
            ":1|c",
            "a:1|",
            "a:|c",
            "a:x|c",
            "a:1|q",
            "a:|s",
            "a:nan|g",
            "a:inf|c",
            "a:1e999|c",
            "a:1|c|@0",
            "a:1|c|@2",
            "a:1|c|@",
            "a:1::2|c",
            "a:1|c|@-1",
        ] {
            assert_eq!(Line::parse(text), None, "{text}");
        }
    }

    #[test]
    fn tags_have_keys_and_may_have_values() {
        let read: Vec<_> = tags("user_id:123,world:a:b,, alone ,:x").collect();
        assert_eq!(read, [("user_id", Some("123")), ("world", Some("a:b")), ("alone", None)]);
    }
}
