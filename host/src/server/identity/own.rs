//! Without a cluster: a CA in the data folder signs the server's certificate and the administrator's.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arc_swap::ArcSwap;

use super::{Identity, write_private};
use crate::admission::EveryNamespace;
use crate::authentication::{Authenticators, DelegatedConfig, TrustBundle};
use crate::authorization::AlwaysAllowed;
use crate::certificates::{CertificateAuthority, KeyedCertificate};
use crate::server::admin::Administrator;
use crate::serving::{ServingCertificate, Tls};

pub(super) fn establish(data_dir: &Path, address: SocketAddr) -> anyhow::Result<Identity> {
    let ca = authority(&data_dir.join("pki"))?;
    let mut names = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    if !address.ip().is_unspecified() && !names.contains(&address.ip().to_string()) {
        names.push(address.ip().to_string());
    }
    let serving = ca.issue_serving(&names)?;
    let certificate = ServingCertificate::from_pem(&serving.certificate_pem, &serving.key_pem)?;
    let client_ca = TrustBundle::from_pem(ca.certificate_pem()).map_err(anyhow::Error::msg)?;
    let tls = Tls::new(certificate);
    tls.advertise_client_cas(client_ca.certificates());
    let trusted = DelegatedConfig {
        client_ca,
        request_header: None,
    };
    let administrator = Administrator {
        ca_pem: ca.certificate_pem().to_owned(),
        certificate: ca.issue_client("admin", &["system:masters"])?,
    };
    Ok(Identity {
        tls,
        authenticators: Arc::new(Authenticators::new(
            Arc::new(ArcSwap::from_pointee(trusted)),
            None,
            true,
        )),
        authorizer: Arc::new(AlwaysAllowed::nobody_else()),
        namespaces: Arc::new(EveryNamespace),
        registration: None,
        cluster: None,
        administrator: Some(administrator),
    })
}

/// The CA of the folder, made where there is none: kubeconfigs of earlier starts stay right.
fn authority(folder: &Path) -> anyhow::Result<CertificateAuthority> {
    let (certificate, key) = (folder.join("ca.crt"), folder.join("ca.key"));
    if certificate.exists() && key.exists() {
        let read = |path: &Path| {
            std::fs::read_to_string(path)
                .with_context(|| format!("{} cannot be read", path.display()))
        };
        let pair = KeyedCertificate {
            certificate_pem: read(&certificate)?,
            key_pem: read(&key)?,
        };
        return CertificateAuthority::load(pair).with_context(|| {
            format!(
                "{} is no usable CA: remove the folder to have a new one made",
                folder.display()
            )
        });
    }
    let ca = CertificateAuthority::generate("outrigger-dev")?;
    let write = |path: &Path, pem: &str| {
        write_private(path, pem.as_bytes())
            .with_context(|| format!("{} cannot be written", path.display()))
    };
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{} cannot be made", folder.display()))?;
    write(&key, ca.key_pem())?;
    write(&certificate, ca.certificate_pem())?;
    Ok(ca)
}
