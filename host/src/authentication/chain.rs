//! Certificate chains, verified against the CAs that are trusted now.
//!
//! A connection may outlive the trust in its client's CA and the client's certificate, so each request is
//! checked. A verdict is kept for 10 s, under the digest of the chain and the generation of the CAs: a
//! replaced CA counts with the next request, the end of a certificate's life within 10 s.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::serving::PeerChain;

const KEPT: Duration = Duration::from_secs(10);

/// Verdicts kept; clients with certificates are few, and whoever makes up more only empties the cache.
const MAX_KEPT: usize = 1024;

static GENERATIONS: AtomicU64 = AtomicU64::new(0);

/// CAs that are trusted together.
#[derive(Debug, Clone, Default)]
pub struct TrustBundle {
    certificates: Vec<CertificateDer<'static>>,
    anchors: Vec<Anchor>,
    /// Differs for each bundle that was ever read, so that verdicts of another never count.
    generation: u64,
}

#[derive(Debug, Clone)]
struct Anchor {
    anchor: TrustAnchor<'static>,
    /// Seconds since 1970. webpki does not look at the life of a CA.
    not_after: i64,
}

impl TrustBundle {
    /// # Errors
    /// What is wrong with the PEM, to stand behind the name of where it came from.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        let mut bundle = Self {
            generation: GENERATIONS.fetch_add(1, Ordering::Relaxed) + 1,
            ..Self::default()
        };
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|err| format!("is no PEM: {err}"))?;
            let position = bundle.certificates.len() + 1;
            let unusable = |err: &dyn std::fmt::Display| {
                format!("certificate {position} cannot be used as a CA: {err}")
            };
            let (_, parsed) =
                x509_parser::parse_x509_certificate(&certificate).map_err(|err| unusable(&err))?;
            let anchor = anchor_from_trusted_cert(&certificate).map_err(|err| unusable(&err))?;
            bundle.anchors.push(Anchor {
                anchor: anchor.to_owned(),
                not_after: parsed.validity().not_after.timestamp(),
            });
            bundle.certificates.push(certificate);
        }
        if bundle.certificates.is_empty() {
            return Err("holds no PEM certificate".into());
        }
        Ok(bundle)
    }

    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    pub(super) fn shares_a_ca_with(&self, other: &Self) -> bool {
        let mut own = self.certificates.iter();
        own.any(|it| other.certificates.contains(it))
    }

    /// Whether the chain (leaf first) is one of a client of these CAs, now.
    fn verify(&self, chain: &[CertificateDer<'static>]) -> Result<(), String> {
        let (leaf, intermediates) = chain.split_first().ok_or("no certificate")?;
        let now = UnixTime::now();
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let living: Vec<_> = self
            .anchors
            .iter()
            .filter(|it| seconds <= it.not_after)
            .map(|it| it.anchor.clone())
            .collect();
        let leaf = EndEntityCert::try_from(leaf).map_err(|err| err.to_string())?;
        leaf.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &living,
            intermediates,
            now,
            KeyUsage::client_auth(),
            None,
            None,
        )
        .map(|_| ())
        .map_err(|err| err.to_string())
    }
}

type Verdict<T> = Result<T, String>;
/// By digest of the chain and generation of the CAs.
type Kept<T> = HashMap<([u8; 32], u64), (Instant, Verdict<T>)>;

/// Verifies chains and keeps what was made of each.
pub(super) struct ChainVerifier<T> {
    kept: Mutex<Kept<T>>,
}

impl<T> Default for ChainVerifier<T> {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
        }
    }
}

impl<T: Clone> ChainVerifier<T> {
    /// `make` sees the leaf of a chain that holds.
    pub(super) fn verify(
        &self,
        bundle: &TrustBundle,
        chain: &PeerChain,
        make: impl FnOnce(&CertificateDer<'static>) -> Verdict<T>,
    ) -> Verdict<T> {
        let key = (chain.digest(), bundle.generation);
        if let Some(verdict) = self.find(&key) {
            return verdict;
        }
        // Without the lock: two requests may both verify, which costs less than one waiting.
        let verdict = bundle.verify(chain).and_then(|()| make(&chain[0]));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(key, (Instant::now(), verdict.clone()));
        verdict
    }

    fn find(&self, key: &([u8; 32], u64)) -> Option<Verdict<T>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, verdict) = kept.get(key)?;
        if at.elapsed() < KEPT {
            return Some(verdict.clone());
        }
        kept.remove(key);
        None
    }
}
