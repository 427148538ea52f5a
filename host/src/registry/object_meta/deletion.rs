//! What a DELETE does to an object that cannot go at once.

use jiff::Timestamp;

use super::decode::parse_time;
use crate::ambient::rfc3339;
use crate::api::status::{self, Result};
use crate::api::{GroupResource, Object};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What must be true of the object that is deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

/// What happens to the objects that the deleted one owns; the garbage collector does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropagationPolicy {
    Orphan,
    Background,
    Foreground,
}

impl PropagationPolicy {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "Orphan" => Some(Self::Orphan),
            "Background" => Some(Self::Background),
            "Foreground" => Some(Self::Foreground),
            _ => None,
        }
    }
}

impl Preconditions {
    /// # Errors
    /// 409 with the values that differ. `resource_version` is what the object is at.
    pub fn check(&self, group: &str, object: &Object, resource_version: &str) -> Result<()> {
        // Upstream puts the kind where the resource belongs.
        let resource = GroupResource {
            group: group.to_owned(),
            resource: object.kind().to_owned(),
        };
        if let Some(uid) = &self.uid
            && uid != object.uid()
        {
            let why = format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
                object.uid()
            );
            return Err(status::conflict(&resource, object.name(), &why));
        }
        if let Some(version) = &self.resource_version
            && version != resource_version
        {
            let why = format!(
                "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({resource_version}). The object might have been modified"
            );
            return Err(status::conflict(&resource, object.name(), &why));
        }
        Ok(())
    }
}

/// The finalizers with which the garbage collector is told of `policy`; `orphan_dependents` is its old form and
/// wins. Without either the object's own finalizers decide, so they stay as they are.
pub fn finalizers_for(
    object: &Object,
    policy: Option<PropagationPolicy>,
    orphan_dependents: Option<bool>,
) -> Vec<String> {
    let policy = match orphan_dependents {
        Some(true) => Some(PropagationPolicy::Orphan),
        Some(false) => Some(PropagationPolicy::Background),
        None => policy,
    };
    let Some(policy) = policy else {
        return object.finalizers().map(str::to_owned).collect();
    };
    let mut finalizers: Vec<String> = object
        .finalizers()
        .filter(|it| *it != ORPHAN && *it != FOREGROUND)
        .map(str::to_owned)
        .collect();
    match policy {
        PropagationPolicy::Orphan => finalizers.push(ORPHAN.into()),
        PropagationPolicy::Foreground => finalizers.push(FOREGROUND.into()),
        PropagationPolicy::Background => {}
    }
    let is_same = finalizers.len() == object.finalizers().count()
        && object
            .finalizers()
            .all(|it| finalizers.iter().any(|kept| kept == it));
    if is_same {
        return object.finalizers().map(str::to_owned).collect();
    }
    finalizers
}

/// Marks an object that waits for its finalizers. A second delete changes nothing.
pub fn mark_deleting(object: &mut Object, now: Timestamp) {
    if !object.is_deleting() && object.generation() > 0 {
        let next = object.generation().saturating_add(1);
        object
            .metadata_mut()
            .insert("generation".into(), next.into());
    }
    let is_past = parse_time(object.meta("deletionTimestamp")).is_some_and(|it| it <= now);
    if !is_past {
        object.set_meta("deletionTimestamp", &rfc3339(now));
    }
    object
        .metadata_mut()
        .insert("deletionGracePeriodSeconds".into(), 0.into());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use serde_json::json;

    use super::*;

    fn object(finalizers: &[&str]) -> Object {
        let json = json!({"kind": "K", "metadata": {
            "name": "a", "uid": "u", "generation": 1, "finalizers": finalizers,
        }});
        Object::from_slice(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn preconditions_say_what_differs() {
        let check = |uid: Option<&str>, version: Option<&str>| {
            let preconditions = Preconditions {
                uid: uid.map(str::to_owned),
                resource_version: version.map(str::to_owned),
            };
            preconditions
                .check("g", &object(&[]), "7")
                .map_err(|it| format!("{} {}", it.code, it.message))
        };
        assert_eq!(check(Some("u"), Some("7")), Ok(()));
        assert_eq!(
            check(Some("x"), None).unwrap_err(),
            "409 Operation cannot be fulfilled on K.g \"a\": the UID in the precondition (x) does not match the UID in record (u). The object might have been deleted and then recreated"
        );
        assert_eq!(
            check(None, Some("1")).unwrap_err(),
            "409 Operation cannot be fulfilled on K.g \"a\": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (7). The object might have been modified"
        );
    }

    #[test]
    fn propagation_becomes_a_finalizer() {
        let old = object(&["orphan", "x/y"]);
        let with = |policy, orphan| finalizers_for(&old, policy, orphan);
        assert_eq!(with(None, None), ["orphan", "x/y"]);
        assert_eq!(with(Some(PropagationPolicy::Background), None), ["x/y"]);
        assert_eq!(
            with(Some(PropagationPolicy::Foreground), None),
            ["x/y", "foregroundDeletion"]
        );
        assert_eq!(
            with(Some(PropagationPolicy::Orphan), None),
            ["orphan", "x/y"]
        );
        assert_eq!(with(None, Some(false)), ["x/y"]);
        assert_eq!(with(None, Some(true)), ["orphan", "x/y"]);
    }

    #[test]
    fn the_second_delete_changes_nothing() {
        let mut object = object(&["x/y"]);
        mark_deleting(&mut object, "2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(object.generation(), 2);
        assert_eq!(object.meta("deletionTimestamp"), "2026-01-01T00:00:00Z");
        let first = object.clone();
        mark_deleting(&mut object, "2026-01-01T00:00:09Z".parse().unwrap());
        assert_eq!(object, first);
    }
}
