//! The keywords of `openAPIV3Schema` (apiextensions.k8s.io/v1, JSONSchemaProps): which there are and of what type.
//!
//! [`normalized`] is the first step of compiling: behind it every keyword has its type, and what Go's `omitempty`
//! leaves out is not there. A schema is at most 64 levels deep and has at most 50,000 nodes and 1,000 patterns.

use serde_json::{Map, Value};

const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 50_000;
const MAX_PATTERNS: usize = 1_000;
const MAX_RULES: usize = 10_000;

/// One line: the place within the schema, and what is wrong there, as [`at`] puts them.
pub(super) type Result<T> = std::result::Result<T, String>;

pub(super) type Schema = Map<String, Value>;

/// Keywords that say of what else a node is made.
pub(super) const ALTERNATIVES: [&str; 3] = ["allOf", "anyOf", "oneOf"];

const UNSUPPORTED: [&str; 8] = [
    "$ref",
    "$schema",
    "additionalItems",
    "definitions",
    "dependencies",
    "id",
    "patternProperties",
    "uniqueItems",
];

#[derive(Clone, Copy)]
enum Kind {
    Any,
    Text,
    Flag,
    Number,
    /// A whole number, as Go's int64.
    Count,
    List,
    Texts,
    Schema,
    SchemaOrFlag,
    Schemas,
    SchemaMap,
    Docs,
    Rules,
}

const KEYWORDS: &[(&str, Kind)] = &[
    ("additionalProperties", Kind::SchemaOrFlag),
    ("allOf", Kind::Schemas),
    ("anyOf", Kind::Schemas),
    ("default", Kind::Any),
    ("description", Kind::Text),
    ("enum", Kind::List),
    ("example", Kind::Any),
    ("exclusiveMaximum", Kind::Flag),
    ("exclusiveMinimum", Kind::Flag),
    ("externalDocs", Kind::Docs),
    ("format", Kind::Text),
    ("items", Kind::Schema),
    ("maxItems", Kind::Count),
    ("maxLength", Kind::Count),
    ("maxProperties", Kind::Count),
    ("maximum", Kind::Number),
    ("minItems", Kind::Count),
    ("minLength", Kind::Count),
    ("minProperties", Kind::Count),
    ("minimum", Kind::Number),
    ("multipleOf", Kind::Number),
    ("not", Kind::Schema),
    ("nullable", Kind::Flag),
    ("oneOf", Kind::Schemas),
    ("pattern", Kind::Text),
    ("properties", Kind::SchemaMap),
    ("required", Kind::Texts),
    ("title", Kind::Text),
    ("type", Kind::Text),
    ("x-kubernetes-embedded-resource", Kind::Flag),
    ("x-kubernetes-int-or-string", Kind::Flag),
    ("x-kubernetes-list-map-keys", Kind::Texts),
    ("x-kubernetes-list-type", Kind::Text),
    ("x-kubernetes-map-type", Kind::Text),
    ("x-kubernetes-preserve-unknown-fields", Kind::Flag),
    ("x-kubernetes-validations", Kind::Rules),
];

const RULE: &[(&str, Kind)] = &[
    ("fieldPath", Kind::Text),
    ("message", Kind::Text),
    ("messageExpression", Kind::Text),
    ("optionalOldSelf", Kind::Flag),
    ("reason", Kind::Text),
    ("rule", Kind::Text),
];

const DOCS: &[(&str, Kind)] = &[("description", Kind::Text), ("url", Kind::Text)];

/// The document without what means nothing.
///
/// # Errors
/// The first keyword that there is not, or that is of another type.
pub(super) fn normalized(document: &Value) -> Result<Schema> {
    Reader::default().schema(document, "", 0)
}

/// A place below another one: `properties[spec]`, `items.nullable`.
pub(super) fn below(path: &str, what: &str) -> String {
    match (path, what.starts_with('[')) {
        ("", _) => what.to_owned(),
        (path, true) => format!("{path}{what}"),
        (path, false) => format!("{path}.{what}"),
    }
}

