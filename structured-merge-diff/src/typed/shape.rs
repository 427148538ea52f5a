//! Which of the things that an atom allows a value is.

use serde_json::Value;

use super::errors::ValidationErrors;
use crate::go_format;
use crate::schema::{Atom, List, Map, Scalar, Schema, TypeRef};

/// What a value is treated as.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape<'s> {
    Map(&'s Map),
    Scalar(Scalar),
    List(&'s List),
}

/// What is left of an atom once a value has been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deduced {
    All,
    Map,
    Scalar,
    List,
}

fn deduce(atom: &Atom, value: Option<&Value>) -> Deduced {
    let (is_allowed, deduced) = match value {
        None | Some(Value::Null) => return Deduced::All,
        Some(Value::Array(_)) => (atom.list.is_some(), Deduced::List),
        Some(Value::Object(_)) => (atom.map.is_some(), Deduced::Map),
        Some(_) => (atom.scalar.is_some(), Deduced::Scalar),
    };
    let kinds = [
        atom.map.is_some(),
        atom.scalar.is_some(),
        atom.list.is_some(),
    ];
    let is_only_one = kinds.iter().filter(|it| **it).count() == 1;
    match is_allowed && !is_only_one {
        true => deduced,
        false => Deduced::All,
    }
}

/// A map, if the atom may still be one; then a scalar; then a list.
fn shape(atom: &Atom, deduced: Deduced) -> Option<Shape<'_>> {
    let map = atom.map.as_ref().map(Shape::Map);
    let scalar = atom.scalar.map(Shape::Scalar);
    let list = atom.list.as_ref().map(Shape::List);
    match deduced {
        Deduced::All => map.or(scalar).or(list),
        Deduced::Map => map,
        Deduced::Scalar => scalar,
        Deduced::List => list,
    }
}

/// What one value is treated as.
pub(super) fn of_value<'s>(
    schema: &'s Schema,
    of: Option<TypeRef>,
    value: &Value,
    errors: &mut ValidationErrors,
) -> Option<Shape<'s>> {
    let atom = resolve(schema, of, errors)?;
    let shape = shape(atom, deduce(atom, Some(value)));
    report_invalid(schema, of, shape.is_some(), errors);
    shape
}

/// What a type is treated as without a value.
pub(super) fn of_type<'s>(
    schema: &'s Schema,
    of: Option<TypeRef>,
    errors: &mut ValidationErrors,
) -> Option<Shape<'s>> {
    of_value(schema, of, &Value::Null, errors)
}

/// What two values that are walked together are treated as.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shapes<'s> {
    /// What the left value looks like. Only there if it differs from what the right value looks like.
    pub(super) left: Option<Shape<'s>>,
    pub(super) right: Shape<'s>,
    /// Both look the same, and yet what is wrong is said twice, once for each.
    pub(super) is_twice: bool,
}

pub(super) fn of_values<'s>(
    schema: &'s Schema,
    of: Option<TypeRef>,
    left: Option<&Value>,
    right: Option<&Value>,
    errors: &mut ValidationErrors,
) -> Option<Shapes<'s>> {
    let atom = resolve(schema, of, errors)?;
    let (deduced_left, deduced_right) = match (left, right) {
        (_, None) => (deduce(atom, left), deduce(atom, left)),
        (None, _) => (deduce(atom, right), deduce(atom, right)),
        _ => (deduce(atom, left), deduce(atom, right)),
    };
    let shapes = (shape(atom, deduced_left), shape(atom, deduced_right));
    report_invalid(schema, of, shapes.1.is_some(), errors);
    let (left, right) = (shapes.0?, shapes.1?);
    let is_same = std::mem::discriminant(&left) == std::mem::discriminant(&right);
    Some(Shapes {
        left: (!is_same).then_some(left),
        right,
        is_twice: is_same && deduced_left != deduced_right,
    })
}

fn resolve<'s>(
    schema: &'s Schema,
    of: Option<TypeRef>,
    errors: &mut ValidationErrors,
) -> Option<&'s Atom> {
    static NOTHING: Atom = Atom {
        scalar: None,
        list: None,
        map: None,
    };
    let Some(of) = of else {
        return Some(&NOTHING);
    };
    let atom = schema.atom(of);
    if atom.is_none() {
        let name = schema.name(of).unwrap_or("inlined type");
        errors.push(format!("schema error: no type found matching: {name}"));
    }
    atom
}

fn report_invalid(
    schema: &Schema,
    of: Option<TypeRef>,
    is_valid: bool,
    errors: &mut ValidationErrors,
) {
    if is_valid {
        return;
    }
    let name = match of.and_then(|it| schema.name(it)) {
        Some(name) => format!("named type: {name}"),
        None => "inlined".to_owned(),
    };
    errors.push(format!("schema error: invalid atom: {name}"));
}

/// What is wrong with a value where a scalar belongs.
pub(super) fn scalar_error(scalar: Scalar, value: &Value) -> Option<String> {
    let is_right = match scalar {
        _ if value.is_null() => true,
        Scalar::Numeric => value.is_number(),
        Scalar::String => value.is_string(),
        Scalar::Boolean => value.is_boolean(),
        Scalar::Untyped => !value.is_object() && !value.is_array(),
    };
    if is_right {
        return None;
    }
    Some(match scalar {
        Scalar::Numeric => {
            let found = go_format::type_name(value);
            format!("expected numeric (int or float), got {found}")
        }
        Scalar::String => {
            let found = go_format::syntax(value);
            format!("expected string, got &value.valueUnstructured{{Value:{found}}}")
        }
        Scalar::Boolean => format!("expected boolean, got {}", pointer(value)),
        Scalar::Untyped => format!("expected any scalar, got {}", pointer(value)),
    })
}

/// A value as Go prints its own wrapper of it.
pub(super) fn pointer(value: &Value) -> String {
    format!("&{{{}}}", go_format::plain(value))
}
