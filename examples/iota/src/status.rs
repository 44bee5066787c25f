//! What this host says of itself.

use std::time::SystemTime;

use observe_collector::{Delivery, Health};

/// `GET /health`: a line for each signal of each exporter, and status 200 for as long as anybody
/// answers. Guests run without a backend, too: nobody should restart the host for one.
pub(crate) fn health(health: &Health) -> String {
    let mut text = "serving\n".to_owned();
    for exporter in &health.exporters {
        for signal in &exporter.signals {
            let told = match &signal.delivery {
                Delivery::Idle => "nothing to deliver yet".to_owned(),
                Delivery::Delivering => "delivered".to_owned(),
                Delivery::Retrying { since, error } => {
                    let seconds = SystemTime::now().duration_since(*since).unwrap_or_default();
                    format!("waiting for {} s ({error})", seconds.as_secs())
                }
                Delivery::Dropping { error: Some(error) } => format!("lost ({error})"),
                Delivery::Dropping { error: None } => "lost, the queue is full".to_owned(),
            };
            text += &format!("{}: {}: {told}\n", exporter.name, signal.signal.items());
        }
    }
    text
}
