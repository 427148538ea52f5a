//! From an `openAPIV3Schema` document to a tree that is quick to walk.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

use super::{Path, pattern, validate};

const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 50_000;
const MAX_PATTERNS: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) types: Vec<Type>,
    pub(super) is_nullable: bool,
    pub(super) preserves_unknown: bool,
    pub(super) is_embedded: bool,
    pub(super) properties: BTreeMap<String, Node>,
    pub(super) additional: Additional,
    pub(super) items: Option<Box<Node>>,
    pub(super) required: Vec<String>,
    pub(super) enumeration: Vec<Value>,
    pub(super) default: Option<Value>,
    pub(super) minimum: Option<Bound>,
    pub(super) maximum: Option<Bound>,
    pub(super) multiple_of: Option<f64>,
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    pub(super) min_items: Option<u64>,
    pub(super) max_items: Option<u64>,
    pub(super) min_properties: Option<u64>,
    pub(super) max_properties: Option<u64>,
    pub(super) has_unique_items: bool,
    pub(super) pattern: Option<Pattern>,
    pub(super) format: Option<String>,
    pub(super) list: ListType,
    pub(super) all_of: Vec<Node>,
    pub(super) any_of: Vec<Node>,
    pub(super) one_of: Vec<Node>,
    pub(super) not: Option<Box<Node>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Array,
    Boolean,
    Integer,
    Number,
    Object,
    String,
}

impl Type {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Object => "object",
            Self::String => "string",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "array" => Self::Array,
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "object" => Self::Object,
            "string" => Self::String,
            _ => return None,
        })
    }
}

#[derive(Debug, Default)]
pub(super) enum Additional {
    #[default]
    Absent,
    Any,
    Forbidden,
    Schema(Box<Node>),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) limit: f64,
    pub(super) is_exclusive: bool,
}

#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) source: String,
    pub(super) regex: Regex,
}

#[derive(Debug, Default)]
pub(super) enum ListType {
    #[default]
    Atomic,
    Set,
    Map(Vec<String>),
}

/// The tree, and whether there are `x-kubernetes-validations` in it.
pub(super) fn compile(document: &Value) -> Result<(Node, bool), String> {
    let mut compiler = Compiler::default();
    let root = compiler.node(document, Path::Root, 0, false)?;
    if root.types != [Type::Object] {
        return Err("the schema: its type must be object".into());
    }
    Ok((root, compiler.has_rules))
}

#[derive(Default)]
struct Compiler {
    nodes: usize,
    patterns: usize,
    has_rules: bool,
}

/// Keywords of JSON schema that structural schemas may not have.
const FORBIDDEN: [&str; 9] = [
    "$ref",
    "$schema",
    "additionalItems",
    "const",
    "definitions",
    "dependencies",
    "id",
    "if",
    "patternProperties",
];

/// Keywords without a meaning for validation.
const DESCRIPTIVE: [&str; 4] = ["description", "example", "externalDocs", "title"];

