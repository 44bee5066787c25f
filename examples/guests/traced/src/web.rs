//! A server without a network: tower-http tells of each request, as it does everywhere.

use std::convert::Infallible;
use std::hint::black_box;

use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::trace::TraceLayer;
use tracing::Instrument;

use crate::executor::{join, others_turn};

type Body = Empty<&'static [u8]>;

/// Answers two requests at a time.
pub(crate) fn serve() {
    let service =
        ServiceBuilder::new().layer(TraceLayer::new_for_http()).service(service_fn(answer));
    let requests = ["/tea", "/coffee"].map(|path| {
        let mut service = service.clone();
        let request = Request::get(path).body(Body::new()).expect("a path");
        async move {
            let response = service.ready().await.expect("infallible").call(request).await;
            let status = response.expect("infallible").status();
            println!("{path} {status}");
        }
    });
    join(requests.into_iter().map(|request| Box::pin(request) as _).collect());
}

/// There is no coffee.
async fn answer(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let status = match brew(request.uri().path()).await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut response = Response::new(Body::new());
    *response.status_mut() = status;
    Ok(response)
}

#[tracing::instrument(err)]
async fn brew(what: &str) -> Result<(), &'static str> {
    for minute in 0..3 {
        others_turn().instrument(tracing::trace_span!("wait", minute)).await;
        stir(minute);
    }
    if what == "/tea" { Ok(()) } else { Err("out of beans") }
}

#[inline(never)]
fn stir(turns: u32) -> u32 {
    (0..10_000).fold(turns, |sum, n| black_box(sum ^ n))
}
