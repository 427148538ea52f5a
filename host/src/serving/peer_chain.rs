//! What a client has shown of itself in the handshake.

use std::ops::Deref;
use std::sync::OnceLock;

use aws_lc_rs::digest::{Context, SHA256};
use rustls_pki_types::CertificateDer;

/// A client's certificate and its chain, leaf first, as sent. Empty without one.
#[derive(Debug, Default)]
pub struct PeerChain {
    certificates: Vec<CertificateDer<'static>>,
    digest: OnceLock<[u8; 32]>,
}

impl PeerChain {
    pub fn new(certificates: Vec<CertificateDer<'static>>) -> Self {
        Self {
            certificates,
            digest: OnceLock::new(),
        }
    }

    /// SHA-256 of all of it, each certificate behind its length; computed once, as a chain never changes.
    pub fn digest(&self) -> [u8; 32] {
        *self.digest.get_or_init(|| {
            let mut context = Context::new(&SHA256);
            for certificate in &self.certificates {
                context.update(&certificate.len().to_le_bytes());
                context.update(certificate);
            }
            let mut digest = [0; 32];
            digest.copy_from_slice(context.finish().as_ref());
            digest
        })
    }
}

impl Deref for PeerChain {
    type Target = [CertificateDer<'static>];

    fn deref(&self) -> &Self::Target {
        &self.certificates
    }
}
