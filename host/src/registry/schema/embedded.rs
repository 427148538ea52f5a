//! Embedded resources (`x-kubernetes-embedded-resource`): they have a type, and metadata as Kubernetes' own
//! (apiextensions-apiserver, pkg/apiserver/schema/objectmeta).

use serde_json::{Map, Value};

use super::Path;
use super::compile::{Additional, Node};
use crate::api::status::FieldError;
use crate::api::{GroupVersion, Object};
use crate::registry::object_meta;
use crate::registry::object_meta::names::dns1035_label_errors;

/// Brings the metadata of embedded resources into their canonical form. Adds the paths of unknown fields.
///
/// # Errors
/// The first field of a wrong type; with `drops_wrong` it is removed instead.
pub(super) fn coerce(
    root: &Node,
    object: &mut Map<String, Value>,
    drops_wrong: bool,
    unknown: &mut Vec<String>,
) -> Result<(), FieldError> {
    if !root.has_embedded {
        return Ok(());
    }
    let mut coercion = Coercion {
        drops_wrong,
        unknown,
    };
    coercion.fields(root, object, Path::Root)
}

/// As [`coerce`], of an object that is stored: what is wrong is left out. Returns whether anything has changed.
pub(super) fn tidy(root: &Node, object: &mut Map<String, Value>) -> bool {
    if !root.has_embedded {
        return false;
    }
    let before = object.clone();
    let dropped = coerce(root, object, true, &mut Vec::new());
    debug_assert!(dropped.is_ok(), "what is wrong is dropped");
    *object != before
}

struct Coercion<'a> {
    drops_wrong: bool,
    unknown: &'a mut Vec<String>,
}

impl Coercion<'_> {
    fn walk(&mut self, node: &Node, value: &mut Value, path: Path<'_>) -> Result<(), FieldError> {
        if !node.has_embedded {
            return Ok(());
        }
        match value {
            Value::Object(map) => {
                if node.is_embedded {
                    self.embedded(map, path)?;
                }
                self.fields(node, map, path)
            }
            Value::Array(list) => {
                let Some(items) = node.items.as_deref() else {
                    return Ok(());
                };
                list.iter_mut()
                    .enumerate()
                    .try_for_each(|(index, item)| self.walk(items, item, Path::Index(&path, index)))
            }
            _ => Ok(()),
        }
    }

    fn fields(
        &mut self,
        node: &Node,
        map: &mut Map<String, Value>,
        path: Path<'_>,
    ) -> Result<(), FieldError> {
        for (key, item) in map {
            match (node.field(key), &node.additional) {
                (Some(field), _) => self.walk(field, item, Path::Field(&path, key))?,
                (None, Additional::Schema(schema)) => {
                    self.walk(schema, item, Path::Key(&path, key))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn embedded(&mut self, map: &mut Map<String, Value>, path: Path<'_>) -> Result<(), FieldError> {
        for field in ["apiVersion", "kind"] {
            let Some(value) = map.get(field).filter(|it| !it.is_string()) else {
                continue;
            };
            if !self.drops_wrong {
                let at = Path::Field(&path, field).to_string();
                return Err(FieldError::invalid(at, value, "must be a string"));
            }
            map.remove(field);
        }
        let Some(metadata) = map.get("metadata") else {
            return Ok(());
        };
        let mut alone = Map::new();
        alone.insert("metadata".into(), metadata.clone());
        match object_meta::decode(&mut alone) {
            Ok(unknown) => {
                let prefix = path.to_string();
                let paths = unknown.iter().map(|it| format!("{prefix}.{it}"));
                self.unknown.extend(paths);
                map.append(&mut alone);
                Ok(())
            }
            Err(_) if self.drops_wrong => Ok(()),
            Err(why) => {
                let at = Path::Field(&path, "metadata").to_string();
                Err(FieldError::invalid(at, metadata, &why))
            }
        }
    }
}

/// What is wrong with the type and the metadata of embedded resources.
pub(super) fn validate(root: &Node, object: &Map<String, Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if root.has_embedded {
        fields(root, object, Path::Root, &mut errors);
    }
    errors
}

fn walk(node: &Node, value: &Value, path: Path<'_>, errors: &mut Vec<FieldError>) {
    if !node.has_embedded {
        return;
    }
    match value {
        Value::Object(map) => {
            if node.is_embedded {
                resource(map, path, errors);
            }
            fields(node, map, path, errors);
        }
        Value::Array(list) => {
            if let Some(items) = node.items.as_deref() {
                for (index, item) in list.iter().enumerate() {
                    walk(items, item, Path::Index(&path, index), errors);
                }
            }
        }
        _ => {}
    }
}

fn fields(node: &Node, map: &Map<String, Value>, path: Path<'_>, errors: &mut Vec<FieldError>) {
    for (child, item, at) in node.described(map, &path) {
        walk(child, item, at, errors);
    }
}

/// One embedded resource.
pub(super) fn resource(map: &Map<String, Value>, path: Path<'_>, errors: &mut Vec<FieldError>) {
    for field in ["apiVersion", "kind"] {
        let at = Path::Field(&path, field).to_string();
        let Some(value) = map.get(field) else {
            errors.push(FieldError::required(at, ""));
            continue;
        };
        let problem = match value.as_str() {
            None => Some("must be a string".to_owned()),
            Some("") => Some("must not be empty".to_owned()),
            Some(text) if field == "apiVersion" => GroupVersion::parse(text)
                .is_none()
                .then(|| format!("unexpected GroupVersion string: {text}")),
            Some(text) => kind_problem(text),
        };
        if let Some(problem) = problem {
            errors.push(FieldError::invalid(at, value, &problem));
        }
    }
    let Some(metadata) = map.get("metadata") else {
        return;
    };
    let mut alone = Map::new();
    alone.insert("metadata".into(), metadata.clone());
    if let Err(why) = object_meta::decode(&mut alone) {
        let at = Path::Field(&path, "metadata").to_string();
        errors.push(FieldError::invalid(at, metadata, &why));
        return;
    }
    let found = object_meta::validate_embedded(Object(alone));
    errors.extend(found.into_iter().map(|error| FieldError {
        field: Path::Field(&path, &error.field).to_string(),
        ..error
    }));
}

fn kind_problem(kind: &str) -> Option<String> {
    let problems = dns1035_label_errors(&kind.to_lowercase());
    (!problems.is_empty()).then(|| {
        format!(
            "may have mixed case, but should otherwise match: {}",
            problems.join(",")
        )
    })
}
