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
    if let Some(ca) = load(folder)? {
        return Ok(ca);
    }
    let ca = CertificateAuthority::generate("outrigger-dev")?;
    // Both files at once: another process may be making a CA of its own.
    let making = folder.with_extension(uuid::Uuid::new_v4().to_string());
    let unwritten = |path: &Path| format!("{} cannot be written", path.display());
    std::fs::create_dir_all(&making).with_context(|| unwritten(&making))?;
    for (file, pem) in [(KEY, ca.key_pem()), (CERTIFICATE, ca.certificate_pem())] {
        let path = making.join(file);
        write_private(&path, pem.as_bytes()).with_context(|| unwritten(&path))?;
    }
    let Err(error) = std::fs::rename(&making, folder) else {
        return Ok(ca);
    };
    let _ = std::fs::remove_dir_all(&making);
    load(folder)?.ok_or(error).with_context(|| {
        let folder = folder.display();
        format!("{folder} cannot be written: remove it to have a CA made")
    })
}

const CERTIFICATE: &str = "ca.crt";
const KEY: &str = "ca.key";

/// `None` where there is none.
fn load(folder: &Path) -> anyhow::Result<Option<CertificateAuthority>> {
    let (certificate, key) = (folder.join(CERTIFICATE), folder.join(KEY));
    if !certificate.exists() || !key.exists() {
        return Ok(None);
    }
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
    };
    let pair = KeyedCertificate {
        certificate_pem: read(&certificate)?,
        key_pem: read(&key)?,
    };
    let ca = CertificateAuthority::load(pair).with_context(|| {
        format!(
            "{} is no usable CA: remove the folder to have a new one made",
            folder.display()
        )
    })?;
    Ok(Some(ca))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_that_make_a_ca_at_once_have_the_same() {
        let data = tempfile::tempdir().expect("a folder");
        let folder = data.path().join("pki");
        let make = || {
            authority(&folder)
                .expect("a CA")
                .certificate_pem()
                .to_owned()
        };
        let made = std::thread::scope(|scope| {
            let threads = [(); 8].map(|()| scope.spawn(make));
            threads.map(|it| it.join().expect("no panic"))
        });
        assert!(made.iter().all(|it| *it == made[0]));
        assert_eq!(make(), made[0]);
        let left = std::fs::read_dir(data.path()).expect("a folder").count();
        assert_eq!(left, 1);
    }
}
