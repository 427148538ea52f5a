//! Whether a value is as its schema wants it: k8s.io/kube-openapi, pkg/validation/validate, with its texts.
//!
//! A value that is as it must be costs no allocation: it is looked at first without collecting errors. Values that
//! are not are walked again for the errors, and on updates compared with what they were: what was wrong before and
//! has not changed is tolerated (KEP-4008).

mod alternatives;
mod number;
mod ratchet;

use serde_json::{Map, Value};

use super::Path;
use super::compile::{Additional, Checks, Node, Type};
use super::formats::Format;
use super::operand::Operand;
use super::work::{self, Work};
use crate::api::go_text;
use crate::api::status::FieldError;

const MAX_ERRORS: usize = 1_000;

const TOO_MUCH: &str =
    "the object has more values and the schema more alternatives than can be checked";

/// Everything that is wrong with `value`. `prefix` is where it stands in its object: empty, or the name of a field.
pub(super) fn validate(
    node: &Node,
    value: Operand<'_>,
    old: Option<Operand<'_>>,
    prefix: &str,
) -> Vec<FieldError> {
    validate_within(node, value, old, prefix, work::LIMIT).0
}

/// As [`validate`], and how many steps it took. There are at most twice as many as `limit`.
pub(super) fn validate_within(
    node: &Node,
    value: Operand<'_>,
    old: Option<Operand<'_>>,
    prefix: &str,
    limit: u32,
) -> (Vec<FieldError>, u32) {
    let mut quick = Validator::new(prefix, true, limit);
    quick.node(node, value, Path::Root, None);
    let steps = quick.work.done();
    if !quick.has_failed && !quick.work.is_exhausted() {
        return (Vec::new(), steps);
    }
    let mut thorough = Validator::new(prefix, false, limit);
    if !quick.work.is_exhausted() {
        thorough.node(node, value, Path::Root, old);
    }
    let is_exhausted = quick.work.is_exhausted() || thorough.work.is_exhausted();
    let steps = steps + thorough.work.done();
    let mut errors = without_repetitions(thorough.errors);
    if is_exhausted {
        errors.truncate(MAX_ERRORS - 1);
        errors.push(FieldError::invalid(
            field(prefix, Path::Root),
            &"".into(),
            TOO_MUCH,
        ));
    }
    (errors, steps)
}

fn without_repetitions(errors: Vec<FieldError>) -> Vec<FieldError> {
    let mut seen = std::collections::HashSet::new();
    let mut kept = errors;
    kept.retain(|it| seen.insert((it.field.clone(), it.message.clone())));
    kept
}

/// A place as errors name it.
fn field(prefix: &str, path: Path<'_>) -> String {
    let path = path.to_string();
    match (prefix, path.trim_start_matches('.')) {
        ("", "") => "<nil>".into(),
        ("", path) => path.into(),
        (prefix, "") => prefix.into(),
        (prefix, path) => format!("{prefix}.{path}"),
    }
}

struct Validator<'a> {
    prefix: &'a str,
    /// Whether it is only asked if there are errors; then `errors` stays empty.
    is_quiet: bool,
    has_failed: bool,
    /// Whether what is looked at is one of several alternatives.
    is_alternative: bool,
    errors: Vec<FieldError>,
    work: Work,
}

impl<'a> Validator<'a> {
    fn new(prefix: &'a str, is_quiet: bool, limit: u32) -> Self {
        Self {
            prefix,
            is_quiet,
            has_failed: false,
            is_alternative: false,
            errors: Vec::new(),
            work: Work::new(limit),
        }
    }

    fn fail(&mut self, path: Path<'_>, make: impl FnOnce(String) -> FieldError) {
        self.has_failed = true;
        if self.is_quiet || self.errors.len() >= MAX_ERRORS {
            return;
        }
        let error = make(field(self.prefix, path));
        self.work.spend(work::ERROR);
        self.work.spend_bytes(error.message.len());
        self.errors.push(error);
    }

    /// An error about more than one field: it has no path.
    fn composite(&mut self, detail: impl FnOnce() -> String) {
        self.fail(Path::Root, |field| {
            FieldError::invalid(field, &"".into(), &detail())
        });
    }

    fn invalid(&mut self, path: Path<'_>, value: Operand<'_>, detail: impl FnOnce() -> String) {
        self.fail(path, |field| FieldError {
            reason: "FieldValueInvalid",
            field,
            message: format!(
                "Invalid value: {}: {path} in body {}",
                value.show(),
                detail()
            ),
        });
    }

    fn wrong_type(&mut self, path: Path<'_>, wanted: impl FnOnce() -> String, found: &str) {
        self.fail(path, |field| {
            let wanted = wanted();
            let detail = format!(
                "{path} in body must be of type {wanted}: {}",
                go_text::quote(found)
            );
            FieldError::type_invalid(field, &found.into(), &detail)
        });
    }

