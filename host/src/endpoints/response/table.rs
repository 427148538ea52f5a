//! Objects as rows of a table, which is what `kubectl get` shows (metav1.Table).

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::partial_json;
use crate::api::status::{self, Result};
use crate::api::{Object, RequestContext};
use crate::endpoints::negotiation::{self, IncludeObject, MetaVersion};
use crate::endpoints::request::ResourceRequest;
use crate::registry::Store;
use crate::registry::definition::{ColumnDefinition, ObjectModel};
use crate::registry::store::read::ObjectAt;
use crate::registry::strategy::{Operation, Target};
use crate::storage::Revision;

/// Objects of one call to a plugin that computes cells.
const CELLS_BATCH: usize = 256;

/// Makes tables of one resource's objects, as one request wants them.
pub(in crate::endpoints) struct Tables {
    store: Arc<Store>,
    target: Target,
    meta_version: MetaVersion,
    include: IncludeObject,
}

impl Tables {
    /// # Errors
    /// 400 for an `includeObject` that there is not.
    pub(in crate::endpoints) fn new(
        request: &ResourceRequest,
        meta_version: MetaVersion,
    ) -> Result<Self> {
        let info = &request.info;
        let some = |text: &str| Some(text.to_owned()).filter(|it| !it.is_empty());
        Ok(Self {
            store: Arc::clone(&request.store),
            target: Target {
                group: info.group.clone(),
                version: info.version.clone(),
                resource: info.resource.clone(),
                subresource: some(&info.subresource),
                namespace: some(&info.namespace),
                name: some(&info.name),
                verb: info.verb.clone(),
                operation: Operation::Update,
            },
            meta_version,
            include: negotiation::include_object(request.query("includeObject"))?,
        })
    }

    /// A table of one object.
    ///
    /// # Errors
    /// That of a conversion, or of the plugin that computes the cells.
    pub(in crate::endpoints) async fn one(
        &self,
        context: &RequestContext,
        object: &ObjectAt,
        shows_columns: bool,
    ) -> Result<Bytes> {
        let rows = self.rows(context, std::slice::from_ref(object)).await?;
        let metadata = json!({"resourceVersion": object.revision.to_string()});
        let mut table = self.head(&metadata, shows_columns).into_bytes();
        for row in rows {
            table.extend_from_slice(&row);
        }
        table.extend_from_slice(b"]}");
        Ok(table.into())
    }

    /// A table of an object that is in no cache, in the storage version.
    ///
    /// # Errors
    /// As [`Tables::one`].
    pub(super) async fn value(
        &self,
        context: &RequestContext,
        object: Object,
        metadata: &[u8],
    ) -> Result<Bytes> {
        let revision = object.resource_version().to_owned();
        let mut shown = self
            .store
            .convert(context, object, &self.target.version)
            .await?;
        self.store.complete(&mut shown, &self.target.version);
        let full: Bytes = shown.to_vec().into();
        let cells = self.cells(context, vec![full.clone()], &[shown]).await?;
        let mut table = self
            .head(&json!({"resourceVersion": revision}), true)
            .into_bytes();
        for cells in cells {
            table.extend_from_slice(&self.row(&cells, &full, metadata));
        }
        table.extend_from_slice(b"]}");
        Ok(table.into())
    }

    /// A table of a list.
    ///
    /// # Errors
    /// As [`Tables::one`].
    pub(super) async fn many(
        &self,
        context: &RequestContext,
        objects: &[ObjectAt],
        metadata: Map<String, Value>,
    ) -> Result<Vec<Bytes>> {
        let head = self.head(&Value::Object(metadata), true);
        // A nil slice of Go: typed servers say null where there are no rows.
        if objects.is_empty() && self.store.definition().object_model == ObjectModel::Typed {
            let head = head.strip_suffix('[').unwrap_or(&head);
            return Ok(vec![format!("{head}null}}").into()]);
        }
        let mut pieces = vec![Bytes::from(head)];
        for (at, row) in self.rows(context, objects).await?.into_iter().enumerate() {
            if at > 0 {
                pieces.push(Bytes::from_static(b","));
            }
            pieces.push(row);
        }
        pieces.push(Bytes::from_static(b"]}"));
        Ok(pieces)
    }

