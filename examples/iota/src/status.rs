//! What this host says of itself.

use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use observe_collector::{Collector, Delivery, Health, prometheus};
use observe_host::Observer;

use crate::{Refusal, Telemetry};

/// How long the page of metrics waits for the collector's thread, which an exporter may hold.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) fn routes(observer: Observer, telemetry: Telemetry) -> Router {
    let healthy = Telemetry::clone(&telemetry);
    Router::new()
        .route("/health", get(async move || ask(&healthy, |it| Some(health(&it.health())))))
        .route("/metrics", get(move || metrics(observer, telemetry)))
}

/// What a collector answers; that it does not, or is gone, is no fault of the client's.
fn ask<T>(telemetry: &Telemetry, of: impl FnOnce(&Collector) -> Option<T>) -> Result<T, Refusal> {
    let collector = telemetry.read().unwrap_or_else(PoisonError::into_inner);
    let answer = collector.as_ref().and_then(of);
    answer.ok_or_else(|| {
        Refusal(StatusCode::SERVICE_UNAVAILABLE, "the collector is busy or gone".to_owned())
    })
}

/// `GET /metrics`, for Prometheus: what guests took, what observing them took, and what became of it.
async fn metrics(observer: Observer, telemetry: Telemetry) -> Result<Response, Refusal> {
    // It takes a thread for as long as the answer does.
    let asked = tokio::task::spawn_blocking(move || ask(&telemetry, |it| it.own_metrics(PATIENCE)));
    let own = asked
        .await
        .unwrap_or_else(|panic| Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, panic.to_string())));
    let mut metrics = observer.metrics();
    metrics.extend(own?);
    Ok(([(CONTENT_TYPE, prometheus::CONTENT_TYPE)], prometheus::text(&metrics)).into_response())
}

/// `GET /health`: a line for each signal of each exporter, and status 200 for as long as anybody
/// answers. Guests run without a backend, too: nobody should restart the host for one.
fn health(health: &Health) -> String {
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
