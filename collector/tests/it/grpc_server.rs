//! An OTLP/gRPC receiver on the loopback, of tonic and the services that OpenTelemetry generates,
//! that answers by script.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};

use crate::server::Sent;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to do with a call.
#[derive(Clone)]
pub(crate) enum Reply {
    Ok,
    /// So many items rejected, and why.
    Partial(i64, &'static str),
    /// A code, a message, and the seconds of a `RetryInfo`.
    Fail(Code, &'static str, Option<u8>),
    Hang,
}

/// A call as it came.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) sent: Sent,
    pub(crate) metadata: MetadataMap,
    pub(crate) from: Option<SocketAddr>,
    pub(crate) at: Instant,
}

type Script = Box<dyn Fn(&Sent, usize) -> Reply + Send>;

struct State {
    script: Script,
    calls: Vec<Call>,
    /// Calls that the client gave up.
    hung_up: usize,
}

#[derive(Clone)]
pub(crate) struct GrpcServer {
    pub(crate) url: String,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl GrpcServer {
    /// Answers the first call with the first reply, and so on; the last stays.
    pub(crate) fn start(replies: Vec<Reply>) -> Self {
        Self::start_with(move |_, number| replies[number.min(replies.len() - 1)].clone())
    }

    /// Answers a call according to what it sends and its number, from 0.
    pub(crate) fn start_with(script: impl Fn(&Sent, usize) -> Reply + Send + 'static) -> Self {
        let state = State { script: Box::new(script), calls: Vec::new(), hung_up: 0 };
        let shared = Arc::new((Mutex::new(state), Condvar::new()));
        let (address, bound) = std::sync::mpsc::channel();
        let mut server = GrpcServer { url: String::new(), shared };
        let service = server.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let any = SocketAddr::from(([127, 0, 0, 1], 0));
                let incoming = TcpIncoming::bind(any).expect("a port");
                address.send(incoming.local_addr().expect("bound")).expect("somebody waits");
                let gzip = CompressionEncoding::Gzip;
                Server::builder()
                    .add_service(TraceServiceServer::new(service.clone()).accept_compressed(gzip))
                    .add_service(LogsServiceServer::new(service.clone()).accept_compressed(gzip))
                    .add_service(MetricsServiceServer::new(service).accept_compressed(gzip))
                    .serve_with_incoming(incoming)
                    .await
                    .expect("a server");
            });
        });
        server.url = format!("http://{}", bound.recv().expect("an address"));
        server
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// What came, in order.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.calls().into_iter().map(|call| call.sent).collect()
    }

    /// Waits until this many calls have come.
    pub(crate) fn wait_for(&self, calls: usize) {
        self.wait_while(|state| state.calls.len() < calls);
    }

    /// Waits until the client gives up a call.
    pub(crate) fn wait_for_hang_up(&self) {
        self.wait_while(|state| state.hung_up == 0);
    }

    fn wait_while(&self, mut waiting: impl FnMut(&State) -> bool) {
        let state = self.lock();
        let waiting = |state: &mut State| waiting(state);
        let (_state, result) =
            self.shared.1.wait_timeout_while(state, PATIENCE, waiting).expect("state");
        assert!(!result.timed_out(), "what must happen did not");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().expect("state")
    }

    /// Takes a call, and says what was rejected of it.
    async fn take<T>(
        &self,
        request: Request<T>,
        sent: impl FnOnce(T) -> Sent,
    ) -> Result<Option<(i64, String)>, Status> {
        let (from, metadata) = (request.remote_addr(), request.metadata().clone());
        let sent = sent(request.into_inner());
        let reply = {
            let mut state = self.lock();
            let reply = (state.script)(&sent, state.calls.len());
            state.calls.push(Call { sent, metadata, from, at: Instant::now() });
            self.shared.1.notify_all();
            reply
        };
        match reply {
            Reply::Ok => Ok(None),
            Reply::Partial(rejected, why) => Ok(Some((rejected, why.to_owned()))),
            Reply::Fail(code, message, retry) => {
                let details = retry.map(|seconds| details(code, message, seconds));
                Err(Status::with_details(code, message, details.unwrap_or_default().into()))
            }
            Reply::Hang => {
                let _told = HungUp(self.clone());
                std::future::pending().await
            }
        }
    }
}

/// Told when a call is given up.
struct HungUp(GrpcServer);

impl Drop for HungUp {
    fn drop(&mut self) {
        self.0.lock().hung_up += 1;
        self.0.shared.1.notify_all();
    }
}

// Of `google/rpc/status.proto` and `google/rpc/error_details.proto`, through prost.

#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<ProtoDuration>,
}

#[derive(Clone, PartialEq, Message)]
struct ProtoDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

/// What `grpc-status-details-bin` has.
fn details(code: Code, message: &str, seconds: u8) -> Vec<u8> {
    let info = RetryInfo { retry_delay: Some(ProtoDuration { seconds: seconds.into() }) };
    let type_url = "type.googleapis.com/google.rpc.RetryInfo".to_owned();
    let details = vec![Any { type_url, value: info.encode_to_vec() }];
    RpcStatus { code: code.into(), message: message.to_owned(), details }.encode_to_vec()
}

macro_rules! service {
    ($service:ident, $request:ident, $response:ident, $partial:ident, $rejected:ident, $sent:path) => {
        #[tonic::async_trait]
        impl $service for GrpcServer {
            async fn export(
                &self,
                request: Request<$request>,
            ) -> Result<Response<$response>, Status> {
                let partial = self.take(request, $sent).await?;
                let partial_success =
                    partial.map(|($rejected, error_message)| $partial { $rejected, error_message });
                Ok(Response::new($response { partial_success }))
            }
        }
    };
}

service!(
    TraceService,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
    ExportTracePartialSuccess,
    rejected_spans,
    Sent::Traces
);
service!(
    LogsService,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
    ExportLogsPartialSuccess,
    rejected_log_records,
    Sent::Logs
);
service!(
    MetricsService,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
    ExportMetricsPartialSuccess,
    rejected_data_points,
    Sent::Metrics
);
