//! What the Secret holds, and whether it must be made anew. Pure.
//!
//! A new CA is added in front of the old ones and signs nothing for an hour, so that every kube-apiserver
//! trusts it before it is needed; the old ones stay until they expire.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::certificates::{self, CertificateAuthority, KeyedCertificate};

/// APIServices are put right within 30 s.
const CA_SIGNS_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// All PEM; empty where it is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Material {
    pub(super) certificate: String,
    pub(super) key: String,
    /// The CA of `ca_key` first, then former ones.
    pub(super) ca_bundle: String,
    pub(super) ca_key: String,
}

#[derive(Debug)]
pub(super) enum Decision {
    Keep,
    Write(Material),
}

impl Material {
    pub(super) fn read(data: &BTreeMap<String, ByteString>) -> Self {
        let text = |key: &str| {
            let bytes = data.get(key).map(|it| it.0.as_slice());
            String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
        };
        Self {
            certificate: text("tls.crt"),
            key: text("tls.key"),
            ca_bundle: text("ca.crt"),
            ca_key: text("ca.key"),
        }
    }

    pub(super) fn to_data(&self) -> BTreeMap<String, ByteString> {
        [
            ("tls.crt", &self.certificate),
            ("tls.key", &self.key),
            ("ca.crt", &self.ca_bundle),
            ("ca.key", &self.ca_key),
        ]
        .into_iter()
        .map(|(key, pem)| (key.to_owned(), ByteString(pem.clone().into_bytes())))
        .collect()
    }

    /// # Errors
    /// The Secret is somebody else's, or no certificate can be made.
    pub(super) fn decide(&self, dns_names: &[String], now: Timestamp) -> anyhow::Result<Decision> {
        if !self.certificate.is_empty() && self.ca_key.is_empty() {
            bail!(
                "it holds a certificate that this server did not make (there is no ca.key): name another by --serving-secret, or mount it and name its files by --tls-cert-file and --tls-private-key-file"
            );
        }
        let Some(ca) = self.usable_ca(now) else {
            return self.with_new_ca(dns_names, now, true);
        };
        if !self.is_usable(dns_names, now) {
            return self.with_new_certificate(&ca, dns_names);
        }
        if certificates::renewal_is_due(ca.certificate_pem(), now)? {
            return self.with_new_ca(dns_names, now, false);
        }
        let is_due = certificates::renewal_is_due(&self.certificate, now)?;
        if is_due && now.duration_since(not_before(ca.certificate_pem())?) > CA_SIGNS_AFTER {
            return self.with_new_certificate(&ca, dns_names);
        }
        Ok(Decision::Keep)
    }

    fn usable_ca(&self, now: Timestamp) -> Option<CertificateAuthority> {
        let ca = CertificateAuthority::load(KeyedCertificate {
            certificate_pem: certificates_of(&self.ca_bundle).next()?.to_owned(),
            key_pem: self.ca_key.clone(),
        })
        .ok()?;
        let end = certificates::not_after(ca.certificate_pem()).ok()?;
        (now < end).then_some(ca)
    }

    /// Whether kube-apiserver accepts the certificate by the bundle, for each of these names.
    fn is_usable(&self, dns_names: &[String], now: Timestamp) -> bool {
        let pair = KeyedCertificate {
            certificate_pem: self.certificate.clone(),
            key_pem: self.key.clone(),
        };
        certificates::is_pair(&pair).unwrap_or(false)
            && self.verify(dns_names, now).unwrap_or(false)
    }

    fn verify(&self, dns_names: &[String], now: Timestamp) -> anyhow::Result<bool> {
        let leaf = CertificateDer::from_pem_slice(self.certificate.as_bytes())?;
        let leaf = EndEntityCert::try_from(&leaf)?;
        let cas: Vec<_> =
            CertificateDer::pem_slice_iter(self.ca_bundle.as_bytes()).collect::<Result<_, _>>()?;
        let anchors: Vec<_> = cas
            .iter()
            .map(webpki::anchor_from_trusted_cert)
            .collect::<Result<_, _>>()?;
        let seconds = u64::try_from(now.as_second())?;
        let verified = leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &[],
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)),
            KeyUsage::server_auth(),
            None,
            None,
        );
        if verified.is_err() {
            return Ok(false);
        }
        for name in dns_names {
            let name = ServerName::try_from(name.as_str())?;
            if leaf.verify_is_valid_for_subject_name(&name).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn with_new_ca(
        &self,
        dns_names: &[String],
        now: Timestamp,
        signs_at_once: bool,
    ) -> anyhow::Result<Decision> {
        let ca = CertificateAuthority::generate(&format!("outrigger-ca@{}", now.as_second()))?;
        let mut ca_bundle = ca.certificate_pem().to_owned();
        for former in certificates_of(&self.ca_bundle) {
            if certificates::not_after(former).is_ok_and(|end| now < end) {
                ca_bundle.push_str(former);
            }
        }
        let material = Self {
            ca_bundle,
            ca_key: ca.key_pem().to_owned(),
            ..self.clone()
        };
        if signs_at_once {
            return material.with_new_certificate(&ca, dns_names);
        }
        Ok(Decision::Write(material))
    }

    fn with_new_certificate(
        &self,
        ca: &CertificateAuthority,
        dns_names: &[String],
    ) -> anyhow::Result<Decision> {
        let issued = ca.issue_serving(dns_names)?;
        let material = Self {
            certificate: issued.certificate_pem,
            key: issued.key_pem,
            ..self.clone()
        };
        // Else it would be found wanting, and be made again, for ever.
        ensure!(
            material.is_usable(dns_names, Timestamp::now()),
            "no certificate for {} would be accepted: check the names in --service",
            dns_names.join(", ")
        );
        Ok(Decision::Write(material))
    }
}

