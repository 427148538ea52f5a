//! Server-side apply: a byte that chooses the type, then the live object, the configuration and the `fieldsV1` of who
//! applied before, with separators between them.

use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use serde_json::{Value, json};
use structured_merge_diff::fieldpath::{ApiVersion, ManagedFields, Set, VersionedSet};
use structured_merge_diff::merge::{Applied, OneVersion, UpdateError, Updater};
use structured_merge_diff::schema::{Type, openapi};
use structured_merge_diff::typed::{Duplicates, TypedValue};

static TYPES: LazyLock<[Type; 2]> = LazyLock::new(|| {
    let of = openapi::object_type(&schema()).expect("the schema is structural");
    [of, Type::deduced()]
});

/// Who applies takes all that it asks for by force, and finds nothing to do when it asks again.
pub fn run(data: &[u8]) {
    let Some((choice, rest)) = crate::choice(data) else {
        return;
    };
    let of = &TYPES[choice % TYPES.len()];
    let Some((live, rest)) = crate::parts(rest) else {
        return;
    };
    let Some((config, fields)) = crate::parts(rest) else {
        return;
    };
    let (Some(live), Some(config), Ok(fields)) = (
        typed(of, live, Duplicates::Allowed),
        typed(of, config, Duplicates::Refused),
        Set::from_json(fields),
    ) else {
        return;
    };
    let mut managers = ManagedFields::new();
    for (name, applied) in [("applier", true), ("other", false)] {
        let owned = VersionedSet {
            set: fields.clone(),
            api_version: ApiVersion::from("v1"),
            applied,
        };
        managers.insert(name.to_owned(), owned);
    }
    let gentle = apply(&live, &config, managers.clone(), false);
    let forced = match apply(&live, &config, managers, true) {
        Ok(applied) => applied,
        Err(UpdateError::Conflicts(conflicts)) => panic!("{conflicts} in spite of force"),
        Err(_) => return,
    };
    let object = forced.object.unwrap_or(live);
    if let Ok(gentle) = gentle {
        let gentle = gentle.object.as_ref().map(TypedValue::value);
        assert!(
            gentle.is_none_or(|it| it == object.value()),
            "force changes what nobody objects to"
        );
    }
    let value = object.value().clone();
    let again = apply(&object, &config, forced.managers, false).expect("it is the owner's own");
    let again = again.object.as_ref().map(TypedValue::value);
    assert!(
        again.is_none_or(|it| *it == value),
        "applied again, it changes: {value} to {}",
        again.unwrap_or(&Value::Null)
    );
}

fn typed(of: &Type, bytes: &[u8], duplicates: Duplicates) -> Option<TypedValue> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    of.typed(value, duplicates).ok()
}

fn apply(
    live: &TypedValue,
    config: &TypedValue,
    managers: ManagedFields,
    force: bool,
) -> Result<Applied, UpdateError> {
    let version = ApiVersion::from("v1");
    let updater = Updater::new(OneVersion);
    let apply = updater.apply(live, config, &version, managers, "applier", force);
    let mut apply = pin!(apply);
    match apply.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(applied) => applied,
        Poll::Pending => unreachable!("one version needs no conversion"),
    }
}

fn schema() -> Value {
    let text = json!({"type": "string"});
    json!({"type": "object", "properties": {
        "keyed": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "port"],
            "items": {"type": "object", "properties": {
                "name": text, "port": {"type": "integer", "default": 80}, "text": text,
                "set": {"type": "array", "x-kubernetes-list-type": "set", "items": text},
            }},
        },
        "list": {"type": "array", "items": text},
        "labels": {"type": "object", "additionalProperties": text},
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": text}},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "number": {"type": "integer", "nullable": true},
    }})
}
