//! While nobody listens, nothing is looked at. No test in this file may listen.

use std::cell::Cell;
use std::fmt::{self, Debug, Display};

use observe::{debug, detached_span, error, event, info, instrument, span, trace, warn};

/// Tells when it is looked at.
struct Watched<'a>(&'a Cell<u32>);

impl Debug for Watched<'_> {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.set(self.0.get() + 1);
        Ok(())
    }
}

impl Display for Watched<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Debug::fmt(self, formatter)
    }
}

#[instrument(err, ret)]
fn fails<'a>(watched: &Watched<'a>) -> Result<Watched<'a>, Watched<'a>> {
    Err(Watched(watched.0))
}

#[instrument(ret)]
fn works<'a>(watched: &Watched<'a>) -> Watched<'a> {
    Watched(watched.0)
}

#[test]
fn nothing_is_looked_at() {
    assert!(!observe::spans_wanted() && !observe::metrics_wanted());
    assert!(!observe::logs_wanted(observe::Severity::Fatal));
    let looked = Cell::new(0);
    let watched = Watched(&looked);
    let _span = span!("x", ?watched, b = %watched);
    let _detached = detached_span!("x", ?watched);
    event!("x", ?watched);
    trace!(?watched, "{watched}");
    debug!(?watched, "{watched}");
    info!(?watched, "{watched}");
    warn!(?watched, "{watched}");
    error!(?watched, "{watched}");
    let _ = fails(&watched);
    let _ = works(&watched);
    assert_eq!(looked.get(), 0);
    assert_eq!((observe::traceparent(), observe::baggage(&mut [0; 64])), (None, None));
}
