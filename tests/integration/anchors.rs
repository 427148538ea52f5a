//! A declared resource that tests of reads have: anchors, in two versions, selectable by `spec.size`.

use anyhow::Result;
use outrigger_tests::client::Client;
use outrigger_tests::host::{Dev, DevFolders};
use serde_json::{Value, json};

pub(crate) const ANCHORS: &str = "/apis/pier.example.com/v1/namespaces/default/anchors";
/// The same in a version that is not stored.
pub(crate) const OLD_ANCHORS: &str = "/apis/pier.example.com/v1beta1/namespaces/default/anchors";
pub(crate) const ALL_ANCHORS: &str = "/apis/pier.example.com/v1/anchors";

pub(crate) fn anchor(name: &str, size: i64) -> Value {
    json!({
        "apiVersion": "pier.example.com/v1", "kind": "Anchor",
        "metadata": {"name": name, "labels": {"size": size.to_string()}}, "spec": {"size": size},
    })
}

fn definition() -> Value {
    let version = |name: &str, storage: bool| {
        json!({
            "name": name, "served": true, "storage": storage,
            "selectableFields": [{"jsonPath": ".spec.size"}],
            "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {
                    "size": {"type": "integer"}, "text": {"type": "string"}}}}}},
        })
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "anchors.pier.example.com"},
        "spec": {
            "group": "pier.example.com", "scope": "Namespaced",
            "names": {"plural": "anchors", "singular": "anchor", "kind": "Anchor", "listKind": "AnchorList"},
            "versions": [version("v1", true), version("v1beta1", false)],
        },
    })
}

/// Folders of a server that will serve anchors.
pub(crate) fn folders() -> Result<DevFolders> {
    let folders = DevFolders::new()?;
    let document = folders.path("plugins").join("anchors.json");
    std::fs::write(document, definition().to_string())?;
    Ok(folders)
}

pub(crate) async fn start() -> Result<(DevFolders, Dev, Client)> {
    let folders = folders()?;
    let dev = folders.start().await?;
    let client = dev.client()?;
    Ok((folders, dev, client))
}
