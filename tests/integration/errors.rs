//! Errors that need a state of the storage: what is no longer kept, and what cannot be reached.

use anyhow::{Context as _, Result};
use expect_test::expect;
use outrigger_tests::artifacts::{example, guest};
use outrigger_tests::host::DevFolders;
use serde_json::json;

use crate::api::{GREETINGS, greeting, guest_object, guest_path, resource_version};

/// More than the superseded objects that the window of changes keeps: 64 MiB.
const WINDOW_BYTES: usize = 65 << 20;

#[tokio::test]
async fn a_list_that_is_no_longer_kept_is_expired_and_goes_on_with_the_token_that_is_given()
-> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    let dev = folders.start().await?;
    let client = dev.client()?;
    for name in ["a", "b", "c"] {
        client.post(GREETINGS, &greeting(name)).await?.ok()?;
    }
    let page = client.get(&format!("{GREETINGS}?limit=1")).await?.ok()?;
    let token = page["metadata"]["continue"].as_str().context("a token")?;
    let version = resource_version(&page)?;

    let ballast = "x".repeat(2 << 20);
    for number in 0..=WINDOW_BYTES / ballast.len() {
        let patch = json!({"spec": {"ballast": ballast, "number": number}});
        let path = format!("{GREETINGS}/a");
        client.merge_patch(&path, &patch).await?.ok()?;
    }

    let exact = format!("{GREETINGS}?resourceVersion={version}&resourceVersionMatch=Exact");
    let expired = client.get(&exact).await?;
    expect!["410 Expired: The resourceVersion for the provided list is too old."]
        .assert_eq(&expired.failure());
    let watch = format!("{GREETINGS}?watch=true&resourceVersion={version}");
    let mut watch = client.watch(&watch).await?;
    let event = watch.next().await?.context("an event")?;
    assert_eq!(event["type"], "ERROR", "{event}");
    assert_eq!(event["object"]["code"], 410, "{event}");

    let expired = client
        .get(&format!("{GREETINGS}?limit=1&continue={token}"))
        .await?;
    expect![[r#"410 Expired: The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list."#]]
        .assert_eq(&expired.failure());
    let status = expired.json()?;
    let token = status["metadata"]["continue"].as_str().context("a token")?;
    client.delete(&format!("{GREETINGS}/b")).await?.ok()?;
    let rest = client
        .get(&format!("{GREETINGS}?continue={token}"))
        .await?
        .ok()?;
    let names = rest["items"].as_array().context("items")?;
    let names: Vec<_> = names.iter().map(|it| &it["metadata"]["name"]).collect();
    assert_eq!(names, ["c"]);
    dev.stop().await
}

#[tokio::test]
async fn a_backend_out_of_reach_says_so_in_its_own_words_and_stops_nobody_else() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    folders.drop_plugin(&guest("never_lists")?, "never_lists")?;
    let dev = folders.start().await?;
    let client = dev.client()?;
    let path = guest_path("silent.example.com", "silences");
    let silence = guest_object("silent.example.com", "Silence", "one", &json!({}));
    for answer in [
        client.get(&path).await?,
        client.get(&format!("{path}/one")).await?,
        client.get(&format!("{path}?watch=true")).await?,
        client.post(&path, &silence).await?,
        client
            .merge_patch(&format!("{path}/one"), &json!({}))
            .await?,
        client.delete(&format!("{path}/one")).await?,
    ] {
        expect!["503 ServiceUnavailable: the store is out of reach"].assert_eq(&answer.failure());
    }
    client.post(GREETINGS, &greeting("served")).await?.ok()?;
    assert_eq!(client.get("/readyz").await?.status, 200);
    dev.stop().await
}
