//! Bodies: a byte that chooses the form, then JSON, YAML, metadata in JSON, or protobuf.

use outrigger::api::document::{self, Twice};
use outrigger::api::{Object, protobuf};
use outrigger::registry::object_meta;
use serde_json::Value;

pub fn run(data: &[u8]) {
    let Some((choice, rest)) = crate::choice(data) else {
        return;
    };
    match choice % 4 {
        0 => json(rest),
        1 => yaml(rest),
        2 => metadata(rest),
        _ => delete_options(rest),
    }
}

/// What serde_json reads is read, and is the same.
fn json(bytes: &[u8]) {
    let plain = serde_json::from_slice::<Value>(bytes);
    match (document::parse_json(bytes, Twice::Replaces), plain) {
        (Ok(document), Ok(plain)) => assert_eq!(document.value, plain),
        (Err(_), Err(_)) => {}
        (ours, plain) => panic!("read as {ours:?}, by serde_json as {plain:?}"),
    }
}

fn yaml(bytes: &[u8]) {
    if let Ok(document) = document::parse_yaml(bytes, Twice::Replaces) {
        let json = document.value.to_string();
        assert!(
            serde_json::from_str::<Value>(&json).is_ok(),
            "YAML that is no JSON: {json}"
        );
    }
}

/// The canonical form is one: it stays as it is, and has the form of the messages for controllers.
fn metadata(bytes: &[u8]) {
    let Some(mut object) = Object::from_slice(bytes) else {
        return;
    };
    if object_meta::decode(&mut object.0).is_err() {
        return;
    }
    let mut again = object.clone();
    assert_eq!(
        object_meta::decode(&mut again.0),
        Ok(Vec::new()),
        "something is still unknown"
    );
    assert_eq!(again, object, "not canonical at once");
    let metadata = object.0["metadata"].to_string();
    let message = protobuf::partial_object_metadata(metadata.as_bytes());
    assert!(message.is_ok(), "{metadata}: {message:?}");
}

fn delete_options(bytes: &[u8]) {
    let found = protobuf::DeleteOptions::from_envelope(bytes);
    assert!(found.is_none() || bytes.starts_with(b"k8s\0"));
}
