//! The serving certificate: from files that are watched, or from memory.
//!
//! Files are compared by content, so that the symlinks of a Kubernetes Secret volume and the renames of
//! other tools are the same to it. A broken new pair never takes the place of a good old one.

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why a certificate cannot be served: one line, with the file's name if there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CertificateError(String);

#[derive(Debug)]
pub struct ServingCertificate {
    current: ArcSwap<Current>,
    files: Option<Files>,
    /// The failure of the last reload, until one succeeds.
    trouble: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    not_after: Timestamp,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    content: Content,
    /// Whether `content` is served, failed once, or was reported as broken.
    verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Served,
    /// Perhaps only half written: certificate and key are two files. The next look decides.
    Suspect,
    Broken,
}

/// Both files, or why they cannot be read.
type Content = Result<(Vec<u8>, Vec<u8>), CertificateError>;

impl ServingCertificate {
    /// # Errors
    /// The files cannot be read, are no PEM, do not belong together, or the certificate has expired.
    pub fn from_files(certificate: PathBuf, key: PathBuf) -> Result<Arc<Self>, CertificateError> {
        let mut files = Files {
            certificate,
            key,
            seen: Mutex::new(Seen {
                content: Err(CertificateError(String::new())),
                verdict: Verdict::Served,
            }),
        };
        let content = files.join(std::fs::read(&files.certificate), std::fs::read(&files.key));
        let current = files.parse(&content)?;
        files.seen = Mutex::new(Seen {
            content,
            verdict: Verdict::Served,
        });
        Ok(Self::new(current, Some(files)))
    }

    /// # Errors
    /// The texts are no PEM, do not belong together, or the certificate has expired.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Arc<Self>, CertificateError> {
        let current = parse(
            certificate.as_bytes(),
            key.as_bytes(),
            "the serving certificate",
            "its private key",
        )?;
        Ok(Self::new(current, None))
    }

    fn new(current: Current, files: Option<Files>) -> Arc<Self> {
        Arc::new(Self {
            current: ArcSwap::from_pointee(current),
            files,
            trouble: Mutex::default(),
        })
    }

    /// Serves this pair from the next handshake on; connections that are open stay so.
    ///
    /// # Errors
    /// The pair is not usable: the old one stays.
    pub fn replace(&self, certificate: &str, key: &str) -> Result<(), CertificateError> {
        let current = parse(
            certificate.as_bytes(),
            key.as_bytes(),
            "the new serving certificate",
            "its private key",
        )?;
        self.current.store(Arc::new(current));
        Ok(())
    }

    /// What an operator must know of the certificate that is served, e.g. on `/readyz?verbose`.
    pub fn trouble(&self) -> Option<String> {
        let not_after = self.current.load().not_after;
        if not_after <= Timestamp::now() {
            return Some(format!("the serving certificate expired at {not_after}"));
        }
        self.lock_trouble().clone()
    }

    fn lock_trouble(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the files every `interval`; without files it only waits. Never returns.
    pub(in crate::serving) async fn keep_reloading(&self, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            self.reload().await;
        }
    }

    /// Takes what the files hold now, if it has changed and can be served.
    pub(in crate::serving) async fn reload(&self) {
        let Some(files) = &self.files else {
            return;
        };
        let certificate = tokio::fs::read(&files.certificate).await;
        let key = tokio::fs::read(&files.key).await;
        self.consider(files, files.join(certificate, key));
    }

    fn consider(&self, files: &Files, content: Content) {
        let mut seen = files.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = seen.content != content;
        if !is_new && seen.verdict != Verdict::Suspect {
            return;
        }
        match files.parse(&content) {
            Ok(current) => {
                let until = current.not_after;
                self.current.store(Arc::new(current));
                *self.lock_trouble() = None;
                seen.verdict = Verdict::Served;
                tracing::info!("serving a new certificate, valid until {until}");
            }
            Err(_) if is_new => seen.verdict = Verdict::Suspect,
            Err(err) => {
                seen.verdict = Verdict::Broken;
                tracing::warn!("keeping the old serving certificate: {err}");
                *self.lock_trouble() = Some(format!("keeping the old serving certificate: {err}"));
            }
        }
        seen.content = content;
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().key))
    }
}

impl Files {
    fn join(&self, certificate: io::Result<Vec<u8>>, key: io::Result<Vec<u8>>) -> Content {
        let unreadable = |path: &PathBuf, err| {
            CertificateError(format!("cannot read {}: {err}", path.display()))
        };
        Ok((
            certificate.map_err(|err| unreadable(&self.certificate, err))?,
            key.map_err(|err| unreadable(&self.key, err))?,
        ))
    }

    fn parse(&self, content: &Content) -> Result<Current, CertificateError> {
        let (certificate, key) = content.as_ref().map_err(Clone::clone)?;
        parse(
            certificate,
            key,
            &self.certificate.display().to_string(),
            &self.key.display().to_string(),
        )
    }
}

/// The names are what errors call the two.
fn parse(
    certificate_pem: &[u8],
    key_pem: &[u8],
    certificate_name: &str,
    key_name: &str,
) -> Result<Current, CertificateError> {
    let fault = |text: String| Err(CertificateError(text));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate_pem).collect();
    let chain = match chain {
        Ok(chain) if !chain.is_empty() => chain,
        Ok(_) => return fault(format!("{certificate_name} holds no PEM certificate")),
        Err(err) => return fault(format!("{certificate_name} is no PEM: {err}")),
    };
    let not_after = match x509_parser::parse_x509_certificate(&chain[0]) {
        Ok((_, leaf)) => leaf.validity().not_after.timestamp(),
        Err(err) => return fault(format!("{certificate_name} is no X.509 certificate: {err}")),
    };
    let not_after = Timestamp::from_second(not_after).unwrap_or(Timestamp::MAX);
    if not_after <= Timestamp::now() {
        return fault(format!(
            "{certificate_name} expired at {not_after}: renew it"
        ));
    }
    let key = match PrivateKeyDer::from_pem_slice(key_pem) {
        Ok(key) => key,
        // The error may quote the file, and that is a key.
        Err(_) => return fault(format!("{key_name} holds no PEM private key")),
    };
    match CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()) {
        Ok(key) => Ok(Current {
            key: Arc::new(key),
            not_after,
        }),
        Err(rustls::Error::InconsistentKeys(_)) => fault(format!(
            "{key_name} is not the private key of {certificate_name}"
        )),
        Err(err) => fault(format!("{key_name} is not usable: {err}")),
    }
}
