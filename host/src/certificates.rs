//! Certificates of our own: a CA, and serving and client certificates that it issues.
//!
//! ECDSA P-256. A CA lives 10 years, what it issues 1 year, each from 5 minutes ago, since the clocks of
//! a cluster differ. PEM in, PEM out; base64 for a kubeconfig or a caBundle is the caller's.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, ensure};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData,
};
use x509_parser::pem::Pem;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const CA_LIFETIME: Duration = DAY.saturating_mul(3650);
const LEAF_LIFETIME: Duration = DAY.saturating_mul(365);
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// A certificate (chain) and its private key, both PEM.
#[derive(Clone)]
pub struct KeyedCertificate {
    pub certificate_pem: String,
    pub key_pem: String,
}

/// A CA with its key: issues certificates, across restarts through [`CertificateAuthority::load`].
pub struct CertificateAuthority {
    pair: KeyedCertificate,
    issuer: Issuer<'static, KeyPair>,
}

impl CertificateAuthority {
    pub fn generate(common_name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        // No intermediates: what it issues are leaves.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        set_validity(&mut params, &from_now(CA_LIFETIME));
        let key = KeyPair::generate().context("cannot make the key of a CA")?;
        let certificate = params
            .self_signed(&key)
            .context("cannot make the certificate of a CA")?;
        let pair = KeyedCertificate {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        };
        Self::load(pair)
    }

    /// # Errors
    /// Either PEM cannot be read, they do not belong together, or the certificate is no CA's.
    pub fn load(pair: KeyedCertificate) -> Result<Self> {
        let key = KeyPair::from_pem(&pair.key_pem).context("the CA's private key is not usable")?;
        ensure!(
            public_key(&pair.certificate_pem)? == key.subject_public_key_info(),
            "the CA's private key does not belong to its certificate"
        );
        let pem = first_pem(&pair.certificate_pem)?;
        let certificate = pem.parse_x509().context("the CA is no X.509 certificate")?;
        ensure!(certificate.is_ca(), "the certificate is not one of a CA");
        let issuer = Issuer::from_ca_cert_pem(&pair.certificate_pem, key)
            .context("the CA's certificate is not usable")?;
        Ok(Self { pair, issuer })
    }

    pub fn certificate_pem(&self) -> &str {
        &self.pair.certificate_pem
    }

    pub fn key_pem(&self) -> &str {
        &self.pair.key_pem
    }

    /// A serving certificate for DNS names and IP addresses; the first is its common name.
    pub fn issue_serving(&self, names: &[String]) -> Result<KeyedCertificate> {
        self.issue_serving_within(names, &from_now(LEAF_LIFETIME))
    }

    /// A client certificate: `user` is the common name, each group (two at most) an organization.
    pub fn issue_client(&self, user: &str, groups: &[&str]) -> Result<KeyedCertificate> {
        self.issue_client_within(user, groups, &from_now(LEAF_LIFETIME))
    }

    pub(crate) fn issue_serving_within(
        &self,
        names: &[String],
        validity: &Range<SystemTime>,
    ) -> Result<KeyedCertificate> {
        let first = names
            .first()
            .context("a serving certificate needs a name")?;
        // The common name has at most 64 bytes (RFC 5280); clients go by the alternative names.
        let common_name: String = first.chars().take(64).collect();
        let params = CertificateParams::new(names.to_vec())
            .with_context(|| format!("not DNS names or IP addresses: {names:?}"))?;
        self.issue(
            params,
            &common_name,
            &[],
            ExtendedKeyUsagePurpose::ServerAuth,
            validity,
        )
    }

