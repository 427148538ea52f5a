//! One record to what is kept of it and back: AES-GCM in the form of Kubernetes, or as it is.
//!
//! Kept is `k8s:enc:aesgcm:v1:<key name>:`, a nonce of 12 random bytes, and ciphertext with its tag of 16 bytes. The
//! record's key in the store is authenticated with it, so that a ciphertext moved to another key does not decrypt.
//! Inside are the place of the resourceVersion (4 bytes) and the record's bytes. (k8s.io/apiserver,
//! pkg/storage/value/encrypt/aes; there is no place of a resourceVersion there.)
//!
//! With random nonces one key is good for 2^32 writes (NIST SP 800-38D, 8.3); Kubernetes' documentation advises to
//! rotate after 200,000.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{
    AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, NONCE_LEN, Nonce,
    UnboundKey,
};
use aws_lc_rs::rand;
use bytes::Bytes;

use crate::storage::Record;

/// What everything that is encrypted begins with; JSON does not.
pub(in crate::storage) const ENCRYPTED: &[u8] = b"k8s:enc:";

const AESGCM: &str = "k8s:enc:aesgcm:v1:";

/// One key of the configuration.
pub(super) struct Key {
    prefix: Vec<u8>,
    aead: LessSafeKey,
}

impl Key {
    /// `None` for a secret that has not 16, 24 or 32 bytes.
    pub(super) fn new(name: &str, secret: &[u8]) -> Option<Self> {
        let algorithm: &'static Algorithm = match secret.len() {
            16 => &AES_128_GCM,
            24 => &AES_192_GCM,
            32 => &AES_256_GCM,
            _ => return None,
        };
        Some(Self {
            prefix: format!("{AESGCM}{name}:").into_bytes(),
            aead: LessSafeKey::new(UnboundKey::new(algorithm, secret).ok()?),
        })
    }

    fn seal(&self, key: &str, record: &Record) -> Result<Bytes, CryptoFailed> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| CryptoFailed)?;
        let mut sealed = Vec::with_capacity(4 + record.bytes.len());
        sealed.extend_from_slice(&record.version_at.to_be_bytes());
        sealed.extend_from_slice(&record.bytes);
        let tag = self
            .aead
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(key.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| CryptoFailed)?;
        Ok([&self.prefix[..], &nonce, &sealed, tag.as_ref()]
            .concat()
            .into())
    }

    /// `None`: wrong key, damaged, or of another place.
    fn open(&self, key: &str, kept: &[u8]) -> Option<Record> {
        let rest = kept.strip_prefix(&self.prefix[..])?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut opened = sealed.to_vec();
        let plain = self
            .aead
            .open_in_place(nonce, Aad::from(key.as_bytes()), &mut opened)
            .ok()?;
        let length = plain.len();
        let (version_at, _) = plain.split_first_chunk::<4>()?;
        let version_at = u32::from_be_bytes(*version_at);
        opened.truncate(length);
        Some(Record {
            bytes: Bytes::from(opened).slice(4..),
            version_at,
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.prefix))
    }
}

/// The library refuses: no randomness, or a record of many gigabytes.
#[derive(Debug, thiserror::Error)]
#[error("encryption failed")]
pub(super) struct CryptoFailed;

#[derive(Debug)]
pub(super) enum Transformer {
    Identity,
    Key(Key),
}

/// What was kept.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) record: Record,
    /// Not as it would be written today.
    pub(super) is_stale: bool,
}

/// In the order of the configuration: the first one writes, all read.
#[derive(Debug)]
pub(super) struct Transformers(Vec<Arc<Transformer>>);

impl Transformers {
    pub(super) fn new(transformers: Vec<Transformer>) -> Self {
        Self(transformers.into_iter().map(Into::into).collect())
    }

    pub(super) fn followed_by(&self, others: &Self) -> Self {
        Self(self.0.iter().chain(&others.0).cloned().collect())
    }

    pub(super) fn encrypts(&self) -> bool {
        matches!(self.0.first().map(|it| &**it), Some(Transformer::Key(_)))
    }

    pub(super) fn reads_plain(&self) -> bool {
        self.0
            .iter()
            .any(|it| matches!(**it, Transformer::Identity))
    }

    /// Whether something that can be read may not be as it would be written today.
    pub(super) fn may_be_stale(&self) -> bool {
        self.0.len() > 1
    }

    pub(super) fn seal(&self, key: &str, record: Record) -> Result<Record, CryptoFailed> {
        match self.0.first().map(|it| &**it) {
            Some(Transformer::Key(first)) => Ok(Record {
                bytes: first.seal(key, &record)?,
                version_at: 0,
            }),
            _ => Ok(record),
        }
    }

    /// # Errors
    /// Why it cannot be read, in upstream's words.
    pub(super) fn open(&self, key: &str, kept: &Record) -> Result<Opened, &'static str> {
        let mut problem = "no matching prefix found";
        for (index, transformer) in self.0.iter().enumerate() {
            let is_stale = index > 0;
            match &**transformer {
                Transformer::Identity if kept.bytes.starts_with(ENCRYPTED) => {
                    if self.0.len() == 1 {
                        problem = "identity transformer tried to read encrypted data";
                    }
                }
                Transformer::Identity => {
                    let record = kept.clone();
                    return Ok(Opened { record, is_stale });
                }
                Transformer::Key(of) if kept.bytes.starts_with(&of.prefix) => {
                    if let Some(record) = of.open(key, &kept.bytes) {
                        return Ok(Opened { record, is_stale });
                    }
                    problem = "cipher: message authentication failed";
                }
                Transformer::Key(_) => {}
            }
        }
        Err(problem)
    }
}
