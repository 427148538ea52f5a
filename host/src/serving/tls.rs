//! TLS: 1.2 and 1.3, `h2` and `http/1.1`, client certificates asked for and **not** verified.
//!
//! The handshake proves only that the client has the key of the certificate it shows. Whether anybody
//! trusts that certificate is decided for each request, so that a CA that is taken away counts at once
//! on connections that are already open.

mod certificate;

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature,
    verify_tls13_signature,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ResolvesServerCert, ServerConfig};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio_rustls::TlsAcceptor;

pub use certificate::{CertificateError, ServingCertificate};

/// How handshakes are done; what changes in it counts for the next one.
pub struct Tls {
    certificate: Arc<ServingCertificate>,
    config: ArcSwap<ServerConfig>,
}

impl Tls {
    pub fn new(certificate: Arc<ServingCertificate>) -> Arc<Self> {
        let config = config(certificate.clone(), Vec::new());
        Arc::new(Self {
            certificate,
            config: ArcSwap::from_pointee(config),
        })
    }

    /// The CAs that clients are told of, so that those with several certificates choose the right one.
    /// Replaces the former ones; none means that any is welcome. This is a hint and grants nothing.
    pub fn advertise_client_cas<'a>(
        &self,
        certificates: impl IntoIterator<Item = &'a CertificateDer<'static>>,
    ) {
        let mut roots = RootCertStore::empty();
        let certificates = certificates.into_iter().cloned();
        // One that cannot be read is left out: whoever trusts it reports that.
        roots.add_parsable_certificates(certificates);
        let config = config(self.certificate.clone(), roots.subjects());
        self.config.store(Arc::new(config));
    }

    pub fn certificate(&self) -> &Arc<ServingCertificate> {
        &self.certificate
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }
}

fn config(
    certificate: Arc<dyn ResolvesServerCert>,
    subjects: Vec<DistinguishedName>,
) -> ServerConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(ProvesItsKey::new(subjects, &provider));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("aws-lc-rs has cipher suites for both versions")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// Asks for a client certificate and takes any, or none.
#[derive(Debug)]
struct ProvesItsKey {
    subjects: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ProvesItsKey {
    fn new(subjects: Vec<DistinguishedName>, provider: &CryptoProvider) -> Self {
        Self {
            subjects,
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

impl ClientCertVerifier for ProvesItsKey {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
