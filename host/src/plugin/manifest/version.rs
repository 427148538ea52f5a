//! One version of a resource.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fields::{Fields, Result};
use super::{Exports, check_label};
use crate::registry::definition::{
    ColumnDefinition, Names, ScaleDefinition, SelectableField, VersionDefinition,
};
use crate::registry::schema::Schema;

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
/// The limit of apiextensions.
const SELECTABLE_FIELDS_MAX: usize = 8;

pub(super) fn read(
    path: &str,
    value: Value,
    is_only_one: bool,
    group: &str,
    names: &Names,
    exports: Exports,
) -> Result<VersionDefinition> {
    let mut fields = Fields::new(path, value)?;
    let name = fields.required_text("name")?;
    check_label(&name).map_err(|it| fields.error("name", it))?;
    let served = fields.flag("served")?.unwrap_or(true);
    let storage = fields.flag("storage")?.unwrap_or(is_only_one);
    let deprecation_warning = deprecation(&mut fields, group, &name, &names.kind)?;
    let schema = schema(&mut fields)?;
    let columns = columns(&mut fields, exports)?;
    let selectable_fields = selectable_fields(&mut fields)?;
    let (has_status, scale) = subresources(&mut fields)?;
    let empty_object = fields.value("emptyObject");
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

fn deprecation(
    fields: &mut Fields,
    group: &str,
    version: &str,
    kind: &str,
) -> Result<Option<String>> {
    let is_deprecated = fields.flag("deprecated")?.unwrap_or(false);
    let text = fields.text("deprecationWarning")?;
    if !is_deprecated && text.is_some() {
        let problem = "can only be set with `\"deprecated\": true`";
        return Err(fields.error("deprecationWarning", problem));
    }
    let default = || format!("{group}/{version} {kind} is deprecated");
    Ok(is_deprecated.then(|| text.unwrap_or_else(default)))
}

fn schema(fields: &mut Fields) -> Result<Schema> {
    let document = match fields.object("schema")? {
        None => None,
        Some(mut schema) => {
            let document = schema.value("openAPIV3Schema");
            schema.finish()?;
            document
        }
    };
    let document = document
        .unwrap_or_else(|| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    Schema::compile(&document).map_err(|problem| fields.error("schema.openAPIV3Schema", problem))
}

fn columns(fields: &mut Fields, exports: Exports) -> Result<Vec<ColumnDefinition>> {
    let columns: Vec<ColumnDefinition> = fields.read("additionalPrinterColumns")?;
    for (index, column) in columns.iter().enumerate() {
        let field = format!("additionalPrinterColumns[{index}]");
        if column.name.is_empty() {
            return Err(fields.error(&field, "name: is missing: add it"));
        }
        if !COLUMN_TYPES.contains(&column.column_type.as_str()) {
            let words = COLUMN_TYPES.join(", ");
            return Err(fields.error(&field, format!("type: must be one of {words}")));
        }
        if !COLUMN_FORMATS.contains(&column.format.as_str()) {
            let words = COLUMN_FORMATS[1..].join(", ");
            return Err(fields.error(&field, format!("format: must be one of {words}")));
        }
        if column.json_path.is_empty() && !exports.columns {
            let problem = "jsonPath: is missing: add it, or export `columns`";
            return Err(fields.error(&field, problem));
        }
    }
    Ok(columns)
}

fn selectable_fields(fields: &mut Fields) -> Result<Vec<SelectableField>> {
    let selectable: Vec<SelectableField> = fields.read("selectableFields")?;
    if selectable.len() > SELECTABLE_FIELDS_MAX {
        let problem = format!("at most {SELECTABLE_FIELDS_MAX} fields");
        return Err(fields.error("selectableFields", problem));
    }
    for (index, field) in selectable.iter().enumerate() {
        let at = format!("selectableFields[{index}].jsonPath");
        let path = field.json_path.as_str();
        let is_simple = path.starts_with('.')
            && path.len() > 1
            && path.split('.').skip(1).all(|it| {
                let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
                !it.is_empty() && it.chars().all(is_plain)
            });
        if !is_simple {
            return Err(fields.error(&at, "must be a simple path like .spec.color"));
        }
        if path.starts_with(".metadata.") || path == ".metadata" {
            return Err(fields.error(&at, "metadata can be selected without it: remove it"));
        }
        if selectable[..index].contains(field) {
            return Err(fields.error(&at, "is there twice: remove one"));
        }
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
    let scale: Option<ScaleDefinition> = subresources.read("scale")?;
    if let Some(scale) = &scale {
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
