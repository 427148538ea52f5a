//! DELETE of an object and of a collection (W6, W7).

use std::sync::Arc;

use super::finished::finished;
use super::negotiation::{self, MediaType};
use super::options::{check_collection, delete_options};
use super::request::ResourceRequest;
use super::{Response, decode, response, write};
use crate::admission::Namespaces;
use crate::api::RequestInfo;
use crate::api::document::Twice;
use crate::api::protobuf;
use crate::api::status::{self, Result, Status};
use crate::authorization::{Authorizer, Decision};
use crate::registry::store::{DeleteOptions, Deleted};

/// The right to remove what cannot be read, besides that to delete.
const UNSAFE_DELETE: &str = "unsafe-delete-ignore-read-errors";

pub async fn delete(
    request: &mut ResourceRequest,
    authorizer: &dyn Authorizer,
) -> Result<Response> {
    let accepted = negotiation::accept(request)?;
    let options = read_options(request).await?;
    if options.ignore_store_read_error {
        check_unsafe_delete(request, authorizer).await?;
    }
    let name = request.info.name.clone();
    let (store, context, info) = (
        Arc::clone(&request.store),
        request.context.clone(),
        Arc::clone(&request.info),
    );
    let work = async move {
        store
            .delete(&context, &info.namespace, &info.name, &options)
            .await
    };
    let deleted = finished(&request.info.path, "delete", work).await??;
    match deleted {
        Deleted::Marked(written) => write::answer(request, &accepted, 200, written).await,
        Deleted::Gone(last) => {
            let uid = crate::api::Object::from_slice(&last.bytes())
                .map(|it| it.uid().to_owned())
                .unwrap_or_default();
            let status = Status::deleted(&request.store.definition().group_resource(), &name, &uid);
            Ok(response::status(
                &request.headers,
                request.query("pretty"),
                &status,
            ))
        }
    }
}

async fn check_unsafe_delete(request: &ResourceRequest, authorizer: &dyn Authorizer) -> Result<()> {
    let info = RequestInfo {
        verb: UNSAFE_DELETE.into(),
        ..RequestInfo::clone(&request.info)
    };
    let why = match authorizer.authorize(&request.context.user, &info).await {
        Ok(Decision::Allow) => return Ok(()),
        Ok(Decision::Deny { reason }) => {
            format!("not permitted to do \"{UNSAFE_DELETE}\", reason: {reason}")
        }
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(
                path = info.path,
                error,
                "the request could not be authorized"
            );
            format!("error while checking permission for \"{UNSAFE_DELETE}\", {error}")
        }
    };
    let resource = request.store.definition().group_resource();
    Err(status::forbidden(&resource, &info.name, &why))
}

/// Deletes what the selectors of the query select, one by one: not all or nothing.
pub async fn delete_collection(
    request: &mut ResourceRequest,
    namespaces: &dyn Namespaces,
) -> Result<Response> {
    let accepted = negotiation::accept(request)?;
    let options = read_options(request).await?;
    check_collection(&options)?;
    let listed = crate::endpoints::list::selected(request, namespaces).await?;
    let (store, context) = (Arc::clone(&request.store), request.context.clone());
    let items = listed.items();
    let work = async move {
        for item in &items {
            match store
                .delete(&context, item.namespace(), item.name(), &options)
                .await
            {
                Err(status) if status.code != 404 => return Err(status),
                _ => {}
            }
        }
        Ok(())
    };
    finished(&request.info.path, "delete", work).await??;
    match response::list(request, &accepted, listed).await {
        // They are gone or marked all the same: an error would make the namespace controller try for ever.
        Err(error) if error.code != 406 => {
            let what = "the objects were deleted";
            Ok(response::done_but_not_shown(request, 200, what, &error))
        }
        answer => answer,
    }
}

/// DeleteOptions of the body, in JSON, YAML or protobuf; without a body those of the query.
async fn read_options(request: &mut ResourceRequest) -> Result<DeleteOptions> {
    let media = negotiation::content_type(&request.headers)?;
    let (bytes, parsed) = decode::document(request, Twice::Merges).await?;
    if bytes.is_empty() {
        return delete_options(request, None);
    }
    if media == MediaType::Protobuf {
        let Some((api_version, kind, options)) = protobuf::DeleteOptions::from_envelope(&bytes)
        else {
            return Err(status::bad_request(
                "the body is no DeleteOptions in protobuf",
            ));
        };
        return delete_options(request, Some(as_json(&api_version, &kind, options)));
    }
    let document = parsed.map_err(|error| {
        status::bad_request(format!(
            "couldn't get version/kind; json parse error: {error}"
        ))
    })?;
    delete_options(request, Some(document.value))
}

fn as_json(api_version: &str, kind: &str, options: protobuf::DeleteOptions) -> serde_json::Value {
    let preconditions = options
        .preconditions
        .map(|it| serde_json::json!({"uid": it.uid, "resourceVersion": it.resource_version}));
    serde_json::json!({
        "apiVersion": api_version,
        "kind": kind,
        "gracePeriodSeconds": options.grace_period_seconds,
        "preconditions": preconditions,
        "orphanDependents": options.orphan_dependents,
        "propagationPolicy": options.propagation_policy.filter(|it| !it.is_empty()),
        "dryRun": options.dry_run,
        "ignoreStoreReadErrorWithClusterBreakingPotential": options.ignore_store_read_error,
    })
}