    /// Returns how many of upstream's checks passed: among alternatives that all fail, the one with the most of
    /// them is told about.
    fn node(
        &mut self,
        node: &Node,
        value: Operand<'_>,
        path: Path<'_>,
        old: Option<Operand<'_>>,
    ) -> u64 {
        let steps = match self.is_alternative {
            true => work::ALTERNATIVE,
            false => work::NODE,
        };
        if !self.work.spend(steps) || (self.is_quiet && self.has_failed) {
            return 0;
        }
        let before = self.errors.len();
        let passed = match value {
            Operand::Null => self.null(node, path),
            _ => self.value(node, value, path, old),
        };
        if let Some(old) = old
            && self.errors.len() > before
            && ratchet::is_unchanged(node, old, value, &mut self.work)
        {
            self.errors.truncate(before);
        }
        passed
    }

    fn null(&mut self, node: &Node, path: Path<'_>) -> u64 {
        let fits = node.types.is_any() || node.is_nullable;
        if !fits {
            self.wrong_type(path, || node.types.names(), "null");
        }
        if let Some(checks) = node.checks.as_deref() {
            self.enumeration(checks, Operand::Null, path);
        }
        u64::from(fits)
    }

    fn value(
        &mut self,
        node: &Node,
        value: Operand<'_>,
        path: Path<'_>,
        old: Option<Operand<'_>>,
    ) -> u64 {
        let checks = node.checks.as_deref();
        // Each kind of check counts for being run, the last one for all of them.
        let mut passed = 3;
        let format = checks.and_then(|it| it.format.as_ref());
        if !node.types.is_any() || format.is_some() {
            passed += 1 + u64::from(self.type_of(node, value, path));
        }
        passed += match checks {
            Some(checks) if checks.has_alternatives() => self.alternatives(checks, value, path),
            _ => 1,
        };
        match value {
            Operand::Text(text) => {
                passed += 1;
                if let Some(checks) = checks {
                    self.text(checks, text, path);
                }
                if let Some((name, Format::Text(is_valid))) = format {
                    passed += 1;
                    self.work.spend_bytes(text.len());
                    if !is_valid(text) {
                        self.wrong_type(path, || name.to_string(), text);
                    }
                }
            }
            Operand::Integer(_) | Operand::Float(_) => {
                passed += 2;
                self.number(node, value, path);
            }
            Operand::List(list) => passed += 1 + self.list(node, list, path, old),
            _ => {}
        }
        if let Some(checks) = checks {
            self.enumeration(checks, value, path);
        }
        if let Operand::Map(map) = value {
            passed += 1 + self.map(node, map, path, old);
        }
        passed
    }

    /// Formats are taken for types here and there: what upstream lets pass passes.
    fn type_of(&mut self, node: &Node, value: Operand<'_>, path: Path<'_>) -> bool {
        let types = node.types;
        let Some(found) = value.kind() else {
            return true;
        };
        let fits = types.has(found)
            || match value {
                Operand::Integer(_) => types.has(Type::Number),
                Operand::Float(float) => types.has(Type::Integer) && number::is_json_integer(float),
                _ => false,
            };
        let format = node.checks.as_deref().and_then(|it| it.format.as_ref());
        if let Some((name, _)) = format {
            let is_numeric = types.has(Type::Number) || types.has(Type::Integer);
            let is_text_or_list = matches!(value, Operand::Text(_) | Operand::List(_));
            if is_text_or_list && !is_numeric {
                return true;
            }
            let of_value = match value {
                Operand::Integer(_) => "int64",
                Operand::Float(_) => "float64",
                _ => "",
            };
            if !is_text_or_list && !fits && of_value != &**name {
                self.wrong_type(path, || name.to_string(), of_value);
                return false;
            }
        }
        if !fits {
            self.wrong_type(path, || types.names(), found.name());
        }
        fits
    }

    fn text(&mut self, checks: &Checks, text: &str, path: Path<'_>) {
        let has_length = checks.max_length.is_some() || checks.min_length.is_some();
        if has_length {
            self.work.spend_bytes(text.len());
            let length = signed(text.chars().count());
            if let Some(max) = checks.max_length.filter(|max| length > *max) {
                return self.fail(path, |field| too_long(field, max));
            }
            if let Some(min) = checks.min_length.filter(|min| length < *min) {
                return self.invalid(path, Operand::Text(text), || {
                    format!("should be at least {min} chars long")
                });
            }
        }
        if let Some(pattern) = &checks.pattern {
            let is_affordable = self.work.spend_pattern(text.len(), pattern.steps());
            if is_affordable && !pattern.is_match(text) {
                self.invalid(path, Operand::Text(text), || {
                    format!("should match '{}'", pattern.source())
                });
            }
        }
    }

