//! Watches that send what others have written: each must send what it would have sent alone.

use bytes::Bytes;

use super::*;
use crate::endpoints::watch::Framing;

const METADATA: &str =
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

async fn open(it: &Fixture, path: &str, accept: &str) -> Body {
    let path = format!("{path}resourceVersion=1");
    answer(it, &path, accept)
        .await
        .expect("a watch")
        .into_body()
}

async fn frame(events: &mut Body) -> Bytes {
    let frame = events.frame().await.expect("a frame").expect("infallible");
    frame.into_data().expect("data")
}

fn are_one(left: &Bytes, right: &Bytes) -> bool {
    left.as_ptr() == right.as_ptr()
}

#[tokio::test]
async fn watches_of_one_form_send_the_same_bytes() {
    let it = Fixture::new().await;
    let forms = [
        ("v1/anchors?watch=1&", "*/*"),
        ("v2/anchors?watch=1&", "*/*"),
        ("v1/anchors?watch=1&", METADATA),
        ("v1/anchors?watch=1&", TABLE),
        ("v1/anchors?watch=1&includeObject=None&", TABLE),
        ("v1/anchors?watch=1&labelSelector=color%3Dred&", "*/*"),
        ("v1/namespaces/n/anchors?watch=1&", "*/*"),
    ];
    let mut watches = Vec::new();
    for (path, accept) in forms {
        watches.push([open(&it, path, accept).await, open(&it, path, accept).await]);
    }
    let mut alone = Vec::new();
    for object in ["n/a", "n/b"] {
        it.put(object, "red").await;
        let mut sent = Vec::new();
        for [first, second] in &mut watches {
            let (first, second) = (frame(first).await, frame(second).await);
            assert!(are_one(&first, &second));
            sent.push(first);
        }
        for (index, left) in sent.iter().enumerate() {
            assert!(sent[..index].iter().all(|right| !are_one(left, right)));
        }
        alone.push(sent);
    }
    // The same from another server, where each form is asked for once.
    let other = Fixture::new().await;
    for (index, (path, accept)) in forms.into_iter().enumerate() {
        let mut events = open(&other, path, accept).await;
        if index == 0 {
            other.put("n/a", "red").await;
        }
        assert_eq!(frame(&mut events).await, alone[0][index], "{path} {accept}");
    }
}

/// Over WebSocket each event is a message, which no other framing has.
#[tokio::test]
async fn messages_are_shared_among_themselves_and_one_for_each_event() {
    let it = Fixture::new().await;
    let forms = [
        ("v1/anchors?watch=1&resourceVersion=1", "*/*"),
        ("v2/anchors?watch=1&resourceVersion=1", "*/*"),
        ("v1/anchors?watch=1&resourceVersion=1", METADATA),
    ];
    let mut watches = Vec::new();
    for (path, accept) in forms {
        for framing in [Framing::Messages, Framing::Messages, Framing::Stream] {
            let mut request = request(&it, path, accept);
            let open = opened(&request);
            let begun = watch::begin(&mut request, framing, open).await;
            watches.push(begun.expect("a watch"));
        }
    }
    // All of them stand before both events.
    it.put("n/a", "red").await;
    it.put("n/b", "red").await;
    let mut sent = Vec::new();
    for watch in &mut watches {
        sent.push(watch.next_frames().await.expect("frames"));
    }
    for (sent, (path, accept)) in sent.chunks_exact(3).zip(forms) {
        let [first, second, stream] = sent else {
            unreachable!()
        };
        assert!(Arc::ptr_eq(first, second), "{path} {accept}");
        assert_eq!(first.len(), 2, "{path} {accept}");
        assert_eq!(stream.len(), 1, "{path} {accept}");
        if accept != METADATA {
            assert_eq!(first.concat(), stream[0], "{path} {accept}");
        }
    }
    assert!(!Arc::ptr_eq(&sent[0], &sent[3]));
}

#[tokio::test]
async fn only_the_first_table_of_each_watch_has_columns() {
    let it = Fixture::new().await;
    let path = "v1/anchors?watch=1&includeObject=None&";
    let mut first = open(&it, path, TABLE).await;
    it.put("n/a", "red").await;
    let is_first = |event: &Bytes| text(event).contains("columnDefinitions\":[{");
    assert!(is_first(&frame(&mut first).await));
    let mut second = open(&it, path, TABLE).await;
    assert!(is_first(&frame(&mut second).await));
    let later = "v1/anchors?watch=1&includeObject=None&resourceVersion=2";
    let third = answer(&it, later, TABLE).await;
    let mut third = third.expect("a watch").into_body();
    it.put("n/b", "red").await;
    let sent = [
        frame(&mut first).await,
        frame(&mut second).await,
        frame(&mut third).await,
    ];
    assert_eq!(sent.each_ref().map(is_first), [false, false, true]);
    assert!(are_one(&sent[0], &sent[1]));
}

#[tokio::test]
async fn a_watch_gets_nothing_that_only_another_selects() {
    let it = Fixture::new().await;
    let path = |color| format!("v1/anchors?watch=1&labelSelector=color%3D{color}&");
    let mut red = open(&it, &path("red"), "*/*").await;
    let mut blue = open(&it, &path("blue"), "*/*").await;
    let mut elsewhere = open(&it, "v1/namespaces/m/anchors?watch=1&", "*/*").await;
    it.put("n/a", "red").await;
    it.put("n/b", "blue").await;
    it.put("m/c", "green").await;
    let names = |event: &Bytes| {
        let lines = text(event).lines();
        let name = |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
            event["object"]["metadata"]["name"].to_string()
        };
        lines.map(name).collect::<Vec<_>>().join(" ")
    };
    for (events, expected) in [
        (&mut red, "\"a\""),
        (&mut blue, "\"b\""),
        (&mut elsewhere, "\"c\""),
    ] {
        assert_eq!(names(&frame(events).await), expected);
    }
}

#[tokio::test]
async fn a_slow_watch_gets_all_that_it_has_missed() {
    let it = Fixture::new().await;
    let mut fast = open(&it, "v1/anchors?watch=1&", "*/*").await;
    let mut slow = open(&it, "v1/anchors?watch=1&", "*/*").await;
    let mut seen = Vec::new();
    for color in ["red", "blue", "green"] {
        it.put("n/a", color).await;
        seen.extend_from_slice(&frame(&mut fast).await);
    }
    assert_eq!(frame(&mut slow).await, seen);
    it.delete("n/a").await;
    let last = (frame(&mut fast).await, frame(&mut slow).await);
    assert!(are_one(&last.0, &last.1));
    assert!(text(&last.0).starts_with("{\"type\":\"DELETED\""));
}

/// An object that cannot be shown now may be shown to the next who asks.
#[tokio::test]
async fn watches_share_nothing_that_something_was_left_out_of() {
    let it = Fixture::new().await;
    let mut watches = [
        open(&it, "v2/anchors?watch=1&", "*/*").await,
        open(&it, "v2/anchors?watch=1&", "*/*").await,
    ];
    it.put("n/a", "bad").await;
    it.put("n/b", "red").await;
    let [first, second] = &mut watches;
    let (first, second) = (frame(first).await, frame(second).await);
    assert!(!are_one(&first, &second));
    assert_eq!(first, second);
}
