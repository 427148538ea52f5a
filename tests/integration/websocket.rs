//! Watches over WebSocket, as browsers and some of the older clients open them.

use anyhow::{Context as _, Result};
use outrigger_tests::client::{Client, Message, WebSocket};
use outrigger_tests::host::{Dev, DevFolders};
use serde_json::json;

use crate::anchors::{self, ANCHORS, anchor};

const ORIGIN: (&str, &str) = ("origin", "https://example.com");

async fn start() -> Result<(DevFolders, Dev, Client)> {
    anchors::start().await
}

async fn watch(client: &Client, query: &str, headers: &[(&str, &str)]) -> Result<WebSocket> {
    let mut all = vec![ORIGIN];
    all.extend_from_slice(headers);
    client
        .websocket(&format!("{ANCHORS}?watch=1&{query}"), &all)
        .await
}

/// The error of a handshake that fails.
async fn refused(client: &Client, path: &str, headers: &[(&str, &str)]) -> Result<String> {
    match client.websocket(path, headers).await {
        Ok(_) => anyhow::bail!("{path} was upgraded"),
        Err(error) => Ok(error.to_string()),
    }
}

#[tokio::test]
async fn each_event_is_a_message_of_text() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    for name in ["a", "b"] {
        client.post(ANCHORS, &anchor(name, 1)).await?.ok()?;
    }
    let mut socket = watch(&client, "resourceVersion=0", &[]).await?;
    assert_eq!(
        socket.headers["sec-websocket-accept"],
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    for name in ["a", "b"] {
        let event = socket.next_event().await?;
        assert_eq!(event["type"], "ADDED");
        assert_eq!(event["object"]["metadata"]["name"], name);
    }
    client.delete(&format!("{ANCHORS}/a")).await?.ok()?;
    assert_eq!(socket.next_event().await?["type"], "DELETED");
    drop(socket);
    dev.stop().await
}

#[tokio::test]
async fn the_end_of_a_watch_closes_in_order() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    let mut short = watch(&client, "timeoutSeconds=1", &[]).await?;
    let Some(Message::Close(Some(goodbye))) = short.next().await? else {
        anyhow::bail!("no goodbye");
    };
    assert_eq!(u16::from(goodbye.code), 1000);
    assert!(short.next().await?.is_none());
    let future = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=1000000";
    let mut refused = watch(&client, future, &[]).await?;
    let event = refused.next_event().await?;
    assert_eq!(event["type"], "ERROR");
    assert_eq!(event["object"]["code"], 504);
    assert!(matches!(refused.next().await?, Some(Message::Close(_))));
    // A server that stops ends its watches, whatever they speak.
    let mut open = watch(&client, "", &[]).await?;
    dev.stop().await?;
    let last = open.next().await;
    assert!(matches!(last, Ok(Some(Message::Close(_)) | None) | Err(_)));
    Ok(())
}

#[tokio::test]
async fn metadata_in_protobuf_is_a_message_of_bytes_without_a_length() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    client.post(ANCHORS, &anchor("a", 1)).await?.ok()?;
    let accept = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let mut socket = watch(&client, "resourceVersion=0", &[("accept", accept)]).await?;
    let Some(Message::Binary(event)) = socket.next().await? else {
        anyhow::bail!("no bytes");
    };
    // WatchEvent: field 1 is the type.
    assert!(event.starts_with(b"\x0a\x05ADDED"), "{event:?}");
    drop(socket);
    dev.stop().await
}

#[tokio::test]
async fn answers_pings_and_drops_what_clients_send() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    let mut socket = watch(&client, "", &[("sec-websocket-protocol", "events")]).await?;
    assert_eq!(socket.headers["sec-websocket-protocol"], "events");
    socket.send(Message::Text("hello".into())).await?;
    socket.send(Message::Ping("are you there?".into())).await?;
    let Some(Message::Pong(pong)) = socket.next().await? else {
        anyhow::bail!("no pong");
    };
    assert_eq!(pong.as_ref(), b"are you there?");
    client.post(ANCHORS, &anchor("a", 1)).await?.ok()?;
    assert_eq!(socket.next_event().await?["type"], "ADDED");
    // More than a client of a watch can have to say.
    let huge = Message::Binary(vec![0; 1 << 20].into());
    let _ = socket.send(huge).await;
    while let Ok(Some(_)) = socket.next().await {}
    dev.stop().await
}

#[tokio::test]
async fn a_goodbye_of_the_client_is_answered() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    let mut socket = watch(&client, "", &[]).await?;
    socket.send(Message::Close(None)).await?;
    let answer = socket.next().await?.context("closed without a word")?;
    assert!(matches!(answer, Message::Close(_)), "{answer:?}");
    assert!(socket.next().await?.is_none());
    dev.stop().await
}

#[tokio::test]
async fn refuses_handshakes_as_the_go_server_does() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    let path = format!("{ANCHORS}?watch=1");
    assert_eq!(refused(&client, &path, &[]).await?, "403 Forbidden ");
    let two = [ORIGIN, ("sec-websocket-protocol", "a, b")];
    assert_eq!(refused(&client, &path, &two).await?, "400 Bad Request ");
    // What is wrong with the watch itself is said in HTTP.
    let path = format!("{ANCHORS}?watch=1&sendInitialEvents=true");
    let answer = refused(&client, &path, &[ORIGIN]).await?;
    assert!(answer.starts_with("422 Unprocessable Entity {"), "{answer}");
    // Only watches are upgraded: others are answered as ever.
    let answer = refused(&client, ANCHORS, &[ORIGIN]).await?;
    assert!(answer.starts_with("200 OK {"), "{answer}");
    assert_eq!(
        client.post(ANCHORS, &json!({})).await?.status,
        400,
        "the server goes on"
    );
    dev.stop().await
}
