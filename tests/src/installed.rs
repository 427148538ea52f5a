//! Outrigger as `kubectl apply -k deploy/base` installs it, with its pod running.

use std::path::PathBuf;
use std::time::Duration;

use crate::artifacts::{example, root};
use crate::client::Client;
use crate::cluster::Cluster;
use crate::kubeconfig::Kubeconfig;
use crate::kubectl::Kubectl;
use crate::pod::{Kubelet, Pod};
use crate::wait;
use anyhow::{Context as _, Result};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

pub const NAMESPACE: &str = "outrigger";
pub const DEPLOYMENT: &str = "outrigger";
/// The plugins' ConfigMap, which the Deployment mounts.
pub const PLUGINS: &str = "outrigger-plugins";
pub const SECRET: &str = "outrigger-serving-certificate";

pub const FLUNDERS: &str = "/apis/wardle.example.com/v1beta1/namespaces/default/flunders";
pub const APISERVICE: &str = "v1beta1.wardle.example.com";

/// "Within seconds", on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

pub struct Installed {
    // Fields are dropped in this order: the pod before its cluster.
    pub pod: Pod,
    pub kubelet: Kubelet,
    pub kubectl: Kubectl,
    pub cluster: Cluster,
}

/// The aggregator dials the pod by the Service's endpoints.
pub const APISERVER_FLAGS: &[&str] = &["--enable-aggregator-routing=true"];

pub fn deploy() -> String {
    root().join("deploy/base").display().to_string()
}

/// Puts plugins of `examples/` and definitions into the ConfigMap, as the comment in the Deployment says.
pub async fn write_plugins(
    kubectl: &Kubectl,
    plugins: &[&str],
    definitions: &[PathBuf],
) -> Result<()> {
    let mut components = Vec::new();
    for &name in plugins {
        components.push((name, example(name)?));
    }
    write_components(kubectl, &components, definitions).await
}

/// The same with plugins from anywhere.
pub async fn write_components(
    kubectl: &Kubectl,
    plugins: &[(&str, PathBuf)],
    definitions: &[PathBuf],
) -> Result<()> {
    let mut files = Vec::new();
    for (name, file) in plugins {
        files.push((format!("{name}.wasm"), file.clone()));
    }
    for file in definitions {
        let name = file.file_name().context("no file")?;
        files.push((name.to_string_lossy().into_owned(), file.clone()));
    }
    write_plugin_files(kubectl, &files).await
}

/// Makes the ConfigMap hold these files, under these names.
pub async fn write_plugin_files(kubectl: &Kubectl, files: &[(String, PathBuf)]) -> Result<()> {
    let mut args = vec![
        "create".to_owned(),
        "configmap".to_owned(),
        PLUGINS.to_owned(),
        format!("--namespace={NAMESPACE}"),
        "--dry-run=client".to_owned(),
        "--output=json".to_owned(),
    ];
    let files = files.iter();
    args.extend(files.map(|(name, file)| format!("--from-file={name}={}", file.display())));
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

/// A cluster of its own with `deploy/base` in it, and its administrator's kubectl; nothing runs yet.
pub async fn cluster_with_base() -> Result<(Cluster, Kubectl)> {
    let cluster = Cluster::start(APISERVER_FLAGS).await?;
    let kubectl = cluster.kubectl("admin", &["system:masters"])?;
    kubectl.ok(&["apply", "-k", &deploy()]).await?;
    Ok((cluster, kubectl))
}

/// Gives the Deployment's container flags, e.g. `--etcd-servers=…`, in place of those of the same name.
pub async fn set_flags(kubectl: &Kubectl, flags: &[&str]) -> Result<()> {
    const ARGS: &str = "/spec/template/spec/containers/0/args";
    let deployment = ["deployment", DEPLOYMENT, "-n", NAMESPACE];
    let now = kubectl.json(&[&["get"][..], &deployment].concat()).await?;
    let args = now.pointer(ARGS).and_then(Value::as_array);
    let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
    let is_replaced = |it: &str| flags.iter().any(|flag| name(flag) == name(it));
    let others = args.context("no args")?.iter().filter_map(Value::as_str);
    let mut args: Vec<&str> = others.filter(|it| !is_replaced(it)).collect();
    args.extend(flags);
    let patch = json!([{"op": "replace", "path": ARGS, "value": args}]).to_string();
    let how = ["--type=json", "--patch", &patch];
    kubectl
        .ok(&[&["patch"][..], &deployment, &how].concat())
        .await?;
    Ok(())
}

impl Installed {
    /// A cluster of its own with `deploy/base` in it, which serves these plugins and definitions. Waits until its
    /// APIServices `services`, e.g. `v1.hello.example.com`, are available.
    ///
    /// Without kube-controller-manager: its garbage collector would take finalizers away that tests look at.
    pub async fn start(
        plugins: &[(&str, PathBuf)],
        definitions: &[PathBuf],
        services: &[String],
    ) -> Result<Self> {
        let (cluster, kubectl) = cluster_with_base().await?;
        write_components(&kubectl, plugins, definitions).await?;
        let kubelet = Kubelet::new(&cluster, NAMESPACE, DEPLOYMENT).await?;
        let pod = kubelet.start().await?;
        let installed = Self {
            pod,
            kubelet,
            kubectl,
            cluster,
        };
        for service in services {
            installed.wait_available(service).await?;
        }
        Ok(installed)
    }

    /// Ends the pod as a crash does (SIGKILL), and starts it again on what is on its volume.
    pub async fn crash(&mut self) -> Result<()> {
        self.pod.process.kill()?;
        self.pod = self.kubelet.start().await?;
        Ok(())
    }

    /// The kubeconfig of an administrator who reaches the pod itself, past kube-apiserver.
    pub async fn direct(&self) -> Result<Kubeconfig> {
        direct(&self.cluster, &self.kubectl, &self.kubelet).await
    }

    /// kubectl of a user, whose rights are `verbs` on the resources of wardle in the namespace default.
    pub async fn user(&self, name: &str, verbs: &str) -> Result<Kubectl> {
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

    pub fn admin(&self) -> Result<Client> {
        self.cluster.admin()
    }

    /// Waits until kube-apiserver calls an APIService available.
    pub async fn wait_available(&self, name: &str) -> Result<Value> {
        wait_available(&self.kubectl, name).await
    }
}

/// The kubeconfig of an administrator who reaches the pod on a node itself.
pub async fn direct(cluster: &Cluster, kubectl: &Kubectl, node: &Kubelet) -> Result<Kubeconfig> {
    let secret = kubectl
        .json(&["get", "secret", SECRET, "-n", NAMESPACE])
        .await?;
    let ca = secret["data"]["ca.crt"]
        .as_str()
        .context("the Secret has no ca.crt")?;
    Ok(Kubeconfig {
        server: format!("https://127.0.0.1:{}", node.port),
        ca_pem: String::from_utf8(BASE64_STANDARD.decode(ca)?)?,
        server_name: Some(format!("outrigger.{NAMESPACE}.svc")),
        ..cluster.user("admin", &["system:masters"])?
    })
}

pub async fn wait_available(kubectl: &Kubectl, name: &str) -> Result<Value> {
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
