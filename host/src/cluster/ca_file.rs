//! The CA of a serving certificate that comes from files: what kube-apiserver is to verify it against.
//!
//! Read again each 10 s, since cert-manager and volumes of Secrets replace it; a broken one never takes the
//! place of a good one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::sync::watch;

const POLL: Duration = Duration::from_secs(10);

pub struct CaFile {
    path: PathBuf,
    bundle: watch::Sender<Option<Arc<str>>>,
}

impl CaFile {
    /// # Errors
    /// The file cannot be read or holds no certificate.
    pub async fn open(path: PathBuf) -> anyhow::Result<Self> {
        let file = Self {
            path,
            bundle: watch::Sender::new(None),
        };
        let bundle = file.read().await?;
        file.bundle.send_replace(Some(bundle));
        Ok(file)
    }

    pub fn ca_bundle(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.bundle.subscribe()
    }

    /// Follows the file. Never returns.
    pub async fn run(&self) {
        let mut is_broken = false;
        loop {
            tokio::time::sleep(POLL).await;
            match self.read().await {
                Ok(bundle) => {
                    is_broken = false;
                    self.bundle.send_if_modified(|current| {
                        let is_new = current.as_ref() != Some(&bundle);
                        *current = Some(bundle);
                        is_new
                    });
                }
                Err(err) if !is_broken => {
                    is_broken = true;
                    tracing::warn!("the CA that was read before is kept: {err:#}");
                }
                Err(_) => {}
            }
        }
    }

    async fn read(&self) -> anyhow::Result<Arc<str>> {
        let path = self.path.display();
        let pem = tokio::fs::read_to_string(&self.path)
            .await
            .with_context(|| format!("cannot read the CA of the serving certificate, {path}"))?;
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let certificates = certificates.with_context(|| format!("{path} is no PEM"))?;
        ensure!(!certificates.is_empty(), "{path} holds no certificate");
        Ok(Arc::from(pem))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;
    use crate::certificates::CertificateAuthority;

    #[tokio::test]
    async fn takes_certificates_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        assert!(CaFile::open(path.clone()).await.is_err());
        std::fs::write(&path, "nothing").unwrap();
        assert!(CaFile::open(path.clone()).await.is_err());
        let ca = CertificateAuthority::generate("ca").unwrap();
        std::fs::write(&path, ca.certificate_pem()).unwrap();
        let file = CaFile::open(path).await.unwrap();
        let bundle = file.ca_bundle().borrow().clone();
        assert_eq!(bundle.as_deref(), Some(ca.certificate_pem()));
    }
}
