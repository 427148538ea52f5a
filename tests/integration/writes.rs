//! Writes of objects that a definition describes: defaults, server-side apply, scale, and who owns which field.

use anyhow::{Context as _, Result};
use expect_test::{Expect, expect};
use http::Method;
use outrigger_tests::artifacts::{example, guest};
use outrigger_tests::client::{Answer, Client};
use outrigger_tests::host::{Dev, DevFolders, READY_DEADLINE};
use outrigger_tests::wait;
use serde_json::{Value, json};

use crate::api::{GREETINGS, greeting, guest_object, guest_path, resource_version};

const PATH: &str = "/apis/writes.example.com/v1/namespaces/default/engines";

/// A definition with a status and a scale; `more` are further properties of `spec`.
fn definition(more: &Value) -> Value {
    let mut spec = json!({
        "size": {"type": "integer", "minimum": 0},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "parts": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "count": {"type": "integer"}},
            },
        },
    });
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    let status = json!({"replicas": {"type": "integer"}, "phase": {"type": "string"}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "engines.writes.example.com"},
        "spec": {
            "group": "writes.example.com",
            "scope": "Namespaced",
            "names": {"plural": "engines", "kind": "Engine"},
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.replicas"},
                },
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": spec},
                    "status": {"type": "object", "properties": status},
                }}},
            }],
        },
    })
}

fn drop_definition(folders: &DevFolders, definition: &Value) -> Result<()> {
    let aside = folders.path("definition.part");
    std::fs::write(&aside, serde_json::to_vec(definition)?)?;
    std::fs::rename(aside, folders.path("plugins").join("engines.json"))?;
    Ok(())
}

async fn start() -> Result<(DevFolders, Dev, Client)> {
    let folders = DevFolders::new()?;
    drop_definition(&folders, &definition(&json!({})))?;
    let dev = folders.start().await?;
    let client = dev.client()?;
    Ok((folders, dev, client))
}

fn engine(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "writes.example.com/v1", "kind": "Engine",
        "metadata": {"name": name}, "spec": spec,
    })
}

async fn apply(client: &Client, path: &str, query: &str, object: &Value) -> Result<Answer> {
    let headers = [("content-type", "application/apply-patch+yaml")];
    let body = serde_json::to_vec(object)?.into();
    let path = format!("{path}?{query}");
    client.send(Method::PATCH, &path, &headers, body).await
}

/// `manager operation subresource: fields` of each owner.
fn owners(object: &Value) -> String {
    let entries = object["metadata"]["managedFields"].as_array();
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let lines = entries.into_iter().flatten().map(|entry| {
        let subresource = text(&entry["subresource"]);
        let (manager, operation) = (text(&entry["manager"]), text(&entry["operation"]));
        format!(
            "{manager} {operation} {subresource}: {}\n",
            entry["fieldsV1"]
        )
    });
    lines.collect()
}

#[expect(clippy::needless_pass_by_value, reason = "as expect-test is used")]
fn check(shown: &str, expected: Expect) {
    expected.assert_eq(shown);
}

#[tokio::test]
async fn objects_of_an_older_schema_are_read_with_its_new_defaults() -> Result<()> {
    let (folders, dev, client) = start().await?;
    let old = engine("old", &json!({"size": 1}));
    let old = client.post(PATH, &old).await?.ok()?;
    let more = json!({"mode": {"type": "string", "default": "auto"}});
    drop_definition(&folders, &definition(&more))?;

    let path = format!("{PATH}/old");
    let read = || async {
        let read = client.get(&path).await?.ok()?;
        anyhow::ensure!(read["spec"]["mode"] == "auto", "{read}");
        Ok(())
    };
    wait::until("the new default", READY_DEADLINE, read).await?;
    let list = client.get(PATH).await?.ok()?;
    assert_eq!(list["items"][0]["spec"]["mode"], "auto");
    dev.stop().await?;

    let dev = folders.start().await?;
    let client = dev.client()?;
    let read = client.get(&path).await?.ok()?;
    assert_eq!(read["spec"], json!({"size": 1, "mode": "auto"}));
    assert_eq!(resource_version(&read)?, resource_version(&old)?);
    dev.stop().await
}

