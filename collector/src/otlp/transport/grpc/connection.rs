//! One HTTP/2 connection, with TLS where the URL asks for it.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Error, Reason, RecvStream};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, yield_now};
use tokio_rustls::TlsConnector;
use ureq::http::{Request, Response, Uri};

use super::Failure;
use crate::otlp::config::Tls;
use crate::otlp::transport::{describe_io, one_line};

/// What the receivers of OTLP/gRPC and of OTLP/HTTP listen on unless told otherwise.
const WRONG_PORT: &str = "is this a gRPC endpoint? They have port 4317 by default, HTTP has 4318";

/// How much the headers or trailers of an answer may have.
const MAX_HEADERS: u32 = 16 << 10;

/// Makes connections to one receiver.
pub(super) struct Connector {
    host: String,
    port: u16,
    is_tls: bool,
    files: Tls,
    /// Made when it is first needed, since reading the system's certificates takes a while.
    tls: OnceLock<Arc<ClientConfig>>,
}

impl Connector {
    pub(super) fn new(endpoint: &Uri, files: &Tls) -> Self {
        let host = endpoint.host().unwrap_or_default();
        let is_tls = endpoint.scheme_str() == Some("https");
        Connector {
            // An IPv6 address has brackets in a URL only.
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: endpoint.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            is_tls,
            files: files.clone(),
            tls: OnceLock::new(),
        }
    }

    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let passing = |error: io::Error| Failure::passing(describe_io(&error));
        let stream = TcpStream::connect((&*self.host, self.port)).await.map_err(passing)?;
        stream.set_nodelay(true).map_err(passing)?;
        if !self.is_tls {
            return Connection::start(stream).await;
        }
        let name = ServerName::try_from(self.host.clone())
            .map_err(|error| Failure::permanent(error.to_string()))?;
        let connector = TlsConnector::from(self.tls()?);
        let stream = connector.connect(name, stream).await.map_err(passing)?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            // A proxy may say so while what is behind it starts again.
            return Err(Failure::passing(format!("no HTTP/2 is spoken there; {WRONG_PORT}")));
        }
        Connection::start(stream).await
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, Failure> {
        if let Some(config) = self.tls.get() {
            return Ok(Arc::clone(config));
        }
        let failure = |error: rustls::Error| Failure::passing(one_line(&error.to_string()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(failure)?;
        let builder = match &self.files.roots {
            Some(roots) => {
                let mut store = RootCertStore::empty();
                store.add_parsable_certificates(roots.iter().cloned());
                builder.with_root_certificates(store)
            }
            // The certificates that the system trusts, as over HTTP.
            None => {
                let verifier = rustls_platform_verifier::Verifier::new(provider);
                let verifier = Arc::new(verifier.map_err(failure)?);
                builder.dangerous().with_custom_certificate_verifier(verifier)
            }
        };
        let mut config = match &self.files.identity {
            Some(identity) => builder
                .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
                .map_err(failure)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.push(b"h2".to_vec());
        Ok(Arc::clone(self.tls.get_or_init(|| Arc::new(config))))
    }
}

pub(super) struct Connection {
    sender: SendRequest<Bytes>,
    /// Reads and writes. Ends with the connection.
    driver: JoinHandle<()>,
}

impl Connection {
    async fn start<T>(stream: T) -> Result<Self, Failure>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake =
            Builder::new().enable_push(false).max_header_list_size(MAX_HEADERS).handshake(stream);
        let (sender, connection) = handshake.await.map_err(failure)?;
        // What goes wrong there, the call is told.
        let driver = tokio::spawn(async { drop(connection.await) });
        Ok(Connection { sender, driver })
    }

    /// Looks at what came in since the last call, and whether another may be made.
    pub(super) async fn is_usable(&mut self) -> bool {
        // The first lets the runtime ask the system, the second lets the driver read.
        yield_now().await;
        yield_now().await;
        !self.driver.is_finished()
            && poll_fn(|context| self.sender.poll_ready(context)).await.is_ok()
    }

    /// Sends a request; its body goes as the receiver has room for it.
    pub(super) async fn send(
        &mut self,
        request: Request<()>,
        body: Bytes,
    ) -> Result<Response<RecvStream>, Error> {
        poll_fn(|context| self.sender.poll_ready(context)).await?;
        let (answer, mut stream) = self.sender.send_request(request, false)?;
        stream.send_data(body, true)?;
        answer.await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What an error of HTTP/2 means, by [gRPC over HTTP/2, "Errors"]: that of a connection may pass,
/// that of a stream if it says so. What is no HTTP/2 is an error of the connection: a proxy may
/// answer in HTTP/1.1 while what is behind it starts again.
///
/// [gRPC over HTTP/2, "Errors"]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors
pub(super) fn failure(error: Error) -> Failure {
    if let Some(cause) = error.get_io() {
        return Failure::passing(match cause.kind() {
            // What h2 calls the end of a connection that nobody announced.
            io::ErrorKind::BrokenPipe => describe_io(&io::ErrorKind::UnexpectedEof.into()),
            _ => describe_io(cause),
        });
    }
    let what = one_line(&error.to_string());
    match error.reason() {
        Some(Reason::REFUSED_STREAM | Reason::CANCEL) => Failure::passing(what),
        // By whoever wants the connection to end, for whatever reason.
        _ if error.is_go_away() && error.is_remote() => Failure::passing(what),
        _ if error.is_go_away() => {
            Failure::passing(format!("the answer is not HTTP/2 ({what}); {WRONG_PORT}"))
        }
        _ => Failure::permanent(what),
    }
}
