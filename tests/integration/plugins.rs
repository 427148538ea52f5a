//! A `.wasm` file on its way to being served, replaced, refused and removed.

use anyhow::Result;
use outrigger_tests::artifacts::{example, guest};
use outrigger_tests::host::{DevFolders, READY_DEADLINE};
use outrigger_tests::wait;
use serde_json::json;

use crate::api::{GREETINGS, greeting, guest_object, guest_path, names};

#[tokio::test]
async fn serves_a_plugin_that_is_dropped_in_while_it_runs() -> Result<()> {
    let folders = DevFolders::new()?;
    let dev = folders.start().await?;
    let client = dev.client()?;
    assert_eq!(client.get(GREETINGS).await?.status, 404);

    folders.drop_plugin(&example("hello")?, "hello")?;
    dev.wait_served(GREETINGS).await?;
    let created = client.post(GREETINGS, &greeting("a")).await?;
    assert_eq!(created.status, 201, "{}", created.text());
    let refused = client
        .post(
            GREETINGS,
            &json!({
                "apiVersion": "hello.example.com/v1", "kind": "Greeting", "metadata": {"name": "b"},
            }),
        )
        .await?;
    assert_eq!(
        refused.failure(),
        "422 Invalid: Greeting.hello.example.com \"b\" is invalid: spec.to: Required value: a greeting is to somebody"
    );
    dev.stop().await
}

#[tokio::test]
async fn stops_serving_a_plugin_that_is_removed_and_keeps_its_objects() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    let dev = folders.start().await?;
    let client = dev.client()?;
    client.post(GREETINGS, &greeting("kept")).await?.ok()?;

    folders.remove_plugin("hello")?;
    wait::until("the resource to be gone", READY_DEADLINE, || async {
        let answer = client.get(GREETINGS).await?;
        anyhow::ensure!(answer.status == 404, "{}", answer.status);
        Ok(())
    })
    .await?;

    folders.drop_plugin(&example("hello")?, "hello")?;
    dev.wait_served(GREETINGS).await?;
    assert_eq!(names(&client, GREETINGS).await?, ["kept"]);
    dev.stop().await
}

#[tokio::test]
async fn replaces_a_plugin_and_its_objects_stay() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&guest("generation_1")?, "generations")?;
    let dev = folders.start().await?;
    let client = dev.client()?;
    let path = guest_path("generations.example.com", "generations");
    let sized = |name: &str, size: u64| {
        guest_object(
            "generations.example.com",
            "Generation",
            name,
            &json!({"size": size}),
        )
    };
    client.post(&path, &sized("one", 1)).await?.ok()?;
    let refused = client.post(&path, &sized("two", 2)).await?;
    assert_eq!(refused.status, 422, "{}", refused.text());

    folders.drop_plugin(&guest("generation_2")?, "generations")?;
    wait::until("the second generation", READY_DEADLINE, || async {
        client.post(&path, &sized("two", 2)).await?.ok()
    })
    .await?;
    let refused = client.post(&path, &sized("three", 3)).await?;
    assert!(
        refused.text().contains("must be at most 2"),
        "{}",
        refused.text()
    );
    assert_eq!(names(&client, &path).await?, ["one", "two"]);
    dev.stop().await
}

#[tokio::test]
async fn keeps_serving_the_old_plugin_when_its_new_file_is_broken() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    let dev = folders.start().await?;
    folders.drop_bytes(b"\0asm, but not really", "hello")?;
    let said = dev.wait_readyz("hello.wasm").await?;
    let client = dev.client()?;
    let created = client.post(GREETINGS, &greeting("still")).await?;
    assert_eq!(created.status, 201, "{}\n{said}", created.text());
    assert_eq!(client.get("/readyz").await?.status, 200);

    folders.drop_plugin(&example("hello")?, "hello")?;
    wait::until("the trouble to be over", READY_DEADLINE, || async {
        let text = client.get("/readyz?verbose").await?.text();
        anyhow::ensure!(!text.contains("hello.wasm"), "{text}");
        Ok(())
    })
    .await?;
    dev.stop().await
}

