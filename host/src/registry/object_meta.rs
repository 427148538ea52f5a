//! metav1.ObjectMeta: what the server fills in, keeps, checks and refuses on create, update and delete.
//!
//! Follows k8s.io/apiserver, pkg/registry/rest (BeforeCreate, BeforeUpdate, BeforeDelete) and
//! k8s.io/apimachinery, pkg/api/validation. Annotations have at most 256 KiB together.

pub mod decode;
pub mod deletion;
pub mod names;
pub mod validation;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::definition::ObjectModel;
use crate::ambient::{Clock, UidSource, rfc3339};
use crate::api::Object;
use crate::api::status::{self, Result};

pub use decode::decode;
pub use deletion::{Preconditions, PropagationPolicy};
pub use validation::{validate_create, validate_embedded, validate_update};

/// Longest part of generateName that is used, so that a name with its suffix is a DNS label.
const MAX_GENERATED_BASE: usize = 58;

/// Fields that only the server sets.
const SYSTEM_FIELDS: [&str; 5] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "selfLink",
    "uid",
];

/// Standard finalizers without a domain, about which nobody is warned.
const STANDARD_FINALIZERS: [&str; 3] = ["orphan", "foregroundDeletion", "kubernetes"];

/// Wipes what clients may not set and gives a new object its uid and time of creation.
pub fn fill_system_fields(object: &mut Object, clock: &dyn Clock, uids: &dyn UidSource) {
    for field in SYSTEM_FIELDS {
        object.metadata_mut().remove(field);
    }
    object.set_meta("creationTimestamp", &rfc3339(clock.now()));
    object.set_meta("uid", &uids.uid());
}

/// Makes a name from generateName, where the object has none. Each call makes another.
pub fn generate_name(object: &mut Object, uids: &dyn UidSource) {
    let base = object.meta("generateName");
    if object.name().is_empty() && !base.is_empty() {
        let mut end = base.len().min(MAX_GENERATED_BASE);
        while !base.is_char_boundary(end) {
            end -= 1;
        }
        let name = format!("{}{}", &base[..end], uids.name_suffix());
        object.set_meta("name", &name);
    }
}

