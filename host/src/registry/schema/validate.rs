//! Whether a value is as its schema wants it, with the texts of k8s.io/kube-openapi, pkg/validation.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::Path;
use super::compile::{Additional, Bound, Node, Type};
use super::formats;
use crate::api::status::FieldError;

/// Visits of nodes per object: alternatives multiply what must be looked at.
const MAX_VISITS: u32 = 4_000_000;
const MAX_ERRORS: usize = 1_000;

/// Largest whole number that every JSON library keeps exactly.
const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

pub(super) fn validate(root: &Node, object: &Map<String, Value>) -> Vec<FieldError> {
    let mut validator = Validator::default();
    validator.object(root, object, Path::Root);
    validator.logic(root, Operand::Object(object), Path::Root);
    validator.finish()
}

/// A default of the schema itself.
pub(super) fn check_default(node: &Node, value: &Value) -> Vec<FieldError> {
    let mut validator = Validator::default();
    validator.node(node, value, Path::Root);
    validator.finish()
}

/// The whole object is a map, what is in it are values.
#[derive(Clone, Copy)]
enum Operand<'a> {
    Object(&'a Map<String, Value>),
    Value(&'a Value),
}

#[derive(Default)]
struct Validator {
    errors: Vec<FieldError>,
    visits: u32,
    /// How many checks passed: among alternatives that all fail, the one with the most is told about.
    passed: u64,
}

impl Validator {
    fn finish(mut self) -> Vec<FieldError> {
        if self.visits >= MAX_VISITS {
            self.errors.truncate(MAX_ERRORS - 1);
            self.errors.push(composite(
                "the object has more values and the schema more alternatives than can be checked"
                    .into(),
            ));
        }
        self.errors
    }

    fn operand(&mut self, node: &Node, operand: Operand<'_>, path: Path<'_>) {
        match operand {
            Operand::Value(value) => self.node(node, value, path),
            Operand::Object(map) => {
                self.passed += 1;
                if !node.types.is_empty() && !node.types.contains(&Type::Object) {
                    self.wrong_type(path, &type_names(node), "object");
                }
                self.logic(node, operand, path);
                self.object(node, map, path);
            }
        }
    }

    fn node(&mut self, node: &Node, value: &Value, path: Path<'_>) {
        self.visits += 1;
        if self.visits >= MAX_VISITS || self.errors.len() >= MAX_ERRORS {
            return;
        }
        if value.is_null() {
            if !node.types.is_empty() && !node.is_nullable {
                self.wrong_type(path, &type_names(node), "null");
            }
            self.enumeration(node, value, path);
            return;
        }
        self.check(path, |it, path| it.type_of(node, value, path));
        self.logic(node, Operand::Value(value), path);
        match value {
            Value::String(text) => {
                self.check(path, |it, path| it.string(node, text, path));
                self.check(path, |it, path| it.format(node, text, path));
            }
            Value::Number(_) => self.check(path, |it, path| it.number(node, value, path)),
            Value::Array(list) => self.check(path, |it, path| it.array(node, list, path)),
            _ => {}
        }
        self.check(path, |it, path| it.enumeration(node, value, path));
        if let Value::Object(map) = value {
            self.check(path, |it, path| it.object(node, map, path));
        }
        self.passed += 1;
    }

    fn check(&mut self, path: Path<'_>, run: impl FnOnce(&mut Self, Path<'_>)) {
        let before = self.errors.len();
        run(self, path);
        if self.errors.len() == before {
            self.passed += 1;
        }
    }

    fn wrong_type(&mut self, path: Path<'_>, wanted: &str, found: &str) {
        let detail = format!("{path} in body must be of type {wanted}: {found:?}");
        self.errors.push(FieldError::type_invalid(
            path.to_string(),
            &found.into(),
            &detail,
        ));
    }

    fn invalid(&mut self, path: Path<'_>, value: &Value, detail: &str) {
        let message = format!("Invalid value: {}: {path} in body {detail}", show(value));
        self.errors.push(FieldError {
            reason: "FieldValueInvalid",
            field: path.to_string(),
            message,
        });
    }

    fn type_of(&mut self, node: &Node, value: &Value, path: Path<'_>) {
        if node.types.is_empty() {
            return;
        }
        let found = match value {
            Value::Bool(_) => Type::Boolean,
            Value::String(_) => Type::String,
            Value::Array(_) => Type::Array,
            Value::Number(number) if number.is_i64() => Type::Integer,
            Value::Object(_) => Type::Object,
            Value::Number(_) | Value::Null => Type::Number,
        };
        let is_whole = || value.as_f64().is_some_and(is_whole);
        let fits = node.types.iter().any(|wanted| {
            *wanted == found
                || (*wanted == Type::Number && found == Type::Integer)
                || (*wanted == Type::Integer && found == Type::Number && is_whole())
        });
        if !fits {
            self.wrong_type(path, &type_names(node), found.name());
        }
    }

    fn string(&mut self, node: &Node, text: &str, path: Path<'_>) {
        if node.max_length.is_none() && node.min_length.is_none() && node.pattern.is_none() {
            return;
        }
        let length = text.chars().count() as u64;
        if let Some(max) = node.max_length
            && length > max
        {
            self.errors
                .push(FieldError::too_long(path.to_string(), max));
        } else if let Some(min) = node.min_length
            && length < min
        {
            let detail = format!("should be at least {min} chars long");
            self.invalid(path, &text.into(), &detail);
        } else if let Some(pattern) = &node.pattern
            && !pattern.regex.is_match(text)
        {
            let detail = format!("should match '{}'", pattern.source);
            self.invalid(path, &text.into(), &detail);
        }
    }

    fn format(&mut self, node: &Node, text: &str, path: Path<'_>) {
        if let Some(format) = &node.format
            && !node.types.contains(&Type::Integer)
            && !node.types.contains(&Type::Number)
            && !formats::is_valid(format, text)
        {
            self.wrong_type(path, format, text);
        }
    }

    fn number(&mut self, node: &Node, value: &Value, path: Path<'_>) {
        let Some(float) = value.as_f64() else { return };
        if let Some(detail) = out_of_range(node, value, float) {
            self.errors.push(composite(format!(
                "Checked value must be of type {detail} in {path}"
            )));
        }
        if let Some(factor) = node.multiple_of
            && !is_multiple(value, float, factor)
        {
            let detail = format!("should be a multiple of {}", show_bound(value, factor));
            self.invalid(path, value, &detail);
        }
        if let Some(bound) = node.minimum
            && !is_beyond(float, bound.limit, bound)
        {
            let words = if bound.is_exclusive {
                ""
            } else {
                " or equal to"
            };
            let detail = format!(
                "should be greater than{words} {}",
                show_bound(value, bound.limit)
            );
            self.invalid(path, value, &detail);
        }
        if let Some(bound) = node.maximum
            && !is_beyond(bound.limit, float, bound)
        {
            let words = if bound.is_exclusive {
                ""
            } else {
                " or equal to"
            };
            let detail = format!(
                "should be less than{words} {}",
                show_bound(value, bound.limit)
            );
            self.invalid(path, value, &detail);
        }
    }

    fn array(&mut self, node: &Node, list: &[Value], path: Path<'_>) {
        if let Some(items) = node.items.as_deref() {
            for (index, item) in list.iter().enumerate() {
                self.node(items, item, Path::Index(&path, index));
            }
        }
        let length = list.len() as u64;
        if let Some(min) = node.min_items
            && length < min
        {
            let detail = format!("should have at least {min} items");
            self.invalid(path, &length.into(), &detail);
        }
        if let Some(max) = node.max_items
            && length > max
        {
            self.too_many(path, length, max);
        }
        if node.has_unique_items {
            let mut seen = HashSet::new();
            if !list.iter().all(|it| seen.insert(it.to_string())) {
                self.invalid(path, &"".into(), "shouldn't contain duplicates");
            }
        }
    }

    fn too_many(&mut self, path: Path<'_>, length: u64, max: u64) {
        let mut error = FieldError::too_many(path.to_string(), length, max);
        if max == 1 {
            error.message.truncate(error.message.len() - 1);
        }
        self.errors.push(error);
    }

    fn enumeration(&mut self, node: &Node, value: &Value, path: Path<'_>) {
        if node.enumeration.is_empty() || node.enumeration.iter().any(|it| is_same(it, value)) {
            return;
        }
        let supported: Vec<String> = node
            .enumeration
            .iter()
            .map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned))
            .collect();
        self.errors.push(FieldError::not_supported(
            path.to_string(),
            value,
            &supported,
        ));
    }

    fn object(&mut self, node: &Node, map: &Map<String, Value>, path: Path<'_>) {
        let length = map.len() as u64;
        if let Some(min) = node.min_properties
            && length < min
        {
            let detail = format!("should have at least {min} properties");
            self.invalid(path, &length.into(), &detail);
        }
        if let Some(max) = node.max_properties
            && length > max
        {
            self.too_many(path, length, max);
        }
        for (key, item) in map {
            let at = Path::Field(&path, key);
            match (node.properties.get(key), &node.additional) {
                (Some(property), _) => self.node(property, item, at),
                (None, Additional::Schema(schema)) => self.node(schema, item, at),
                (None, Additional::Forbidden) => {
                    let message =
                        format!("Invalid value: {key:?}: {at} in body is a forbidden property");
                    self.errors.push(FieldError {
                        reason: "FieldValueInvalid",
                        field: path.to_string(),
                        message,
                    });
                }
                (None, Additional::Absent | Additional::Any) => {}
            }
        }
        for name in &node.required {
            if !map.contains_key(name) {
                let field = Path::Field(&path, name).to_string();
                self.errors.push(FieldError::required(field, ""));
            }
        }
    }

    /// allOf, anyOf, oneOf and not.
    fn logic(&mut self, node: &Node, operand: Operand<'_>, path: Path<'_>) {
        if !node.any_of.is_empty() {
            self.any_of(&node.any_of, operand, path);
        }
        if !node.one_of.is_empty() {
            self.one_of(&node.one_of, operand, path);
        }
        if !node.all_of.is_empty() {
            self.all_of(&node.all_of, operand, path);
        }
        if let Some(not) = &node.not
            && self.attempt(not, operand, path).0.is_empty()
        {
            self.errors.push(composite(format!(
                "{:?} must not validate the schema (not)",
                path.to_string()
            )));
        }
        self.passed += 1;
    }

    fn any_of(&mut self, alternatives: &[Node], operand: Operand<'_>, path: Path<'_>) {
        let mut best: Option<(Vec<FieldError>, u64)> = None;
        for alternative in alternatives {
            let (errors, passed) = self.attempt(alternative, operand, path);
            if errors.is_empty() {
                self.passed += passed;
                return;
            }
            if best.as_ref().is_none_or(|(_, most)| passed > *most) {
                best = Some((errors, passed));
            }
        }
        self.errors.push(composite(format!(
            "{:?} must validate at least one schema (anyOf)",
            path.to_string()
        )));
        self.errors
            .extend(best.into_iter().flat_map(|(errors, _)| errors));
    }

    fn one_of(&mut self, alternatives: &[Node], operand: Operand<'_>, path: Path<'_>) {
        let mut best: Option<(Vec<FieldError>, u64)> = None;
        let mut valid = 0;
        for alternative in alternatives {
            let (errors, passed) = self.attempt(alternative, operand, path);
            if errors.is_empty() {
                valid += 1;
                self.passed += passed;
                best = None;
            } else if valid == 0 && best.as_ref().is_none_or(|(_, most)| passed > *most) {
                best = Some((errors, passed));
            }
        }
        if valid == 1 {
            return;
        }
        let found = if valid == 0 {
            "Found none valid".to_owned()
        } else {
            format!("Found {valid} valid alternatives")
        };
        self.errors.push(composite(format!(
            "{:?} must validate one and only one schema (oneOf). {found}",
            path.to_string()
        )));
        self.errors
            .extend(best.into_iter().flat_map(|(errors, _)| errors));
    }

    fn all_of(&mut self, parts: &[Node], operand: Operand<'_>, path: Path<'_>) {
        let mut valid = 0;
        for part in parts {
            let (errors, passed) = self.attempt(part, operand, path);
            self.passed += passed;
            if errors.is_empty() {
                valid += 1;
            }
            self.errors.extend(errors);
        }
        if valid < parts.len() {
            let found = if valid == 0 { ". None validated" } else { "" };
            self.errors.push(composite(format!(
                "{:?} must validate all the schemas (allOf){found}",
                path.to_string()
            )));
        }
    }

    /// What is wrong with one alternative, and how many of its checks passed.
    fn attempt(
        &mut self,
        node: &Node,
        operand: Operand<'_>,
        path: Path<'_>,
    ) -> (Vec<FieldError>, u64) {
        let errors = std::mem::take(&mut self.errors);
        let passed = std::mem::take(&mut self.passed);
        self.operand(node, operand, path);
        (
            std::mem::replace(&mut self.errors, errors),
            std::mem::replace(&mut self.passed, passed),
        )
    }
}

