//! Objects as rows of a table, which is what `kubectl get` shows (metav1.Table).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{BufMut, Bytes};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::body::Frames;
use super::listing::{Around, Item, Listing, Measure};
use super::{finish, partial_head, partial_json};
use crate::api::status::{self, Result};
use crate::api::{Object, RequestContext};
use crate::endpoints::negotiation::{self, Accepted, IncludeObject, MetaVersion};
use crate::endpoints::request::ResourceRequest;
use crate::registry::Store;
use crate::registry::definition::{ColumnDefinition, ObjectModel};
use crate::registry::scale::{self, SCALE};
use crate::registry::store::read::{ObjectAt, Objects, Shown};
use crate::registry::strategy::{Operation, Target};
use crate::registry::table::{Cell, Columns, Row};
use crate::serving::Body;
use crate::storage::watch_cache::CachedObject;
use crate::storage::{Key, Revision};

/// Objects of one call to a plugin that computes cells.
const CELLS_BATCH: usize = 256;
/// Between the cells of a row and its object.
const OBJECT: &str = ",\"object\":";

/// Makes tables of one resource's objects, as one request wants them.
pub(in crate::endpoints) struct Tables {
    store: Arc<Store>,
    target: Target,
    shown: Shown,
    columns: Columns,
    /// Whether the plugin computes the cells.
    is_computed: bool,
    /// Whether the rows are of scales: the columns of the objects are others.
    is_scale: bool,
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
            shown: request.store.shown_in(&info.version),
            columns,
            is_scale,
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

