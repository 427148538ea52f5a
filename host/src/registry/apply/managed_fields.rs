//! `metadata.managedFields` read and written: who owns which fields, and since when.
//!
//! Follows k8s.io/apimachinery, pkg/util/managedfields/internal/managedfields.go.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use structured_merge_diff::fieldpath::{ApiVersion, ManagedFields, Set, VersionedSet};

use crate::registry::object_meta::decode::parse_time;

const APPLY: &str = "Apply";
const UPDATE: &str = "Update";
const FIELDS_TYPE: &str = "FieldsV1";

/// What tells one manager from another. Its JSON is the identifier by which the library knows a manager.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ManagerId {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) manager: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) operation: String,
    /// Of updates only: who applies in another version is still the same manager.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) subresource: String,
}

impl ManagerId {
    pub(super) fn update(manager: &str, api_version: &str, subresource: &str) -> Self {
        Self {
            manager: named(manager),
            operation: UPDATE.into(),
            api_version: api_version.into(),
            subresource: subresource.into(),
        }
    }

    pub(super) fn apply(manager: &str, subresource: &str) -> Self {
        Self {
            manager: named(manager),
            operation: APPLY.into(),
            api_version: String::new(),
            subresource: subresource.into(),
        }
    }

    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("texts are JSON")
    }

    /// `None` where the text is no identifier of a manager.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(super) fn is_update(&self) -> bool {
        self.operation == UPDATE
    }
}

/// A client that does not say who it is.
fn named(manager: &str) -> String {
    match manager {
        "" => "unknown".into(),
        manager => manager.into(),
    }
}

/// Who owns what, by [`ManagerId`], and the time of each one's last change, in RFC 3339.
#[derive(Debug, Clone, Default)]
pub(super) struct Managed {
    pub(super) fields: ManagedFields,
    pub(super) times: BTreeMap<String, String>,
}

impl Managed {
    /// # Errors
    /// One line about the first entry that cannot be read.
    pub(super) fn decode(entries: Option<&Value>) -> Result<Self, String> {
        let mut managed = Self::default();
        let entries = entries.and_then(Value::as_array);
        for (index, entry) in entries.into_iter().flatten().enumerate() {
            let text = |field| entry.get(field).and_then(Value::as_str).unwrap_or_default();
            let operation = text("operation");
            if !matches!(operation, APPLY | UPDATE) {
                return Err("operation must be `Apply` or `Update`".into());
            }
            let is_applied = operation == APPLY;
            let api_version = text("apiVersion");
            if api_version.is_empty() {
                return Err("apiVersion must not be empty".into());
            }
            match text("fieldsType") {
                FIELDS_TYPE => {}
                "" => {
                    return Err(format!(
                        "missing fieldsType in managed fields entry {index}"
                    ));
                }
                other => {
                    return Err(format!(
                        "invalid fieldsType {other:?} in managed fields entry {index}"
                    ));
                }
            }
            let id = ManagerId {
                manager: text("manager").into(),
                operation: operation.into(),
                api_version: if is_applied { "" } else { api_version }.into(),
                subresource: text("subresource").into(),
            };
            let set = match entry.get("fieldsV1") {
                Some(fields) => Set::from_value(fields).map_err(|it| it.to_string())?,
                None => Set::new(),
            };
            let id = id.to_text();
            if !text("time").is_empty() {
                managed.times.insert(id.clone(), text("time").into());
            }
            let owned = VersionedSet {
                set,
                api_version: ApiVersion::from(api_version),
                applied: is_applied,
            };
            managed.fields.insert(id, owned);
        }
        Ok(managed)
    }

    /// As decoded, or nothing where that fails.
    pub(super) fn decode_or_nothing(entries: Option<&Value>) -> Self {
        Self::decode(entries).unwrap_or_default()
    }

    /// The entries in the order that upstream gives them; `None` where nobody owns anything.
    pub(super) fn encode(&self) -> Option<Value> {
        if self.fields.is_empty() {
            return None;
        }
        let mut entries: Vec<Entry<'_>> = self
            .fields
            .iter()
            .map(|(id, owned)| self.entry(id, owned))
            .collect();
        entries.sort_by(|a, b| a.order().cmp(&b.order()));
        Some(entries.iter().map(Entry::to_value).collect())
    }