    pub(crate) fn issue_client_within(
        &self,
        user: &str,
        groups: &[&str],
        validity: &Range<SystemTime>,
    ) -> Result<KeyedCertificate> {
        self.issue(
            CertificateParams::default(),
            user,
            groups,
            ExtendedKeyUsagePurpose::ClientAuth,
            validity,
        )
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        common_name: &str,
        organizations: &[&str],
        usage: ExtendedKeyUsagePurpose,
        validity: &Range<SystemTime>,
    ) -> Result<KeyedCertificate> {
        params.distinguished_name = rcgen::DistinguishedName::new();
        // rcgen keeps one value per type; the same type under its OID is another one to it.
        let kinds = [
            DnType::OrganizationName,
            DnType::CustomDnType(vec![2, 5, 4, 10]),
        ];
        ensure!(
            organizations.len() <= kinds.len(),
            "a client certificate can name {} groups at most: {organizations:?}",
            kinds.len()
        );
        for (kind, organization) in kinds.into_iter().zip(organizations) {
            params.distinguished_name.push(kind, *organization);
        }
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, validity);
        let key = KeyPair::generate().context("cannot make a private key")?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .with_context(|| format!("cannot issue a certificate to {common_name}"))?;
        Ok(KeyedCertificate {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

/// When the first certificate of a PEM file ends.
pub fn not_after(certificate_pem: &str) -> Result<Timestamp> {
    Ok(validity(certificate_pem)?.end)
}

/// Whether two thirds of the life of the first certificate of a PEM file are over.
pub fn renewal_is_due(certificate_pem: &str, now: Timestamp) -> Result<bool> {
    let Range { start, end } = validity(certificate_pem)?;
    let life = end.as_second() - start.as_second();
    Ok(now.as_second() >= start.as_second() + life / 3 * 2)
}

/// Whether the private key belongs to the first certificate.
///
/// # Errors
/// Either PEM cannot be read.
pub fn is_pair(pair: &KeyedCertificate) -> Result<bool> {
    let key = KeyPair::from_pem(&pair.key_pem).context("the private key is not usable")?;
    Ok(public_key(&pair.certificate_pem)? == key.subject_public_key_info())
}

fn from_now(lifetime: Duration) -> Range<SystemTime> {
    let now = SystemTime::now();
    now - CLOCK_SKEW..now + lifetime
}

fn set_validity(params: &mut CertificateParams, validity: &Range<SystemTime>) {
    params.not_before = validity.start.into();
    params.not_after = validity.end.into();
}

fn first_pem(certificate_pem: &str) -> Result<Pem> {
    let first = Pem::iter_from_buffer(certificate_pem.as_bytes())
        .next()
        .ok_or_else(|| anyhow!("no PEM block in the certificate"))?;
    let pem = first.context("the certificate is no PEM")?;
    ensure!(
        pem.label == "CERTIFICATE",
        "a PEM block {} where a CERTIFICATE is expected",
        pem.label
    );
    Ok(pem)
}

fn public_key(certificate_pem: &str) -> Result<Vec<u8>> {
    let pem = first_pem(certificate_pem)?;
    let certificate = pem.parse_x509().context("no X.509 certificate")?;
    Ok(certificate.public_key().raw.to_vec())
}

fn validity(certificate_pem: &str) -> Result<Range<Timestamp>> {
    let pem = first_pem(certificate_pem)?;
    let certificate = pem.parse_x509().context("no X.509 certificate")?;
    let validity = certificate.validity();
    let start = Timestamp::from_second(validity.not_before.timestamp())?;
    let end = Timestamp::from_second(validity.not_after.timestamp())?;
    Ok(start..end)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is a failed test")]
    use jiff::ToSpan;

    use super::*;

    #[test]
    fn loads_its_own_ca_and_issues_again() {
        let made = CertificateAuthority::generate("outrigger-dev").unwrap();
        let loaded = CertificateAuthority::load(made.pair.clone()).unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let pair = loaded.issue_serving(&names).unwrap();
        assert!(is_pair(&pair).unwrap());
        let ca = first_pem(made.certificate_pem()).unwrap();
        let ca = ca.parse_x509().unwrap();
        let leaf = first_pem(&pair.certificate_pem).unwrap();
        let leaf = leaf.parse_x509().unwrap();
        assert_eq!(leaf.issuer(), ca.subject());
        assert!(!leaf.is_ca());
    }

    #[test]
    fn refuses_a_ca_with_the_key_of_another() {
        let one = CertificateAuthority::generate("one").unwrap();
        let other = CertificateAuthority::generate("other").unwrap();
        let mixed = KeyedCertificate {
            certificate_pem: one.certificate_pem().to_owned(),
            key_pem: other.key_pem().to_owned(),
        };
        assert!(!is_pair(&mixed).unwrap());
        let err = CertificateAuthority::load(mixed).err().unwrap();
        assert_eq!(
            err.to_string(),
            "the CA's private key does not belong to its certificate"
        );
    }

    #[test]
    fn refuses_a_leaf_as_a_ca() {
        let ca = CertificateAuthority::generate("ca").unwrap();
        let leaf = ca.issue_client("jane", &["a", "b"]).unwrap();
        let err = CertificateAuthority::load(leaf).err().unwrap();
        assert_eq!(err.to_string(), "the certificate is not one of a CA");
    }

    #[test]
    fn refuses_a_third_group_of_a_client() {
        let ca = CertificateAuthority::generate("ca").unwrap();
        assert!(ca.issue_client("jane", &["a", "b", "c"]).is_err());
    }

    #[test]
    fn renews_after_two_thirds_of_the_life() {
        let ca = CertificateAuthority::generate("ca").unwrap();
        let pem = ca.issue_client("jane", &[]).unwrap().certificate_pem;
        let end = not_after(&pem).unwrap();
        let year = 24 * 365;
        assert!(!renewal_is_due(&pem, end - (year / 3 + 24).hours()).unwrap());
        assert!(renewal_is_due(&pem, end - (year / 3 - 24).hours()).unwrap());
    }
}