    /// What the tables of one version depend on, but for their objects.
    pub(in crate::endpoints) fn form(&self) -> (bool, IncludeObject) {
        (self.is_scale, self.include)
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
        let now = self.store.clock().now();
        for row in rows {
            table.extend_from_slice(b"{\"cells\":");
            row.write(now, &mut table);
            self.write_object(&object.object, object.revision, &mut table);
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
        let (cells, _) = self
            .cells(context, std::slice::from_ref(&full), &[shown])
            .await;
        let mut table = self
            .head(&json!({"resourceVersion": revision}), true)
            .into_bytes();
        let now = self.store.clock().now();
        for cells in cells {
            table.extend_from_slice(b"{\"cells\":");
            Row::new(&cells).write(now, &mut table);
            table.extend_from_slice(OBJECT.as_bytes());
            match self.include {
                IncludeObject::None => table.extend_from_slice(b"null"),
                IncludeObject::Metadata => {
                    table.extend_from_slice(&partial_json(self.meta_version, metadata));
                }
                IncludeObject::Object => table.extend_from_slice(&full),
            }
            table.push(b'}');
        }
        table.extend_from_slice(b"]}");
        table.into()
    }

    /// A table of a list.
    ///
    /// # Errors
    /// As [`Tables::one`].
    pub(super) async fn list(
        self,
        request: &ResourceRequest,
        accepted: &Accepted,
        objects: Objects,
        metadata: Map<String, Value>,
    ) -> Result<http::Response<Body>> {
        let context = &request.context;
        let mut around = Around {
            head: self.head(&Value::Object(metadata), true),
            open: "{\"cells\":",
            close: "",
            tail: "]}".into(),
        };
        let is_typed = self.store.definition().object_model == ObjectModel::Typed;
        let rows = Rows {
            now: self.store.clock().now(),
            tables: self,
            unkept: Mutex::default(),
        };
        let measured = rows.measured(context, &objects).await?;
        // A nil slice of Go: typed servers say null where there are no rows.
        if measured.count == 0 && is_typed {
            around.head.truncate(around.head.len() - "[".len());
            around.tail = "null}".into();
        }
        let listing = Listing::new(objects, rows, around, &measured);
        Ok(finish(request, accepted, 200, listing))
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

    /// The cells of each object: those that are kept with it, or new ones, which are kept then.
    async fn rows(&self, context: &RequestContext, objects: &[ObjectAt]) -> Result<Vec<Row>> {
        let kept = |it: &ObjectAt| {
            let row_of = self.shown.row_of(&it.object, it.revision);
            it.object.views.with(row_of, Row::of)
        };
        let rows: Vec<Option<Row>> = objects.iter().map(kept).collect();
        let missing = objects.iter().zip(&rows).filter(|(_, row)| row.is_none());
        let missing: Vec<ObjectAt> = missing.map(|(it, _)| it.clone()).collect();
        let (made, is_lasting) = self.new_rows(context, &missing).await?;
        if is_lasting {
            for (at, row) in missing.iter().zip(&made) {
                let row_of = self.shown.row_of(&at.object, at.revision);
                at.object.views.put(row_of, row.as_bytes().clone());
            }
        }
        let mut made = made.into_iter();
        let rows = rows.into_iter().filter_map(|it| it.or_else(|| made.next()));
        Ok(rows.collect())
    }

    /// New rows, and whether they are what they will be for as long as their objects do not change.
    async fn new_rows(
        &self,
        context: &RequestContext,
        objects: &[ObjectAt],
    ) -> Result<(Vec<Row>, bool)> {
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
        let (cells, is_lasting) = self.cells(context, &full, &parsed).await;
        Ok((cells.iter().map(|it| Row::new(it)).collect(), is_lasting))
    }

    /// How long [`Tables::write_object`] is; `None` where the object is to be converted first.
    fn object_length(&self, object: &CachedObject) -> Option<usize> {
        let revision = object.revision;
        let shown = match self.include {
            IncludeObject::None => "null".len(),
            IncludeObject::Metadata => {
                let metadata = object.length(&object.metadata(), revision);
                partial_head(self.meta_version).len() + metadata + "}".len()
            }
            IncludeObject::Object => self.shown.length(object, revision)?,
        };
        Some(OBJECT.len() + shown + "}".len())
    }

    /// What stands behind the cells.
    fn write_object(&self, object: &CachedObject, revision: Revision, out: &mut impl BufMut) {
        out.put_slice(OBJECT.as_bytes());
        match self.include {
            IncludeObject::None => out.put_slice(b"null"),
            IncludeObject::Metadata => {
                out.put_slice(partial_head(self.meta_version).as_bytes());
                object.write(object.metadata(), revision, out);
                out.put_slice(b"}");
            }
            IncludeObject::Object => self.shown.write(object, revision, 0, out),
        }
        out.put_slice(b"}");
    }

    /// A row's cells for each object: the plugin's where it computes them, else by the columns' paths. A plugin
    /// that fails must not hide its objects, so then the paths are used, too. Whether they may be kept.
    async fn cells(
        &self,
        context: &RequestContext,
        json: &[Bytes],
        objects: &[Object],
    ) -> (Vec<Vec<Cell>>, bool) {
        let by_path = objects.iter().map(|it| self.columns.cells(&it.0));
        if !self.is_computed {
            return (by_path.collect(), !self.is_scale);
        }
        let mut rows = Vec::with_capacity(json.len());
        for (batch, objects) in json.chunks(CELLS_BATCH).zip(objects.chunks(CELLS_BATCH)) {
            match self.computed(context, batch).await {
                Some(cells) => rows.extend(objects.iter().zip(cells).map(|(object, cells)| {
                    let name = std::iter::once(object.name().into());
                    name.chain(cells).map(Cell::Value).collect()
                })),
                None => return (by_path.collect(), false),
            }
        }
        (rows, true)
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

/// The rows of a list.
struct Rows {
    tables: Tables,
    now: Timestamp,
    /// Rows that are not kept with their objects.
    unkept: Mutex<HashMap<Key, Row>>,
}

impl Rows {
    /// How many rows there are, and their length. Those that are not there yet are made.
    async fn measured(&self, context: &RequestContext, objects: &Objects) -> Result<Measure> {
        let mut measure = Measure::new(objects);
        while let Some(missing) = measure.missing(self) {
            let missing: Vec<ObjectAt> = missing.iter().map(ObjectAt::from).collect();
            let rows = self.tables.rows(context, &missing).await?;
            for (at, row) in missing.iter().zip(rows) {
                if self.kept(&at.object, |_| ()).is_none() {
                    self.unkept().insert(Arc::clone(&at.object.key), row);
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(measure)
    }

    fn unkept(&self) -> MutexGuard<'_, HashMap<Key, Row>> {
        self.unkept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept<T>(&self, object: &CachedObject, read: impl Fn(&Row) -> T) -> Option<T> {
        let row_of = self.tables.shown.row_of(object, object.revision);
        object.views.with(row_of, |it| read(&Row::of(it)))
    }

    fn row<T>(&self, object: &CachedObject, read: impl Fn(&Row) -> T) -> Option<T> {
        let kept = self.kept(object, &read);
        kept.or_else(|| self.unkept().get(&object.key).map(read))
    }
}

impl Item for Rows {
    fn length(&self, object: &CachedObject) -> Option<usize> {
        let cells = self.row(object, |row| row.length(self.now))?;
        Some(cells + self.tables.object_length(object)?)
    }

    fn write(&self, object: &CachedObject, frames: &mut Frames) {
        let Some(row) = self.row(object, Row::clone) else {
            return;
        };
        let shown = self.tables.object_length(object).unwrap_or(0);
        let out = frames.room(row.longest() + shown);
        row.write(self.now, out);
        self.tables.write_object(object, object.revision, out);
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
