//! TLS with authorities and certificates of these tests, over each transport.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use observe_collector::otlp::{Config, OtlpExporter};
use observe_collector::{Collector, Counts, Dropped, ExporterReport, Resource};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use crate::delivery::{LONG, all_delivered, config, shutdown};
use crate::fixtures::plain_chunk;
use crate::server::{Act, Server};

const AUTHORITY: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
const KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"))
        .expect("a certificate")
}

/// A certificate for the loopback, and its key.
fn certificate(by: &Authority) -> (rcgen::Certificate, KeyPair) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let params = CertificateParams::new(names).expect("names");
    let key = KeyPair::generate().expect("a key");
    (params.signed_by(&key, by).expect("a certificate"), key)
}

/// Puts TLS in front of a receiver; `clients` is the authority of those that may come.
fn terminate(backend: &str, by: &Authority, clients: Option<&Authority>) -> String {
    let (certificate, key) = certificate(by);
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match clients {
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).expect("an authority");
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
        None => builder.with_no_client_auth(),
    };
    let mut tls =
        builder.with_single_cert(vec![certificate.der().clone()], key).expect("a certificate");
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let backend: SocketAddr = backend.trim_start_matches("http://").parse().expect("an address");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let url = format!("https://{}", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            let acceptor = TlsAcceptor::from(Arc::new(tls));
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut stream = match acceptor.accept(stream).into_fallible().await {
                        Ok(stream) => stream,
                        // Closed at once, it would be reset, and what was wrong not be read.
                        Err((_, _refused)) => return tokio::time::sleep(LONG).await,
                    };
                    let mut backend =
                        tokio::net::TcpStream::connect(backend).await.expect("a receiver");
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut backend).await;
                });
            }
        });
    });
    url
}

/// A receiver of one of the transports, and what chooses that.
struct Receiver {
    url: String,
    protocol: &'static str,
    spans: Box<dyn Fn() -> usize>,
}

fn receivers() -> Vec<Receiver> {
    let server = Server::start(vec![Act::status(200)]);
    let http = Receiver {
        url: server.url.clone(),
        protocol: "http/protobuf",
        spans: Box::new(move || server.spans().len()),
    };
    vec![
        http,
        #[cfg(feature = "grpc")]
        {
            use crate::grpc_server::{GrpcServer, Reply};
            let server = GrpcServer::start(vec![Reply::Ok]);
            Receiver {
                url: server.url.clone(),
                protocol: "grpc",
                spans: Box::new(move || {
                    server.sent().into_iter().map(|sent| sent.spans().len()).sum()
                }),
            }
        },
    ]
}

/// Files of these tests.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Files(tempfile::tempdir().expect("a folder"))
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path: PathBuf = self.0.path().join(name);
        fs::write(&path, content).expect("a file");
        path.into_os_string().into_string().expect("UTF-8")
    }
}

fn run(url: &str, protocol: &str, variables: &[(&str, &str)], timeout: Duration) -> ExporterReport {
    let protocol = ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
    let config = config(url, &[&[protocol], variables].concat());
    let exporter = OtlpExporter::new(config, Resource::new());
    let collector = Collector::builder().exporter(Box::new(exporter)).start();
    collector.handle().send(plain_chunk(600));
    shutdown(collector, timeout)
}

/// What nobody confirmed by the end of a short time, with one line that says why.
#[track_caller]
fn assert_not_delivered(report: &ExporterReport, url: &str, why: &[&str]) {
    let dropped = Dropped { undelivered: 600, ..Dropped::default() };
    assert_eq!(report.counts, Counts { accepted: 600, dropped, ..Counts::default() });
    let error = report.last_error.as_deref().expect("an error");
    assert!(error.starts_with(url), "{error}");
    assert!(why.iter().all(|why| error.contains(why)), "{error}");
    assert!(!error.contains(char::is_control), "{error}");
}

