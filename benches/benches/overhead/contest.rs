//! Contenders that do the work of one program in turn.

use std::time::Duration;

use observe_benches::{Program, Result, Spread};
use wasmtime::Engine;

use crate::contender::{Contender, Seen};
use crate::table::{Row, Table};
use crate::uninstrumented;

/// A contender that takes so long for all rounds leaves the last ones out.
const PATIENCE: Duration = Duration::from_secs(4);

/// In so many rounds it takes part all the same.
const MIN_ROUNDS: usize = 3;

/// A program, and all who do its work; the first is what the others are compared with.
pub struct Contest {
    program: Program,
    contenders: Vec<Contender>,
    /// The place of the one whose hooks only read the clock.
    floor: Option<usize>,
    /// Places of contenders that are compared with another than the first, too, and of
    /// those others.
    own_baselines: Vec<(usize, usize)>,
}

/// What came of a contender.
struct Score {
    calls: Option<(u64, u64)>,
    /// Seconds of each round that it took part in.
    times: Vec<f64>,
    rounds: usize,
}

impl Contest {
    /// A contest in which so far only the uninstrumented module takes part.
    pub fn new(engine: &Engine, program: Program) -> Result<Self> {
        let contenders = uninstrumented(engine, &program.wasm)?.into();
        Ok(Contest { program, contenders, floor: None, own_baselines: Vec::new() })
    }

    pub fn program(&self) -> &Program {
        &self.program
    }

    pub fn add(&mut self, contenders: impl IntoIterator<Item = Contender>) {
        self.contenders.extend(contenders);
    }

    /// Adds hooks of which the first only read the clock, and the others do less.
    pub fn add_floor(&mut self, contenders: impl IntoIterator<Item = Contender>) {
        self.floor = Some(self.contenders.len());
        self.add(contenders);
    }

    /// Adds contenders that are to be compared with the first of them, too.
    pub fn add_with_its_own_baseline(&mut self, contenders: impl IntoIterator<Item = Contender>) {
        let baseline = self.contenders.len();
        self.add(contenders);
        let others = baseline + 1..self.contenders.len();
        self.own_baselines.extend(others.map(|other| (other, baseline)));
    }

    /// Runs the contenders in turn.
    pub fn hold(self, rounds: usize) -> Result<Table> {
        let mut scores = self.warm_up(rounds)?;
        for round in 0..rounds {
            // Each takes each place in turn.
            for n in 0..self.contenders.len() {
                let place = (n + round) % self.contenders.len();
                if round < scores[place].rounds {
                    let time = self.contenders[place].time(&self.program)?;
                    scores[place].times.push(time.as_secs_f64());
                }
            }
        }
        Ok(self.table(rounds, &scores))
    }

    /// The first round warms up, and checks that all come to the same result.
    fn warm_up(&self, rounds: usize) -> Result<Vec<Score>> {
        let mut expected = None;
        let mut scores: Vec<Score> = Vec::new();
        for contender in &self.contenders {
            let (done, seen) = contender.run(&self.program)?;
            if *expected.get_or_insert_with(|| done.result.clone()) != done.result {
                return Err(format!("{}: {} differs", self.program.about, contender.name).into());
            }
            let calls = match seen {
                Seen::NoHooks => None,
                Seen::Calls { made, timed } => Some((made, timed)),
                Seen::CallsAsBefore => {
                    scores.last().and_then(|before| before.calls).map(|(made, _)| (made, 0))
                }
            };
            let affordable = PATIENCE.div_duration_f64(done.time) as usize;
            let rounds = affordable.max(MIN_ROUNDS).min(rounds);
            scores.push(Score { calls, times: Vec::with_capacity(rounds), rounds });
        }
        Ok(scores)
    }

    fn table(self, rounds: usize, scores: &[Score]) -> Table {
        let plain = &scores[0].times;
        // Ratios are taken within a round.
        let ratio = |times: &[f64], baseline: &[f64]| {
            Spread::of(times.iter().zip(baseline).map(|(own, baseline)| own / baseline))
        };
        let added = |times: &[f64]| -> Vec<f64> {
            times.iter().zip(plain).map(|(own, plain)| own - plain).collect()
        };
        let floor = self.floor.map(|floor| added(&scores[floor].times));
        let rows =
            self.contenders.iter().zip(scores).enumerate().map(|(place, (contender, score))| {
                let own_baseline = self.own_baselines.iter().find(|(other, _)| *other == place);
                let calls = score.calls.filter(|(made, _)| *made > 0);
                Row {
                    name: contender.name.clone(),
                    rounds: score.times.len(),
                    ms: Some(Spread::of(score.times.iter().map(|time| time * 1e3))),
                    ratio: Some(ratio(&score.times, plain)),
                    calls,
                    nanos_a_call: calls.map(|(made, _)| {
                        Spread::of(added(&score.times).iter().map(|time| time * 1e9 / made as f64))
                    }),
                    of_floor: floor
                        .as_ref()
                        .filter(|_| calls.is_some())
                        .map(|floor| ratio(&added(&score.times), floor)),
                    of_own_baseline: own_baseline
                        .map(|(_, baseline)| ratio(&score.times, &scores[*baseline].times)),
                }
            });
        let rows = rows.collect();
        let title = self.program.about;
        let notes = self.contenders.into_iter().filter_map(Contender::conclude).collect();
        Table { title, rounds, processes: 1, rows, notes }
    }
}
