//! What happened before the collector's thread.

/// What came of everything that hosts sent, up to the collector's thread. It is the same for all
/// exporters, whose counts have it, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelReport {
    /// Of spans.
    pub spans: Passage,
    /// Of log records.
    pub logs: Passage,
}

/// The way of spans, or of log records, through the channel.
///
/// At any time `offered = taken + full + closed + waiting`, see [`Passage::is_balanced`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// Sent by hosts.
    pub offered: u64,
    /// Taken from the channel by the collector's thread.
    pub taken: u64,
    /// Dropped, because the channel was full.
    pub full: u64,
    /// Dropped, because the collector had been shut down.
    pub closed: u64,
    /// In the channel.
    pub waiting: u64,
}

impl Passage {
    /// Whether all that was offered is accounted for.
    pub fn is_balanced(&self) -> bool {
        self.offered == self.taken + self.full + self.closed + self.waiting
    }
}