    fn list(
        &mut self,
        node: &Node,
        list: &[Value],
        path: Path<'_>,
        old: Option<Operand<'_>>,
    ) -> u64 {
        let mut passed = 1;
        if let Some(items) = node.items.as_deref() {
            let old_items = ratchet::Items::of(node, old);
            for (index, item) in list.iter().enumerate() {
                let old_item = old_items.as_ref().and_then(|it| it.find(item));
                passed += self.node(items, item.into(), Path::Index(&path, index), old_item);
            }
        }
        let Some(checks) = node.checks.as_deref() else {
            return passed;
        };
        let length = signed(list.len());
        if let Some(min) = checks.min_items.filter(|min| length < *min) {
            self.invalid(path, Operand::Integer(length), || {
                format!("should have at least {min} items")
            });
        }
        if let Some(max) = checks.max_items.filter(|max| length > *max) {
            self.fail(path, |field| too_many(field, list.len(), max));
        }
        passed
    }

    fn enumeration(&mut self, checks: &Checks, value: Operand<'_>, path: Path<'_>) {
        let Some(enumeration) = &checks.enumeration else {
            return;
        };
        let is_member = match value {
            Operand::Text(text) => enumeration.texts.contains(text),
            value => {
                self.work.spend_bytes(16 * enumeration.values.len());
                enumeration.values.iter().any(|it| value.is_member(it))
            }
        };
        if is_member {
            return;
        }
        self.fail(path, |field| {
            let supported: Vec<String> = enumeration
                .values
                .iter()
                .map(|it| it.as_str().map_or_else(|| go_text::json(it), str::to_owned))
                .collect();
            FieldError::not_supported_text(field, &value.show(), &supported)
        });
    }

    fn map(
        &mut self,
        node: &Node,
        map: &Map<String, Value>,
        path: Path<'_>,
        old: Option<Operand<'_>>,
    ) -> u64 {
        let checks = node.checks.as_deref();
        if let Some(checks) = checks {
            self.map_size(checks, map, path);
        }
        let old = match old {
            Some(Operand::Map(old)) => Some(old),
            _ => None,
        };
        let is_root = matches!(path, Path::Root);
        let mut passed = 0;
        for (key, item) in map {
            // Both versions of an object are made one type: a change of that cannot be seen.
            let is_type =
                is_root && self.prefix.is_empty() && matches!(&**key, "apiVersion" | "kind");
            let old_item = old.filter(|_| !is_type).and_then(|it| it.get(key));
            let old_item = old_item.map(Operand::from);
            if let Some(child) = node.field(key) {
                passed += self.node(child, item.into(), Path::Field(&path, key), old_item);
                continue;
            }
            match &node.additional {
                Additional::Schema(child) => {
                    let at = if is_root {
                        Path::Dotted(key)
                    } else {
                        Path::Field(&path, key)
                    };
                    passed += self.node(child, item.into(), at, old_item);
                }
                Additional::Forbidden => self.fail(path, |field| FieldError {
                    reason: "FieldValueInvalid",
                    field,
                    message: format!(
                        "Invalid value: {}: {path}.{key} in body is a forbidden property",
                        go_text::quote(key)
                    ),
                }),
                Additional::Absent | Additional::Any => {}
            }
        }
        for name in checks.iter().flat_map(|it| &it.required) {
            if !map.contains_key(&**name) {
                let at = Path::Field(&path, name);
                self.fail(at, |field| FieldError::required(field, ""));
            }
        }
        passed
    }

    fn map_size(&mut self, checks: &Checks, map: &Map<String, Value>, path: Path<'_>) {
        let length = signed(map.len());
        if let Some(min) = checks.min_properties.filter(|min| length < *min) {
            self.invalid(path, Operand::Integer(length), || {
                format!("should have at least {min} properties")
            });
        }
        if let Some(max) = checks.max_properties.filter(|max| length > *max) {
            self.fail(path, |field| too_many(field, map.len(), max));
        }
    }
}

fn too_long(field: String, max: i64) -> FieldError {
    match u64::try_from(max) {
        Ok(max) => FieldError::too_long(field, max),
        Err(_) => FieldError {
            reason: "FieldValueTooLong",
            field,
            message: "Too long: value is too long".into(),
        },
    }
}

fn too_many(field: String, length: usize, max: i64) -> FieldError {
    match u64::try_from(max) {
        Ok(max) => FieldError::too_many(field, length as u64, max),
        Err(_) => FieldError {
            reason: "FieldValueTooMany",
            field,
            message: format!("Too many: {length}: has too many items"),
        },
    }
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
