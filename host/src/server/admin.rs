//! `admin.kubeconfig` of `outrigger dev`: written when the server is ready, and not before.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::watch;

use super::READY_POLL;
use crate::certificates::KeyedCertificate;
use crate::endpoints::health::Health;
use crate::plugin::Problem;

/// Whom the kubeconfig is for.
pub(super) struct Administrator {
    pub(super) ca_pem: String,
    pub(super) certificate: KeyedCertificate,
}

/// Waits until the server is ready, which it mostly is when what is `served` has changed, writes the kubeconfig, and
/// stays: its end would be the server's.
pub(super) async fn announce(
    administrator: &Administrator,
    data_dir: &Path,
    address: SocketAddr,
    health: &Health,
    mut served: watch::Receiver<Vec<Problem>>,
) {
    while !health.is_ready() {
        tokio::select! {
            Ok(()) = served.changed() => {}
            () = tokio::time::sleep(READY_POLL) => {}
        }
    }
    let path = data_dir.join("admin.kubeconfig");
    match write(administrator, &path, address) {
        Ok(()) => tracing::info!(kubeconfig = %path.display(), "ready"),
        Err(error) => tracing::error!(
            error = format!("{error:#}"),
            "admin.kubeconfig could not be written"
        ),
    }
    std::future::pending().await
}

fn write(administrator: &Administrator, path: &Path, address: SocketAddr) -> anyhow::Result<()> {
    let host = if address.ip().is_unspecified() {
        "127.0.0.1".to_owned()
    } else {
        address.ip().to_string()
    };
    let host = if address.is_ipv6() && !address.ip().is_unspecified() {
        format!("[{host}]")
    } else {
        host
    };
    let text = format!(
        "apiVersion: v1\n\
         kind: Config\n\
         current-context: outrigger\n\
         clusters:\n\
         - name: outrigger\n  \
           cluster:\n    \
             server: https://{host}:{port}\n    \
             certificate-authority-data: {ca}\n\
         contexts:\n\
         - name: outrigger\n  \
           context:\n    \
             cluster: outrigger\n    \
             user: admin\n\
         users:\n\
         - name: admin\n  \
           user:\n    \
             client-certificate-data: {certificate}\n    \
             client-key-data: {key}\n",
        port = address.port(),
        ca = STANDARD.encode(&administrator.ca_pem),
        certificate = STANDARD.encode(&administrator.certificate.certificate_pem),
        key = STANDARD.encode(&administrator.certificate.key_pem),
    );
    super::identity::write_private(path, text.as_bytes())
        .with_context(|| format!("{}", path.display()))
}
