//! What sending threads and the collector's thread share without a lock, in every order that the
//! memory model allows: by loom.
//!
//! The channel itself is crossbeam's. Here it is a counter of what is in it and one of what was taken
//! out, both under one lock, so that its own orders are in nobody's way.

use std::ops::AddAssign;

use loom::sync::{Arc, Mutex, atomic};
use loom::thread;

#[path = "../src/intake.rs"]
mod intake;
mod stats {
    pub(crate) use observe_collector::Dropped;
}

use intake::{Intake, Offered, Refusal};

/// A channel that holds one chunk.
#[derive(Default)]
struct Channel {
    inside: u64,
    taken: u64,
    gone: bool,
}

struct Shared {
    intake: Intake,
    channel: Mutex<Channel>,
}

impl Shared {
    fn new() -> Arc<Self> {
        let (intake, channel) = (Intake::default(), Mutex::new(Channel::default()));
        Arc::new(Shared { intake, channel })
    }

    /// What a handle does with a chunk of so many spans.
    fn send(&self, spans: u64) {
        self.intake.offer(spans, 1);
        if let Err(why) = self.try_send(spans) {
            self.intake.refuse(spans, 1, why);
        }
    }

    fn try_send(&self, spans: u64) -> Result<(), Refusal> {
        if self.intake.is_closed() {
            return Err(Refusal::Closed);
        }
        let mut channel = self.channel.lock().expect("no panic");
        match (channel.gone, channel.inside) {
            (true, _) => Err(Refusal::Closed),
            (false, 0) => {
                channel.inside = spans;
                Ok(())
            }
            (false, _) => Err(Refusal::Full),
        }
    }

    /// What the collector's thread does with the next chunk.
    fn take(&self) {
        let mut channel = self.channel.lock().expect("no panic");
        let spans = std::mem::take(&mut channel.inside);
        channel.taken.add_assign(spans);
    }

    fn taken(&self) -> u64 {
        self.channel.lock().expect("no panic").taken
    }
}

/// All orders in which threads are interrupted up to three times, which is where mistakes show:
/// without a bound there are millions.
fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

/// What a report calls queued. That there is such a number is what is shown.
fn in_channel(offered: Offered, taken: u64) -> u64 {
    let left = offered.number.checked_sub(offered.dropped.total());
    left.and_then(|left| left.checked_sub(taken)).expect("no more is gone than was offered")
}

/// A report amid sends never finds more dropped or taken than offered, and at the end nothing is
/// missing.
#[test]
fn a_report_during_sends_adds_up() {
    model(|| {
        let shared = Shared::new();
        let send = |spans| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.send(spans))
        };
        let senders = [send(2), send(3)];
        shared.take();
        // As the collector's thread has it: what it took it knows, the rest it reads.
        let taken = shared.taken();
        in_channel(shared.intake.spans(), taken);
        in_channel(shared.intake.logs(), 0);
        for sender in senders {
            sender.join().expect("no panic");
        }
        let spans = shared.intake.spans();
        assert_eq!(spans.number, 5);
        let inside = shared.channel.lock().expect("no panic").inside;
        assert_eq!(in_channel(spans, shared.taken()), inside);
    });
}

/// Whoever sends while the channel is closed is taken or counted as closed, and nobody who sends
/// later is taken.
#[test]
fn what_races_with_the_end_is_taken_or_counted() {
    model(|| {
        let shared = Shared::new();
        let sender = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.send(2);
                shared.send(3);
            })
        };
        shared.intake.close();
        shared.take();
        let taken = {
            let mut channel = shared.channel.lock().expect("no panic");
            channel.gone = true;
            channel.taken
        };
        // The report of the end: what is neither taken nor refused yet is lost, as closed.
        in_channel(shared.intake.spans(), taken);
        sender.join().expect("no panic");
        shared.send(7);
        let spans = shared.intake.spans();
        assert_eq!(spans.number, 12);
        assert!(spans.dropped.closed >= 7);
        let inside = shared.channel.lock().expect("no panic").inside;
        assert_eq!(in_channel(spans, taken), inside);
    });
}
