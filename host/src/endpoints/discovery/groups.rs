//! Definitions by group and version, and the documents of the older discovery (D1): APIGroupList, APIGroup,
//! APIResourceList.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::api::version_order;
use crate::registry::ResourceDefinition;
use crate::registry::definition::{ObjectModel, VersionDefinition};
use crate::registry::scale;

pub(in crate::endpoints) struct Group<'a> {
    pub(in crate::endpoints) name: &'a str,
    /// Served ones, the preferred one first.
    pub(in crate::endpoints) versions: Vec<Version<'a>>,
}

pub(in crate::endpoints) struct Version<'a> {
    pub(in crate::endpoints) name: &'a str,
    /// By plural name.
    pub(in crate::endpoints) resources: Vec<(&'a ResourceDefinition, &'a VersionDefinition)>,
}

/// In the order of their names.
pub(in crate::endpoints) fn by_group<'a>(
    definitions: impl Iterator<Item = &'a ResourceDefinition>,
) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<&str, BTreeMap<&str, Vec<_>>> = BTreeMap::new();
    for definition in definitions {
        for version in definition.versions.iter().filter(|it| it.served) {
            let versions = groups.entry(&definition.group).or_default();
            let resources = versions.entry(&version.name).or_default();
            resources.push((definition, version));
        }
    }
    let groups = groups.into_iter().map(|(name, versions)| {
        let mut versions: Vec<Version<'_>> = versions
            .into_iter()
            .map(|(name, mut resources)| {
                resources.sort_by_key(|it| &it.0.names.plural);
                Version { name, resources }
            })
            .collect();
        versions.sort_by(|a, b| version_order::ascending(b.name, a.name));
        Group { name, versions }
    });
    groups.collect()
}

pub(super) fn list(groups: &[Group<'_>]) -> Value {
    let groups: Vec<Value> = groups
        .iter()
        .map(|group| {
            let mut value = group_fields(group);
            // Where clients of each address reach the server: where they do already.
            value["serverAddressByClientCIDRs"] =
                json!([{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}]);
            value
        })
        .collect();
    // The Go library leaves the version of this one document out.
    json!({"kind": "APIGroupList", "groups": groups})
}

pub(super) fn group(group: &Group<'_>) -> Value {
    let mut value = group_fields(group);
    value["kind"] = json!("APIGroup");
    value["apiVersion"] = json!("v1");
    value
}

fn group_fields(group: &Group<'_>) -> Value {
    let versions: Vec<Value> = group
        .versions
        .iter()
        .map(
            |it| json!({"groupVersion": format!("{}/{}", group.name, it.name), "version": it.name}),
        )
        .collect();
    json!({"name": group.name, "preferredVersion": versions.first(), "versions": versions})
}

pub(super) fn resources(group: &Group<'_>, version: &Version<'_>) -> Value {
    let mut resources = Vec::new();
    for (definition, of_version) in &version.resources {
        let (names, verbs) = (&definition.names, verbs(definition));
        let mut resource = json!({
            "name": names.plural,
            "singularName": names.singular,
            "namespaced": definition.is_namespaced(),
            "kind": names.kind,
            "verbs": verbs,
        });
        add_names(&mut resource, definition);
        if verbs.contains(&"update") {
            resource["storageVersionHash"] = json!(storage_version_hash(definition));
        }
        resources.push(resource);
        if of_version.has_status {
            resources.push(json!({
                "name": format!("{}/status", names.plural),
                "singularName": "",
                "namespaced": definition.is_namespaced(),
                "kind": names.kind,
                "verbs": subresource_verbs(definition),
            }));
        }
        if of_version.scale.is_some() {
            let mut scale = scale_kind();
            scale["name"] = json!(format!("{}/scale", names.plural));
            scale["singularName"] = json!("");
            scale["namespaced"] = json!(definition.is_namespaced());
            scale["verbs"] = json!(subresource_verbs(definition));
            resources.push(scale);
        }
    }
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": format!("{}/{}", group.name, version.name),
        "resources": resources,
    })
}

pub(super) fn add_names(resource: &mut Value, definition: &ResourceDefinition) {
    if !definition.names.short_names.is_empty() {
        resource["shortNames"] = json!(definition.names.short_names);
    }
    if !definition.names.categories.is_empty() {
        resource["categories"] = json!(definition.names.categories);
    }
}

/// The verbs of a resource in the order in which servers of its kind list them.
pub(super) fn verbs(definition: &ResourceDefinition) -> Vec<&'static str> {
    let mut verbs = definition.verbs().to_vec();
    if definition.object_model == ObjectModel::Custom {
        // A stable sort: upstream lists what creates and follows objects last.
        verbs.sort_by_key(|it| matches!(*it, "create" | "update" | "watch"));
    }
    verbs
}

pub(super) fn subresource_verbs(definition: &ResourceDefinition) -> Vec<&'static str> {
    let mut verbs = definition.verbs().to_vec();
    verbs.retain(|it| matches!(*it, "get" | "patch" | "update"));
    verbs
}

/// Group, version and kind of what the scale subresource serves.
pub(super) fn scale_kind() -> Value {
    let form = scale::form();
    json!({"group": form.group, "version": form.version, "kind": form.kind})
}

/// Clients migrate stored objects when it changes (D4).
fn storage_version_hash(definition: &ResourceDefinition) -> String {
    let kind = definition.kind(&definition.storage_version().name);
    let of = format!("{}/{}/{}", kind.group, kind.version, kind.kind);
    let digest = digest::digest(&digest::SHA256, of.as_bytes());
    STANDARD.encode(&digest.as_ref()[..8])
}
