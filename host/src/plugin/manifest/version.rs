//! One version of a resource.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fields::{Fields, Result};
use super::{About, Exports, check_label};
use crate::api::go_text;
use crate::registry::definition::{
    ColumnDefinition, ScaleDefinition, SelectableField, VersionDefinition,
};
use crate::registry::schema::Schema;
use crate::registry::table;

const COLUMN_TYPES: [&str; 5] = ["string", "integer", "number", "boolean", "date"];
const COLUMN_FORMATS: [&str; 9] = [
    "",
    "int32",
    "int64",
    "float",
    "double",
    "byte",
    "date",
    "date-time",
    "password",
];
/// Of a deprecation's text.
const WARNING_MAX: usize = 256;
/// The limit of apiextensions.
const SELECTABLE_FIELDS_MAX: usize = 8;

pub(super) fn read(path: &str, value: Value, about: About<'_>) -> Result<VersionDefinition> {
    let mut fields = Fields::new(path, value)?;
    let is_manifest = about.source.is_manifest();
    let exports = about.source.exports();
    let name = fields.required_text("name")?;
    check_label(&name).map_err(|it| fields.error("name", it))?;
    let served = fields.flag("served")?.unwrap_or(is_manifest);
    let storage = fields
        .flag("storage")?
        .unwrap_or(is_manifest && about.is_only_one);
    let deprecation_warning = deprecation(&mut fields, about, &name)?;
    let has_schema = fields.has("schema");
    let schema = schema(&mut fields, is_manifest)?;
    let columns = columns(&mut fields, exports)?;
    let selectable_fields = selectable_fields(&mut fields, has_schema.then_some(&schema))?;
    let (has_status, scale) = subresources(&mut fields)?;
    if has_status {
        schema
            .check_beside_status()
            .map_err(|it| fields.path("schema.openAPIV3Schema") + &it)?;
    }
    let empty_object = if is_manifest {
        fields.value("emptyObject")
    } else {
        None
    };
    if empty_object.as_ref().is_some_and(|it| !it.is_object()) {
        return Err(fields.error("emptyObject", "must be an object"));
    }
    fields.finish()?;
    Ok(VersionDefinition {
        name,
        served,
        storage,
        deprecation_warning,
        schema: Arc::new(schema),
        // A resource with the default columns needs nobody to compute them.
        exports_columns: exports.columns && !columns.is_empty(),
        columns,
        selectable_fields,
        has_status,
        scale,
        empty_object,
    })
}

fn deprecation(fields: &mut Fields, about: About<'_>, version: &str) -> Result<Option<String>> {
    let is_deprecated = fields.flag("deprecated")?.unwrap_or(false);
    let text = fields.text("deprecationWarning")?;
    let Some(text) = text else {
        let (group, kind) = (about.group, &about.names.kind);
        return Ok(is_deprecated.then(|| format!("{group}/{version} {kind} is deprecated")));
    };
    let problem = if !is_deprecated {
        "can only be set with `\"deprecated\": true`"
    } else if text.is_empty() {
        "must not be an empty string"
    } else if text.len() > WARNING_MAX {
        "must be at most 256 bytes long"
    } else if !go_text::is_printable(&text) {
        "must only contain printable characters"
    } else {
        return Ok(Some(text));
    };
    Err(fields.error("deprecationWarning", problem))
}

fn schema(fields: &mut Fields, is_manifest: bool) -> Result<Schema> {
    let document = match fields.object("schema")? {
        None => None,
        Some(mut schema) => {
            let document = schema.value("openAPIV3Schema");
            schema.finish()?;
            document
        }
    };
    let document = match document {
        Some(document) => document,
        None if is_manifest => {
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
        }
        None => return Err(fields.error("schema.openAPIV3Schema", "is missing: add it")),
    };
    Schema::compile(&document).map_err(|it| fields.path("schema.openAPIV3Schema") + &it)
}

