//! What creates, updates and patches do the same way.

use std::pin::Pin;
use std::sync::Arc;

use tokio::time::Instant;

use super::negotiation::Accepted;
use super::options::WriteOptions;
use super::request::ResourceRequest;
use super::{Response, WRITE_TIMEOUT, response};
use crate::admission::Namespaces;
use crate::api::RequestInfo;
use crate::api::status::{self, Result};
use crate::api::{Object, RequestContext};
use crate::authorization::{Authorizer, Decision, forbidden};
use crate::registry::Store;
use crate::registry::store::{WriteTarget, Written};

type Writing<'a> = Pin<Box<dyn Future<Output = Result<Written>> + Send + 'a>>;

pub(super) fn target(info: &RequestInfo) -> WriteTarget<'_> {
    WriteTarget {
        version: &info.version,
        namespace: &info.namespace,
        name: &info.name,
        subresource: &info.subresource,
        verb: &info.verb,
    }
}

/// Runs a write in a task of its own, within the time that writes have: it goes on when its client hangs up, so
/// that nobody is left with half of it.
pub(super) async fn detached<F>(
    request: &mut ResourceRequest,
    options: &WriteOptions,
    write: F,
) -> Result<Written>
where
    F: for<'a> FnOnce(
            &'a Arc<Store>,
            &'a RequestContext,
            &'a RequestInfo,
            &'a mut Vec<String>,
        ) -> Writing<'a>
        + Send
        + 'static,
{
    request.context.dry_run = options.dry_run;
    request.context.deadline = request.context.deadline.min(Instant::now() + WRITE_TIMEOUT);
    let (store, context, info) = (
        Arc::clone(&request.store),
        request.context.clone(),
        request.info.clone(),
    );
    let task = tokio::spawn(async move {
        let mut warnings = Vec::new();
        let written = tokio::time::timeout_at(
            context.deadline,
            write(&store, &context, &info, &mut warnings),
        )
        .await;
        (written, warnings)
    });
    match task.await {
        Ok((Ok(written), warnings)) => {
            request.warnings.extend(warnings);
            written
        }
        Ok((Err(_), _)) => Err(status::timeout(
            "request did not complete within the allotted timeout",
            0,
        )),
        Err(error) => {
            tracing::error!(path = request.info.path, %error, "a write panicked: this is a bug");
            Err(status::internal("the write failed"))
        }
    }
}

pub(super) async fn answer(
    request: &ResourceRequest,
    accepted: &Accepted,
    code: u16,
    written: Written,
) -> Result<Response> {
    match written {
        Written::Stored(object) => response::object(request, accepted, code, &object).await,
        Written::Unstored(object) => response::value(request, accepted, code, object).await,
    }
}

/// No object is created in a namespace that does not exist or is being deleted.
pub(super) async fn check_namespace(
    request: &ResourceRequest,
    namespaces: &dyn Namespaces,
    object: &Object,
) -> Result<()> {
    let definition = request.store.definition();
    if !definition.is_namespaced() {
        return Ok(());
    }
    let name = if object.name().is_empty() {
        object.meta("generateName")
    } else {
        object.name()
    };
    namespaces
        .check_create(&request.info.namespace, &definition.group_resource(), name)
        .await
}

/// An update that turns out to create needs the right to create, too (Z7).
pub(super) async fn authorize_create(
    request: &ResourceRequest,
    authorizer: &dyn Authorizer,
) -> Result<()> {
    let info = RequestInfo {
        verb: "create".into(),
        ..request.info.clone()
    };
    let user = &request.context.user;
    match authorizer.authorize(user, &info).await {
        Ok(Decision::Allow) => Ok(()),
        Ok(Decision::Deny { reason }) => Err(forbidden(user, &info, &reason)),
        Err(error) => {
            tracing::error!(
                path = info.path,
                error = format!("{error:#}"),
                "the request could not be authorized"
            );
            Err(status::internal("the request could not be authorized"))
        }
    }
}
