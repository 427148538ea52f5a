//! 409 of an apply: what others own (k8s.io/apimachinery, pkg/util/managedfields/internal/conflict.go).

use std::collections::BTreeMap;

use structured_merge_diff::merge::Conflict;

use super::managed_fields::ManagerId;
use crate::api::Status;
use crate::api::status::Cause;

pub(super) fn status(conflicts: &[Conflict]) -> Box<Status> {
    let causes = conflicts.iter().map(|conflict| Cause {
        reason: "FieldManagerConflict".into(),
        message: format!("conflict with {}", shown(&conflict.manager)),
        field: conflict.path.to_string(),
    });
    Status::failure(409, "Conflict", message(conflicts)).with_causes(causes.collect())
}

fn message(conflicts: &[Conflict]) -> String {
    if let [conflict] = conflicts {
        let manager = shown(&conflict.manager);
        return format!(
            "Apply failed with 1 conflict: conflict with {manager}: {}",
            conflict.path
        );
    }
    let mut by_manager: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for conflict in conflicts {
        let paths = by_manager.entry(&conflict.manager).or_default();
        paths.push(format!("- {}", conflict.path));
    }
    let groups = by_manager.iter().map(|(manager, paths)| {
        format!("conflicts with {}:\n{}", shown(manager), paths.join("\n"))
    });
    let groups: Vec<String> = groups.collect();
    format!(
        "Apply failed with {} conflicts: {}",
        conflicts.len(),
        groups.join("\n")
    )
}

/// A manager as people know it.
fn shown(id: &str) -> String {
    let Some(id) = ManagerId::parse(id) else {
        return format!("{id:?}");
    };
    let mut text = format!("{:?}", id.manager);
    if !id.subresource.is_empty() {
        text += &format!(" with subresource {:?}", id.subresource);
    }
    if id.is_update() {
        text += &format!(" using {}", id.api_version);
    }
    text
}
