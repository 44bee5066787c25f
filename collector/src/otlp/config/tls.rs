//! Whom to trust, and as whom to come.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::error::ConfigError;
use super::variables::Variables;
use super::{Lookup, first};

/// No file of certificates is longer: those of all public authorities are a quarter of a MiB.
const MAX_FILE: u64 = 16 << 20;

/// A file, and where it was named.
type Named = (&'static str, PathBuf);

/// What files say about TLS. What is in them can be used.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tls {
    /// The only authorities that are trusted; without them those that the system trusts.
    pub(crate) roots: Option<Arc<Vec<CertificateDer<'static>>>>,
    /// What a receiver is shown that wants to know who calls.
    pub(crate) identity: Option<Arc<Identity>>,
}

#[derive(Debug)]
pub(crate) struct Identity {
    /// The own certificate, and those that lead to its authority.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    /// The same key, as the client for HTTP wants it.
    pub(crate) key_for_http: ureq::tls::PrivateKey<'static>,
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        (&self.chain, &self.key) == (&other.chain, &other.key)
    }
}

impl Tls {
    pub(super) fn read(own: &Variables, lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let named = |names| first(lookup, names).map(|(input, path)| (input, PathBuf::from(path)));
        let certificate = named(&own.client_certificate);
        let client = match (certificate, named(&own.client_key)) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (Some((input, _)), None) => {
                return Err(ConfigError::Half { input, missing: own.client_key[1] });
            }
            (None, Some((input, _))) => {
                return Err(ConfigError::Half { input, missing: own.client_certificate[1] });
            }
            (None, None) => None,
        };
        Tls::load(named(&own.certificate), client)
    }

    /// Reads the authorities, and a client's certificate and key.
    pub(super) fn load(
        authorities: Option<Named>,
        client: Option<(Named, Named)>,
    ) -> Result<Self, ConfigError> {
        let roots = authorities.map(|(input, path)| roots(input, &path).map(Arc::new));
        let identity = client.map(|(certificate, key)| identity(certificate, key).map(Arc::new));
        Ok(Tls { roots: roots.transpose()?, identity: identity.transpose()? })
    }
}

fn roots(input: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let certificates = certificates(input, path)?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|error| file(input, path, &error))?;
    }
    Ok(certificates)
}

fn identity(
    (of_certificate, certificate): Named,
    (of_key, path): Named,
) -> Result<Identity, ConfigError> {
    let chain = certificates(of_certificate, &certificate)?;
    let pem = read(of_key, &path)?;
    let no_key = || file(of_key, &path, &"no private key in PEM format (BEGIN PRIVATE KEY) in it");
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| no_key())?;
    let key_for_http = ureq::tls::PrivateKey::from_pem(&pem).map_err(|_| no_key())?;
    // Else a connection would find out, when it is too late.
    CertifiedKey::from_der(chain.clone(), key.clone_key(), &default_provider()).map_err(
        |error| match error {
            rustls::Error::InconsistentKeys(_) => {
                file(of_key, &path, &format!("is not the key of {}", certificate.display()))
            }
            error => file(of_key, &path, &error),
        },
    )?;
    Ok(Identity { chain, key, key_for_http })
}

fn certificates(
    input: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read(input, path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| file(input, path, &error))?;
    if certificates.is_empty() {
        return Err(file(input, path, &"no certificate in PEM format (BEGIN CERTIFICATE) in it"));
    }
    Ok(certificates)
}

fn read(input: &'static str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes));
    read.map_err(|error| file(input, path, &error))?;
    Ok(bytes)
}

fn file(input: &'static str, path: &Path, cause: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::File { input, path: path.display().to_string(), cause: cause.to_string() }
}
