//! Those who are asked for metrics, and when.

use std::time::{Duration, Instant};

use crate::event::Metric;

/// How often a source of metrics is asked by default: what the [specification] gives for
/// `OTEL_METRIC_EXPORT_INTERVAL`.
///
/// [specification]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#periodic-exporting-metricreader
pub const DEFAULT_METRIC_INTERVAL: Duration = Duration::from_secs(60);

/// No source is asked more often than this, so that an interval of zero does not keep the
/// thread from all else.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// Answers with metrics as they are now.
pub(crate) type Ask = Box<dyn FnMut() -> Vec<Metric> + Send>;

struct Source {
    /// `None` is the collector itself.
    ask: Option<Ask>,
    interval: Duration,
    /// When it is asked next; `None` is never.
    due: Option<Instant>,
}

/// What sources answered.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) metrics: Vec<Metric>,
    /// Whether the collector itself is asked, which only its thread can answer for.
    pub(crate) own: bool,
}

/// All sources of a collector. Reads no clock.
#[derive(Default)]
pub(crate) struct Sources {
    sources: Vec<Source>,
}

impl Sources {
    /// Adds a source, of which the first interval begins now.
    pub(crate) fn add(&mut self, now: Instant, interval: Duration, ask: Ask) {
        self.add_source(now, interval, Some(ask));
    }

    /// Adds the collector itself.
    pub(crate) fn add_own(&mut self, now: Instant, interval: Duration) {
        self.add_source(now, interval, None);
    }

    fn add_source(&mut self, now: Instant, interval: Duration, ask: Option<Ask>) {
        let interval = interval.max(SHORTEST_INTERVAL);
        self.sources.push(Source { ask, interval, due: now.checked_add(interval) });
    }

    /// When a source is to be asked next, if ever.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.sources.iter().filter_map(|source| source.due).min()
    }

    /// Asks those whose time has come. Their next interval begins now, so that what was missed
    /// while the thread was held up is not made up for.
    pub(crate) fn ask_due(&mut self, now: Instant) -> Answers {
        let mut answers = Answers::default();
        for source in &mut self.sources {
            if source.due.is_some_and(|due| due <= now) {
                source.due = now.checked_add(source.interval);
                source.answer(&mut answers);
            }
        }
        answers
    }

    /// Asks all, due or not.
    pub(crate) fn ask_all(&mut self) -> Answers {
        let mut answers = Answers::default();
        self.sources.iter_mut().for_each(|source| source.answer(&mut answers));
        answers
    }
}

impl Source {
    fn answer(&mut self, answers: &mut Answers) {
        match &mut self.ask {
            Some(ask) => answers.metrics.append(&mut ask()),
            None => answers.own = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Answers, Ask, SHORTEST_INTERVAL, Sources};
    use crate::event::{Metric, MetricData};

    const SECOND: Duration = Duration::from_secs(1);

    fn named(name: &'static str) -> Ask {
        let data = MetricData::Gauge(Vec::new());
        let metric = Metric { name: name.into(), description: "".into(), unit: "".into(), data };
        Box::new(move || vec![metric.clone()])
    }

    fn names(answers: &Answers) -> Vec<&str> {
        answers.metrics.iter().map(|metric| &*metric.name).collect()
    }

    #[test]
    fn each_source_has_its_own_interval() {
        let (mut sources, start) = (Sources::default(), Instant::now());
        assert_eq!(sources.due(), None);
        sources.add(start, 2 * SECOND, named("two"));
        sources.add(start, 3 * SECOND, named("three"));
        let mut asked = Vec::new();
        for second in 0..=6 {
            let now = start + second * SECOND;
            if sources.due().is_some_and(|due| due <= now) {
                asked.push((second, names(&sources.ask_due(now)).join(" ")));
            }
        }
        let expected = [(2, "two"), (3, "three"), (4, "two"), (6, "two three")];
        assert_eq!(asked, expected.map(|(second, names)| (second, names.to_owned())));
        assert_eq!(sources.due(), Some(start + 8 * SECOND));
    }

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let (mut sources, start) = (Sources::default(), Instant::now());
        sources.add(start, SECOND, named("one"));
        let late = start + 10 * SECOND;
        assert_eq!(sources.ask_due(late).metrics.len(), 1);
        assert!(sources.ask_due(late).metrics.is_empty());
        assert_eq!(sources.due(), Some(late + SECOND));
    }

    #[test]
    fn intervals_without_end_and_of_no_length() {
        let (mut sources, start) = (Sources::default(), Instant::now());
        sources.add(start, Duration::MAX, named("never"));
        assert_eq!(sources.due(), None);
        assert_eq!(names(&sources.ask_all()), ["never"]);
        sources.add(start, Duration::ZERO, named("often"));
        assert_eq!(sources.due(), Some(start + SHORTEST_INTERVAL));
        assert_eq!(names(&sources.ask_all()), ["never", "often"]);
    }

    #[test]
    fn the_collector_itself_is_a_source_that_others_answer_for() {
        let (mut sources, start) = (Sources::default(), Instant::now());
        sources.add(start, SECOND, named("one"));
        assert!(!sources.ask_all().own);
        sources.add_own(start, 2 * SECOND);
        assert!(!sources.ask_due(start + SECOND).own);
        let answers = sources.ask_due(start + 2 * SECOND);
        assert_eq!((names(&answers), answers.own), (vec!["one"], true));
        assert!(sources.ask_all().own);
    }
}