/// Each is named with what is wrong with it, and the good one beside it serves on.
#[tokio::test]
async fn names_every_plugin_that_it_cannot_serve() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    let dev = folders.start().await?;
    folders.drop_bytes(b"this is text", "no-wasm")?;
    folders.drop_bytes(b"", "empty")?;
    folders.drop_bytes(b"\0asm\x01\0\0\0", "core-module")?;
    let guests = [
        "other_contract",
        "newer_contract",
        "bad_manifest",
        "manifest_is_no_json",
        "manifest_traps",
        "taken_resource",
        "built_in_group",
        "protected_group",
    ];
    for name in guests {
        folders.drop_plugin(&guest(name)?, name)?;
    }
    // The file, and a word of what is wrong with it.
    let expected = [
        ("no-wasm.wasm", "WebAssembly"),
        ("empty.wasm", "empty"),
        ("core-module.wasm", "component"),
        ("other_contract.wasm", "2.0.0"),
        ("newer_contract.wasm", "teleport"),
        ("bad_manifest.wasm", "names.plural"),
        ("manifest_is_no_json.wasm", "JSON"),
        ("manifest_traps.wasm", "trap"),
        ("taken_resource.wasm", "hello"),
        ("built_in_group.wasm", "apps"),
        ("protected_group.wasm", "api-approved.kubernetes.io"),
    ];
    let client = dev.client()?;
    wait::until("all of them to be named", READY_DEADLINE, || async {
        let text = client.get("/readyz?verbose").await?.text();
        for (file, word) in expected {
            let line = text.lines().find(|it| it.contains(file));
            anyhow::ensure!(
                line.is_some_and(|it| it.contains(word)),
                "{file} ({word}):\n{text}"
            );
        }
        Ok(())
    })
    .await?;
    assert_eq!(client.get("/readyz").await?.status, 200);
    client.post(GREETINGS, &greeting("served")).await?.ok()?;
    dev.stop().await
}

/// A plugin that cannot be loaded when the server starts leaves the others alone, too.
#[tokio::test]
async fn becomes_ready_with_a_broken_plugin_in_the_folder() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    folders.drop_bytes(b"this is text", "no-wasm")?;
    let dev = folders.start().await?;
    dev.wait_served(GREETINGS).await?;
    dev.wait_readyz("no-wasm.wasm").await?;
    dev.stop().await
}

#[tokio::test]
async fn a_write_that_waits_for_the_disk_keeps_no_hook_from_another() -> Result<()> {
    let folders = DevFolders::new()?;
    let one_at_a_time = json!({
        "apiVersion": "outrigger.dev/v1alpha1",
        "kind": "Plugin",
        "metadata": {"name": "hello"},
        "spec": {"limits": {"concurrentHooks": 1}},
    });
    let document = folders.path("plugins").join("hello.json");
    std::fs::write(document, one_at_a_time.to_string())?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    let dev = folders.start().await?;
    let client = dev.client()?;

    let store = rusqlite::Connection::open(folders.data().join("store/store.sqlite3"))?;
    store.execute_batch("BEGIN IMMEDIATE")?;
    let waiting = tokio::spawn({
        let client = dev.client()?;
        async move { client.post(GREETINGS, &greeting("waits")).await }
    });
    wait::until("the write to come", READY_DEADLINE, || async {
        let metrics = client.get("/metrics").await?.text();
        let line = "apiserver_current_inflight_requests{request_kind=\"mutating\"} 1";
        anyhow::ensure!(metrics.contains(line), "{metrics}");
        Ok(())
    })
    .await?;
    let dry = format!("{GREETINGS}?dryRun=All");
    let answer = client.post(&dry, &greeting("dry")).await?;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert!(!waiting.is_finished(), "the disk is still held");

    store.execute_batch("ROLLBACK")?;
    waiting.await??.ok()?;
    dev.stop().await
}
