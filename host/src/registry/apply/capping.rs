//! At most ten managers that updated: the fields of the oldest are put together
//! (k8s.io/apimachinery, pkg/util/managedfields/internal/capmanagers.go).

use std::collections::BTreeMap;

use super::managed_fields::{Managed, ManagerId, seconds};

const MAX_UPDATE_MANAGERS: usize = 10;

/// Who owns the fields of those that are put together.
const BUCKET: &str = "ancient-changes";

pub(super) fn cap_update_managers(managed: &mut Managed) {
    let updates = managed.fields.iter().filter(|(_, it)| !it.applied);
    let mut updaters: Vec<String> = updates.map(|(id, _)| id.clone()).collect();
    let mut count = updaters.len();
    if count <= MAX_UPDATE_MANAGERS {
        return;
    }
    let time = |id: &String| managed.times.get(id).map_or(0, |it| seconds(it));
    updaters.sort_by(|a, b| time(a).cmp(&time(b)).then_with(|| a.cmp(b)));

    // Of each version the first is left alone until a second one joins it.
    let mut first_of_version: BTreeMap<String, String> = BTreeMap::new();
    for id in updaters {
        if count <= MAX_UPDATE_MANAGERS {
            return;
        }
        let Some(owned) = managed.fields.get(&id).cloned() else {
            continue;
        };
        let version = owned.api_version.as_str().to_owned();
        let bucket = ManagerId::update(BUCKET, &version, "").to_text();
        let Some(first) = first_of_version.get(&version) else {
            first_of_version.insert(version, id);
            continue;
        };
        if !managed.fields.contains_key(&bucket)
            && let Some(first) = managed.fields.remove(first)
        {
            managed.fields.insert(bucket.clone(), first);
        }
        if let Some(merged) = managed.fields.get_mut(&bucket) {
            merged.set = owned.set.union(&merged.set);
        }
        managed.fields.remove(&id);
        count -= 1;
        match managed.times.get(&id).cloned() {
            Some(time) => managed.times.insert(bucket, time),
            None => managed.times.remove(&bucket),
        };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use serde_json::json;

    use super::*;

    #[test]
    fn the_oldest_updaters_of_a_version_become_one() {
        let entries: Vec<_> = (0..12)
            .map(|index| {
                json!({
                    "manager": format!("m{index:02}"), "operation": "Update", "apiVersion": "g/v1",
                    "time": format!("2026-01-01T00:00:{index:02}Z"), "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:spec": {format!("f:a{index:02}"): {}}},
                })
            })
            .collect();
        let mut managed = Managed::decode(Some(&json!(entries))).unwrap();
        cap_update_managers(&mut managed);
        let encoded = managed.encode().unwrap();
        let shown: Vec<_> = encoded
            .as_array()
            .unwrap()
            .iter()
            .map(|it| &it["manager"])
            .collect();
        assert_eq!(shown.len(), 10);
        assert_eq!(shown[0], "ancient-changes");
        assert_eq!(encoded[0]["time"], "2026-01-01T00:00:02Z");
        assert_eq!(
            encoded[0]["fieldsV1"],
            json!({"f:spec": {"f:a00": {}, "f:a01": {}, "f:a02": {}}})
        );
        assert_eq!(shown[1], "m03");
    }
}
