//! With the real kube-controller-manager: the controllers that meet the objects of every API group.

mod garbage;
mod namespaces;
mod quota;
mod scale;
mod wrecked;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::Method;
use outrigger_tests::artifacts::{example, guest};
use outrigger_tests::client::Client;
use outrigger_tests::controller_manager;
use outrigger_tests::installed::{Installed, SOON, write_plugin_files, write_plugins};
use outrigger_tests::process::Process;
use outrigger_tests::wait;
use serde_json::{Value, json};

pub(crate) use garbage::collects;
pub(crate) use namespaces::goes;
pub(crate) use quota::counts;
pub(crate) use scale::raises;
pub(crate) use wrecked::{go_on, recovers};

/// Nobody removes it but the test.
const HOLD: &str = "e2e.example.com/hold";

const CONFIG_MAPS: Resource = Resource {
    api_version: "v1",
    kind: "ConfigMap",
    plural: "configmaps",
};
const FLUNDERS: Resource = Resource {
    api_version: "wardle.example.com/v1beta1",
    kind: "Flunder",
    plural: "flunders",
};
/// Stored by the host in another version than this.
const SHIPS: Resource = Resource {
    api_version: "ships.example.com/v1",
    kind: "Ship",
    plural: "ships",
};
/// Kept by their plugin.
const CRATES: Resource = Resource {
    api_version: "ships.example.com/v1",
    kind: "Crate",
    plural: "crates",
};

#[derive(Debug, Clone, Copy)]
struct Resource {
    api_version: &'static str,
    kind: &'static str,
    plural: &'static str,
}

impl Resource {
    fn path(&self, namespace: &str) -> String {
        let root = if self.api_version.contains('/') {
            "apis"
        } else {
            "api"
        };
        let Self {
            api_version,
            plural,
            ..
        } = self;
        format!("/{root}/{api_version}/namespaces/{namespace}/{plural}")
    }

    fn object(&self, name: &str, metadata: &Value) -> Value {
        let mut object = json!({
            "apiVersion": self.api_version, "kind": self.kind, "metadata": metadata,
        });
        object["metadata"]["name"] = name.into();
        object
    }

    /// `resource.group`
    fn full_name(&self) -> String {
        let group = self.api_version.split_once('/').map_or("", |it| it.0);
        format!("{}.{group}", self.plural)
    }
}

/// Serves wardle, and ships by a plugin that works, and starts the controllers.
pub(crate) async fn start(it: &mut Installed) -> Result<Process> {
    write_ships(it, "ships_afloat").await?;
    for version in ["v1", "v1beta1"] {
        it.wait_available(&format!("{version}.ships.example.com"))
            .await?;
    }
    controller_manager::start(&it.cluster)
}

/// The cluster as it was before [`start`].
pub(crate) async fn end(it: &mut Installed) -> Result<()> {
    write_plugins(&it.kubectl, &["wardle"], &[]).await?;
    it.kubelet.sync_volumes().await?;
    let client = it.admin()?;
    wait::until("the ships to be unregistered", SOON, || async {
        let answer = client.get("/apis/ships.example.com").await?;
        ensure!(answer.status == 404, "{}", answer.status);
        Ok(())
    })
    .await
}

/// Replaces the plugin of the ships by a component from `tests/guests`.
async fn write_ships(it: &Installed, component: &str) -> Result<()> {
    let files = [
        ("wardle.wasm".to_owned(), example("wardle")?),
        ("ships.wasm".to_owned(), guest(component)?),
    ];
    write_plugin_files(&it.kubectl, &files).await?;
    it.kubelet.sync_volumes().await
}

async fn create_namespace(client: &Client, name: &str) -> Result<()> {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name},
    });
    client.post("/api/v1/namespaces", &namespace).await?.ok()?;
    Ok(())
}

/// Creates an object of which nothing matters but its metadata; returns its path.
async fn create(
    client: &Client,
    resource: Resource,
    namespace: &str,
    name: &str,
    metadata: &Value,
) -> Result<String> {
    let path = resource.path(namespace);
    let object = resource.object(name, metadata);
    // A namespace that was made just now may not be known everywhere yet.
    let created = client.post(&path, &object).await?;
    created.ok().with_context(|| path.clone())?;
    Ok(format!("{path}/{name}"))
}

/// What controllers see of an object; `None` where it is gone.
async fn metadata(client: &Client, path: &str) -> Result<Option<Value>> {
    const ACCEPT: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let headers = [("accept", ACCEPT)];
    let answer = client
        .send(Method::GET, path, &headers, Bytes::new())
        .await?;
    match answer.status.as_u16() {
        404 => Ok(None),
        _ => Ok(Some(answer.ok()?["metadata"].clone())),
    }
}

async fn wait_gone(client: &Client, path: &str) -> Result<()> {
    wait::until(&format!("{path} to be gone"), SOON, || async {
        match metadata(client, path).await? {
            Some(left) => bail!("it is still there: {left}"),
            None => Ok(()),
        }
    })
    .await
}

async fn wait_deleting(client: &Client, path: &str) -> Result<Value> {
    wait::until(&format!("{path} to be deleted"), SOON, || async {
        let metadata = metadata(client, path).await?.context("it is gone")?;
        ensure!(metadata["deletionTimestamp"].is_string(), "{metadata}");
        Ok(metadata)
    })
    .await
}

/// Lets go of an object that [`HOLD`] holds.
async fn release(client: &Client, path: &str) -> Result<()> {
    let patch = json!({"metadata": {"finalizers": null}});
    client.merge_patch(path, &patch).await?.ok()?;
    Ok(())
}