/// An error at a place, to be put behind what the schema itself stands in: `.properties[spec]: …`, or `: …`.
pub(super) fn at(path: &str, problem: impl std::fmt::Display) -> String {
    if path.is_empty() {
        format!(": {problem}")
    } else {
        format!(".{path}: {problem}")
    }
}

pub(super) fn text<'a>(schema: &'a Schema, keyword: &str) -> &'a str {
    schema.get(keyword).and_then(Value::as_str).unwrap_or("")
}

pub(super) fn flag(schema: &Schema, keyword: &str) -> bool {
    schema.get(keyword) == Some(&Value::Bool(true))
}

pub(super) fn items<'a>(schema: &'a Schema, keyword: &str) -> &'a [Value] {
    schema
        .get(keyword)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

pub(super) fn texts<'a>(schema: &'a Schema, keyword: &str) -> impl Iterator<Item = &'a str> {
    items(schema, keyword).iter().filter_map(Value::as_str)
}

/// `items`, `not`, or `additionalProperties` where that is a schema.
pub(super) fn schema<'a>(schema: &'a Schema, keyword: &str) -> Option<&'a Schema> {
    schema.get(keyword).and_then(Value::as_object)
}

pub(super) fn schemas<'a>(schema: &'a Schema, keyword: &str) -> impl Iterator<Item = &'a Schema> {
    items(schema, keyword).iter().filter_map(Value::as_object)
}

pub(super) fn properties(schema: &Schema) -> impl Iterator<Item = (&String, &Schema)> {
    self::schema(schema, "properties")
        .into_iter()
        .flatten()
        .filter_map(|(name, it)| Some((name, it.as_object()?)))
}

pub(super) fn property<'a>(schema: &'a Schema, name: &str) -> Option<&'a Schema> {
    self::schema(schema, "properties")?.get(name)?.as_object()
}

#[derive(Default)]
struct Reader {
    nodes: usize,
    patterns: usize,
    rules: usize,
}

impl Reader {
    fn schema(&mut self, document: &Value, path: &str, depth: usize) -> Result<Schema> {
        self.nodes += 1;
        if depth > MAX_DEPTH {
            return Err(at(path, format!("is deeper than {MAX_DEPTH} levels")));
        }
        if self.nodes > MAX_NODES {
            let problem = format!("the schema has more than {MAX_NODES} nodes");
            return Err(at(path, problem));
        }
        let map = document
            .as_object()
            .ok_or_else(|| at(path, "must be an object"))?;
        let mut out = Schema::new();
        for (keyword, value) in map.iter().filter(|(_, value)| !value.is_null()) {
            let place = below(path, keyword);
            if UNSUPPORTED.contains(&keyword.as_str()) {
                // Pointers in Go: what is there is told, whatever it is.
                let is_pointer = matches!(&**keyword, "$ref" | "additionalItems" | "dependencies");
                if is_nothing(value) && !is_pointer {
                    continue;
                }
                let why = if keyword == "uniqueItems" {
                    "cannot be set to true since the runtime complexity becomes quadratic"
                } else {
                    "is not supported"
                };
                return Err(at(path, format!("{keyword} {why}")));
            }
            let kind = KEYWORDS.iter().find(|(name, _)| name == keyword);
            let value = match kind {
                Some((_, kind)) => self.value(*kind, value, &place, depth)?,
                None if keyword.starts_with("x-") => Some(value.clone()),
                None => return Err(at(path, format!("{keyword} is no keyword: remove it"))),
            };
            if let Some(value) = value {
                out.insert(keyword.clone(), value);
            }
        }
        self.count(&out, path)?;
        Ok(out)
    }

    fn count(&mut self, schema: &Schema, path: &str) -> Result<()> {
        self.patterns += usize::from(schema.contains_key("pattern"));
        self.rules += items(schema, "x-kubernetes-validations").len();
        for (count, max, what) in [
            (self.patterns, MAX_PATTERNS, "patterns"),
            (self.rules, MAX_RULES, "rules"),
        ] {
            if count > max {
                let problem = format!("the schema has more than {max} {what}");
                return Err(at(path, problem));
            }
        }
        Ok(())
    }

