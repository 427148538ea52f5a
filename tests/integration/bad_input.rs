//! Requests that are not as they must be: the Status that kube-apiserver gives, and nothing lost.

use anyhow::Result;
use bytes::Bytes;
use expect_test::{Expect, expect};
use http::Method;
use outrigger_tests::artifacts::example;
use outrigger_tests::client::Client;
use outrigger_tests::host::{Dev, DevFolders};

use crate::api::{GREETINGS, greeting, names};

const BODY_MAX_BYTES: usize = 3 * 1024 * 1024;

async fn start() -> Result<(DevFolders, Dev, Client)> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    let dev = folders.start().await?;
    let client = dev.client()?;
    Ok((folders, dev, client))
}

async fn post(client: &Client, content_type: &str, body: impl Into<Bytes>) -> Result<String> {
    let headers = [("content-type", content_type)];
    let answer = client
        .send(Method::POST, GREETINGS, &headers, body.into())
        .await?;
    Ok(answer.failure())
}

fn check(answer: &str, expected: &Expect) {
    expected.assert_eq(answer);
}

#[tokio::test]
async fn refuses_bodies_over_the_limit() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    let mut large = greeting("large");
    large["spec"]["text"] = "x".repeat(BODY_MAX_BYTES).into();
    for client in [client.clone(), client.http1()] {
        let answer = client.post(GREETINGS, &large).await?;
        check(
            &answer.failure(),
            &expect!["413 RequestEntityTooLarge: Request entity too large: limit is 3145728"],
        );
    }
    client.post(GREETINGS, &greeting("small")).await?.ok()?;
    assert_eq!(names(&client, GREETINGS).await?, ["small"]);
    dev.stop().await
}

#[tokio::test]
async fn refuses_json_that_is_too_deep() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    let depth = 100_000;
    let deep = format!(
        r#"{{"apiVersion":"hello.example.com/v1","kind":"Greeting","metadata":{{"name":"deep"}},"spec":{}{}}}"#,
        "[".repeat(depth),
        "]".repeat(depth)
    );
    let answer = post(&client, "application/json", deep).await?;
    assert!(answer.starts_with("400 BadRequest: "), "{answer}");
    client.post(GREETINGS, &greeting("flat")).await?.ok()?;
    dev.stop().await
}

#[tokio::test]
async fn refuses_what_is_not_json_or_of_the_wrong_kind() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    let json = "application/json";
    let answer = post(&client, json, "{nope").await?;
    assert!(answer.starts_with("400 BadRequest: "), "{answer}");
    let answer = post(&client, json, "").await?;
    assert!(answer.starts_with("400 BadRequest: "), "{answer}");

    let mut other = greeting("a");
    other["kind"] = "Farewell".into();
    let answer = post(&client, json, other.to_string()).await?;
    assert!(answer.starts_with("422 Invalid: "), "{answer}");
    assert!(answer.contains("Farewell"), "{answer}");

    let mut other = greeting("a");
    other["apiVersion"] = "hello.example.com/v9".into();
    let answer = post(&client, json, other.to_string()).await?;
    assert!(answer.starts_with("400 BadRequest: "), "{answer}");

    let mut other = greeting("a");
    other["metadata"]["namespace"] = "elsewhere".into();
    check(
        &post(&client, json, other.to_string()).await?,
        &expect![
            "400 BadRequest: the namespace of the provided object does not match the namespace sent on the request"
        ],
    );

    let answer = post(&client, "text/plain", greeting("a").to_string()).await?;
    assert!(answer.starts_with("415 UnsupportedMediaType: "), "{answer}");
    assert!(names(&client, GREETINGS).await?.is_empty());
    dev.stop().await
}

#[tokio::test]
async fn answers_unknown_things_as_kube_apiserver_does() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    let missing = client.get(&format!("{GREETINGS}/none")).await?;
    check(
        &missing.failure(),
        &expect![r#"404 NotFound: greetings.hello.example.com "none" not found"#],
    );
    let unknown = client
        .get("/apis/hello.example.com/v1/namespaces/default/nothings")
        .await?;
    assert_eq!(unknown.status, 404);
    client.post(GREETINGS, &greeting("a")).await?.ok()?;
    let again = client.post(GREETINGS, &greeting("a")).await?;
    check(
        &again.failure(),
        &expect![r#"409 AlreadyExists: greetings.hello.example.com "a" already exists"#],
    );
    let mut stale = greeting("a");
    stale["metadata"]["resourceVersion"] = "1".into();
    let conflict = client.put(&format!("{GREETINGS}/a"), &stale).await?;
    check(
        &conflict.failure(),
        &expect![[
            r#"409 Conflict: Operation cannot be fulfilled on greetings.hello.example.com "a": the object has been modified; please apply your changes to the latest version and try again"#
        ]],
    );
    dev.stop().await
}

#[tokio::test]
async fn lets_nobody_in_without_the_administrators_certificate() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    let nobody = Client::unverified(&format!("127.0.0.1:{}", dev.port))?;
    let answer = nobody.get(GREETINGS).await?;
    assert!(
        [401, 403].contains(&answer.status.as_u16()),
        "{}",
        answer.text()
    );
    assert_eq!(nobody.get("/livez").await?.status, 200);
    client.get(GREETINGS).await?.ok()?;
    dev.stop().await
}
