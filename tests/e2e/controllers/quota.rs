//! The quota controller counts the objects of every group. kube-apiserver's admission, which enforces quotas, does
//! not see the requests of aggregated groups.

use anyhow::{Result, ensure};
use outrigger_tests::client::Client;
use outrigger_tests::installed::{Installed, SOON};
use outrigger_tests::wait;
use serde_json::json;

use super::{FLUNDERS, Resource, create, create_namespace};

pub(crate) async fn counts(it: &mut Installed) -> Result<()> {
    let client = it.admin()?;
    create_namespace(&client, "counted").await?;
    limit(&client, "counted", FLUNDERS).await?;
    wait_used(&client, "counted", FLUNDERS, 0).await?;
    for name in ["one", "two", "three"] {
        create(&client, FLUNDERS, "counted", name, &json!({})).await?;
    }
    wait_used(&client, "counted", FLUNDERS, 3).await?;
    let path = format!("{}/two", FLUNDERS.path("counted"));
    client.delete(&path).await?.ok()?;
    wait_used(&client, "counted", FLUNDERS, 2).await
}

pub(super) async fn limit(client: &Client, namespace: &str, resource: Resource) -> Result<()> {
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "counts"},
        "spec": {"hard": {format!("count/{}", resource.full_name()): "10"}},
    });
    let path = format!("/api/v1/namespaces/{namespace}/resourcequotas");
    client.post(&path, &quota).await?.ok()?;
    Ok(())
}

pub(super) async fn wait_used(
    client: &Client,
    namespace: &str,
    resource: Resource,
    expected: u32,
) -> Result<()> {
    let path = format!("/api/v1/namespaces/{namespace}/resourcequotas/counts");
    let what = format!("{expected} {} to be counted", resource.plural);
    let name = format!("count/{}", resource.full_name());
    let expected = json!(expected.to_string());
    wait::until(&what, SOON, || async {
        let status = client.get(&path).await?.ok()?["status"].take();
        ensure!(status["used"][&name] == expected, "{status}");
        Ok(())
    })
    .await
}
