//! Paths and objects of the plugins that the tests use.

use anyhow::{Context as _, Result};
use outrigger_tests::client::Client;
use outrigger_tests::host::DevFolders;
use outrigger_tests::kubeconfig::Kubeconfig;
use serde_json::{Value, json};

/// Of `examples/hello`: without a schema, `spec.to` is required by the plugin.
pub(crate) const GREETINGS: &str = "/apis/hello.example.com/v1/namespaces/default/greetings";
/// Of `examples/notes`, which keeps its objects itself.
pub(crate) const NOTES: &str = "/apis/notes.example.com/v1/namespaces/default/notes";

pub(crate) fn greeting(name: &str) -> Value {
    json!({
        "apiVersion": "hello.example.com/v1", "kind": "Greeting",
        "metadata": {"name": name}, "spec": {"to": "world"},
    })
}

pub(crate) fn note(name: &str, text: &str) -> Value {
    json!({
        "apiVersion": "notes.example.com/v1", "kind": "Note",
        "metadata": {"name": name}, "spec": {"text": text},
    })
}

/// An object of one of `tests/guests`, all of which serve v1 without a schema.
pub(crate) fn guest_object(group: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("{group}/v1"), "kind": kind,
        "metadata": {"name": name}, "spec": spec,
    })
}

pub(crate) fn guest_path(group: &str, plural: &str) -> String {
    format!("/apis/{group}/v1/namespaces/default/{plural}")
}

pub(crate) fn resource_version(object: &Value) -> Result<String> {
    let version = object["metadata"]["resourceVersion"].as_str();
    Ok(version.context("no resourceVersion")?.to_owned())
}

/// The names in a list.
pub(crate) async fn names(client: &Client, path: &str) -> Result<Vec<String>> {
    let list = client.get(path).await?.ok()?;
    let items = list["items"].as_array().context("no items")?;
    let name = |it: &Value| it["metadata"]["name"].as_str().unwrap_or("").to_owned();
    Ok(items.iter().map(name).collect())
}

/// The administrator's, which is written when the server is ready for the first time, for another port.
pub(crate) fn kubeconfig_at(folders: &DevFolders, port: u16) -> Result<Kubeconfig> {
    let file = folders.data().join("admin.kubeconfig");
    let text = std::fs::read_to_string(&file)?;
    let server = text
        .lines()
        .find_map(|it| it.trim().strip_prefix("server: "));
    let (host, _) = server
        .and_then(|it| it.rsplit_once(':'))
        .context("a server")?;
    let moved = folders.path("moved.kubeconfig");
    let text = text.replace(server.unwrap_or_default(), &format!("{host}:{port}"));
    std::fs::write(&moved, text)?;
    Kubeconfig::read(&moved)
}
