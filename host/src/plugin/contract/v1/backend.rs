//! A plugin that keeps objects itself, as a [`Backend`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::exported::backend::GuestIndices;
use super::failure::{Subject, failed};
use super::imported::types::Target as GuestTarget;
use super::output;
use super::strategy::{answer, checked, json};
use crate::api::status::{self, Result};
use crate::api::{GroupResource, Object, RequestContext};
use crate::plugin::instance::{CallError, Class, Instance, PluginRuntime};
use crate::registry::ResourceDefinition;
use crate::storage::mirror::{Backend, BackendChanges, BackendPage, BackendTarget};

pub(crate) struct PluginBackend {
    runtime: Arc<PluginRuntime>,
    resource: GroupResource,
    kind: String,
    /// The storage version.
    version: String,
    api_version: String,
}

const ANY: BackendTarget<'_> = BackendTarget {
    namespace: None,
    name: None,
};

impl PluginBackend {
    pub(crate) fn new(runtime: &Arc<PluginRuntime>, definition: &ResourceDefinition) -> Self {
        let version = definition.storage_version().name.clone();
        Self {
            runtime: Arc::clone(runtime),
            resource: definition.group_resource(),
            kind: definition.names.kind.clone(),
            api_version: definition.group_version(&version).to_string(),
            version,
        }
    }

    fn subject(&self, name: Option<&str>) -> Subject {
        Subject {
            resource: self.resource.clone(),
            kind: self.kind.clone(),
            name: name.unwrap_or_default().to_owned(),
        }
    }

    fn target(&self, context: &RequestContext, of: BackendTarget<'_>, verb: &str) -> GuestTarget {
        let operation = if verb == "create" { "create" } else { "update" };
        GuestTarget {
            group: self.resource.group.clone(),
            version: self.version.clone(),
            resource: self.resource.resource.clone(),
            subresource: None,
            namespace: of.namespace.map(str::to_owned),
            name: of.name.map(str::to_owned),
            verb: verb.to_owned(),
            operation: operation.to_owned(),
            dry_run: context.dry_run,
        }
    }

    fn indices(&self) -> Result<&GuestIndices> {
        let indices = self.runtime.hooks.backend.as_ref();
        indices.ok_or_else(|| status::internal("the plugin exports no backend"))
    }

    async fn instance(&self, context: &RequestContext, class: Class) -> Result<Instance> {
        let instance = self.runtime.instance(context, class).await;
        instance.map_err(|error| failed(self.runtime.name(), &error))
    }

    /// An answered object is of this resource, and the one that was asked for.
    fn object(&self, json: &str, asked: BackendTarget<'_>) -> Result<Object> {
        let check = || {
            let object = output::object(json)?;
            output::same("apiVersion", object.api_version(), &self.api_version)?;
            output::same("kind", object.kind(), &self.kind)?;
            match asked.name {
                Some(name) => output::same("metadata.name", object.name(), name)?,
                None if object.name().is_empty() => {
                    let rule = "an object of a backend has `metadata.name`";
                    return Err(CallError::BrokenContract(rule.into()));
                }
                None => {}
            }
            if let Some(namespace) = asked.namespace {
                output::same("metadata.namespace", object.namespace(), namespace)?;
            }
            Ok(object)
        };
        checked(&self.runtime, check())
    }
}

/// Runs one function of a backend in an instance of its own.
macro_rules! ask {
    ($self:ident, $context:ident, $of:expr, |$guest:ident, $store:ident| $call:expr) => {{
        let indices = $self.indices()?;
        let mut instance = $self.instance($context, Class::Backend).await?;
        let limits = $self.runtime.limits(Class::Backend);
        let deadline = $context.deadline;
        let result = call!(
            &mut instance,
            indices,
            limits,
            deadline,
            |$guest, $store| { $call }
        );
        answer(&$self.runtime, || $self.subject($of.name), result)
    }};
}

#[async_trait]
impl Backend for PluginBackend {
    async fn get(&self, context: &RequestContext, target: BackendTarget<'_>) -> Result<Object> {
        let asked = self.target(context, target, "get");
        let found = ask!(self, context, target, |guest, store| guest
            .call_get(store, &asked))?;
        self.object(&found, target)
    }

    async fn list(
        &self,
        context: &RequestContext,
        namespace: Option<&str>,
        limit: u32,
        next: Option<String>,
    ) -> Result<BackendPage> {
        let target = BackendTarget {
            namespace,
            name: None,
        };
        let (asked, next) = (self.target(context, target, "list"), next.as_deref());
        let page = ask!(self, context, target, |guest, store| guest
            .call_list(store, &asked, "", "", limit, next))?;
        let items = page.items.iter().map(|item| self.object(item, target));
        Ok(BackendPage {
            items: items.collect::<Result<_>>()?,
            next: page.next,
        })
    }

    async fn create(
        &self,
        context: &RequestContext,
        target: BackendTarget<'_>,
        object: &Object,
    ) -> Result<Object> {
        let (asked, new) = (self.target(context, target, "create"), json(object));
        let created = ask!(self, context, target, |guest, store| guest
            .call_create(store, &asked, &new))?;
        self.object(&created, target)
    }

    async fn update(
        &self,
        context: &RequestContext,
        target: BackendTarget<'_>,
        object: &Object,
        expect_version: Option<&str>,
    ) -> Result<Object> {
        let (asked, new) = (self.target(context, target, "update"), json(object));
        let updated = ask!(self, context, target, |guest, store| guest.call_update(
            store,
            &asked,
            &new,
            expect_version
        ))?;
        self.object(&updated, target)
    }

    async fn delete(
        &self,
        context: &RequestContext,
        target: BackendTarget<'_>,
        expect_version: Option<&str>,
    ) -> Result<()> {
        let asked = self.target(context, target, "delete");
        ask!(self, context, target, |guest, store| guest.call_delete(
            store,
            &asked,
            expect_version
        ))?;
        Ok(())
    }

    async fn poll(
        &self,
        context: &RequestContext,
        cursor: Option<String>,
        max_wait_ms: u32,
        limit: u32,
    ) -> Result<BackendChanges> {
        let Some(changes) = &self.runtime.hooks.changes else {
            return Err(status::internal("the plugin exports no changes"));
        };
        let (asked, cursor) = (self.target(context, ANY, "watch"), cursor.as_deref());
        let mut instance = self.instance(context, Class::Poll).await?;
        let mut limits = self.runtime.limits(Class::Poll);
        limits.wall += Duration::from_millis(u64::from(max_wait_ms));
        let result = call!(
            &mut instance,
            changes,
            limits,
            context.deadline,
            |guest, store| guest.call_poll(store, &asked, cursor, max_wait_ms, limit)
        );
        let batch = answer(&self.runtime, || self.subject(None), result)?;
        let (mut changed, mut deleted) = (Vec::new(), Vec::new());
        for change in batch.changes {
            match change.kind.as_str() {
                "changed" => changed.push(self.object(&change.object, ANY)?),
                "deleted" => {
                    deleted.push(checked(&self.runtime, output::object(&change.object))?);
                }
                kind => {
                    let rule = format!("a change is \"changed\" or \"deleted\", not {kind:?}");
                    return checked(&self.runtime, Err(CallError::BrokenContract(rule)));
                }
            }
        }
        Ok(BackendChanges {
            changed,
            deleted,
            cursor: batch.cursor,
            resync: batch.resync,
        })
    }
}