#[tokio::test]
async fn objects_of_an_older_schema_are_read_without_the_fields_that_it_has_lost() -> Result<()> {
    let (folders, dev, client) = start().await?;
    let more = json!({"mode": {"type": "string"}});
    drop_definition(&folders, &definition(&more))?;
    let path = format!("{PATH}/old");
    let old = engine("old", &json!({"size": 1, "mode": "loud"}));
    // Until the definition is there, the field is not kept.
    let written = || async {
        let headers = [("content-type", "application/json")];
        let body = serde_json::to_vec(&old)?.into();
        let answer = client.send(Method::POST, PATH, &headers, body).await?;
        if answer.status == 409 || answer.ok()?["spec"]["mode"] != "loud" {
            client.delete(&path).await?.ok()?;
            anyhow::bail!("the field is not kept yet");
        }
        Ok(())
    };
    wait::until("the new field", READY_DEADLINE, written).await?;
    drop_definition(&folders, &definition(&json!({})))?;
    let read = || async {
        let read = client.get(&path).await?.ok()?;
        anyhow::ensure!(read["spec"] == json!({"size": 1}), "{read}");
        Ok(())
    };
    wait::until("the field to go", READY_DEADLINE, read).await?;
    let list = client.get(PATH).await?.ok()?;
    assert_eq!(list["items"][0]["spec"], json!({"size": 1}));
    // It is there all the same, for a schema that has it.
    drop_definition(&folders, &definition(&more))?;
    let read = || async {
        let read = client.get(&path).await?.ok()?;
        anyhow::ensure!(read["spec"]["mode"] == "loud", "{read}");
        Ok(())
    };
    wait::until("the field to be back", READY_DEADLINE, read).await?;
    dev.stop().await
}

