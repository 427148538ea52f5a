//! Outrigger as `kubectl apply -k deploy/base` installs it, with its pod running.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use outrigger_tests::artifacts::{example, root};
use outrigger_tests::client::Client;
use outrigger_tests::cluster::Cluster;
use outrigger_tests::kubectl::Kubectl;
use outrigger_tests::pod::{Kubelet, Pod};
use outrigger_tests::wait;
use serde_json::Value;

pub(crate) const NAMESPACE: &str = "outrigger";
pub(crate) const DEPLOYMENT: &str = "outrigger";
/// The plugins' ConfigMap, which the Deployment mounts.
pub(crate) const PLUGINS: &str = "outrigger-plugins";
pub(crate) const SECRET: &str = "outrigger-serving-certificate";

pub(crate) const FLUNDERS: &str = "/apis/wardle.example.com/v1beta1/namespaces/default/flunders";
pub(crate) const APISERVICE: &str = "v1beta1.wardle.example.com";

/// "Within seconds", on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Installed {
    // Fields are dropped in this order: the pod before its cluster.
    pub(crate) pod: Pod,
    pub(crate) kubelet: Kubelet,
    pub(crate) kubectl: Kubectl,
    pub(crate) cluster: Cluster,
}

/// The aggregator dials the pod by the Service's endpoints.
pub(crate) const APISERVER_FLAGS: &[&str] = &["--enable-aggregator-routing=true"];

pub(crate) fn deploy() -> String {
    root().join("deploy/base").display().to_string()
}

/// Puts plugins into the ConfigMap, as the comment in the Deployment says.
pub(crate) async fn write_plugins(kubectl: &Kubectl, plugins: &[&str]) -> Result<()> {
    let mut args = vec![
        "create".to_owned(),
        "configmap".to_owned(),
        PLUGINS.to_owned(),
        format!("--namespace={NAMESPACE}"),
        "--dry-run=client".to_owned(),
        "--output=json".to_owned(),
    ];
    for name in plugins {
        let file: PathBuf = example(name)?;
        args.push(format!("--from-file={name}.wasm={}", file.display()));
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let object = kubectl.ok(&args).await?;
    // Not `apply`: its annotation would hold the components a second time, over the limit of annotations.
    let exists = kubectl
        .run(&["get", "configmap", PLUGINS, "-n", NAMESPACE], "")
        .await?
        .is_success;
    let verb = if exists { "replace" } else { "create" };
    kubectl.ok_with(&[verb, "-f", "-"], &object).await?;
    Ok(())
}

impl Installed {
    /// kubectl of a user, whose rights are `verbs` on the resources of wardle in the namespace default.
    pub(crate) async fn user(&self, name: &str, verbs: &str) -> Result<Kubectl> {
        let role = format!("flunders-of-{name}");
        let args = [
            "create",
            "role",
            &role,
            &format!("--verb={verbs}"),
            "--resource=flunders.wardle.example.com",
        ];
        self.kubectl.ok(&args).await?;
        let args = [
            "create",
            "rolebinding",
            &role,
            &format!("--role={role}"),
            &format!("--user={name}"),
        ];
        self.kubectl.ok(&args).await?;
        self.cluster.kubectl(name, &[])
    }

    pub(crate) fn admin(&self) -> Result<Client> {
        self.cluster.admin()
    }

    /// Waits until kube-apiserver calls an APIService available.
    pub(crate) async fn wait_available(&self, name: &str) -> Result<Value> {
        wait_available(&self.kubectl, name).await
    }
}

pub(crate) async fn wait_available(kubectl: &Kubectl, name: &str) -> Result<Value> {
    wait::until(&format!("the APIService {name}"), SOON, || async {
        let service = kubectl.json(&["get", "apiservice", name]).await?;
        let conditions = service["status"]["conditions"].as_array();
        let available = conditions
            .into_iter()
            .flatten()
            .find(|it| it["type"] == "Available")
            .with_context(|| format!("no condition: {service}"))?;
        anyhow::ensure!(available["status"] == "True", "{available}");
        Ok::<_, anyhow::Error>(service)
    })
    .await
}
