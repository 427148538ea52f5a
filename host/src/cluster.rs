//! The cluster that this server extends, reached as a client: reviews, namespaces, its own APIService
//! objects, Secret and Lease.
//!
//! Nothing here serves requests. What is missing or forbidden never ends the process: each part says so in
//! [`ClusterStatus`], and goes on as soon as it can.

pub mod access_reviews;
pub mod apiservice;
pub mod authentication_config;
pub mod ca_file;
pub mod leadership;
pub mod lease;
pub mod namespaces;
pub mod serving_secret;
pub mod status;
pub mod token_reviews;

mod follow;
mod review;

use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

pub use status::ClusterStatus;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client by a kubeconfig file, else by the service account of the Pod that this runs in. Connects to
/// nothing yet.
///
/// # Errors
/// There is no usable configuration; one line says which file or variable.
pub async fn client(kubeconfig: Option<&Path>) -> anyhow::Result<Client> {
    let mut config = match kubeconfig {
        Some(path) => from_file(path)
            .await
            .with_context(|| format!("cannot use the kubeconfig {}", path.display()))?,
        None => Config::incluster().context(
            "cannot reach the cluster: this is no Pod with a service account, and no --kubeconfig is given",
        )?,
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // Who calls knows better: reviews have a deadline, and watches their own back-off.
    config.default_retry = false;
    let server = config.cluster_url.clone();
    Client::try_from(config)
        .with_context(|| format!("cannot make a client of the cluster at {server}"))
}

async fn from_file(path: &Path) -> anyhow::Result<Config> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

/// In one line: the API server's own message, or each cause of a failed connection once.
fn explain(err: &kube::Error) -> String {
    if let kube::Error::Api(status) = err {
        return if status.message.is_empty() {
            format!("HTTP status {}", status.code)
        } else {
            status.message.clone()
        };
    }
    // `Service` only wraps what the connection says.
    let (mut text, mut source) = match err {
        kube::Error::Service(inner) => (inner.to_string(), inner.source()),
        _ => (err.to_string(), err.source()),
    };
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// The HTTP status that the API server answered, if it answered.
fn code(err: &kube::Error) -> Option<u16> {
    match err {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[tokio::test]
    async fn names_the_kubeconfig_that_it_cannot_read() {
        let err = client(Some(Path::new("/nowhere/config"))).await.err();
        let text = format!("{:#}", err.unwrap());
        assert!(
            text.starts_with("cannot use the kubeconfig /nowhere/config: failed to read"),
            "{text}"
        );
        assert!(!text.contains('\n'));
    }

    #[tokio::test]
    async fn says_what_is_missing_outside_a_pod() {
        let err = client(None).await.err();
        let text = format!("{:#}", err.unwrap());
        assert!(
            text.starts_with("cannot reach the cluster: this is no Pod"),
            "{text}"
        );
    }
}
