//! Sends one recorded request, over HTTP/1.1 as it was recorded, and reads the answer.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, Method};
use outrigger_tests::client::{self, Client, Opened};
use outrigger_tests::recording::case::{Body, Request, Watch};
use outrigger_tests::recording::json::Json;
use outrigger_tests::recording::normalise::{Answer, Content};
use outrigger_tests::recording::placeholders::Values;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The managers of recorded fields are named after it.
const USER_AGENT: &str = "oracle/v1";

/// Those that clients read.
const HEADERS: [&str; 10] = [
    "content-type",
    "warning",
    "retry-after",
    "cache-control",
    "vary",
    "allow",
    "location",
    "content-encoding",
    "x-content-type-options",
    "www-authenticate",
];

pub(crate) async fn send(client: &Client, request: &Request, values: &Values) -> Result<Answer> {
    let (has_begun, _) = oneshot::channel();
    send_telling(client, request, values, has_begun).await
}

/// Tells when the answer has begun, which for a watch is long before its end.
pub(crate) async fn send_telling(
    client: &Client,
    request: &Request,
    values: &Values,
    has_begun: oneshot::Sender<()>,
) -> Result<Answer> {
    let method = Method::from_bytes(request.method.as_bytes())?;
    let path = values.fill_in(&request.path)?;
    let body = match &request.body {
        None => Bytes::new(),
        Some(Body::Bytes(bytes)) => bytes.clone().into(),
        Some(Body::Text(text)) => values.fill_in(text)?.into(),
    };
    let mut headers = Vec::new();
    for (name, value) in &request.headers {
        headers.push((name.as_str(), values.fill_in(value)?));
    }
    if !headers
        .iter()
        .any(|it| it.0.eq_ignore_ascii_case("user-agent"))
    {
        headers.push(("User-Agent", USER_AGENT.to_owned()));
    }
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, it)| (*name, it.as_str()))
        .collect();
    let opened = client.open(method.clone(), &path, &headers, body).await?;
    // Who sends without waiting has let go of the other end.
    let _ = has_begun.send(());
    let status = opened.status.as_u16();
    let headers = merged(&opened.headers);
    let content = match &request.watch {
        Some(watch) if status == 200 => Content::Events(events(opened, *watch).await?),
        _ => {
            let answer = opened.whole().await?;
            Content::Body(body_of(&answer, method == Method::HEAD))
        }
    };
    Ok(Answer {
        status,
        headers,
        content,
    })
}

/// Values of the same name are one list, in their order. Header values are bytes: each is one character.
fn merged(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut merged: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers.iter().filter(|it| HEADERS.contains(&it.0.as_str())) {
        let value: String = value.as_bytes().iter().map(|&it| char::from(it)).collect();
        merged
            .entry(name.as_str().to_owned())
            .and_modify(|it| *it = format!("{it}, {value}"))
            .or_insert(value);
    }
    merged
}

fn body_of(answer: &client::Answer, is_head: bool) -> Json {
    let content_type = answer.headers.get(http::header::CONTENT_TYPE);
    let content_type = content_type.and_then(|it| it.to_str().ok()).unwrap_or("");
    let text = if is_head {
        String::new()
    } else {
        answer.text()
    };
    if content_type.contains("json")
        && let Ok(json) = Json::read(&text)
    {
        return Json::object([("json", json)]);
    }
    match content_type.contains("protobuf") && !is_head {
        true => Json::object([("bytes", Json::Bool(!text.is_empty()))]),
        false => Json::object([("text", Json::Text(text))]),
    }
}

async fn events(opened: Opened, watch: Watch) -> Result<Json> {
    let end = Instant::now() + watch.duration;
    let mut stream = opened.events();
    let mut events = Vec::new();
    while (events.len() as u64) < watch.events {
        let Ok(line) = tokio::time::timeout_at(end, stream.next_line()).await else {
            break;
        };
        let Some(line) = line? else {
            events.push(Json::text("END"));
            break;
        };
        let line = String::from_utf8_lossy(&line);
        if !line.trim().is_empty() {
            let event = Json::read(&line);
            events.push(event.with_context(|| format!("an event that is no JSON: {line}"))?);
        }
    }
    Ok(Json::List(events))
}
