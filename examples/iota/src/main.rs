//! `iota [ADDRESS]` serves modules over HTTP until Ctrl-C.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use observe_collector::{Collector, DEFAULT_METRIC_INTERVAL, Environment, Resource, otlp};
use observe_iota::{Limits, Telemetry, app, observe};
use tokio::net::TcpListener;
use wasmtime::error::Context;

/// How long the end waits: for requests under way, and then for a backend to take the last spans.
const PATIENCE: Duration = Duration::from_secs(15);

#[tokio::main(flavor = "multi_thread", worker_threads = 4)]
async fn main() -> wasmtime::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    // How much is sent: OTEL_TRACES_SAMPLER and the like.
    let environment = Environment::from_env()?;
    let mut collector = Collector::builder().environment(&environment);
    let mut interval = DEFAULT_METRIC_INTERVAL;
    // Telemetry is sent if the environment says where to: OTEL_EXPORTER_OTLP_ENDPOINT.
    if let Some(config) = otlp::Config::from_env()? {
        interval = config.metric_interval();
        let resource = Resource::from_env().with_default("service.name", "iota");
        collector = collector.exporter(Box::new(otlp::OtlpExporter::new(config, resource)));
    }
    let collector = collector.own_metrics(interval).start();
    let observer = observe(collector.handle()).sampler(environment.sampler).build();
    let totals = observer.clone();
    collector.metrics(interval, move || totals.metrics());
    let telemetry: Telemetry = Arc::new(RwLock::new(Some(collector)));

    let listener = TcpListener::bind(&address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = app(&observer, &telemetry, environment.propagators, Limits::default())?;
    let serve = axum::serve(listener, app).with_graceful_shutdown(stopped());
    tokio::select! {
        served = serve.into_future() => served?,
        // Whoever sends a request byte by byte is not waited for.
        () = async { stopped().await; tokio::time::sleep(PATIENCE).await } => {}
    }

    let ended = tokio::task::spawn_blocking(move || {
        let collector = telemetry.write().unwrap_or_else(PoisonError::into_inner).take();
        collector.map(|collector| collector.shutdown(PATIENCE))
    });
    for exporter in ended.await?.into_iter().flat_map(|report| report.exporters) {
        let counts = exporter.counts;
        eprintln!("{} of {} spans delivered", counts.delivered, counts.accepted);
        if let Some(error) = exporter.last_error {
            eprintln!("{}: {error}", exporter.name);
        }
    }
    Ok(())
}

/// Waits for Ctrl-C; for ever where that cannot be seen.
async fn stopped() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
