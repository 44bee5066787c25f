//! The receiver's addresses, from one request to the next.
//!
//! The client asks for them before each request, also where that goes over a connection that is
//! open, and the resolver it has looks them up on a thread that it starts for that: half of all
//! that a span took, in batches of 512.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How long addresses are used: what name servers often give theirs at the least.
const LIFETIME: Duration = Duration::from_secs(30);

/// Looks addresses up, and remembers the last for a while.
#[derive(Debug, Default)]
pub(super) struct Addresses<R = DefaultResolver> {
    resolver: R,
    known: Recent,
}

/// The addresses that were found last, for the resolver and whoever learns that they fail.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent(Arc<Mutex<Option<Known>>>);

#[derive(Debug)]
struct Known {
    of: Uri,
    until: Instant,
    addresses: ResolvedSocketAddrs,
}

impl Recent {
    /// Has them looked up for the next request, since the last one failed.
    pub(super) fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, uri: &Uri, now: Instant) -> Option<ResolvedSocketAddrs> {
        let known = self.lock();
        let known = known.as_ref().filter(|known| now < known.until && known.of == *uri)?;
        Some(known.addresses.clone())
    }
}

impl Addresses {
    /// What they are remembered in.
    pub(super) fn recent(&self) -> Recent {
        self.known.clone()
    }
}

impl<R: Resolver> Resolver for Addresses<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let now = Instant::now();
        if let Some(addresses) = self.known.find(uri, now) {
            return Ok(addresses);
        }
        let addresses = self.resolver.resolve(uri, config, timeout)?;
        let known = Known { of: uri.clone(), until: now + LIFETIME, addresses: addresses.clone() };
        *self.known.lock() = Some(known);
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU16, Ordering};
    use std::time::{Duration, Instant};

    use ureq::Error;
    use ureq::config::Config;
    use ureq::http::Uri;
    use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
    use ureq::unversioned::transport::NextTimeout;

    use super::{Addresses, LIFETIME};

    /// Finds another port each time, but none for the name `unknown`.
    #[derive(Debug, Default)]
    struct Counting(AtomicU16);

    impl Resolver for Counting {
        fn resolve(
            &self,
            uri: &Uri,
            _: &Config,
            _: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, Error> {
            let port = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            if uri.host() == Some("unknown") {
                return Err(Error::HostNotFound);
            }
            let mut addresses = self.empty();
            addresses.push(([192, 0, 2, 1], port).into());
            Ok(addresses)
        }
    }

    fn look_up(addresses: &Addresses<Counting>, uri: &str) -> Option<u16> {
        let uri = uri.parse().expect("a URL");
        let found = addresses.resolve(&uri, &Config::default(), NextTimeout::default());
        found.ok().map(|found| found[0].port())
    }

    #[test]
    fn addresses_are_looked_up_once() {
        let addresses = Addresses::<Counting>::default();
        assert_eq!(look_up(&addresses, "http://a:1/v1/traces"), Some(1));
        assert_eq!(look_up(&addresses, "http://a:1/v1/traces"), Some(1));
        assert_eq!(look_up(&addresses, "http://b:1/v1/traces"), Some(2), "of another");
    }

    #[test]
    fn a_failure_has_them_looked_up_anew() {
        let addresses = Addresses::<Counting>::default();
        assert_eq!(look_up(&addresses, "http://a/"), Some(1));
        addresses.known.forget();
        assert_eq!(look_up(&addresses, "http://a/"), Some(2));
        assert_eq!(look_up(&addresses, "http://unknown/"), None);
        assert_eq!(look_up(&addresses, "http://unknown/"), None);
        assert_eq!(addresses.resolver.0.load(Ordering::Relaxed), 4, "no failure is remembered");
    }

    #[test]
    fn addresses_grow_old() {
        let addresses = Addresses::<Counting>::default();
        look_up(&addresses, "http://a/");
        let (uri, now) = ("http://a/".parse().expect("a URL"), Instant::now());
        assert!(addresses.known.find(&uri, now + LIFETIME - Duration::from_secs(9)).is_some());
        assert!(addresses.known.find(&uri, now + LIFETIME).is_none());
    }
}