/// Each certificate of a bundle, as PEM that ends in a newline where the bundle's does.
fn certificates_of(bundle: &str) -> impl Iterator<Item = &str> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    let starts: Vec<usize> = bundle.match_indices(BEGIN).map(|(at, _)| at).collect();
    let ends: Vec<usize> = starts
        .iter()
        .copied()
        .skip(1)
        .chain([bundle.len()])
        .collect();
    starts
        .into_iter()
        .zip(ends)
        .map(|(start, end)| &bundle[start..end])
}

fn not_before(certificate_pem: &str) -> anyhow::Result<Timestamp> {
    let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes())?;
    let (_, certificate) =
        x509_parser::parse_x509_certificate(&der).context("no X.509 certificate")?;
    let seconds = certificate.validity().not_before.timestamp();
    Ok(Timestamp::from_second(seconds)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use std::time::{Duration, SystemTime};

    use jiff::ToSpan;

    use super::*;

    fn names() -> Vec<String> {
        vec!["a.b.svc".into(), "a".into()]
    }

    fn written(decision: Decision) -> Material {
        match decision {
            Decision::Write(material) => material,
            Decision::Keep => panic!("nothing was written"),
        }
    }

    fn made() -> Material {
        written(
            Material::default()
                .decide(&names(), Timestamp::now())
                .unwrap(),
        )
    }

    fn days(count: i64) -> Timestamp {
        Timestamp::now() + (24 * count).hours()
    }

    fn system(time: Timestamp) -> SystemTime {
        let seconds = u64::try_from(time.as_second()).unwrap();
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn makes_what_is_missing_and_keeps_it() {
        let made = made();
        assert!(made.is_usable(&names(), Timestamp::now()));
        let read = Material::read(&made.to_data());
        assert_eq!(read, made);
        let decision = read.decide(&names(), Timestamp::now()).unwrap();
        assert!(matches!(decision, Decision::Keep));
    }

    #[test]
    fn renews_the_certificate_after_two_thirds_of_its_life_with_the_same_ca() {
        let made = made();
        assert!(matches!(
            made.decide(&names(), days(240)).unwrap(),
            Decision::Keep
        ));
        let renewed = written(made.decide(&names(), days(250)).unwrap());
        assert_ne!(renewed.certificate, made.certificate);
        assert_eq!(renewed.ca_bundle, made.ca_bundle);
        assert_eq!(renewed.ca_key, made.ca_key);
    }

    #[test]
    fn makes_a_certificate_for_other_names() {
        let made = made();
        let other = vec!["c.d.svc".to_owned()];
        let renewed = written(made.decide(&other, Timestamp::now()).unwrap());
        assert!(renewed.is_usable(&other, Timestamp::now()));
        assert_eq!(renewed.ca_bundle, made.ca_bundle);
    }

    /// The certificate in use stays trusted: the new CA stands beside the old one.
    #[test]
    fn renews_the_ca_before_anything_is_signed_by_it() {
        let made = made();
        let ca = made.usable_ca(Timestamp::now()).unwrap();
        // A certificate as it would be after years of renewals.
        let late = days(2_500);
        let leaf = ca
            .issue_serving_within(&names(), &(system(late)..system(days(2_865))))
            .unwrap();
        let worn = Material {
            certificate: leaf.certificate_pem,
            key: leaf.key_pem,
            ..made
        };
        let renewed = written(worn.decide(&names(), late).unwrap());
        assert_eq!(renewed.certificate, worn.certificate);
        assert_ne!(renewed.ca_key, worn.ca_key);
        assert!(renewed.ca_bundle.ends_with(&worn.ca_bundle));
        assert!(renewed.is_usable(&names(), late));
    }

    #[test]
    fn a_new_ca_signs_nothing_for_an_hour() {
        let now = Timestamp::now();
        let made = made();
        let ca = made.usable_ca(now).unwrap();
        let old = ca
            .issue_serving_within(&names(), &(system(days(-300))..system(days(65))))
            .unwrap();
        let due = Material {
            certificate: old.certificate_pem,
            key: old.key_pem,
            ..made
        };
        assert!(matches!(due.decide(&names(), now).unwrap(), Decision::Keep));
        let later = now + 61.minutes();
        assert_ne!(
            written(due.decide(&names(), later).unwrap()).certificate,
            due.certificate
        );
    }

    #[test]
    fn begins_anew_when_everything_has_expired() {
        let made = made();
        let anew = written(made.decide(&names(), days(3_700)).unwrap());
        assert!(!anew.ca_bundle.contains(&made.ca_bundle));
    }

    #[test]
    fn repairs_a_secret_that_was_garbled() {
        let garbled = Material {
            certificate: "x".into(),
            ..made()
        };
        let repaired = written(garbled.decide(&names(), Timestamp::now()).unwrap());
        assert!(repaired.is_usable(&names(), Timestamp::now()));
        let without_ca = Material {
            ca_bundle: "x".into(),
            ..made()
        };
        let repaired = written(without_ca.decide(&names(), Timestamp::now()).unwrap());
        assert!(repaired.is_usable(&names(), Timestamp::now()));
    }

    #[test]
    fn writes_no_certificate_that_nobody_would_accept() {
        let names = vec!["a_b.c.svc.".to_owned() + &"x".repeat(64)];
        assert!(
            Material::default()
                .decide(&names, Timestamp::now())
                .is_err()
        );
    }

    #[test]
    fn leaves_the_secret_of_somebody_else_alone() {
        let foreign = Material {
            ca_key: String::new(),
            ..made()
        };
        let err = foreign.decide(&names(), Timestamp::now()).unwrap_err();
        assert!(err.to_string().contains("did not make"), "{err}");
    }
}
