//! Users by client certificate: the common name is the user, each organization a group.
//!
//! The uid is the subject's 1.3.6.1.4.1.57683.2 (k8s.io/apiserver, pkg/authentication/request/x509).

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;
use x509_parser::der_parser::{Oid, oid};
use x509_parser::parse_x509_certificate;
use x509_parser::x509::X509Name;

use super::chain::{ChainVerifier, TrustBundle};
use super::{Outcome, settled};
use crate::api::UserInfo;
use crate::serving::PeerChain;

const COMMON_NAME: Oid<'static> = oid!(2.5.4.3);
const ORGANIZATION: Oid<'static> = oid!(2.5.4.10);
const UID: Oid<'static> = oid!(1.3.6.1.4.1.57683.2);
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// Remembers which chains hold, with their users.
#[derive(Default)]
pub(super) struct ClientCertificates {
    verifier: ChainVerifier<Option<Arc<UserInfo>>>,
}

impl ClientCertificates {
    pub(super) fn authenticate(&self, client_ca: &TrustBundle, chain: &PeerChain) -> Outcome {
        // As upstream: where no CA is known, certificates are nobody's business.
        if chain.is_empty() || client_ca.certificates().is_empty() {
            return Outcome::NotMine;
        }
        let user = |leaf: &_| Ok(user(leaf)?.map(settled));
        match self.verifier.verify(client_ca, chain, user) {
            Ok(Some(user)) => Outcome::Is(user),
            Ok(None) => Outcome::NotMine,
            Err(why) => Outcome::Failed(format!("not a client's certificate: {why}")),
        }
    }
}

fn user(leaf: &CertificateDer<'static>) -> Result<Option<UserInfo>, String> {
    let Some(name) = common_name(leaf)?.filter(|it| !it.is_empty()) else {
        return Ok(None);
    };
    let (_, certificate) = parse_x509_certificate(leaf).map_err(|err| err.to_string())?;
    let subject = certificate.subject();
    let uid = match values(subject, &UID)?.as_slice() {
        [] => String::new(),
        [uid] if uid.is_empty() => return Err("its uid is empty".into()),
        [uid] => uid.clone(),
        _ => return Err("it has several uids".into()),
    };
    let hex: String = digest(&SHA256, leaf)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let id = format!("X509SHA256={hex}");
    Ok(Some(UserInfo {
        name,
        uid,
        groups: values(subject, &ORGANIZATION)?,
        extra: BTreeMap::from([(CREDENTIAL_ID.to_owned(), vec![id])]),
    }))
}

/// The last one, as Go's `pkix.Name` has it.
pub(super) fn common_name(leaf: &CertificateDer<'static>) -> Result<Option<String>, String> {
    let (_, certificate) = parse_x509_certificate(leaf).map_err(|err| err.to_string())?;
    Ok(values(certificate.subject(), &COMMON_NAME)?.pop())
}

fn values(name: &X509Name<'_>, kind: &Oid<'_>) -> Result<Vec<String>, String> {
    name.iter_by_oid(kind)
        .map(|it| {
            it.as_str()
                .map(str::to_owned)
                .map_err(|_| format!("{kind} in its subject is no text"))
        })
        .collect()
}
