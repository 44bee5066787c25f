//! One request: the only place that touches the network.

mod compress;
#[cfg(feature = "grpc")]
mod grpc;
mod http;

use std::io;
use std::time::Duration;

use super::config::{Protocol, SignalConfig};
use super::pipeline::Outcome;
use super::response::PartialSuccess;
use crate::stats::Signal;

#[cfg(feature = "grpc")]
use self::grpc::Grpc;
use self::http::Http;

/// How much of an answer is read. One that says which spans were rejected has a number
/// and a sentence.
const MAX_BODY: usize = 64 << 10;

/// How much of an answer's text is shown.
const MAX_SHOWN: usize = 200;

/// Sends batches of one signal to one receiver over connections that are kept open.
pub(crate) enum Transport {
    Http(Box<Http>),
    #[cfg(feature = "grpc")]
    Grpc(Box<Grpc>),
}

impl Transport {
    pub(crate) fn new(config: &SignalConfig) -> Self {
        match config.protocol {
            Protocol::HttpProtobuf => Transport::Http(Box::new(Http::new(config))),
            #[cfg(feature = "grpc")]
            Protocol::Grpc => Transport::Grpc(Box::new(Grpc::new(config))),
        }
    }

    /// Closes all connections when called, which ends a request in flight.
    pub(crate) fn closer(&self) -> impl FnOnce() + Send + use<> {
        let close: Box<dyn FnOnce() + Send> = match self {
            Transport::Http(http) => Box::new(http.closer()),
            #[cfg(feature = "grpc")]
            Transport::Grpc(grpc) => Box::new(grpc.closer()),
        };
        close
    }

    /// Sends an encoded batch and waits for the answer, at most as long as the configuration says
    /// and, if there is one, `limit`.
    pub(crate) fn post(&self, body: &[u8], limit: Option<Duration>) -> Outcome {
        match self {
            Transport::Http(http) => http.post(body, limit),
            #[cfg(feature = "grpc")]
            Transport::Grpc(grpc) => grpc.post(body, limit),
        }
    }
}

/// Who is sent what, for messages.
struct Receiver {
    /// The URL, and the signal where the URL does not tell it.
    label: String,
    signal: Signal,
}

impl Receiver {
    /// What went wrong, with whom.
    fn error(&self, what: &str) -> String {
        format!("{}: {what}", self.label)
    }

    /// What an answer means that says that the batch was taken.
    fn delivered(&self, partial: &PartialSuccess) -> Outcome {
        // A negative number makes no sense and rejects nothing.
        let rejected = u64::try_from(partial.rejected).unwrap_or(0);
        let message = one_line(&partial.message);
        let note = match rejected {
            0 if message.is_empty() => None,
            0 => Some(self.error(&format!("warning: {message}"))),
            _ => {
                let items = self.signal.items();
                Some(self.error(&format!("{rejected} {items} rejected: {message}")))
            }
        };
        Outcome::Delivered { rejected, note }
    }
}

/// What the operating system says of a connection that failed.
fn describe_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "connection closed without an answer".to_owned(),
        kind @ (io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected) => kind.to_string(),
        _ => one_line(&error.to_string()),
    }
}

/// Text from elsewhere, fit for a message: short, and nothing that moves the cursor.
fn one_line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let line: String = text.trim().chars().map(clean).take(MAX_SHOWN).collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{MAX_SHOWN, one_line};

    #[test]
    fn foreign_text_is_one_short_line() {
        assert_eq!(one_line(" a\r\nb\u{1b}[31m\n"), "a  b [31m");
        assert_eq!(one_line(&"é".repeat(1000)).chars().count(), MAX_SHOWN);
    }
}
