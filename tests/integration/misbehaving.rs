//! Plugins that trap, spin, sleep, take all memory or break the contract: their own writes fail, nothing else.

use std::time::{Duration, Instant};

use anyhow::Result;
use outrigger_tests::artifacts::{example, guest};
use outrigger_tests::host::{DevFolders, READY_DEADLINE};
use outrigger_tests::wait;
use serde_json::json;

use crate::api::{GREETINGS, greeting, guest_object, guest_path, names};

/// A call's time limit, with room for a slow machine.
const CALL_MAX: Duration = Duration::from_secs(30);

/// The guest's write fails with `code`; reads of its resource and the other plugin's writes go on.
async fn check(name: &str, group: &str, kind: &str, plural: &str, codes: &[u16]) -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    folders.drop_plugin(&guest(name)?, name)?;
    let dev = folders.start().await?;
    let client = dev.client()?;
    let path = guest_path(group, plural);
    let calm = guest_object(group, kind, "calm", &json!({"calm": true}));
    let wild = guest_object(group, kind, "wild", &json!({"calm": false}));
    client.post(&path, &calm).await?.ok()?;

    let started = Instant::now();
    let refused = client.post(&path, &wild).await?;
    assert!(started.elapsed() < CALL_MAX, "{:?}", started.elapsed());
    let code = refused.status.as_u16();
    assert!(codes.contains(&code), "{}", refused.text());
    assert_eq!(refused.json()?["kind"], "Status");

    assert_eq!(names(&client, &path).await?, ["calm"]);
    client.post(GREETINGS, &greeting("served")).await?.ok()?;
    client.delete(&format!("{path}/calm")).await?.ok()?;
    assert_eq!(client.get("/readyz").await?.status, 200);
    dev.stop().await
}

#[tokio::test]
async fn a_trap_fails_the_write_that_met_it() -> Result<()> {
    check(
        "traps_on_validate",
        "traps.example.com",
        "Trap",
        "traps",
        &[500],
    )
    .await
}

#[tokio::test]
async fn an_endless_loop_is_ended() -> Result<()> {
    check(
        "never_returns",
        "loops.example.com",
        "Loop",
        "loops",
        &[500, 504],
    )
    .await
}

#[tokio::test]
async fn a_sleeper_is_not_waited_for() -> Result<()> {
    check(
        "sleeps",
        "sleepers.example.com",
        "Sleeper",
        "sleepers",
        &[500, 504],
    )
    .await
}

#[tokio::test]
async fn memory_without_end_is_not_given() -> Result<()> {
    check(
        "allocates_without_end",
        "hogs.example.com",
        "Hog",
        "hogs",
        &[500],
    )
    .await
}

#[tokio::test]
async fn an_answer_that_breaks_the_contract_is_not_stored() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&guest("returns_garbage")?, "garbage")?;
    let dev = folders.start().await?;
    let client = dev.client()?;
    let path = guest_path("garbage.example.com", "heaps");
    for rule in ["json", "kind", "name", "uid", "resourceVersion"] {
        let heap = guest_object(
            "garbage.example.com",
            "Heap",
            rule,
            &json!({"breaks": rule}),
        );
        let answer = client.post(&path, &heap).await?;
        // The server must keep what is the system's, or refuse.
        if answer.status.is_success() {
            let stored = answer.json()?;
            assert_eq!(stored["metadata"]["name"], rule, "{stored}");
            assert_eq!(stored["kind"], "Heap", "{stored}");
            assert_ne!(stored["metadata"]["uid"], "other", "{stored}");
            assert_ne!(stored["metadata"]["resourceVersion"], "other", "{stored}");
        } else {
            assert_eq!(answer.status, 500, "{}", answer.text());
            assert!(!names(&client, &path).await?.contains(&rule.to_owned()));
        }
    }
    dev.stop().await
}

/// Found with kube-controller-manager: an answer of 500, as the deleted objects could not be converted for it, made
/// the deletion of a namespace fail again and again.
#[tokio::test]
async fn objects_of_a_plugin_that_traps_on_every_call_are_still_deleted() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&guest("ships_afloat")?, "ships")?;
    let dev = folders.start().await?;
    let client = dev.client()?;
    let path = guest_path("ships.example.com", "ships");
    // As they are stored, they can be read without the plugin.
    let stored = path.replace("/v1/", "/v1beta1/");
    for name in ["gone", "held"] {
        let mut ship = guest_object("ships.example.com", "Ship", name, &json!({"sails": 1}));
        if name == "held" {
            ship["metadata"]["finalizers"] = json!(["example.com/hold"]);
        }
        client.post(&path, &ship).await?.ok()?;
    }
    folders.drop_plugin(&guest("ships_wrecked")?, "ships")?;
    wait::until("the plugin to trap", READY_DEADLINE, || async {
        let answer = client.get(&path).await?;
        anyhow::ensure!(answer.status.is_server_error(), "{}", answer.text());
        Ok(())
    })
    .await?;

    let deleted = client.delete(&path).await?;
    assert_eq!(deleted.status, 200, "{}", deleted.text());
    let status = deleted.json()?;
    assert_eq!(status["status"], "Success", "{status}");
    let said = status["message"].as_str().unwrap_or_default();
    assert!(said.starts_with("the objects were deleted, but"), "{said}");
    assert_eq!(names(&client, &stored).await?, ["held"]);

    let patch = json!({"metadata": {"finalizers": null}});
    let released = client.merge_patch(&format!("{path}/held"), &patch).await?;
    assert_eq!(released.status, 200, "{}", released.text());
    assert!(names(&client, &stored).await?.is_empty());
    dev.stop().await
}