impl Compiler {
    /// `is_logical`: inside allOf, anyOf, oneOf or not, where types are optional and defaults forbidden.
    fn node(
        &mut self,
        document: &Value,
        path: Path<'_>,
        depth: usize,
        is_logical: bool,
    ) -> Result<Node, String> {
        self.nodes += 1;
        if depth > MAX_DEPTH {
            return Err(format!("{path}: deeper than {MAX_DEPTH} levels"));
        }
        if self.nodes > MAX_NODES {
            return Err(format!(
                "{path}: the schema has more than {MAX_NODES} nodes"
            ));
        }
        let map = document
            .as_object()
            .ok_or_else(|| format!("{}: a schema must be an object", Place(path)))?;
        let mut node = Node::default();
        let mut is_int_or_string = false;
        for (keyword, value) in map {
            if DESCRIPTIVE.contains(&keyword.as_str()) || value.is_null() {
                continue;
            }
            if FORBIDDEN.contains(&keyword.as_str()) {
                return Err(format!("{}: {keyword} is not supported", Place(path)));
            }
            let wrong = |wanted: &str| format!("{}: {keyword} must be {wanted}", Place(path));
            match keyword.as_str() {
                "type" => {
                    let name = value.as_str().ok_or_else(|| wrong("one type's name"))?;
                    let found = Type::parse(name).ok_or_else(|| {
                        wrong("array, boolean, integer, number, object or string")
                    })?;
                    node.types = vec![found];
                }
                "x-kubernetes-int-or-string" => is_int_or_string = flag(value, &wrong)?,
                "nullable" => node.is_nullable = flag(value, &wrong)?,
                "x-kubernetes-preserve-unknown-fields" => {
                    node.preserves_unknown = flag(value, &wrong)?;
                }
                "x-kubernetes-embedded-resource" => node.is_embedded = flag(value, &wrong)?,
                "uniqueItems" => node.has_unique_items = flag(value, &wrong)?,
                "required" => node.required = texts(value, &wrong)?,
                "enum" => {
                    node.enumeration = value.as_array().ok_or_else(|| wrong("a list"))?.clone();
                }
                "default" => node.default = Some(value.clone()),
                "multipleOf" => {
                    let factor = number(value, &wrong)?;
                    if factor <= 0.0 {
                        return Err(wrong("more than 0"));
                    }
                    node.multiple_of = Some(factor);
                }
                "minLength" => node.min_length = Some(count(value, &wrong)?),
                "maxLength" => node.max_length = Some(count(value, &wrong)?),
                "minItems" => node.min_items = Some(count(value, &wrong)?),
                "maxItems" => node.max_items = Some(count(value, &wrong)?),
                "minProperties" => node.min_properties = Some(count(value, &wrong)?),
                "maxProperties" => node.max_properties = Some(count(value, &wrong)?),
                "pattern" => {
                    let source = value
                        .as_str()
                        .ok_or_else(|| wrong("a regular expression"))?;
                    self.patterns += 1;
                    if self.patterns > MAX_PATTERNS {
                        return Err(wrong(&format!("one of at most {MAX_PATTERNS} patterns")));
                    }
                    let regex = pattern::compile(source)
                        .map_err(|it| wrong(&format!("a regular expression: {it}")))?;
                    node.pattern = Some(Pattern {
                        source: source.to_owned(),
                        regex,
                    });
                }
                "format" => {
                    let format = value.as_str().ok_or_else(|| wrong("a text"))?;
                    node.format = Some(format.to_owned()).filter(|it| !it.is_empty());
                }
                "minimum"
                | "maximum"
                | "exclusiveMinimum"
                | "exclusiveMaximum"
                | "x-kubernetes-list-type"
                | "x-kubernetes-list-map-keys" => {}
                "x-kubernetes-validations" => self.has_rules = true,
                "properties" => {
                    let found = value.as_object().ok_or_else(|| wrong("an object"))?;
                    for (name, schema) in found {
                        let at = Path::Field(&path, name);
                        let child = self.node(schema, at, depth + 1, is_logical)?;
                        node.properties.insert(name.clone(), child);
                    }
                }
                "additionalProperties" => {
                    node.additional = match value {
                        Value::Bool(true) => Additional::Any,
                        Value::Bool(false) => Additional::Forbidden,
                        schema => {
                            let at = Path::Field(&path, "*");
                            let child = self.node(schema, at, depth + 1, is_logical)?;
                            Additional::Schema(Box::new(child))
                        }
                    };
                }
                "items" => {
                    let at = Path::Field(&path, "[]");
                    node.items = Some(Box::new(self.node(value, at, depth + 1, is_logical)?));
                }
                "not" => {
                    node.not = Some(Box::new(self.node(value, path, depth + 1, true)?));
                }
                "allOf" => node.all_of = self.nodes(value, path, depth, &wrong)?,
                "anyOf" => node.any_of = self.nodes(value, path, depth, &wrong)?,
                "oneOf" => node.one_of = self.nodes(value, path, depth, &wrong)?,
                other if other.starts_with("x-") => {}
                _ => return Err(format!("{}: unknown keyword {keyword}", Place(path))),
            }
        }
        bounds(map, path, &mut node)?;
        node.list = list_type(map, path)?;
        if is_int_or_string && node.types.is_empty() {
            node.types = vec![Type::Integer, Type::String];
        }
        finish(&node, path, is_logical)?;
        Ok(node)
    }