    fn entry<'a>(&'a self, id: &str, owned: &'a VersionedSet) -> Entry<'a> {
        let time = self.times.get(id).map(String::as_str);
        let mut id = ManagerId::parse(id).unwrap_or_default();
        if owned.applied {
            id.operation = APPLY.into();
        }
        Entry { time, id, owned }
    }
}

struct Entry<'a> {
    id: ManagerId,
    time: Option<&'a str>,
    owned: &'a VersionedSet,
}

impl Entry<'_> {
    /// Applies first, then by time, manager, version and subresource.
    fn order(&self) -> (&str, i64, &str, &str, &str) {
        (
            &self.id.operation,
            self.time.map_or(0, seconds),
            &self.id.manager,
            self.owned.api_version.as_str(),
            &self.id.subresource,
        )
    }

    fn to_value(&self) -> Value {
        let mut entry = Map::new();
        entry.insert("apiVersion".into(), self.owned.api_version.as_str().into());
        entry.insert("fieldsType".into(), FIELDS_TYPE.into());
        entry.insert("fieldsV1".into(), self.owned.set.to_value());
        if !self.id.manager.is_empty() {
            entry.insert("manager".into(), self.id.manager.as_str().into());
        }
        entry.insert("operation".into(), self.id.operation.as_str().into());
        if !self.id.subresource.is_empty() {
            entry.insert("subresource".into(), self.id.subresource.as_str().into());
        }
        if let Some(time) = self.time {
            entry.insert("time".into(), time.into());
        }
        Value::Object(entry)
    }
}

/// Seconds since 1970; 0 where the text is no time.
pub(super) fn seconds(time: &str) -> i64 {
    parse_time(time).map_or(0, |it| it.as_second())
}

/// Whether a client wishes that nobody owns anything: `[]` or `[{}]`.
pub(super) fn is_reset(entries: Option<&Value>) -> bool {
    match entries {
        Some(Value::Array(entries)) => {
            entries.is_empty() || entries.as_slice() == [json!({})].as_slice()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    fn entry(manager: &str, operation: &str, time: &str) -> Value {
        json!({
            "manager": manager, "operation": operation, "apiVersion": "g/v1", "time": time,
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:a": {}}},
        })
    }

    #[test]
    fn entries_come_back_in_order() {
        let entries = json!([
            entry("b", "Update", "2026-01-01T00:00:00Z"),
            entry("a", "Update", "2026-01-01T00:00:00Z"),
            entry("c", "Update", "2025-01-01T00:00:00Z"),
            entry("d", "Apply", "2026-01-01T00:00:00Z"),
        ]);
        let encoded = Managed::decode(Some(&entries)).unwrap().encode().unwrap();
        let managers: Vec<_> = encoded
            .as_array()
            .unwrap()
            .iter()
            .map(|it| &it["manager"])
            .collect();
        assert_eq!(managers, ["d", "c", "a", "b"]);
        assert_eq!(encoded[1], entries[2]);
    }

    #[test]
    fn entries_that_cannot_be_read_say_why() {
        let of = |change: Value| {
            let mut entry = entry("a", "Update", "2026-01-01T00:00:00Z");
            json_patch::merge(&mut entry, &change);
            Managed::decode(Some(&json!([entry]))).unwrap_err()
        };
        assert_eq!(
            of(json!({"operation": "Nope"})),
            "operation must be `Apply` or `Update`"
        );
        assert_eq!(
            of(json!({"apiVersion": null})),
            "apiVersion must not be empty"
        );
        assert_eq!(
            of(json!({"fieldsType": null})),
            "missing fieldsType in managed fields entry 0"
        );
        assert_eq!(
            of(json!({"fieldsType": "V9"})),
            "invalid fieldsType \"V9\" in managed fields entry 0"
        );
        assert!(!of(json!({"fieldsV1": {"x": {}}})).is_empty());
        assert!(
            Managed::decode_or_nothing(Some(&json!([{}])))
                .fields
                .is_empty()
        );
    }

    #[test]
    fn empty_lists_are_a_wish() {
        assert!(is_reset(Some(&json!([]))));
        assert!(is_reset(Some(&json!([{}]))));
        assert!(!is_reset(Some(&json!([{}, {}]))));
        assert!(!is_reset(None));
    }
}
