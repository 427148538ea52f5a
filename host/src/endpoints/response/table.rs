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
use crate::registry::scale::{self, SCALE};
use crate::registry::store::read::ObjectAt;
use crate::registry::strategy::{Operation, Target};
use crate::registry::table::Columns;
use crate::storage::Revision;

/// Objects of one call to a plugin that computes cells.
const CELLS_BATCH: usize = 256;

/// Makes tables of one resource's objects, as one request wants them.
pub(in crate::endpoints) struct Tables {
    store: Arc<Store>,
    target: Target,
    columns: Columns,
    /// Whether the plugin computes the cells.
    is_computed: bool,
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
        let is_scale = info.subresource == SCALE;
        let columns = match is_scale {
            true => columns(&request.store, &scale::columns())?,
            false => columns(&request.store, &request.version().columns)?,
        };
        Ok(Self {
            store: Arc::clone(&request.store),
            columns,
            is_computed: request.version().exports_columns && !is_scale,
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
        let shown = self
            .store
            .shown(context, object, &self.target.version)
            .await?;
        Ok(self.made(context, shown, metadata).await)
    }

    /// A table of an object as it is shown.
    pub(super) async fn made(
        &self,
        context: &RequestContext,
        shown: Object,
        metadata: &[u8],
    ) -> Bytes {
        let revision = shown.resource_version().to_owned();
        let full: Bytes = shown.to_vec().into();
        let cells = self
            .cells(context, std::slice::from_ref(&full), &[shown])
            .await;
        let mut table = self
            .head(&json!({"resourceVersion": revision}), true)
            .into_bytes();
        for cells in cells {
            table.extend_from_slice(&self.row(&cells, &full, metadata));
        }
        table.extend_from_slice(b"]}");
        table.into()
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
        // The name, which is empty, and nothing else.
        let width = self.columns.header().len() - 1;
        let cells: Vec<Value> = std::iter::once("".into())
            .chain(std::iter::repeat_n(Value::Null, width))
            .collect();
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
            serde_json::to_string(self.columns.header()).expect("texts and numbers")
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
        let cells = self.cells(context, &full, &parsed).await;
        let rows = cells.iter().zip(&full).zip(objects);
        Ok(rows
            .map(|((cells, full), at)| self.row(cells, full, &at.metadata()))
            .collect())
    }

    fn row(&self, cells: &[Value], full: &[u8], metadata: &[u8]) -> Bytes {
        let mut row = b"{\"cells\":".to_vec();
        serde_json::to_writer(&mut row, cells).expect("a JSON tree has only string keys");
        row.extend_from_slice(b",\"object\":");
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

    /// A row's cells for each object: the plugin's where it computes them, else by the columns' paths. A plugin
    /// that fails must not hide its objects, so then the paths are used, too.
    async fn cells(
        &self,
        context: &RequestContext,
        json: &[Bytes],
        objects: &[Object],
    ) -> Vec<Vec<Value>> {
        let now = self.store.clock().now();
        let by_path = objects.iter().map(|it| self.columns.cells(&it.0, now));
        if !self.is_computed {
            return by_path.collect();
        }
        let mut rows = Vec::with_capacity(json.len());
        for (batch, objects) in json.chunks(CELLS_BATCH).zip(objects.chunks(CELLS_BATCH)) {
            match self.computed(context, batch).await {
                Some(cells) => rows.extend(objects.iter().zip(cells).map(|(object, cells)| {
                    std::iter::once(object.name().into()).chain(cells).collect()
                })),
                None => return by_path.collect(),
            }
        }
        rows
    }

    /// The plugin's cells, without the name; `None` where they cannot be used.
    async fn computed(&self, context: &RequestContext, batch: &[Bytes]) -> Option<Vec<Vec<Value>>> {
        let resource = self.store.definition().group_resource();
        let strategy = self.store.strategy();
        let cells = match strategy.cells(context, &self.target, batch.to_vec()).await {
            Ok(cells) => cells,
            Err(error) => {
                tracing::warn!(%resource, error = error.message, "the plugin did not compute the columns; their paths are used");
                return None;
            }
        };
        let width = self.columns.header().len() - 1;
        let is_row = |it: &Value| it.as_array().is_some_and(|it| it.len() == width);
        if cells.len() != batch.len() || !cells.iter().all(is_row) {
            tracing::warn!(%resource, "the plugin's cells are not as many as rows and columns; the columns' paths are used");
            return None;
        }
        let cells = cells.into_iter().map(|it| match it {
            Value::Array(cells) => cells,
            other => vec![other],
        });
        Some(cells.collect())
    }
}

/// Columns as they are declared.
///
/// # Errors
/// 500: they are checked at load.
fn columns(store: &Store, declared: &[ColumnDefinition]) -> Result<Columns> {
    let mut declared = declared.to_vec();
    for column in declared.iter_mut().filter(|it| it.json_path.is_empty()) {
        // Only the plugin can say: there is nothing to show where it does not.
        column.json_path = ".metadata.none".into();
        if column.description.is_empty() {
            column.description.clone_from(&column.name);
        }
    }
    Columns::new(store.definition().object_model, &declared).map_err(|error| {
        tracing::error!(resource = %store.definition().group_resource(), error, "columns cannot be used");
        status::internal("the resource's columns cannot be used")
    })
}