    fn nodes(
        &mut self,
        value: &Value,
        path: Path<'_>,
        depth: usize,
        wrong: &dyn Fn(&str) -> String,
    ) -> Result<Vec<Node>, String> {
        let list = value.as_array().ok_or_else(|| wrong("a list of schemas"))?;
        list.iter()
            .map(|it| self.node(it, path, depth + 1, true))
            .collect()
    }
}

/// What holds of a node as a whole.
fn finish(node: &Node, path: Path<'_>, is_logical: bool) -> Result<(), String> {
    if is_logical {
        if node.default.is_some() {
            return Err(format!("{}: no default may stand here", Place(path)));
        }
        return Ok(());
    }
    if node.types.is_empty() && !node.preserves_unknown {
        return Err(format!("{}: type is missing", Place(path)));
    }
    if !node.properties.is_empty() && !matches!(node.additional, Additional::Absent) {
        return Err(format!(
            "{}: properties and additionalProperties exclude each other",
            Place(path)
        ));
    }
    if node.types == [Type::Array] && node.items.is_none() {
        return Err(format!("{}: items are missing", Place(path)));
    }
    if let Some(default) = &node.default {
        let mut value = default.clone();
        super::prune::default_value(node, &mut value);
        if let Some(error) = validate::check_default(node, &value).first() {
            return Err(format!(
                "{}: the default is not valid: {}",
                Place(path),
                error.message
            ));
        }
    }
    Ok(())
}

fn bounds(map: &Map<String, Value>, path: Path<'_>, node: &mut Node) -> Result<(), String> {
    for (keyword, exclusive, slot) in [
        ("minimum", "exclusiveMinimum", &mut node.minimum),
        ("maximum", "exclusiveMaximum", &mut node.maximum),
    ] {
        let wrong = |wanted: &str| format!("{}: {exclusive} must be {wanted}", Place(path));
        let is_exclusive = match map.get(exclusive) {
            None | Some(Value::Null) => false,
            Some(value) => flag(value, &wrong)?,
        };
        if let Some(value) = map.get(keyword).filter(|it| !it.is_null()) {
            let wrong = |wanted: &str| format!("{}: {keyword} must be {wanted}", Place(path));
            *slot = Some(Bound {
                limit: number(value, &wrong)?,
                is_exclusive,
            });
        }
    }
    Ok(())
}

fn list_type(map: &Map<String, Value>, path: Path<'_>) -> Result<ListType, String> {
    let keys = match map.get("x-kubernetes-list-map-keys") {
        None | Some(Value::Null) => Vec::new(),
        Some(value) => texts(value, &|wanted| {
            format!(
                "{}: x-kubernetes-list-map-keys must be {wanted}",
                Place(path)
            )
        })?,
    };
    match map.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => Ok(ListType::Set),
        Some("map") if keys.is_empty() => Err(format!(
            "{}: x-kubernetes-list-type map needs x-kubernetes-list-map-keys",
            Place(path)
        )),
        Some("map") => Ok(ListType::Map(keys)),
        Some("atomic") | None => Ok(ListType::Atomic),
        Some(_) => Err(format!(
            "{}: x-kubernetes-list-type must be atomic, set or map",
            Place(path)
        )),
    }
}

fn flag(value: &Value, wrong: &dyn Fn(&str) -> String) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| wrong("true or false"))
}

fn number(value: &Value, wrong: &dyn Fn(&str) -> String) -> Result<f64, String> {
    value.as_f64().ok_or_else(|| wrong("a number"))
}

fn count(value: &Value, wrong: &dyn Fn(&str) -> String) -> Result<u64, String> {
    value
        .as_u64()
        .ok_or_else(|| wrong("a whole number of at least 0"))
}

fn texts(value: &Value, wrong: &dyn Fn(&str) -> String) -> Result<Vec<String>, String> {
    let list = value.as_array().ok_or_else(|| wrong("a list of texts"))?;
    list.iter()
        .map(|it| {
            it.as_str()
                .map(str::to_owned)
                .ok_or_else(|| wrong("a list of texts"))
        })
        .collect()
}

/// A path in an error of the schema itself.
struct Place<'a>(Path<'a>);

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Path::Root => f.write_str("the schema"),
            path => write!(f, "the schema of {path}"),
        }
    }
}