fn columns(fields: &mut Fields, exports: Exports) -> Result<Vec<ColumnDefinition>> {
    let columns: Vec<ColumnDefinition> = fields.read("additionalPrinterColumns")?;
    for (index, column) in columns.iter().enumerate() {
        let field = |name: &str| format!("additionalPrinterColumns[{index}].{name}");
        if column.name.is_empty() {
            return Err(fields.error(&field("name"), "is missing: add it"));
        }
        if !COLUMN_TYPES.contains(&column.column_type.as_str()) {
            let words = COLUMN_TYPES.join(", ");
            return Err(fields.error(&field("type"), format!("must be one of {words}")));
        }
        if !COLUMN_FORMATS.contains(&column.format.as_str()) {
            let words = COLUMN_FORMATS[1..].join(", ");
            return Err(fields.error(&field("format"), format!("must be one of {words}")));
        }
        let path = column.json_path.as_str();
        if path.is_empty() {
            if exports.columns {
                continue;
            }
            let problem = "is missing: add it, or export `columns` from a plugin";
            return Err(fields.error(&field("jsonPath"), problem));
        }
        if !path.starts_with('.') {
            let problem = "must be a simple json path starting with .";
            return Err(fields.error(&field("jsonPath"), problem));
        }
        table::check_path(path).map_err(|problem| fields.error(&field("jsonPath"), problem))?;
    }
    Ok(columns)
}

/// `schema` is there where the version says one.
fn selectable_fields(fields: &mut Fields, schema: Option<&Schema>) -> Result<Vec<SelectableField>> {
    let selectable: Vec<SelectableField> = fields.read("selectableFields")?;
    if selectable.is_empty() {
        return Ok(selectable);
    }
    let Some(schema) = schema else {
        let problem = "need a schema that has them: add schema.openAPIV3Schema";
        return Err(fields.error("selectableFields", problem));
    };
    let mut names: Vec<String> = Vec::with_capacity(selectable.len());
    for (index, field) in selectable.iter().enumerate() {
        let at = format!("selectableFields[{index}].jsonPath");
        if field.json_path.is_empty() {
            return Err(fields.error(&at, "is missing: add it"));
        }
        let name = schema
            .check_selectable(&field.json_path)
            .map_err(|problem| fields.error(&at, problem))?;
        if names.contains(&name) {
            return Err(fields.error(&at, "is there twice: remove one"));
        }
        names.push(name);
    }
    if names.len() > SELECTABLE_FIELDS_MAX {
        let problem = format!("must have at most {SELECTABLE_FIELDS_MAX} items");
        return Err(fields.error("selectableFields", problem));
    }
    Ok(selectable)
}

fn subresources(fields: &mut Fields) -> Result<(bool, Option<ScaleDefinition>)> {
    let Some(mut subresources) = fields.object("subresources")? else {
        return Ok((false, None));
    };
    let has_status = match subresources.object("status")? {
        Some(status) => {
            status.finish()?;
            true
        }
        None => false,
    };
    let mut scale: Option<ScaleDefinition> = subresources.read("scale")?;
    if let Some(scale) = &mut scale {
        // Nothing is no path.
        scale.label_selector_path = scale.label_selector_path.take().filter(|it| !it.is_empty());
        let paths = [
            (
                "scale.specReplicasPath",
                &scale.spec_replicas_path,
                ".spec.",
            ),
            (
                "scale.statusReplicasPath",
                &scale.status_replicas_path,
                ".status.",
            ),
        ];
        for (field, path, prefix) in paths {
            if !path.starts_with(prefix) {
                return Err(subresources.error(field, format!("must begin with {prefix}")));
            }
        }
        let selector = scale.label_selector_path.as_deref();
        let is_below = |path: &str| [".spec.", ".status."].iter().any(|it| path.starts_with(it));
        if selector.is_some_and(|path| !is_below(path)) {
            let problem = "must begin with .spec. or .status.";
            return Err(subresources.error("scale.labelSelectorPath", problem));
        }
    }
    subresources.finish()?;
    Ok((has_status, scale))
}
