//! What of a guest's words is passed on.

/// What stands for a value that is not passed on.
pub(crate) const REDACTED: &str = "<redacted>";

/// Parts of keys whose values are secrets, in small letters.
const SECRETS: [&str; 4] = ["password", "secret", "token", "key"];

/// Which attributes of a guest's are passed on.
///
/// A guest chooses its keys, so a list of those that it must not use is easy to get around: for
/// guests that are not trusted, give those that it [may use](Redaction::allow_only). In any case the
/// value of a key that holds `password`, `secret`, `token` or `key`, in letters of any case, is
/// replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    allowed: Option<Vec<String>>,
}

impl Redaction {
    /// Lets only these keys through. One that ends with `*` stands for all that begin with the
    /// rest.
    pub fn allow_only(keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Redaction { allowed: Some(keys.into_iter().map(Into::into).collect()) }
    }

    /// Whether a key is passed on at all.
    pub(crate) fn allows(&self, key: &str) -> bool {
        let matches = |allowed: &String| match allowed.strip_suffix('*') {
            Some(prefix) => key.starts_with(prefix),
            None => key == allowed,
        };
        self.allowed.as_ref().is_none_or(|allowed| allowed.iter().any(matches))
    }

    /// Whether the values of a key are secrets.
    pub(crate) fn is_secret(&self, key: &str) -> bool {
        let is_in = |secret: &&str| {
            key.as_bytes()
                .windows(secret.len())
                .any(|part| part.eq_ignore_ascii_case(secret.as_bytes()))
        };
        SECRETS.iter().any(is_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_keys() {
        let redaction = Redaction::default();
        for key in ["password", "user.Password", "SECRET_SAUCE", "access_token", "apiKey"] {
            assert!(redaction.is_secret(key), "{key}");
        }
        assert!(!redaction.is_secret("user.name"));
    }

    #[test]
    fn only_what_is_allowed_passes() {
        let redaction = Redaction::allow_only(["user.plan", "http.*"]);
        for (key, allowed) in
            [("user.plan", true), ("user.plan2", false), ("http.route", true), ("httproute", false)]
        {
            assert_eq!(redaction.allows(key), allowed, "{key}");
        }
        assert!(Redaction::default().allows("anything"));
    }
}
