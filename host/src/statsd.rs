//! Lines of metrics as statsd takes them, with tags as DogStatsD does.
//!
//! A line is `name:value|type`, and then in any order `|@rate` and `|#key:value,key:value`. Several
//! values may follow each other with colons between them.

/// The bytes that a text of lines may have: those of the largest datagram that DogStatsD's clients
/// send by default, over a Unix socket.
pub(crate) const MAX_BYTES: usize = 8192;

/// What is measured, and how it is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    /// A distribution of values.
    Distribution,
    /// One of durations, in milliseconds.
    Timer,
}

/// What one value does to a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    /// Adds to a counter, or to a gauge.
    Add(f64),
    /// Sets a gauge.
    Set(f64),
    /// A value of a distribution, which stands for so many.
    Sample { value: f64, times: f64 },
}

/// A line.
#[derive(Debug, PartialEq)]
pub(crate) struct Line<'l> {
    pub(crate) name: &'l str,
    pub(crate) kind: Kind,
    pub(crate) changes: Vec<Change>,
    pub(crate) tags: &'l str,
}

impl<'l> Line<'l> {
    /// Reads a line; `None` where it is none, or of a type that cannot be added up, as are
    /// sets.
    pub(crate) fn parse(line: &'l str) -> Option<Line<'l>> {
        let (name, rest) = line.split_once(':')?;
        let mut parts = rest.split('|');
        let (values, kind) = (parts.next()?, parts.next()?);
        let kind = match kind {
            "c" => Kind::Counter,
            "g" => Kind::Gauge,
            "h" | "d" => Kind::Distribution,
            "ms" => Kind::Timer,
            _ => return None,
        };
        let (mut rate, mut tags) = (1.0, "");
        for part in parts {
            // Others are extensions, such as the time or the container it is of.
            if let Some(given) = part.strip_prefix('@') {
                rate = number(given).filter(|rate| *rate > 0.0 && *rate <= 1.0)?;
            } else if let Some(given) = part.strip_prefix('#') {
                tags = given;
            }
        }
        let changes = values.split(':').map(|value| {
            let number = number(value)?;
            Some(match kind {
                Kind::Counter => Change::Add(number / rate),
                // With a sign it is a difference.
                Kind::Gauge if value.starts_with(['+', '-']) => Change::Add(number),
                Kind::Gauge => Change::Set(number),
                Kind::Distribution | Kind::Timer => {
                    Change::Sample { value: number, times: 1.0 / rate }
                }
            })
        });
        let changes = changes.collect::<Option<_>>()?;
        (!name.is_empty()).then_some(Line { name, kind, changes, tags })
    }
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

    fn line<'l>(name: &'l str, kind: Kind, changes: &[Change], tags: &'l str) -> Option<Line<'l>> {
        Some(Line { name, kind, changes: changes.to_vec(), tags })
    }

    #[test]
    fn lines_are_read() {
        use Change::{Add, Sample, Set};
        let counted = line("vowels.count", Kind::Counter, &[Add(1.0)], "");
        assert_eq!(Line::parse("vowels.count:1|c"), counted);
        let sampled = line("a", Kind::Counter, &[Add(4.0)], "k:v,w");
        assert_eq!(Line::parse("a:2|c|@0.5|#k:v,w"), sampled);
        assert_eq!(Line::parse("a:2|c|#k:v,w|@0.5|T1656581400"), sampled);
        for (text, change) in [("7", Set(7.0)), ("+7", Add(7.0)), ("-0.5", Add(-0.5))] {
            let expected = line("g", Kind::Gauge, &[change], "");
            assert_eq!(Line::parse(&format!("g:{text}|g")), expected);
        }
        let sample = |value| Sample { value, times: 10.0 };
        let samples = [sample(3.0), sample(4.5)];
        assert_eq!(Line::parse("t:3:4.5|ms|@0.1"), line("t", Kind::Timer, &samples, ""));
        assert_eq!(Line::parse("t:3:4.5|h|@0.1"), line("t", Kind::Distribution, &samples, ""));
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
            "a:1|s",
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
