//! What whoever started this process told it of a trace: the headers of a request, in the environment.
//!
//! The names are those of OpenTelemetry's "Environment Variables as Context Propagation Carriers".

use std::env;

use anyhow::Result;
use observe_collector::propagation::{Baggage, Propagator, Propagators};
use observe_host::TraceContext;

use crate::view::text::{clean, say};

const TRACEPARENT: &str = "TRACEPARENT";
const BAGGAGE: &str = "BAGGAGE";

/// The longest that a value is shown.
const SHOWN: usize = 80;

/// What was told.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Inherited {
    /// The span under which the run stands.
    pub(super) parent: Option<TraceContext>,
    /// What came with it; may be empty.
    pub(super) baggage: Baggage,
}

/// Reads the environment of the process. What is no `traceparent`, or no baggage, is said and left
/// out: as with a request, a mistake of the caller's stops nothing.
///
/// # Errors
///
/// If `OTEL_PROPAGATORS` names what there is not.
pub(super) fn read() -> Result<Inherited> {
    let lookup = |name: &str| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let (inherited, warnings) = read_from(&lookup)?;
    for warning in warnings {
        say(&format!("observe: {}\n", clean(&warning)));
    }
    Ok(inherited)
}

fn read_from(lookup: &dyn Fn(&str) -> Option<String>) -> Result<(Inherited, Vec<String>)> {
    let get = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
    let (traceparent, baggage) = (get(TRACEPARENT), get(BAGGAGE));
    if traceparent.is_none() && baggage.is_none() {
        return Ok(Default::default());
    }
    let propagators = Propagators::from_lookup(lookup)?;
    let carried = propagators.extract(&|header| get(&header.to_ascii_uppercase()));
    let parent = carried.context.map(TraceContext::from);
    let mut warnings = Vec::new();
    if let Some(given) = traceparent
        && propagators.forms().contains(&Propagator::TraceContext)
        && let Err(error) = given.trim().parse::<TraceContext>()
    {
        let given: String = given.chars().take(SHOWN).collect();
        warnings.push(format!("{TRACEPARENT}: `{given}` {error}; the trace has no parent"));
    }
    let is_asked_for = propagators.forms().contains(&Propagator::Baggage);
    if baggage.is_some() && is_asked_for && carried.baggage.entries().is_empty() {
        warnings.push(format!("{BAGGAGE}: has no entry such as key=value that can be read"));
    }
    Ok((Inherited { parent, baggage: carried.baggage }, warnings))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn given(variables: &[(&str, &str)]) -> (Inherited, Vec<String>) {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        read_from(&lookup).expect("it can be read")
    }

    #[test]
    fn the_environment_tells_the_parent_and_the_baggage() {
        let (inherited, warnings) = given(&[(TRACEPARENT, PARENT), (BAGGAGE, "a=1, b = 2")]);
        assert_eq!(inherited.parent.expect("one").to_string(), PARENT);
        assert_eq!(inherited.baggage.to_string(), "a=1,b=2");
        assert_eq!(warnings, [""; 0]);
        assert_eq!(given(&[(TRACEPARENT, ""), (BAGGAGE, " ")]), Default::default());
    }

    #[test]
    fn propagators_say_what_is_read() {
        let all = [(TRACEPARENT, PARENT), (BAGGAGE, "a=1")];
        for (list, has_parent, baggage) in
            [("none", false, ""), ("tracecontext", true, ""), ("baggage", false, "a=1")]
        {
            let (inherited, warnings) = given(&[&[("OTEL_PROPAGATORS", list)], &all[..]].concat());
            assert_eq!(inherited.parent.is_some(), has_parent, "{list}");
            assert_eq!(
                (inherited.baggage.to_string().as_str(), warnings),
                (baggage, vec![]),
                "{list}"
            );
        }
    }

    #[test]
    fn a_mistake_is_said_and_left_out() {
        let (inherited, warnings) = given(&[(TRACEPARENT, "00-xyz"), (BAGGAGE, "nothing")]);
        assert_eq!(inherited, Inherited::default());
        let expected = [
            "TRACEPARENT: `00-xyz` is no traceparent: expected \
             `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`; the trace has no parent",
            "BAGGAGE: has no entry such as key=value that can be read",
        ];
        assert_eq!(warnings, expected);
    }
}