#[test]
fn an_authority_of_ones_own_is_trusted_and_no_other() {
    const SHORT: Duration = Duration::from_millis(400);
    let files = Files::new();
    let (ours, other) = (authority("ours"), authority("other"));
    let path = files.write("ours.pem", ours.pem());
    let path_of_other = files.write("other.pem", other.pem());
    let path_of_both = files.write("both.pem", other.pem() + &ours.pem());
    for receiver in receivers() {
        let (protocol, url) = (receiver.protocol, terminate(&receiver.url, &ours, None));
        let of_traces = "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE";
        for variables in [
            &[(AUTHORITY, &*path)][..],
            &[(AUTHORITY, &path_of_both)],
            &[(of_traces, &*path), (AUTHORITY, &path_of_other)],
        ] {
            let report = run(&url, protocol, variables, LONG);
            let delivered = (all_delivered(600), None);
            assert_eq!((report.counts, report.last_error), delivered, "{protocol}");
        }
        assert_eq!((receiver.spans)(), 1_800);

        let unknown = ["UnknownIssuer; give its authority with OTEL_EXPORTER_OTLP_CERTIFICATE"];
        let report = run(&url, protocol, &[(AUTHORITY, &path_of_other)], SHORT);
        assert_not_delivered(&report, &url, &unknown);
        // The system knows neither.
        let report = run(&url, protocol, &[], SHORT);
        assert_not_delivered(&report, &url, &[]);
        assert_eq!((receiver.spans)(), 1_800);
    }
}

#[test]
fn a_client_shows_its_certificate_where_it_is_asked_to() {
    let files = Files::new();
    let (ours, clients) = (authority("ours"), authority("clients"));
    let (certificate, key) = certificate(&clients);
    let trusted = files.write("ours.pem", ours.pem());
    let certificate = files.write("client.pem", certificate.pem());
    let key = files.write("client.key", key.serialize_pem());
    for receiver in receivers() {
        let (protocol, url) = (receiver.protocol, terminate(&receiver.url, &ours, Some(&clients)));
        let trust = (AUTHORITY, &*trusted);
        let report = run(&url, protocol, &[trust], Duration::from_millis(400));
        assert_not_delivered(&report, &url, &[CERTIFICATE, KEY]);
        assert_eq!((receiver.spans)(), 0);

        let variables = [trust, (CERTIFICATE, &certificate), (KEY, &key)];
        let report = run(&url, protocol, &variables, LONG);
        assert_eq!((report.counts, report.last_error), (all_delivered(600), None), "{protocol}");
        assert_eq!((receiver.spans)(), 600);
    }
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start() {
    let files = Files::new();
    let ours = authority("ours");
    let ((certificate, key), (_, other_key)) = (certificate(&ours), certificate(&ours));
    let path = files.write("client.pem", certificate.pem());
    let key = files.write("client.key", key.serialize_pem());
    let other_key = files.write("other.key", other_key.serialize_pem());
    let empty = files.write("empty", "");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let broken = files.write("broken", broken);
    let cut = files.write("cut", "-----BEGIN CERTIFICATE-----\nAAAA");
    let missing = format!("{path}.missing");
    let folder = files.0.path().to_str().expect("UTF-8");
    let of_logs = "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE";
    for (variables, expected) in [
        (&[(AUTHORITY, &*missing)][..], format!("{AUTHORITY}: {missing}: No such file")),
        (&[(of_logs, folder)], format!("{of_logs}: {folder}: Is a directory")),
        (&[(AUTHORITY, &empty)], format!("{AUTHORITY}: {empty}: no certificate in PEM format")),
        (&[(AUTHORITY, &key)], format!("{AUTHORITY}: {key}: no certificate in PEM format")),
        (&[(AUTHORITY, &broken)], format!("{AUTHORITY}: {broken}: invalid peer certificate")),
        (&[(AUTHORITY, &cut)], format!("{AUTHORITY}: {cut}: ")),
        (&[(CERTIFICATE, &path)], format!("{CERTIFICATE} is set, but {KEY} is not")),
        (&[(KEY, &key)], format!("{KEY} is set, but {CERTIFICATE} is not")),
        (&[(CERTIFICATE, &path), (KEY, &path)], format!("{KEY}: {path}: no private key in PEM")),
        (
            &[(CERTIFICATE, &path), (KEY, &other_key)],
            format!("{KEY}: {other_key}: is not the key of {path}"),
        ),
        (&[(CERTIFICATE, &empty), (KEY, &key)], format!("{CERTIFICATE}: {empty}: no certificate")),
    ] {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let error = Config::for_endpoint_with("https://localhost", &lookup).expect_err("unusable");
        let error = error.to_string();
        assert!(error.starts_with(&expected), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}