/// An error about more than one field: it has no path.
fn composite(detail: String) -> FieldError {
    FieldError::invalid("<nil>", &"".into(), &detail)
}

fn type_names(node: &Node) -> String {
    let names: Vec<&str> = node.types.iter().map(|it| it.name()).collect();
    names.join(",")
}

fn is_whole(float: f64) -> bool {
    float.abs() <= MAX_SAFE && float.fract() == 0.0
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "whole numbers within i64 are compared exactly, as upstream does"
)]
fn is_multiple(value: &Value, float: f64, factor: f64) -> bool {
    if let Some(integer) = value.as_i64()
        && is_whole(factor)
    {
        return integer.checked_rem(factor as i64) == Some(0);
    }
    let ratio = if factor < 1.0 {
        1.0 / factor * float
    } else {
        float / factor
    };
    ratio.is_finite() && ratio.fract() == 0.0
}

fn is_beyond(large: f64, small: f64, bound: Bound) -> bool {
    if bound.is_exclusive {
        large > small
    } else {
        large >= small
    }
}

/// The type and format that the number does not fit into.
fn out_of_range(node: &Node, value: &Value, float: f64) -> Option<String> {
    let format = node.format.as_deref().unwrap_or_default();
    match node.types[..] {
        [Type::Integer] => {
            let is_integer = value.is_i64() || is_whole(float);
            let is_small = !(i32::MIN.into()..=i32::MAX.into()).contains(&float);
            match format {
                "int32" if !is_integer || is_small => Some("integer with format int32".into()),
                "int64" if !is_integer => Some("integer with format int64".into()),
                _ if !is_integer => Some("integer (default format)".into()),
                _ => None,
            }
        }
        [Type::Number] if format == "float" && float.abs() > f64::from(f32::MAX) => {
            Some("number with format float".into())
        }
        _ => None,
    }
}

/// Equal as an enum has it: 1 is 1.0.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        _ => a == b,
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Number(number) if !number.is_i64() => go_float(number.as_f64().unwrap_or(0.0)),
        other => other.to_string(),
    }
}

/// A bound, beside the number that it was compared with.
fn show_bound(value: &Value, limit: f64) -> String {
    if value.is_i64() && is_whole(limit) {
        format!("{limit}")
    } else {
        go_float(limit)
    }
}

/// A float as Go's `%v` shows it: shortest digits, an exponent of two digits from 1e+06 on and below 1e-04.
pub(crate) fn go_float(float: f64) -> String {
    let scientific = format!("{float:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{float}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}