    /// The table of a bookmark: what it says is in its row's metadata.
    pub(in crate::endpoints) fn bookmark(
        &self,
        object: &str,
        metadata: &str,
        revision: Revision,
        shows_columns: bool,
        is_initial_end: bool,
    ) -> Bytes {
        let cells: Vec<Value> = match self.columns().len() {
            0 => vec![],
            columns => std::iter::once(Value::from(""))
                .chain((1..columns).map(|_| Value::Null))
                .collect(),
        };
        let object = match self.include {
            IncludeObject::Object => object.to_owned(),
            // The end of the state is an annotation, which must be shown.
            IncludeObject::None if !is_initial_end => "null".to_owned(),
            _ => String::from_utf8_lossy(&partial_json(self.meta_version, metadata.as_bytes()))
                .into_owned(),
        };
        let head = self.head(
            &json!({"resourceVersion": revision.to_string()}),
            shows_columns,
        );
        format!(
            "{head}{{\"cells\":{},\"object\":{object}}}]}}",
            Value::Array(cells)
        )
        .into()
    }

    /// Up to the first row.
    fn head(&self, metadata: &Value, shows_columns: bool) -> String {
        let columns = if shows_columns {
            serde_json::to_string(&self.columns()).expect("texts and numbers")
        } else {
            "null".to_owned()
        };
        format!(
            "{{\"kind\":\"Table\",\"apiVersion\":\"{}\",\"metadata\":{metadata},\"columnDefinitions\":{columns},\"rows\":[",
            self.meta_version.api_version()
        )
    }

    async fn rows(&self, context: &RequestContext, objects: &[ObjectAt]) -> Result<Vec<Bytes>> {
        let full = self
            .store
            .in_version(context, &self.target.version, objects)
            .await?;
        let mut parsed = Vec::with_capacity(full.len());
        for json in &full {
            parsed.push(Object::from_slice(json).ok_or_else(|| {
                tracing::error!("an object in a cache is no JSON object");
                status::internal("the object cannot be read")
            })?);
        }
        let cells = self.cells(context, full.clone(), &parsed).await?;
        let rows = cells.iter().zip(&full).zip(objects);
        Ok(rows
            .map(|((cells, full), at)| self.row(cells, full, &at.metadata()))
            .collect())
    }

    fn row(&self, cells: &Value, full: &[u8], metadata: &[u8]) -> Bytes {
        let mut row = format!("{{\"cells\":{cells},\"object\":").into_bytes();
        match self.include {
            IncludeObject::None => row.extend_from_slice(b"null"),
            IncludeObject::Metadata => {
                row.extend_from_slice(&partial_json(self.meta_version, metadata))
            }
            IncludeObject::Object => row.extend_from_slice(full),
        }
        row.push(b'}');
        row.into()
    }

    fn columns(&self) -> Vec<ColumnDefinition> {
        let definition = self.store.definition();
        definition
            .version(&self.target.version)
            .map(|version| version.columns.clone())
            .unwrap_or_default()
    }

    /// A row's cells for each object: the plugin's where it computes them, else by the columns' paths.
    async fn cells(
        &self,
        context: &RequestContext,
        json: Vec<Bytes>,
        objects: &[Object],
    ) -> Result<Vec<Value>> {
        let definition = self.store.definition();
        let Some(version) = definition.version(&self.target.version) else {
            return Err(status::resource_not_found());
        };
        if !version.exports_columns {
            let cells = vec![Value::Null; version.columns.len()];
            return Ok(vec![Value::Array(cells); objects.len()]);
        }
        let mut out = Vec::with_capacity(json.len());
        for batch in json.chunks(CELLS_BATCH) {
            let cells = self
                .store
                .strategy()
                .cells(context, &self.target, batch.to_vec())
                .await?;
            if cells.len() != batch.len() || !cells.iter().all(Value::is_array) {
                tracing::error!(resource = %definition.group_resource(), "a plugin's cells are not one list for each object");
                return Err(status::internal(
                    "the columns of the resource could not be computed",
                ));
            }
            out.extend(cells);
        }
        Ok(out)
    }
}