/// Gives an object the namespace of its request; empty for cluster-scoped resources.
///
/// # Errors
/// 400 where the object names another one.
pub fn set_namespace(object: &mut Object, namespace: &str) -> Result<()> {
    let named = object.namespace();
    if !named.is_empty() && !namespace.is_empty() && named != namespace {
        return Err(status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    object.set_meta("namespace", namespace);
    Ok(())
}

/// Whether an object is the one that the URL names.
///
/// # Errors
/// 400.
pub fn check_name(object: &Object, name: &str) -> Result<()> {
    let text = match object.name() {
        given if given == name => return Ok(()),
        "" => format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        ),
        given => {
            format!("the name of the object ({given}) does not match the name on the URL ({name})")
        }
    };
    Err(status::bad_request(text))
}

/// Whether a character may stand in the name of a field manager: what can be seen, and the space.
pub fn is_printable(character: char) -> bool {
    let is_format = matches!(
        character,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{10ffff}'
    );
    character == ' ' || !(character.is_control() || character.is_whitespace() || is_format)
}

/// The generation of a new object.
pub fn set_generation_on_create(object: &mut Object, model: ObjectModel) {
    if model.counts_generation() {
        object.metadata_mut().insert("generation".into(), 1.into());
    }
}

/// Carries over what an update can neither set nor remove. Comes before the hook `prepare`.
pub fn keep_on_update(new: &mut Object, old: &Object) {
    copy(new, old, "generation");
    copy(new, old, "creationTimestamp");
    if new.uid().is_empty() {
        copy(new, old, "uid");
    }
    if old.is_deleting() {
        copy(new, old, "deletionTimestamp");
    }
    if !new.metadata().contains_key("deletionGracePeriodSeconds") {
        copy(new, old, "deletionGracePeriodSeconds");
    }
    new.metadata_mut().remove("selfLink");
}

/// Counts a change of anything but metadata. Comes when the new object is complete, status included.
pub fn set_generation_on_update(new: &mut Object, old: &Object, model: ObjectModel) {
    if model.counts_generation() && !is_same_outside_metadata(new, old) {
        let next = old.generation().saturating_add(1);
        new.metadata_mut().insert("generation".into(), next.into());
    }
}

fn copy(new: &mut Object, old: &Object, field: &str) {
    match old.metadata().get(field) {
        Some(value) => {
            new.metadata_mut().insert(field.into(), value.clone());
        }
        None => {
            new.metadata_mut().remove(field);
        }
    }
}

fn is_same_outside_metadata(new: &Object, old: &Object) -> bool {
    is_same_but(&new.0, &old.0, &["metadata"])
}

/// Whether an update changes nothing, so that nothing is written: all but the resourceVersion and the times of
/// managedFields is the same (k8s.io/apiserver, IgnoreManagedFieldsTimestampsTransformer).
pub fn is_unchanged(new: &Object, old: &Object) -> bool {
    const APART: [&str; 2] = ["managedFields", "resourceVersion"];
    is_same_outside_metadata(new, old)
        && is_same_but(new.metadata(), old.metadata(), &APART)
        && is_same_but_times(
            new.metadata().get("managedFields"),
            old.metadata().get("managedFields"),
        )
}

/// Whether two maps are the same, some keys apart.
fn is_same_but(a: &Map<String, Value>, b: &Map<String, Value>, keys: &[&str]) -> bool {
    let rest =
        |map: &'_ Map<String, Value>| map.keys().filter(|it| !keys.contains(&it.as_str())).count();
    let is_same =
        |(key, value): (&String, &Value)| keys.contains(&key.as_str()) || b.get(key) == Some(value);
    a.iter().all(is_same) && rest(a) == rest(b)
}

fn is_same_but_times(a: Option<&Value>, b: Option<&Value>) -> bool {
    let (Some(Value::Array(a)), Some(Value::Array(b))) = (a, b) else {
        return a == b;
    };
    let is_same = |(a, b): (&Value, &Value)| match (a, b) {
        (Value::Object(a), Value::Object(b)) => is_same_but(a, b, &["time"]),
        _ => a == b,
    };
    a.len() == b.len() && a.iter().zip(b).all(is_same)
}

/// Whether only finalizers, ownerReferences and managedFields differ: such a write needs no plugin.
pub fn is_only_ownership_changed(new: &Object, old: &Object) -> bool {
    const OWNERSHIP: [&str; 4] = [
        "finalizers",
        "ownerReferences",
        "managedFields",
        "resourceVersion",
    ];
    is_same_outside_metadata(new, old) && is_same_but(new.metadata(), old.metadata(), &OWNERSHIP)
}

/// Removes owner references that are there twice; the warning for the client where there were any.
pub fn dedup_owner_references(object: &mut Object) -> Option<String> {
    let references = object
        .metadata_mut()
        .get_mut("ownerReferences")
        .and_then(Value::as_array_mut)?;
    let mut kept: Vec<Value> = Vec::with_capacity(references.len());
    let mut seen = BTreeSet::new();
    let mut duplicates = BTreeSet::new();
    for reference in references.drain(..) {
        if seen.insert(reference.to_string()) {
            kept.push(reference);
        } else {
            let uid = reference.get("uid").and_then(Value::as_str);
            duplicates.insert(uid.unwrap_or_default().to_owned());
        }
    }
    *references = kept;
    if duplicates.is_empty() {
        return None;
    }
    let uids: Vec<String> = duplicates.into_iter().collect();
    Some(format!(
        ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
        uids.join(", ")
    ))
}

/// Warnings about finalizers that this write adds. Only custom resources warn.
pub fn finalizer_warnings(new: &Object, old: Option<&Object>, model: ObjectModel) -> Vec<String> {
    if model == ObjectModel::Typed {
        return Vec::new();
    }
    let before: BTreeSet<&str> = old.into_iter().flat_map(Object::finalizers).collect();
    let added: BTreeSet<&str> = new.finalizers().filter(|it| !before.contains(it)).collect();
    added
        .into_iter()
        .filter(|it| !it.contains('/') && !STANDARD_FINALIZERS.contains(it))
        .map(|it| {
            let path = if it.contains('.') { " including a path (/)" } else { "" };
            format!(
                "metadata.finalizers: {it:?}: prefer a domain-qualified finalizer name{path} to avoid accidental conflicts with other finalizer writers"
            )
        })
        .collect()
}

/// Replaces the finalizers; none removes the field.
pub fn set_finalizers(object: &mut Object, finalizers: &[String]) {
    let metadata = object.metadata_mut();
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".into(), json!(finalizers));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use jiff::Timestamp;

    use super::*;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            "2026-01-02T03:04:05.9Z".parse().unwrap()
        }
    }

    impl UidSource for Fixed {
        fn uid(&self) -> String {
            "u".into()
        }
        fn name_suffix(&self) -> String {
            "bcdfg".into()
        }
    }

    fn object(metadata: Value) -> Object {
        let mut object = Object(Map::new());
        object.set_type("g/v1", "K");
        object.0.insert("metadata".into(), metadata);
        object
    }

    #[test]
    fn new_objects_get_system_fields_and_lose_the_clients() {
        let mut new = object(json!({
            "name": "a", "uid": "x", "creationTimestamp": "2001-01-01T00:00:00Z", "selfLink": "/x",
            "generation": 9, "deletionTimestamp": "2001-01-01T00:00:00Z", "deletionGracePeriodSeconds": 3,
        }));
        fill_system_fields(&mut new, &Fixed, &Fixed);
        set_generation_on_create(&mut new, ObjectModel::Typed);
        let expected = json!({"name": "a", "uid": "u", "creationTimestamp": "2026-01-02T03:04:05Z", "generation": 9});
        assert_eq!(new.0["metadata"], expected);
        set_generation_on_create(&mut new, ObjectModel::Custom);
        assert_eq!(new.generation(), 1);
    }

    #[test]
    fn generates_names_of_at_most_63_characters() {
        let mut short = object(json!({"generateName": "a-"}));
        generate_name(&mut short, &Fixed);
        assert_eq!(short.name(), "a-bcdfg");
        let mut long = object(json!({"generateName": "\u{e9}".repeat(40)}));
        generate_name(&mut long, &Fixed);
        assert_eq!(long.name().len(), 63);
        let mut named = object(json!({"generateName": "a-", "name": "b"}));
        generate_name(&mut named, &Fixed);
        assert_eq!(named.name(), "b");
    }

    #[test]
    fn namespace_comes_from_the_request() {
        let mut new = object(json!({}));
        set_namespace(&mut new, "ns").unwrap();
        assert_eq!(new.namespace(), "ns");
        assert_eq!(set_namespace(&mut new, "other").unwrap_err().code, 400);
        set_namespace(&mut new, "").unwrap();
        assert_eq!(new.namespace(), "");
    }

    #[test]
    fn updates_keep_what_only_the_server_sets() {
        let old = object(json!({
            "name": "a", "uid": "u", "generation": 3, "creationTimestamp": "2026-01-02T03:04:05Z",
            "deletionTimestamp": "2026-01-02T03:04:06Z", "deletionGracePeriodSeconds": 0,
        }));
        let mut new = object(
            json!({"name": "a", "generation": 77, "creationTimestamp": "2001-01-01T00:00:00Z"}),
        );
        keep_on_update(&mut new, &old);
        assert_eq!(new, old);
        set_generation_on_update(&mut new, &old, ObjectModel::Custom);
        assert_eq!(new.generation(), 3);
        new.0.insert("spec".into(), json!({"a": 1}));
        set_generation_on_update(&mut new, &old, ObjectModel::Typed);
        assert_eq!(new.generation(), 3);
        set_generation_on_update(&mut new, &old, ObjectModel::Custom);
        assert_eq!(new.generation(), 4);
    }

    #[test]
    fn tells_what_changed() {
        let old = object(json!({"name": "a", "resourceVersion": "1", "finalizers": ["x/y"]}));
        let mut new = object(json!({"name": "a", "resourceVersion": "2", "finalizers": ["x/y"]}));
        assert!(is_unchanged(&new, &old));
        set_finalizers(&mut new, &[]);
        assert!(!is_unchanged(&new, &old));
        assert!(is_only_ownership_changed(&new, &old));
        new.metadata_mut()
            .insert("labels".into(), json!({"a": "b"}));
        assert!(!is_only_ownership_changed(&new, &old));
    }

    #[test]
    fn duplicate_owners_are_removed_with_a_warning() {
        let owner = json!({"apiVersion": "v1", "kind": "A", "name": "x", "uid": "ux"});
        let mut new = object(json!({"ownerReferences": [owner, owner]}));
        let warning = dedup_owner_references(&mut new).unwrap();
        assert!(
            warning.ends_with("duplicate UID(s) observed: ux"),
            "{warning}"
        );
        assert_eq!(new.metadata()["ownerReferences"], json!([owner]));
        assert_eq!(dedup_owner_references(&mut new), None);
    }

    #[test]
    fn custom_resources_warn_about_plain_finalizers() {
        let new = object(json!({"finalizers": ["plain", "a.b", "x.example/f", "orphan"]}));
        let warnings = finalizer_warnings(&new, None, ObjectModel::Custom);
        assert_eq!(
            warnings,
            [
                "metadata.finalizers: \"a.b\": prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers",
                "metadata.finalizers: \"plain\": prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers",
            ]
        );
        assert!(finalizer_warnings(&new, Some(&new), ObjectModel::Custom).is_empty());
        assert!(finalizer_warnings(&new, None, ObjectModel::Typed).is_empty());
    }
}