#[tokio::test]
async fn appliers_share_an_object_and_are_told_of_conflicts() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    let path = format!("{PATH}/a");
    let first = engine(
        "a",
        &json!({"size": 1, "parts": [{"name": "x", "count": 1}]}),
    );
    let created = apply(&client, &path, "fieldManager=one", &first).await?;
    assert_eq!(created.status, 201, "{}", created.text());
    let second = engine("a", &json!({"parts": [{"name": "y", "count": 2}]}));
    let merged = apply(&client, &path, "fieldManager=two", &second)
        .await?
        .ok()?;
    check(
        &format!("{}\n{}", merged["spec"], owners(&merged)),
        expect![[r#"
            {"parts":[{"count":1,"name":"x"},{"count":2,"name":"y"}],"size":1}
            one Apply : {"f:spec":{"f:parts":{"k:{\"name\":\"x\"}":{".":{},"f:count":{},"f:name":{}}},"f:size":{}}}
            two Apply : {"f:spec":{"f:parts":{"k:{\"name\":\"y\"}":{".":{},"f:count":{},"f:name":{}}}}}
        "#]],
    );
    let third = engine("a", &json!({"size": 3}));
    let conflict = apply(&client, &path, "fieldManager=two", &third).await?;
    check(
        &conflict.failure(),
        expect![[r#"409 Conflict: Apply failed with 1 conflict: conflict with "one": .spec.size"#]],
    );
    let forced = apply(&client, &path, "fieldManager=two&force=true", &third).await?;
    let forced = forced.ok()?;
    check(
        &format!("{}\n{}", forced["spec"], owners(&forced)),
        expect![[r#"
            {"parts":[{"count":1,"name":"x"}],"size":3}
            one Apply : {"f:spec":{"f:parts":{"k:{\"name\":\"x\"}":{".":{},"f:count":{},"f:name":{}}}}}
            two Apply : {"f:spec":{"f:size":{}}}
        "#]],
    );
    let again = apply(&client, &path, "fieldManager=two", &third)
        .await?
        .ok()?;
    assert_eq!(resource_version(&again)?, resource_version(&forced)?);
    dev.stop().await
}

#[tokio::test]
async fn a_plugin_without_a_schema_takes_applies_too() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    let dev = folders.start().await?;
    let client = dev.client()?;
    let path = format!("{GREETINGS}/a");
    let applied = apply(&client, &path, "fieldManager=one", &greeting("a")).await?;
    check(
        &owners(&applied.ok()?),
        expect![[r#"
            one Apply : {"f:spec":{".":{},"f:to":{}}}
        "#]],
    );
    let refused = engine("a", &json!({}));
    let refused = apply(&client, &path, "fieldManager=one", &refused).await?;
    check(
        &refused.failure(),
        expect!["400 BadRequest: invalid object type: writes.example.com/v1, Kind=Engine"],
    );
    dev.stop().await
}

#[tokio::test]
async fn concurrent_appliers_lose_nothing() -> Result<()> {
    const APPLIERS: usize = 20;
    let (_folders, dev, client) = start().await?;
    let path = format!("{PATH}/shared");
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..APPLIERS {
        let (client, path) = (client.clone(), path.clone());
        tasks.spawn(async move {
            let labels = json!({format!("k{index}"): "v"});
            let object = engine("shared", &json!({"labels": labels}));
            let query = format!("fieldManager=m{index}");
            apply(&client, &path, &query, &object).await?.ok()
        });
    }
    while let Some(applied) = tasks.join_next().await {
        applied??;
    }
    let shared = client.get(&path).await?.ok()?;
    let labels = shared["spec"]["labels"].as_object().context("labels")?;
    assert_eq!(labels.len(), APPLIERS, "{shared}");
    let owners = shared["metadata"]["managedFields"].as_array();
    assert_eq!(owners.context("managedFields")?.len(), APPLIERS, "{shared}");
    dev.stop().await
}

#[tokio::test]
async fn scales_are_read_and_written_and_owned() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    let created = engine("a", &json!({"size": 2}));
    client.post(PATH, &created).await?.ok()?;
    let path = format!("{PATH}/a/scale");
    let scale = client.get(&path).await?.ok()?;
    assert_eq!(scale["spec"]["replicas"], 2);
    let patched = client
        .merge_patch(
            &format!("{path}?fieldManager=hpa"),
            &json!({"spec": {"replicas": 5}}),
        )
        .await?
        .ok()?;
    assert_eq!(patched["kind"], "Scale");
    assert_eq!(patched["spec"]["replicas"], 5);
    let object = client.get(&format!("{PATH}/a")).await?.ok()?;
    assert_eq!(object["spec"]["size"], 5);
    check(
        &owners(&object),
        expect![[r#"
            hpa Update scale: {"f:spec":{"f:size":{}}}
            unknown Update : {"f:spec":{}}
        "#]],
    );
    let stale = client.put(&path, &scale).await?;
    assert_eq!(stale.status, 409, "{}", stale.text());
    let none = engine("none", &json!({}));
    client.post(PATH, &none).await?.ok()?;
    let none = client.get(&format!("{PATH}/none/scale")).await?;
    check(
        &none.failure(),
        expect![[
            r#"500 InternalError: Internal error occurred: the spec replicas field ".spec.size" does not exist"#
        ]],
    );
    dev.stop().await
}

#[tokio::test]
async fn owners_are_noted_while_the_plugin_is_not_asked() -> Result<()> {
    const FAILURES: usize = 40;
    let folders = DevFolders::new()?;
    folders.drop_plugin(&guest("traps_on_validate")?, "traps")?;
    let dev = folders.start().await?;
    let client = dev.client()?;
    let group = "traps.example.com";
    let path = guest_path(group, "traps");
    let calm = guest_object(group, "Trap", "calm", &json!({"calm": true}));
    client.post(&path, &calm).await?.ok()?;
    // Until its breaker opens.
    let wild = guest_object(group, "Trap", "wild", &json!({"calm": false}));
    let mut codes = Vec::new();
    while codes.last() != Some(&503) && codes.len() < FAILURES {
        codes.push(client.post(&path, &wild).await?.status.as_u16());
    }
    assert_eq!(codes.last(), Some(&503), "{codes:?}");

    let path = format!("{path}/calm?fieldManager=collector");
    let patch = json!({"metadata": {"finalizers": ["writes.example.com/wait"]}});
    let patched = client.merge_patch(&path, &patch).await?.ok()?;
    let owners = owners(&patched);
    assert!(
        owners.contains("collector Update : {\"f:metadata\":{\"f:finalizers\":"),
        "{owners}"
    );
    dev.stop().await
}