    /// `None`: Go leaves it out.
    fn value(
        &mut self,
        kind: Kind,
        value: &Value,
        path: &str,
        depth: usize,
    ) -> Result<Option<Value>> {
        let wrong = |wanted: &str| at(path, format!("must be {wanted}"));
        let (fits, wanted) = match kind {
            Kind::Any => (true, ""),
            Kind::Text => (value.is_string(), "a text"),
            Kind::Flag => (value.is_boolean(), "true or false"),
            Kind::Number => (value.is_number(), "a number"),
            Kind::Count => (value.is_i64(), "a whole number"),
            Kind::List => (value.is_array(), "a list"),
            Kind::Texts => (
                value
                    .as_array()
                    .is_some_and(|it| it.iter().all(Value::is_string)),
                "a list of texts",
            ),
            Kind::Schema if value.is_array() => (false, "a schema object and not an array"),
            Kind::Schema => {
                let schema = self.schema(value, path, depth + 1)?;
                return Ok(Some(Value::Object(schema)));
            }
            Kind::SchemaOrFlag if value.is_boolean() => return Ok(Some(value.clone())),
            Kind::SchemaOrFlag => {
                let schema = self.schema(value, path, depth + 1)?;
                return Ok(Some(Value::Object(schema)));
            }
            Kind::Schemas => {
                let list = value.as_array().ok_or_else(|| wrong("a list of schemas"))?;
                let read = list.iter().enumerate().map(|(index, it)| {
                    let place = format!("{path}[{index}]");
                    self.schema(it, &place, depth + 1).map(Value::Object)
                });
                let read: Value = read.collect::<Result<_>>()?;
                return Ok(Some(read).filter(|it| !is_nothing(it)));
            }
            Kind::SchemaMap => {
                let map = value.as_object().ok_or_else(|| wrong("an object"))?;
                let read = map.iter().map(|(name, it)| {
                    let place = format!("{path}[{name}]");
                    let schema = self.schema(it, &place, depth + 1)?;
                    Ok((name.clone(), Value::Object(schema)))
                });
                let read = Value::Object(read.collect::<Result<_>>()?);
                return Ok(Some(read).filter(|it| !is_nothing(it)));
            }
            Kind::Docs => return known(value, DOCS, path).map(Some),
            Kind::Rules => {
                let list = value.as_array().ok_or_else(|| wrong("a list of rules"))?;
                let read = list
                    .iter()
                    .enumerate()
                    .map(|(index, it)| known(it, RULE, &format!("{path}[{index}]")));
                let read: Value = read.collect::<Result<_>>()?;
                return Ok(Some(read).filter(|it| !is_nothing(it)));
            }
        };
        if !fits {
            return Err(wrong(wanted));
        }
        let is_left_out = match kind {
            // Pointers in Go: what is there is told, whatever it is.
            Kind::Any | Kind::Number | Kind::Count => false,
            Kind::Flag => value == false && !path.ends_with("x-kubernetes-preserve-unknown-fields"),
            _ => is_nothing(value),
        };
        Ok((!is_left_out).then(|| value.clone()))
    }
}

/// An object of a few fields of simple types.
fn known(value: &Value, fields: &[(&str, Kind)], path: &str) -> Result<Value> {
    let map = value
        .as_object()
        .ok_or_else(|| at(path, "must be an object"))?;
    let mut out = Map::new();
    for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
        let Some((_, kind)) = fields.iter().find(|(known, _)| known == name) else {
            return Err(at(path, format!("{name} is not known: remove it")));
        };
        let (fits, wanted) = match kind {
            Kind::Flag => (value.is_boolean(), "true or false"),
            _ => (value.is_string(), "a text"),
        };
        if !fits {
            return Err(at(&below(path, name), format!("must be {wanted}")));
        }
        if *name == "rule" || value.is_boolean() || !is_nothing(value) {
            out.insert(name.clone(), value.clone());
        }
    }
    Ok(Value::Object(out))
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}
