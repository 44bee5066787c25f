//! What all spans of a process have in common: who made them.

use std::borrow::Cow;

use thiserror::Error;

use crate::env::{self, ListError};
use crate::event::{Attribute, Value};

const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

/// The attributes of the process, each key once.
///
/// [`telemetry.sdk.*`] are always there and always ours. `telemetry.sdk.name` is
/// `observe`: the convention reserves `opentelemetry` for the project's own SDKs
/// and tells every other to use a stable name of its own. `telemetry.sdk.language`
/// is `rust`, the well-known value for what this crate is written in; what the guest
/// is written in is another matter.
///
/// [`telemetry.sdk.*`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/telemetry/
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    attributes: Vec<Attribute>,
    error: Option<ResourceError>,
}

/// Why `OTEL_RESOURCE_ATTRIBUTES` was ignored.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("OTEL_RESOURCE_ATTRIBUTES is ignored: {cause}")]
pub struct ResourceError {
    cause: ListError,
}

impl Resource {
    /// Only `telemetry.sdk.*`.
    pub fn new() -> Self {
        let attributes = vec![
            Attribute::new("telemetry.sdk.language", "rust"),
            Attribute::new("telemetry.sdk.name", "observe"),
            Attribute::new("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        ];
        Resource { attributes, error: None }
    }

    /// What the environment of the process says: `OTEL_SERVICE_NAME`, then
    /// `OTEL_RESOURCE_ATTRIBUTES`, whose keys and values may be percent-encoded.
    ///
    /// A malformed `OTEL_RESOURCE_ATTRIBUTES` is ignored as a whole, as the
    /// [specification] asks; [`Resource::error`] says so.
    ///
    /// [specification]: https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable
    pub fn from_env() -> Self {
        Self::from_lookup(&env::process)
    }

    /// As [`Resource::from_env`], with variables from elsewhere.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut resource = Self::new();
        if let Some(name) = env::get(lookup, SERVICE_NAME) {
            resource = resource.with_default("service.name", name);
        }
        let Some(list) = env::get(lookup, RESOURCE_ATTRIBUTES) else { return resource };
        match env::list(&list) {
            // Of a key that comes twice the last value counts.
            Ok(pairs) => pairs
                .into_iter()
                .rev()
                .fold(resource, |resource, (key, value)| resource.with_default(key, value)),
            Err(cause) => Resource { error: Some(ResourceError { cause }), ..resource },
        }
    }

    /// Adds an attribute, unless there is one of this key.
    pub fn with_default(
        mut self,
        key: impl Into<Cow<'static, str>>,
        value: impl Into<Value>,
    ) -> Self {
        let key = key.into();
        if self.get(&key).is_none() {
            self.attributes.push(Attribute { key, value: value.into() });
        }
        self
    }

    /// The value of an attribute.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.attributes
            .iter()
            .find(|attribute| attribute.key == key)
            .map(|attribute| &attribute.value)
    }

    /// All attributes.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// Why a variable was ignored, if one was.
    pub fn error(&self) -> Option<&ResourceError> {
        self.error.as_ref()
    }
}

impl Default for Resource {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Resource;
    use crate::event::Value;

    fn resource(service: &str, attributes: &str) -> Resource {
        Resource::from_lookup(&|name| match name {
            "OTEL_SERVICE_NAME" => Some(service.to_owned()),
            "OTEL_RESOURCE_ATTRIBUTES" => Some(attributes.to_owned()),
            _ => None,
        })
    }

    fn text(resource: &Resource, key: &str) -> Option<String> {
        match resource.get(key) {
            Some(Value::String(text)) => Some(text.clone()),
            _ => None,
        }
    }

    #[test]
    fn service_name_wins_over_attributes_and_both_over_defaults() {
        for (service, attributes, expected) in [
            ("a", "service.name=b", "a"),
            ("", "service.name=b", "b"),
            ("a", "", "a"),
            ("", "", "c"),
        ] {
            let resource = resource(service, attributes).with_default("service.name", "c");
            assert_eq!(text(&resource, "service.name").as_deref(), Some(expected));
            let keys = resource.attributes().iter().filter(|a| a.key == "service.name").count();
            assert_eq!(keys, 1);
        }
    }

    #[test]
    fn values_are_decoded_and_the_last_of_a_key_counts() {
        let resource = resource("", "a=1,b=x%2Cy,a=2");
        assert_eq!(text(&resource, "a").as_deref(), Some("2"));
        assert_eq!(text(&resource, "b").as_deref(), Some("x,y"));
        assert_eq!(resource.error(), None);
    }

    #[test]
    fn sdk_attributes_cannot_be_replaced() {
        let resource = resource("", "telemetry.sdk.name=opentelemetry");
        assert_eq!(text(&resource, "telemetry.sdk.name").as_deref(), Some("observe"));
        assert_eq!(text(&resource, "telemetry.sdk.language").as_deref(), Some("rust"));
    }

    #[test]
    fn a_malformed_list_is_ignored_as_a_whole_and_reported() {
        let resource = resource("a", "good=1,bad");
        assert_eq!(resource.get("good"), None);
        assert_eq!(text(&resource, "service.name").as_deref(), Some("a"));
        let error = resource.error().map(ToString::to_string);
        let expected = "OTEL_RESOURCE_ATTRIBUTES is ignored: entry 2 has no `=`, write key=value";
        assert_eq!(error.as_deref(), Some(expected));
    }
}
