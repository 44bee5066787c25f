//! What the generated modules did, so that a test that tests nothing shows.

use std::collections::BTreeMap;
use std::fmt;

use super::guest::Outcome;

/// What came of modules and their calls, the unchanged ones'.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) modules: u64,
    /// Modules that wasmtime, or this host, does not take.
    pub(super) refused: u64,
    /// Instances of them; those whose start, or whose segments, failed.
    instances: u64,
    not_started: u64,
    pub(super) returned: u64,
    pub(super) trapped: u64,
    pub(super) thrown: u64,
    /// Calls that ended since the host could make no value.
    pub(super) unmakeable: u64,
    /// Calls that ran out of fuel, memory or stack.
    pub(super) exhausted: u64,
    pub(super) host_calls: u64,
    /// Timed entries, and ends by an exception, of instrumented modules.
    pub(super) entered: u64,
    pub(super) unwound: u64,
    /// The most that one unit of fuel became, a constant aside, in hundredths.
    fuel: u64,
    /// How many modules have instructions of a proposal.
    pub(super) proposals: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(super) fn started(&mut self, started: bool) {
        self.instances += 1;
        self.not_started += u64::from(!started);
    }

    pub(super) fn note(&mut self, outcome: &Outcome, host_calls: usize) {
        self.host_calls += host_calls as u64;
        *match outcome {
            Outcome::Returned(_) => &mut self.returned,
            Outcome::Trapped(_) => &mut self.trapped,
            Outcome::Thrown { .. } => &mut self.thrown,
            Outcome::Refused => &mut self.unmakeable,
            Outcome::Exhausted(_) => &mut self.exhausted,
        } += 1;
    }

    pub(super) fn fuel(&mut self, before: u64, after: u64) {
        let more = after.saturating_sub(super::compare::FUEL_MORE);
        self.fuel = self.fuel.max(more * 100 / before.max(1));
    }

    fn calls(&self) -> u64 {
        self.returned + self.trapped + self.thrown + self.unmakeable + self.exhausted
    }

    /// Checks that modules did what they are generated for.
    pub(super) fn check(&self) {
        let calls = self.calls();
        assert!(self.refused * 20 < self.modules, "most modules can be run");
        assert!(self.returned * 2 > calls, "most calls run to their end");
        assert!(self.trapped * 20 > calls && self.thrown * 100 > calls, "some do not");
        assert!(self.host_calls * 2 > calls, "they call the host");
        assert!(self.entered > calls && self.unwound * 100 > calls, "hooks learn of it");
        for proposal in PROPOSALS {
            let modules = self.proposals.get(proposal).copied().unwrap_or_default();
            assert!(modules * 50 > self.modules, "{proposal}: {modules} modules");
        }
    }
}

/// Proposals that generated modules shall use.
const PROPOSALS: [&str; 13] = [
    "bulk_memory",
    "custom_page_sizes",
    "exceptions",
    "function_references",
    "gc",
    "memory64",
    "mvp",
    "reference_types",
    "relaxed_simd",
    "simd",
    "tail_call",
    "threads",
    "wide_arithmetic",
];

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} modules, {} instances, {} of them not started; {} modules refused by the \
             engine or the host",
            self.modules, self.instances, self.not_started, self.refused
        )?;
        writeln!(
            f,
            "{} calls: {} returned, {} trapped, {} threw, {} asked for what the host cannot \
             make, {} met a limit",
            self.calls(),
            self.returned,
            self.trapped,
            self.thrown,
            self.unmakeable,
            self.exhausted
        )?;
        writeln!(
            f,
            "{} calls of the host, {} timed entries, {} of them ended by an exception",
            self.host_calls, self.entered, self.unwound
        )?;
        writeln!(f, "fuel: at most {}.{:02} times", self.fuel / 100, self.fuel % 100)?;
        write!(f, "modules by proposal: {:?}", self.proposals)
    }
}
