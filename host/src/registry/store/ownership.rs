//! Who owns what, kept up to date by writes: the store's side of [`crate::registry::apply`].
//!
//! Ownership is computed in the request's version, on what the client's object is once it has been through the
//! storage version: a field that a conversion drops is nobody's. Versions that other managers wrote in are
//! converted to when they turn out to be needed.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{Store, WriteTarget};
use crate::api::status::Result;
use crate::api::{Object, RequestContext};
use crate::registry::apply::{Configuration, Versions, Writer};
use crate::registry::definition::VersionDefinition;

impl Store {
    /// The version of a request.
    pub(super) fn requested(&self, version: &str) -> &VersionDefinition {
        let found = self.definition.version(version);
        found.unwrap_or_else(|| self.definition.storage_version())
    }

    /// An object as clients see it in `version`.
    pub(crate) async fn shown(
        &self,
        context: &RequestContext,
        object: Object,
        version: &str,
    ) -> Result<Object> {
        let mut shown = self.convert(context, object, version).await?;
        self.complete(&mut shown, version);
        Ok(shown)
    }

    /// What is there before an object is created.
    pub(super) fn empty(&self, version: &str) -> Object {
        let mut empty = Object(Map::new());
        let api_version = self.definition.group_version(version).to_string();
        empty.set_type(&api_version, &self.definition.names.kind);
        empty.set("metadata", Some(Value::Object(Map::new())));
        self.complete(&mut empty, version);
        empty
    }

    /// Notes in `new`, which is in the storage version or a scale, what this write has changed of `live`, which is
    /// in the request's version. Where that cannot be told, ownership stays as it was: the write is more than that.
    pub(super) async fn own(
        &self,
        context: &RequestContext,
        target: &WriteTarget<'_>,
        live: &Object,
        new: &mut Object,
    ) {
        let managed_fields = match self.owned(context, target, live, new).await {
            Ok(managed_fields) => managed_fields,
            Err(why) => {
                tracing::warn!(
                    resource = %self.definition.group_resource(),
                    namespace = target.namespace,
                    name = target.name,
                    why,
                    "kept managedFields as they were: the change cannot be attributed"
                );
                live.metadata().get("managedFields").cloned()
            }
        };
        new.set_in_metadata("managedFields", managed_fields);
    }

    async fn owned(
        &self,
        context: &RequestContext,
        target: &WriteTarget<'_>,
        live: &Object,
        new: &Object,
    ) -> Result<Option<Value>, String> {
        let viewed;
        let new = if new.api_version() == live.api_version() {
            new
        } else {
            let shown = self.shown(context, new.clone(), target.version).await;
            viewed = shown.map_err(|it| it.message)?;
            &viewed
        };
        let versions = Converting {
            store: self,
            context,
        };
        self.field_manager()
            .update(&self.writer(target), live, new, &versions)
            .await
    }

    /// As [`Store::own`], for a write that changes nothing but metadata: metadata is the same in all versions, so
    /// nothing needs to be converted.
    pub(super) async fn own_metadata(
        &self,
        target: &WriteTarget<'_>,
        live: &Object,
        new: &mut Object,
    ) {
        let api_version = self.definition.group_version(target.version).to_string();
        let metadata_of = |object: &Object| {
            let mut metadata = Object(Map::new());
            metadata.set_type(&api_version, &self.definition.names.kind);
            metadata.set("metadata", object.0.get("metadata").cloned());
            metadata
        };
        let owned = self
            .field_manager()
            .update(
                &self.writer(target),
                &metadata_of(live),
                &metadata_of(new),
                &Relabelling { store: self },
            )
            .await;
        let managed_fields = owned.unwrap_or_else(|why| {
            tracing::debug!(name = target.name, why, "kept managedFields as they were");
            live.metadata().get("managedFields").cloned()
        });
        new.set_in_metadata("managedFields", managed_fields);
    }

    /// `live` with what `configuration` says; both in the request's version.
    pub(super) async fn applied(
        &self,
        context: &RequestContext,
        target: &WriteTarget<'_>,
        configuration: &Configuration,
        force: bool,
        live: &Object,
    ) -> Result<Object> {
        let versions = Converting {
            store: self,
            context,
        };
        self.field_manager()
            .apply(&self.writer(target), live, configuration, force, &versions)
            .await
    }

    fn writer<'a>(&self, target: &WriteTarget<'a>) -> Writer<'a> {
        Writer {
            manager: target.manager,
            version: target.version,
            subresource: target.subresource,
            now: self.clock.now(),
        }
    }
}

/// The resource's own conversions.
struct Converting<'a> {
    store: &'a Store,
    context: &'a RequestContext,
}

#[async_trait]
impl Versions for Converting<'_> {
    async fn convert(&self, object: Object, version: &str) -> Result<Object> {
        self.store.shown(self.context, object, version).await
    }
}

/// For objects of which there is only the metadata.
struct Relabelling<'a> {
    store: &'a Store,
}

#[async_trait]
impl Versions for Relabelling<'_> {
    async fn convert(&self, mut object: Object, version: &str) -> Result<Object> {
        let definition = &self.store.definition;
        let api_version = definition.group_version(version).to_string();
        object.set_type(&api_version, &definition.names.kind);
        Ok(object)
    }
}
