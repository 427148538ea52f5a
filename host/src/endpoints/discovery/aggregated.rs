//! Aggregated discovery (D2, D3): apidiscovery.k8s.io/v2 APIGroupDiscoveryList, all groups in one document.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::document::{self, Document};
use super::groups::{self, Group};
use crate::registry::ResourceDefinition;
use crate::registry::definition::{ObjectModel, VersionDefinition};
use crate::registry::scale::SCALE;
use crate::serving::Body;

const CONTENT_TYPE: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

pub(super) fn document(groups: &[Group<'_>]) -> Document {
    let items: Vec<Value> = groups
        .iter()
        .map(|group| {
            let versions: Vec<Value> = group
                .versions
                .iter()
                .map(|version| {
                    let resources = version.resources.iter();
                    let resources: Vec<Value> = resources.map(|it| resource(it.0, it.1)).collect();
                    json!({"version": version.name, "resources": resources, "freshness": "Current"})
                })
                .collect();
            json!({"metadata": {"name": group.name}, "versions": versions})
        })
        .collect();
    Document::new(super::to_bytes(&json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    })))
}

/// For everybody alike, so that it may be cached by anybody.
pub(super) fn answer(document: &Document, headers: &HeaderMap) -> http::Response<Body> {
    let etag = document.etag();
    let mut response = if document::is_known(headers, &etag) {
        document::bare(StatusCode::NOT_MODIFIED)
    } else {
        document::answer(StatusCode::OK, CONTENT_TYPE, document.bytes.clone())
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, etag);
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    response
}

fn resource(definition: &ResourceDefinition, version: &VersionDefinition) -> Value {
    let names = &definition.names;
    // Never null, or clients leave the resource out. Typed servers leave the group and the version to the
    // place where the kind stands.
    let kind = match definition.object_model {
        ObjectModel::Typed => json!({"group": "", "version": "", "kind": names.kind}),
        ObjectModel::Custom => {
            json!({"group": definition.group, "version": version.name, "kind": names.kind})
        }
    };
    let scope = if definition.is_namespaced() {
        "Namespaced"
    } else {
        "Cluster"
    };
    let mut resource = json!({
        "resource": names.plural,
        "responseKind": kind,
        "scope": scope,
        "singularResource": names.singular,
        "verbs": groups::verbs(definition),
    });
    groups::add_names(&mut resource, definition);
    let kinds = [
        version.has_status.then_some(("status", kind)),
        version
            .scale
            .as_ref()
            .map(|_| (SCALE, groups::scale_kind())),
    ];
    let subresources = kinds.into_iter().flatten().map(|(subresource, kind)| {
        json!({
            "subresource": subresource,
            "responseKind": kind,
            "verbs": groups::subresource_verbs(definition),
        })
    });
    let subresources: Vec<Value> = subresources.collect();
    if !subresources.is_empty() {
        resource["subresources"] = json!(subresources);
    }
    resource
}
