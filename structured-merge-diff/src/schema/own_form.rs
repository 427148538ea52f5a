//! Schemas in the library's own form, which tests are written in. Unions are not read: nothing uses them.

use std::sync::Arc;

use serde_json::Value;

use super::builder::{Builder, with};
use super::{Atom, List, Map, Relationship, Scalar, Schema, SchemaError, StructField, TypeRef};
use crate::literal::Literal;

pub(super) fn read(document: &Value) -> Result<Schema, SchemaError> {
    let mut builder = Builder::default();
    for definition in list(document, "types")? {
        let name = text(definition, "name")?.ok_or_else(|| error("a type has no name"))?;
        let atom = atom(&mut builder, definition)?;
        builder.define(name, atom);
    }
    Ok(builder.finish())
}

fn atom(builder: &mut Builder, value: &Value) -> Result<Atom, SchemaError> {
    let scalar = match text(value, "scalar")? {
        None => None,
        Some("numeric") => Some(Scalar::Numeric),
        Some("string") => Some(Scalar::String),
        Some("boolean") => Some(Scalar::Boolean),
        Some("untyped") => Some(Scalar::Untyped),
        Some(other) => return Err(error(&format!("unknown scalar {other:?}"))),
    };
    let list = match value.get("list") {
        Some(it) => Some(list_type(builder, it)?),
        None => None,
    };
    let map = match value.get("map") {
        Some(it) => Some(map_type(builder, it)?),
        None => None,
    };
    Ok(Atom { scalar, list, map })
}

fn list_type(builder: &mut Builder, value: &Value) -> Result<List, SchemaError> {
    let mut keys = Vec::new();
    for key in list(value, "keys")? {
        keys.push(
            key.as_str()
                .ok_or_else(|| error("a key is no string"))?
                .into(),
        );
    }
    Ok(List {
        element: reference(builder, value.get("elementType"))?,
        relationship: relationship(value)?.unwrap_or_default(),
        keys,
    })
}

fn map_type(builder: &mut Builder, value: &Value) -> Result<Map, SchemaError> {
    let mut fields = Vec::new();
    for field in list(value, "fields")? {
        let name = text(field, "name")?.ok_or_else(|| error("a field has no name"))?;
        let of = match reference(builder, field.get("type"))? {
            Some(it) => it,
            None => builder.inlined(Atom::default()),
        };
        let default = field.get("default").filter(|it| !it.is_null());
        fields.push(StructField {
            name: Arc::from(name),
            of,
            default: default.map(Literal::from),
        });
    }
    let element = reference(builder, value.get("elementType"))?;
    let relationship = relationship(value)?.unwrap_or_default();
    Ok(builder.map(fields, element, relationship))
}

/// None: nothing may stand there.
fn reference(builder: &mut Builder, value: Option<&Value>) -> Result<Option<TypeRef>, SchemaError> {
    let Some(value) = value else {
        return Ok(None);
    };
    if let Some(name) = text(value, "namedType")? {
        return Ok(Some(match relationship(value)? {
            Some(it) => builder.overridden(name, it),
            None => builder.named(name),
        }));
    }
    let atom = atom(builder, value)?;
    let atom = match relationship(value)? {
        Some(it) => with(atom, it).ok_or_else(|| error("a scalar has no elements"))?,
        None => atom,
    };
    Ok((atom != Atom::default()).then(|| builder.inlined(atom)))
}

fn relationship(value: &Value) -> Result<Option<Relationship>, SchemaError> {
    match text(value, "elementRelationship")? {
        None => Ok(None),
        Some("associative") => Ok(Some(Relationship::Associative)),
        Some("atomic") => Ok(Some(Relationship::Atomic)),
        Some("separable") => Ok(Some(Relationship::Separable)),
        Some(other) => Err(error(&format!("unknown relationship {other:?}"))),
    }
}

fn list<'a>(value: &'a Value, name: &str) -> Result<&'a [Value], SchemaError> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(it)) => Ok(it),
        Some(_) => Err(error(&format!("{name} is no list"))),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Result<Option<&'a str>, SchemaError> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(it)) => Ok(Some(it)),
        Some(_) => Err(error(&format!("{name} is no string"))),
    }
}

fn error(text: &str) -> SchemaError {
    SchemaError(text.to_owned())
}
