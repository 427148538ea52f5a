//! Parameters of requests: what clients may say in paths and queries.

use serde_json::{Value, json};

pub(super) const LIST: &[&str] = &[
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "shardSelector",
    "timeoutSeconds",
    "watch",
];
pub(super) const READ: &[&str] = &["resourceVersion"];
pub(super) const WRITE: &[&str] = &["dryRun", "fieldManager", "fieldValidation"];
pub(super) const PATCH: &[&str] = &["dryRun", "fieldManager", "fieldValidation", "force"];
pub(super) const DELETE: &[&str] = &[
    "dryRun",
    "gracePeriodSeconds",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "orphanDependents",
    "propagationPolicy",
];
pub(super) const DELETE_COLLECTION: &[&str] = &[
    "continue",
    "dryRun",
    "fieldSelector",
    "gracePeriodSeconds",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "labelSelector",
    "limit",
    "orphanDependents",
    "propagationPolicy",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "shardSelector",
    "timeoutSeconds",
];

/// In OpenAPI v3's form.
pub(super) fn query(name: &str) -> Value {
    let (of_type, description) = described(name);
    json!({
        "name": name,
        "in": "query",
        "description": description,
        "schema": {"type": of_type, "uniqueItems": true},
    })
}

pub(super) fn path(name: &str, description: &str) -> Value {
    json!({
        "name": name,
        "in": "path",
        "description": description,
        "required": true,
        "schema": {"type": "string", "uniqueItems": true},
    })
}

fn described(name: &str) -> (&'static str, &'static str) {
    match name {
        "allowWatchBookmarks" => (
            "boolean",
            "Whether a watch may send BOOKMARK events, which only tell how far it is.",
        ),
        "continue" => ("string", "The token of the page before, for the next one."),
        "dryRun" => (
            "string",
            "All: the request is checked, and nothing of it is kept.",
        ),
        "fieldManager" => (
            "string",
            "Who makes the change, at most 128 printable characters; else the beginning of User-Agent.",
        ),
        "fieldSelector" => (
            "string",
            "Selects objects by their fields. Defaults to everything.",
        ),
        "fieldValidation" => (
            "string",
            "What becomes of unknown and repeated fields: Ignore, Warn (the default) or Strict, which refuses them.",
        ),
        "force" => (
            "boolean",
            "Whether an apply takes the fields over that others own. Of apply patches only.",
        ),
        "gracePeriodSeconds" => (
            "integer",
            "Seconds before the object is deleted; 0 is at once. Defaults to what the resource says.",
        ),
        "ignoreStoreReadErrorWithClusterBreakingPotential" => (
            "boolean",
            "Deletes an object that cannot be read, whatever depends on it.",
        ),
        "labelSelector" => (
            "string",
            "Selects objects by their labels. Defaults to everything.",
        ),
        "limit" => (
            "integer",
            "How many objects a page may have; the rest is read with continue.",
        ),
        "orphanDependents" => (
            "boolean",
            "Deprecated in favour of propagationPolicy: whether dependents stay.",
        ),
        "pretty" => ("string", "If true, the answer is indented for people."),
        "propagationPolicy" => (
            "string",
            "What becomes of dependents: Orphan, Background or Foreground.",
        ),
        "resourceVersion" => (
            "string",
            "The version that the answer must have, or begin after.",
        ),
        "resourceVersionMatch" => (
            "string",
            "How the version of a list must be met: NotOlderThan or Exact.",
        ),
        "sendInitialEvents" => (
            "boolean",
            "Whether a watch begins with the objects that there are, and a bookmark after them.",
        ),
        "shardSelector" => ("string", "Selects a part of all objects by a hash."),
        "timeoutSeconds" => ("integer", "After how many seconds a list or a watch ends."),
        "watch" => (
            "boolean",
            "Whether changes are sent as they come, instead of a list.",
        ),
        _ => ("string", ""),
    }
}
