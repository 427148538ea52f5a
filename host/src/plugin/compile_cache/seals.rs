//! Seals: short texts that can only be read beside the very bytes that this installation wrote them for.
//!
//! A seal is a nonce of 12 bytes, the text under AES-256-GCM, and its tag of 16 bytes; the bytes are what GCM
//! authenticates besides. On processors with instructions for it that takes a tenth of what SHA-256 takes. Nonces are
//! random: an installation makes thousands of seals, and 2^32 would be too many.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;

pub(super) const KEY_BYTES: usize = 32;
/// What a seal has more than its text.
const MORE_BYTES: usize = NONCE_LEN + 16;

pub(super) struct Seals {
    key: LessSafeKey,
}

impl Seals {
    pub(super) fn new(key: &[u8; KEY_BYTES]) -> Self {
        let key =
            UnboundKey::new(&AES_256_GCM, key).expect("the key has the length of the algorithm's");
        Self {
            key: LessSafeKey::new(key),
        }
    }

    /// # Errors
    /// The system has no randomness.
    pub(super) fn seal(&self, text: &[u8], beside: &[u8]) -> anyhow::Result<Vec<u8>> {
        let no_randomness = |_| anyhow::anyhow!("the system has no randomness");
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(no_randomness)?;
        let mut sealed = Vec::with_capacity(text.len() + MORE_BYTES);
        sealed.extend_from_slice(text);
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(beside),
                &mut sealed,
            )
            .map_err(no_randomness)?;
        sealed.splice(..0, nonce);
        Ok(sealed)
    }

    /// The text; `None` where the seal is damaged, or was made by somebody else, or beside other bytes.
    pub(super) fn open(&self, mut seal: Vec<u8>, beside: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = seal.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.key.open_in_place(nonce, Aad::from(beside), sealed);
        text.ok().map(|it| it.to_vec())
    }
}

/// How long the seal of a text is.
pub(super) const fn length(text: usize) -> usize {
    text + MORE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_opens_beside_its_bytes_alone() {
        let seals = Seals::new(&[1; KEY_BYTES]);
        let seal = seals.seal(b"text", b"bytes").expect("sealed");
        assert_eq!(seal.len(), length(4));
        let open = |seal: &[u8], beside: &[u8]| seals.open(seal.to_vec(), beside);
        assert_eq!(open(&seal, b"bytes").as_deref(), Some(&b"text"[..]));
        assert_eq!(open(&seal, b"bites"), None);
        for at in 0..seal.len() {
            let mut damaged = seal.clone();
            damaged[at] ^= 1;
            assert_eq!(open(&damaged, b"bytes"), None, "byte {at}");
            assert_eq!(open(&seal[..at], b"bytes"), None, "cut at {at}");
        }
        let others = Seals::new(&[2; KEY_BYTES]);
        assert_eq!(others.open(seal, b"bytes"), None);
    }
}
