//! From a RequestInfo to the store that serves it, and what the two kinds of servers answer where there is none:
//! the Go library's typed resources have a route for each path and method, custom resources one handler for all.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::{Response, response};
use crate::api::RequestInfo;
use crate::api::Status;
use crate::api::status::{self, Result};
use crate::registry::definition::{ObjectModel, ResourceDefinition};
use crate::registry::scale::SCALE;
use crate::registry::{Registry, Store};

/// The store of a resource in a version that is served.
pub(super) fn find<'a>(registry: &'a Registry, info: &RequestInfo) -> Option<&'a Arc<Store>> {
    let store = registry.find(&info.group, &info.resource)?;
    let definition = store.definition();
    let is_in_place = definition.is_namespaced() || info.namespace.is_empty();
    (is_in_place && info.api_prefix == "apis" && definition.served(&info.version).is_some())
        .then_some(store)
}

/// 404 in the words of whoever serves the rest of the group.
pub(super) fn unknown_resource(registry: &Registry, info: &RequestInfo) -> Result<Response> {
    let model = registry
        .stores()
        .find(|it| it.definition().group == info.group)
        .map(|it| it.definition().object_model);
    match model {
        Some(ObjectModel::Custom) => Ok(response::text(
            StatusCode::NOT_FOUND,
            "404 page not found\n",
        )),
        _ => Err(status::resource_not_found()),
    }
}

/// Whether the path and the method go together.
pub(super) fn check_method(
    definition: &ResourceDefinition,
    info: &RequestInfo,
    method: &Method,
) -> Result<()> {
    let is_item = !info.name.is_empty()
        && !matches!(info.verb.as_str(), "list" | "watch" | "deletecollection");
    if !info.subresource.is_empty() {
        return check_subresource(definition, info);
    }
    let resource = definition.group_resource();
    match definition.object_model {
        ObjectModel::Typed => {
            let is_routed = match *method {
                Method::GET => true,
                Method::POST => !is_item && is_complete(definition, info),
                Method::DELETE => is_complete(definition, info),
                Method::PUT | Method::PATCH => is_item && is_complete(definition, info),
                _ => false,
            };
            if is_routed {
                Ok(())
            } else {
                Err(no_such_route())
            }
        }
        ObjectModel::Custom => match info.verb.as_str() {
            "" => Err(status::method_not_allowed(&resource, "")),
            "update" | "patch" if !is_item => Err(status::bad_request("name must be provided")),
            _ => Ok(()),
        },
    }?;
    if !definition.verbs().contains(&info.verb.as_str()) {
        return Err(status::method_not_allowed(&resource, &info.verb));
    }
    Ok(())
}

/// Whether the path has its namespace: only reads go across all namespaces.
fn is_complete(definition: &ResourceDefinition, info: &RequestInfo) -> bool {
    !definition.is_namespaced() || !info.namespace.is_empty()
}

fn check_subresource(definition: &ResourceDefinition, info: &RequestInfo) -> Result<()> {
    let version = definition.served(&info.version);
    let is_served = version.is_some_and(|it| match info.subresource.as_str() {
        "status" => it.has_status,
        SCALE => it.scale.is_some(),
        _ => false,
    });
    if !is_served || !info.rest.is_empty() {
        return Err(match definition.object_model {
            ObjectModel::Typed => status::resource_not_found(),
            ObjectModel::Custom => status::not_found(&definition.group_resource(), &info.name),
        });
    }
    if !matches!(info.verb.as_str(), "get" | "update" | "patch") {
        return Err(match definition.object_model {
            ObjectModel::Typed => no_such_route(),
            ObjectModel::Custom => {
                status::method_not_allowed(&definition.group_resource(), &info.verb)
            }
        });
    }
    Ok(())
}

fn no_such_route() -> Box<Status> {
    let text = "the server does not allow this method on the requested resource";
    let mut status = Status::failure(405, "MethodNotAllowed", text);
    status.details = Some(status::Details::default());
    status
}
