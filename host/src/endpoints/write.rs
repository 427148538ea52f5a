//! What creates, updates and patches do the same way.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use super::finished::finished;
use super::negotiation::Accepted;
use super::options::WriteOptions;
use super::request::ResourceRequest;
use super::{Response, WRITE_TIMEOUT, response};
use crate::admission::Namespaces;
use crate::api::status::{self, Result};
use crate::api::{GroupResource, Object, RequestContext, RequestInfo, UserInfo};
use crate::authorization::{Authorizer, Decision, forbidden};
use crate::registry::Store;
use crate::registry::scale::SCALE;
use crate::registry::store::{Change, MayCreate, WriteTarget, Written};

/// One write as its task sees it.
pub(super) struct Call<'a> {
    pub(super) store: &'a Arc<Store>,
    pub(super) context: &'a RequestContext,
    pub(super) target: WriteTarget<'a>,
    pub(super) warnings: &'a mut Vec<String>,
}

type Writing<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Runs a write to its end, within the time that writes have.
pub(super) async fn run<T, F>(
    request: &mut ResourceRequest,
    options: &WriteOptions,
    write: F,
) -> Result<T>
where
    T: Send + 'static,
    F: for<'a> FnOnce(Call<'a>) -> Writing<'a, T> + Send + 'static,
{
    request.context.dry_run = options.dry_run;
    request.context.deadline = request.context.deadline.min(Instant::now() + WRITE_TIMEOUT);
    let (store, context, info) = (
        Arc::clone(&request.store),
        request.context.clone(),
        Arc::clone(&request.info),
    );
    let manager = options.field_manager.clone();
    let work = async move {
        let mut warnings = Vec::new();
        let call = Call {
            store: &store,
            context: &context,
            target: WriteTarget {
                version: &info.version,
                namespace: &info.namespace,
                name: &info.name,
                subresource: &info.subresource,
                verb: &info.verb,
                manager: &manager,
            },
            warnings: &mut warnings,
        };
        let written = tokio::time::timeout_at(context.deadline, write(call)).await;
        (written, warnings)
    };
    match finished(&request.info.path, "write", work).await? {
        (Ok(written), warnings) => {
            request.warnings.extend(warnings);
            written
        }
        (Err(_), _) => Err(status::timeout(
            "request did not complete within the allotted timeout",
            0,
        )),
    }
}

/// Changes what is there, or creates it where the change may.
pub(super) async fn change(
    request: &mut ResourceRequest,
    accepted: &Accepted,
    options: &WriteOptions,
    change: Change,
    gate: CreateGate,
) -> Result<Response> {
    let updated = run(request, options, move |call| {
        Box::pin(async move {
            call.store
                .update(call.context, &call.target, change, &gate, call.warnings)
                .await
        })
    })
    .await?;
    let code = if updated.is_created { 201 } else { 200 };
    answer(request, accepted, code, updated.written).await
}

pub(super) async fn answer(
    request: &ResourceRequest,
    accepted: &Accepted,
    code: u16,
    written: Written,
) -> Result<Response> {
    if request.info.subresource == SCALE {
        return response::scale(request, accepted, code, written).await;
    }
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

/// What an update or an apply needs to create, asked when it turns out that there is nothing to change.
pub(super) struct CreateGate {
    authorizer: Arc<dyn Authorizer>,
    namespaces: Arc<dyn Namespaces>,
    user: Arc<UserInfo>,
    /// Of the create.
    info: RequestInfo,
    resource: GroupResource,
    is_namespaced: bool,
}

impl CreateGate {
    pub(super) fn new(
        request: &ResourceRequest,
        authorizer: &Arc<dyn Authorizer>,
        namespaces: &Arc<dyn Namespaces>,
    ) -> Self {
        let definition = request.store.definition();
        Self {
            authorizer: Arc::clone(authorizer),
            namespaces: Arc::clone(namespaces),
            user: Arc::clone(&request.context.user),
            info: RequestInfo {
                verb: "create".into(),
                ..RequestInfo::clone(&request.info)
            },
            resource: definition.group_resource(),
            is_namespaced: definition.is_namespaced(),
        }
    }
}

#[async_trait]
impl MayCreate for CreateGate {
    /// The right to create (Z7), and a namespace that takes objects (M-2).
    async fn check(&self) -> Result<()> {
        match self.authorizer.authorize(&self.user, &self.info).await {
            Ok(Decision::Allow) => {}
            Ok(Decision::Deny { reason }) => {
                return Err(forbidden(&self.user, &self.info, &reason));
            }
            Err(error) => {
                tracing::error!(
                    path = self.info.path,
                    error = format!("{error:#}"),
                    "the request could not be authorized"
                );
                return Err(status::internal("the request could not be authorized"));
            }
        }
        if !self.is_namespaced {
            return Ok(());
        }
        let (namespace, name) = (&self.info.namespace, &self.info.name);
        self.namespaces
            .check_create(namespace, &self.resource, name)
            .await
    }
}
