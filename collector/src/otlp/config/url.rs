//! URLs of receivers.

use ureq::http::Uri;

use super::error::ConfigError;

/// A URL for people: what is in its query may be a key, so that it has one is all that is shown.
pub(super) fn shown(url: &str) -> String {
    match url.split_once('?') {
        Some((url, _)) => format!("{url}?…"),
        None => url.to_owned(),
    }
}

/// Reads the URL that `input` holds.
pub(super) fn parse(input: &'static str, url: &str) -> Result<Uri, ConfigError> {
    let url = url.trim();
    // `localhost:4318` parses as a URI without a scheme, `localhost:4318/x` not at all.
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(ConfigError::NoScheme { input, url: shown(url) });
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(ConfigError::Credentials { input });
    }
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(ConfigError::Scheme { input, scheme: scheme.to_owned() });
    }
    let error = |cause: String| ConfigError::Url { input, url: shown(url), cause };
    let uri: Uri = url.parse().map_err(|cause| error(format!("{cause}")))?;
    if uri.host().is_none_or(str::is_empty) {
        return Err(error("it names no host".to_owned()));
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    if has_port && uri.port_u16().is_none_or(|port| port == 0) {
        return Err(error("its port is not a number from 1 to 65535".to_owned()));
    }
    Ok(uri)
}

/// Reads a gRPC endpoint: a URL, or a host and port alone, with TLS unless that is switched off.
#[cfg(feature = "grpc")]
pub(super) fn parse_grpc(
    input: &'static str,
    url: &str,
    insecure: impl FnOnce() -> Result<bool, ConfigError>,
) -> Result<Uri, ConfigError> {
    let url = url.trim();
    let uri = match url.contains("://") {
        true => parse(input, url)?,
        false => {
            let scheme = if insecure()? { "http" } else { "https" };
            parse(input, &format!("{scheme}://{url}"))?
        }
    };
    if uri.path_and_query().is_some_and(|path| path != "/") {
        return Err(ConfigError::GrpcPath { input, url: shown(url) });
    }
    Ok(uri)
}

/// The URL with `path` behind its own.
pub(super) fn append(input: &'static str, base: &Uri, path: &str) -> Result<Uri, ConfigError> {
    with_path(input, base, &format!("{}{path}", base.path().trim_end_matches('/')))
}

/// The URL with `path` behind its own, in the place of `sibling` if its own ends so.
pub(super) fn append_or_replace(
    input: &'static str,
    base: &Uri,
    path: &str,
    sibling: &str,
) -> Result<Uri, ConfigError> {
    match base.path().strip_suffix(sibling) {
        Some(before) => with_path(input, base, &format!("{before}{path}")),
        None => append(input, base, path),
    }
}

fn with_path(input: &'static str, base: &Uri, path: &str) -> Result<Uri, ConfigError> {
    let query = base.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = base.clone().into_parts();
    let error = |cause: String| ConfigError::Url { input, url: shown(&base.to_string()), cause };
    let path_and_query = format!("{path}{query}").parse();
    parts.path_and_query = Some(path_and_query.map_err(|cause| error(format!("{cause}")))?);
    Uri::from_parts(parts).map_err(|cause| error(cause.to_string()))
}
