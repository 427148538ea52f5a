//! What clients learn of the groups before they ask for objects.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::Method;
use outrigger_tests::wait;
use serde_json::Value;

use outrigger_tests::installed::{Installed, SOON};

const AGGREGATED: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/// Legacy discovery, aggregated discovery and `kubectl api-resources` show the same.
pub(crate) async fn is_discovered(it: &mut Installed) -> Result<()> {
    let client = it.admin()?;
    let group = client.get("/apis/wardle.example.com").await?.ok()?;
    ensure!(group["preferredVersion"]["version"] == "v1beta1", "{group}");
    let resources = client.get("/apis/wardle.example.com/v1beta1").await?.ok()?;
    let flunders = named(&resources["resources"], "name", "flunders")?;
    let verbs = [
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    ];
    let shown: Vec<_> = flunders["verbs"].as_array().into_iter().flatten().collect();
    ensure!(shown == verbs, "{flunders}");
    ensure!(flunders["namespaced"] == true, "{flunders}");

    // kube-apiserver asks aggregated servers in its own time.
    wait::until("aggregated discovery", SOON, || async {
        let accept = [("accept", AGGREGATED)];
        let answer = client
            .send(Method::GET, "/apis", &accept, Bytes::new())
            .await?;
        let groups = answer.ok()?;
        let group = groups["items"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|it| it["metadata"]["name"] == "wardle.example.com")
            .context("the group is not there yet")?;
        let version = named(&group["versions"], "version", "v1beta1")?;
        ensure!(version["freshness"] == "Current", "{version}");
        let flunders = named(&version["resources"], "resource", "flunders")?;
        ensure!(flunders["responseKind"]["kind"] == "Flunder", "{flunders}");
        ensure!(flunders["scope"] == "Namespaced", "{flunders}");
        Ok(())
    })
    .await?;

    let args = [
        "api-resources",
        "--api-group=wardle.example.com",
        "--no-headers",
    ];
    let listed = it.kubectl.ok(&args).await?;
    let flunders = listed.lines().find(|line| line.starts_with("flunders"));
    let columns: Vec<_> = flunders
        .context("no flunders")?
        .split_whitespace()
        .collect();
    ensure!(
        columns.ends_with(&["wardle.example.com/v1beta1", "true", "Flunder"]),
        "{listed}"
    );
    Ok(())
}

/// OpenAPI, v3 by `kubectl explain` and v2 as kube-apiserver merges it.
pub(crate) async fn is_explained(it: &mut Installed) -> Result<()> {
    let kubectl = &it.kubectl;
    wait::until("kubectl explain", SOON, || async {
        let text = kubectl.ok(&["explain", "flunders.spec"]).await?;
        ensure!(text.contains("fischerReference"), "{text}");
        ensure!(text.contains("GROUP:      wardle.example.com"), "{text}");
        Ok(())
    })
    .await?;
    let client = it.admin()?;
    wait::until("OpenAPI v2", SOON, || async {
        let document = client.get("/openapi/v2").await?.ok()?;
        let path = "/apis/wardle.example.com/v1beta1/namespaces/{namespace}/flunders";
        ensure!(
            document["paths"][path].is_object(),
            "{path} is not there yet"
        );
        Ok(())
    })
    .await
}

fn named<'a>(list: &'a Value, field: &str, name: &str) -> Result<&'a Value> {
    let found = list
        .as_array()
        .into_iter()
        .flatten()
        .find(|it| it[field] == name);
    found.with_context(|| format!("no {name} in {list}"))
}
