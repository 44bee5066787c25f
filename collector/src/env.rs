//! What several environment variables of OpenTelemetry have in common.

use thiserror::Error;

/// Reads one variable of the process. Text that is not Unicode is kept as well as
/// possible, so that it fails where it is used, under its name.
pub(crate) fn process(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// A variable with a value. An empty one counts as unset ([Environment variable
/// specification, "Parsing empty value"]).
///
/// [Environment variable specification, "Parsing empty value"]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#parsing-empty-value
pub(crate) fn get(lookup: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    lookup(name).filter(|value| !value.trim().is_empty())
}

/// Whether `variable`, which names the exporter of a signal, lets it be sent. Unset it does.
pub(crate) fn is_exported(
    lookup: &dyn Fn(&str) -> Option<String>,
    variable: &'static str,
) -> Result<bool, ExporterError> {
    let value = get(lookup, variable).unwrap_or_default().trim().to_owned();
    match &*value.to_ascii_lowercase() {
        "" | "otlp" => Ok(true),
        "none" => Ok(false),
        _ => Err(ExporterError { variable, value }),
    }
}

/// An exporter that is not here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{variable}: `{value}` is not supported, use otlp or none")]
pub struct ExporterError {
    /// The variable that names it.
    pub variable: &'static str,
    /// Its value.
    pub value: String,
}

/// Why a list of `key=value` is malformed.
///
/// Entries are named by their place, from 1: their text may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ListError {
    /// An entry without `=`.
    #[error("entry {entry} has no `=`, write key=value")]
    NoEquals {
        /// Which entry, from 1.
        entry: usize,
    },
    /// An entry with nothing before the `=`.
    #[error("entry {entry} has no key before its `=`, write key=value")]
    NoKey {
        /// Which entry, from 1.
        entry: usize,
    },
    /// A `%` that is no escape.
    #[error(
        "entry {entry} has a `%` without two hex digits after it, write %25 for a percent sign"
    )]
    BadEscape {
        /// Which entry, from 1.
        entry: usize,
    },
}

/// Parses `key=value,key=value`, the form of [W3C Baggage] without its properties.
/// Spaces around keys and values do not count, and both may be percent-encoded.
///
/// [W3C Baggage]: https://www.w3.org/TR/baggage/#header-content
pub(crate) fn list(text: &str) -> Result<Vec<(String, String)>, ListError> {
    let mut pairs = Vec::new();
    for (index, member) in text.split(',').enumerate() {
        if member.trim().is_empty() {
            continue;
        }
        let entry = index + 1;
        let (key, value) = member.split_once('=').ok_or(ListError::NoEquals { entry })?;
        let decode = |text: &str| percent_decode(text.trim()).ok_or(ListError::BadEscape { entry });
        let (key, value) = (decode(key)?, decode(value)?);
        if key.is_empty() {
            return Err(ListError::NoKey { entry });
        }
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// Resolves `%xx`. `+` stands for itself, and what is not UTF-8 becomes U+FFFD, both
/// as W3C Baggage says. `None` for a `%` that is no escape.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push((high * 16 + low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{ListError, get, list};

    fn pairs(expected: &[(&str, &str)]) -> Result<Vec<(String, String)>, ListError> {
        Ok(expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn lists() {
        assert_eq!(list("a=1,b=2"), pairs(&[("a", "1"), ("b", "2")]));
        assert_eq!(list(" a = 1 , b\t=\t2 "), pairs(&[("a", "1"), ("b", "2")]));
        assert_eq!(list("a=1,,b=2,"), pairs(&[("a", "1"), ("b", "2")]));
        assert_eq!(list("a=b=c"), pairs(&[("a", "b=c")]));
        assert_eq!(list("a="), pairs(&[("a", "")]));
        assert_eq!(list(""), pairs(&[]));
        assert_eq!(list("a"), Err(ListError::NoEquals { entry: 1 }));
        assert_eq!(list("a=1,=2"), Err(ListError::NoKey { entry: 2 }));
    }

    #[test]
    fn percent_encoding() {
        assert_eq!(list("a%2Cb=c%3dd"), pairs(&[("a,b", "c=d")]));
        assert_eq!(list("a=caf%C3%A9"), pairs(&[("a", "café")]));
        assert_eq!(list("a=%20b%20"), pairs(&[("a", " b ")]));
        // `+` is a baggage octet, not an encoded space.
        assert_eq!(list("a=b+c"), pairs(&[("a", "b+c")]));
        assert_eq!(list("a=%FFb"), pairs(&[("a", "\u{fffd}b")]));
        for bad in ["a=%", "a=%4", "a=%zz", "a=%+1", "%=a"] {
            assert_eq!(list(bad), Err(ListError::BadEscape { entry: 1 }), "{bad}");
        }
    }

    #[test]
    fn empty_is_unset() {
        let lookup = |name: &str| (name != "UNSET").then(|| name.to_owned());
        assert_eq!(get(&lookup, "UNSET"), None);
        assert_eq!(get(&lookup, " "), None);
        assert_eq!(get(&lookup, "value"), Some("value".to_owned()));
    }
}
