//! What processes tell each other of a trace, in the headers of their requests.
//!
//! [`Propagators`] read and write the headers of [W3C Trace Context] and [W3C Baggage], as
//! `OTEL_PROPAGATORS` says.
//!
//! ```
//! use std::collections::HashMap;
//!
//! use observe_collector::propagation::Propagators;
//!
//! let propagators = Propagators::default();
//! let request = HashMap::from([
//!     ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
//!     ("baggage", "tenant=acme"),
//! ]);
//! let carried = propagators.extract(&|name| request.get(name).map(|value| value.to_string()));
//! let context = carried.context.as_ref().expect("a parent");
//! assert!(context.parent.trace_flags.is_sampled());
//! assert_eq!(carried.baggage.get("tenant"), Some("acme"));
//!
//! let mut onward = HashMap::new();
//! propagators.inject(&carried, &mut |name, value| {
//!     onward.insert(name, value);
//! });
//! assert_eq!(onward["traceparent"], request["traceparent"]);
//! ```
//!
//! [W3C Trace Context]: https://www.w3.org/TR/trace-context/
//! [W3C Baggage]: https://www.w3.org/TR/baggage/

mod baggage;
mod traceparent;

use thiserror::Error;

use crate::env;

pub use baggage::{Baggage, Entry};
pub use traceparent::{RemoteContext, TraceparentError};

const PROPAGATORS: &str = "OTEL_PROPAGATORS";

/// A form in which processes tell each other of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Propagator {
    /// The headers `traceparent` and `tracestate` of W3C Trace Context.
    TraceContext,
    /// The header `baggage` of W3C Baggage.
    Baggage,
}

/// The forms in use, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Propagators(Vec<Propagator>);

/// A form that this version does not have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("OTEL_PROPAGATORS: `{0}` is not supported, use tracecontext, baggage or none")]
pub struct PropagatorsError(String);

/// What came with a request, or goes with one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// The span of the caller, if it told one.
    pub context: Option<RemoteContext>,
    /// What else the caller told; may be empty.
    pub baggage: Baggage,
}

impl Default for Propagators {
    /// `tracecontext,baggage`, as the specification has it.
    fn default() -> Self {
        Propagators(vec![Propagator::TraceContext, Propagator::Baggage])
    }
}

impl Propagators {
    /// These forms, each once.
    pub fn new(forms: impl IntoIterator<Item = Propagator>) -> Self {
        let mut own = Vec::new();
        for form in forms {
            if !own.contains(&form) {
                own.push(form);
            }
        }
        Propagators(own)
    }

    /// What `OTEL_PROPAGATORS` says in the environment of the process. `OTEL_SDK_DISABLED` does not matter.
    ///
    /// # Errors
    ///
    /// If it names a form that this version does not have, such as `b3` or `jaeger`.
    pub fn from_env() -> Result<Self, PropagatorsError> {
        Self::from_lookup(&env::process)
    }

    /// As [`Propagators::from_env`], with variables from elsewhere.
    ///
    /// # Errors
    ///
    /// If it names a form that this version does not have.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, PropagatorsError> {
        let Some(list) = env::get(lookup, PROPAGATORS) else { return Ok(Self::default()) };
        let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
        let forms: Result<Vec<_>, _> = names
            .filter(|name| *name != "none")
            .map(|name| match name {
                "tracecontext" => Ok(Propagator::TraceContext),
                "baggage" => Ok(Propagator::Baggage),
                _ => Err(PropagatorsError(name.to_owned())),
            })
            .collect();
        Ok(Self::new(forms?))
    }

    /// The forms, in their order.
    pub fn forms(&self) -> &[Propagator] {
        &self.0
    }

    /// Reads what came with a request. `get` gives a header by its name, in small letters; of one that came
    /// several times, all values with commas between them.
    ///
    /// What is malformed counts as not there, as the specifications ask: a caller's mistake does not
    /// stop a request.
    pub fn extract(&self, get: &dyn Fn(&str) -> Option<String>) -> Carried {
        let mut carried = Carried::default();
        for form in &self.0 {
            match form {
                Propagator::TraceContext => carried.context = RemoteContext::extract(get),
                Propagator::Baggage => {
                    carried.baggage =
                        get("baggage").map(|text| Baggage::read(&text)).unwrap_or_default();
                }
            }
        }
        carried
    }

    /// Writes what goes with a request: calls `set` with the name and value of each header.
    pub fn inject(&self, carried: &Carried, set: &mut dyn FnMut(&'static str, String)) {
        for form in &self.0 {
            match form {
                Propagator::TraceContext => {
                    if let Some(context) = &carried.context {
                        set("traceparent", context.to_string());
                        let state = &context.parent.trace_state;
                        if !state.is_empty() {
                            set("tracestate", state.clone());
                        }
                    }
                }
                Propagator::Baggage => {
                    if !carried.baggage.entries().is_empty() {
                        set("baggage", carried.baggage.to_string());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Carried, Propagator, Propagators};

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(list: &str) -> Result<Propagators, String> {
        let lookup = |name: &str| (name == "OTEL_PROPAGATORS").then(|| list.to_owned());
        Propagators::from_lookup(&lookup).map_err(|error| error.to_string())
    }

    fn carried(propagators: &Propagators) -> Carried {
        propagators.extract(&|name| match name {
            "traceparent" => Some(PARENT.to_owned()),
            "tracestate" => Some("a=1,b=2".to_owned()),
            "baggage" => Some("k=v".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn the_environment_names_forms_each_once() {
        use Propagator::{Baggage, TraceContext};
        for (list, expected) in [
            ("", &[TraceContext, Baggage][..]),
            ("baggage, tracecontext,baggage", &[Baggage, TraceContext]),
            ("none", &[]),
        ] {
            assert_eq!(read(list).expect("valid").forms(), expected, "{list}");
        }
        let expected = "OTEL_PROPAGATORS: `b3` is not supported, use tracecontext, baggage or none";
        assert_eq!(read("tracecontext,b3"), Err(expected.to_owned()));
    }

    #[test]
    fn what_comes_in_goes_out() {
        for (list, expected) in [
            (
                "tracecontext,baggage",
                &[("traceparent", PARENT), ("tracestate", "a=1,b=2"), ("baggage", "k=v")][..],
            ),
            ("baggage", &[("baggage", "k=v")]),
            ("tracecontext", &[("traceparent", PARENT), ("tracestate", "a=1,b=2")]),
            ("none", &[]),
        ] {
            let propagators = read(list).expect("valid");
            let mut headers = Vec::new();
            propagators
                .inject(&carried(&propagators), &mut |name, value| headers.push((name, value)));
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(headers, expected, "{list}");
        }
    }

    #[test]
    fn nothing_there_is_nothing_carried() {
        let propagators = Propagators::default();
        assert_eq!(propagators.extract(&|_| None), Carried::default());
        propagators.inject(&Carried::default(), &mut |name, _| panic!("{name}"));
    }
}
