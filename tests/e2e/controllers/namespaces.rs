//! The namespace controller: deletes what a namespace holds, of every group, and waits for finalizers.

use anyhow::{Result, ensure};
use outrigger_tests::client::Client;
use outrigger_tests::installed::{Installed, SOON};
use outrigger_tests::wait;
use serde_json::{Value, json};

use super::{
    CRATES, FLUNDERS, HOLD, Resource, create, create_namespace, release, wait_deleting, wait_gone,
};

pub(crate) async fn goes(it: &mut Installed) -> Result<()> {
    let client = it.admin()?;
    let held = fill(&client, "condemned", &[FLUNDERS, CRATES]).await?;
    delete(&client, "condemned").await?;
    wait_held(&client, "condemned", &held).await?;
    let_go(&client, "condemned", &held).await
}

/// A namespace with three objects of each resource, the last of which is held; returns the paths of those.
pub(super) async fn fill(
    client: &Client,
    namespace: &str,
    resources: &[Resource],
) -> Result<Vec<String>> {
    create_namespace(client, namespace).await?;
    let mut held = Vec::new();
    for &resource in resources {
        create(client, resource, namespace, "one", &json!({})).await?;
        create(client, resource, namespace, "two", &json!({})).await?;
        let finalizers = json!({"finalizers": [HOLD]});
        held.push(create(client, resource, namespace, "held", &finalizers).await?);
    }
    Ok(held)
}

pub(super) async fn delete(client: &Client, namespace: &str) -> Result<()> {
    let path = format!("/api/v1/namespaces/{namespace}");
    client.delete(&path).await?.ok()?;
    Ok(())
}

/// Waits until nothing is left in the namespace but the objects that are held, and it says so.
pub(super) async fn wait_held(client: &Client, namespace: &str, held: &[String]) -> Result<()> {
    for path in held {
        wait_deleting(client, path).await?;
        for name in ["one", "two"] {
            wait_gone(client, &path.replace("/held", &format!("/{name}"))).await?;
        }
    }
    wait_condition(client, namespace, "NamespaceFinalizersRemaining", HOLD).await
}

/// Removes the finalizers; the namespace goes.
pub(super) async fn let_go(client: &Client, namespace: &str, held: &[String]) -> Result<()> {
    for path in held {
        release(client, path).await?;
        wait_gone(client, path).await?;
    }
    wait_gone(client, &format!("/api/v1/namespaces/{namespace}")).await
}

/// Waits until the namespace says so. Nothing that it was told to delete may have failed.
async fn wait_condition(client: &Client, namespace: &str, kind: &str, word: &str) -> Result<()> {
    let path = format!("/api/v1/namespaces/{namespace}");
    let what = format!("{kind} of the namespace {namespace}");
    let conditions = wait::until(&what, SOON, || async {
        let conditions = client.get(&path).await?.ok()?["status"]["conditions"].take();
        let found = condition(&conditions, kind);
        let is_told = found["status"] == "True"
            && found["message"]
                .as_str()
                .is_some_and(|it| it.contains(word));
        ensure!(is_told, "{conditions}");
        Ok(conditions)
    })
    .await?;
    for kind in [
        "NamespaceDeletionDiscoveryFailure",
        "NamespaceDeletionContentFailure",
    ] {
        let found = condition(&conditions, kind);
        ensure!(found["status"] == "False", "{found}");
    }
    Ok(())
}

fn condition(conditions: &Value, kind: &str) -> Value {
    let mut all = conditions.as_array().into_iter().flatten();
    all.find(|it| it["type"] == kind)
        .cloned()
        .unwrap_or_default()
}
