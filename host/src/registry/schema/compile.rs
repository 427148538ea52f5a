//! From a checked `openAPIV3Schema` to a tree that is quick to walk.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::Path;
use super::formats::Format;
use super::keywords::{
    self, Result, Schema, at, below, flag, items, properties, schema, schemas, text, texts,
};
use super::pattern::{Memory, Pattern};

#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) types: Types,
    pub(super) is_nullable: bool,
    pub(super) preserves_unknown: bool,
    pub(super) is_embedded: bool,
    /// Sorted by name.
    fields: Vec<(Box<str>, Node)>,
    pub(super) additional: Additional,
    pub(super) items: Option<Box<Node>>,
    pub(super) list: ListType,
    pub(super) default: Option<Value>,
    /// Absent where every value of the type is good.
    pub(super) checks: Option<Box<Checks>>,
    /// Whether there are sets or maps of lists in it or below.
    pub(super) has_lists: bool,
    /// Whether there are embedded resources in it or below.
    pub(super) has_embedded: bool,
    /// Whether fields of it have defaults.
    pub(super) has_default_fields: bool,
    /// Whether there are defaults below it.
    pub(super) has_defaults: bool,
    pub(super) patch: PatchMeta,
}

/// What a value must be beside its type.
#[derive(Debug, Default)]
pub(super) struct Checks {
    pub(super) required: Vec<Box<str>>,
    pub(super) enumeration: Option<Enumeration>,
    pub(super) number: Option<NumberChecks>,
    pub(super) min_length: Option<i64>,
    pub(super) max_length: Option<i64>,
    pub(super) min_items: Option<i64>,
    pub(super) max_items: Option<i64>,
    pub(super) min_properties: Option<i64>,
    pub(super) max_properties: Option<i64>,
    pub(super) pattern: Option<Pattern>,
    pub(super) format: Option<(Box<str>, Format)>,
    pub(super) all_of: Vec<Node>,
    pub(super) any_of: Vec<Node>,
    pub(super) one_of: Vec<Node>,
    pub(super) not: Option<Box<Node>>,
}

#[derive(Debug, Default)]
pub(super) struct NumberChecks {
    pub(super) minimum: Option<Bound>,
    pub(super) maximum: Option<Bound>,
    pub(super) multiple_of: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) limit: f64,
    pub(super) is_exclusive: bool,
}

#[derive(Debug)]
pub(super) struct Enumeration {
    pub(super) values: Vec<Value>,
    /// Those that are texts.
    pub(super) texts: HashSet<Box<str>>,
}

/// How a strategic merge patch merges the value.
#[derive(Debug, Default)]
pub(super) struct PatchMeta {
    pub(super) strategy: Box<str>,
    pub(super) merge_key: Box<str>,
}

/// A set of JSON types; none means any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Types(u8);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Type {
    Array = 1,
    Boolean = 2,
    Integer = 4,
    Number = 8,
    Object = 16,
    String = 32,
}

impl Type {
    const ALL: [Self; 6] = [
        Self::Array,
        Self::Boolean,
        Self::Integer,
        Self::Number,
        Self::Object,
        Self::String,
    ];

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
}

impl Types {
    pub(super) const INT_OR_STRING: Self = Self(Type::Integer as u8 | Type::String as u8);

    pub(super) fn named(name: &str) -> Self {
        let found = Type::ALL.into_iter().find(|it| it.name() == name);
        Self(found.map_or(0, |it| it as u8))
    }

    pub(super) fn is_any(self) -> bool {
        self.0 == 0
    }

    pub(super) fn has(self, one: Type) -> bool {
        self.0 & one as u8 != 0
    }

    pub(super) fn is_only(self, one: Type) -> bool {
        self.0 == one as u8
    }

    /// `integer,string`.
    pub(super) fn names(self) -> String {
        let names = Type::ALL.into_iter().filter(|it| self.has(*it));
        names.map(Type::name).collect::<Vec<_>>().join(",")
    }
}

#[derive(Debug, Default)]
pub(super) enum Additional {
    #[default]
    Absent,
    /// `true`.
    Any,
    /// `false`.
    Forbidden,
    Schema(Box<Node>),
}

#[derive(Debug, Default)]
pub(super) enum ListType {
    #[default]
    Atomic,
    Set,
    Map(Vec<Box<str>>),
}

impl Node {
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.fields.iter().map(|(name, node)| (&**name, node))
    }

    /// The schema of a field by its name: of `properties`.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let at = self
            .fields
            .binary_search_by(|(it, _)| (**it).cmp(name))
            .ok()?;
        Some(&self.fields[at].1)
    }

    pub(super) fn has_fields(&self) -> bool {
        !self.fields.is_empty()
    }

    /// The fields that there is a schema for, with it and their places as apimachinery shows them.
    pub(super) fn described<'a>(
        &'a self,
        map: &'a Map<String, Value>,
        path: &'a Path<'a>,
    ) -> impl Iterator<Item = (&'a Self, &'a Value, Path<'a>)> {
        map.iter().filter_map(move |(key, item)| {
            Some(match (self.field(key), &self.additional) {
                (Some(field), _) => (field, item, Path::Field(path, key)),
                (None, Additional::Schema(schema)) => (&**schema, item, Path::Key(path, key)),
                _ => return None,
            })
        })
    }

    /// The schema of what stands in a field, whether it is named or not.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        match (self.field(name), &self.additional) {
            (Some(field), _) => Some(field),
            (None, Additional::Schema(schema)) => Some(schema),
            _ => None,
        }
    }

    /// Takes out of defaults what the schema does not have: those of additionalProperties are not checked for it.
    pub(super) fn prune_defaults(&mut self) {
        if !self.has_defaults && self.default.is_none() {
            return;
        }
        if let Some(mut default) = self.default.take() {
            super::prune::prune_default(self, &mut default);
            self.default = Some(default);
        }
        self.fields
            .iter_mut()
            .for_each(|(_, it)| it.prune_defaults());
        if let Additional::Schema(schema) = &mut self.additional {
            schema.prune_defaults();
        }
        if let Some(items) = &mut self.items {
            items.prune_defaults();
        }
    }

    pub(super) fn children(&self) -> impl Iterator<Item = &Self> {
        let additional = match &self.additional {
            Additional::Schema(schema) => Some(&**schema),
            _ => None,
        };
        let fields = self.fields.iter().map(|(_, node)| node);
        fields.chain(additional).chain(self.items.as_deref())
    }
}

/// The tree of a checked document, and whether there are `x-kubernetes-validations` in it.
///
/// # Errors
/// One line about a pattern that cannot be read.
pub(super) fn compile(document: &Schema) -> Result<(Node, bool)> {
    let mut compiler = Compiler::default();
    let root = compiler.node(document, "")?;
    Ok((root, compiler.has_rules))
}

#[derive(Default)]
struct Compiler {
    memory: Memory,
    has_rules: bool,
}

impl Compiler {
    fn node(&mut self, document: &Schema, path: &str) -> Result<Node> {
        let is_int_or_string = flag(document, "x-kubernetes-int-or-string");
        let mut node = Node {
            types: if is_int_or_string {
                Types::INT_OR_STRING
            } else {
                Types::named(text(document, "type"))
            },
            is_nullable: flag(document, "nullable"),
            preserves_unknown: flag(document, "x-kubernetes-preserve-unknown-fields"),
            is_embedded: flag(document, "x-kubernetes-embedded-resource"),
            default: document.get("default").cloned(),
            patch: PatchMeta {
                strategy: text(document, "x-kubernetes-patch-strategy").into(),
                merge_key: text(document, "x-kubernetes-patch-merge-key").into(),
            },
            ..Node::default()
        };
        self.has_rules |= document.contains_key("x-kubernetes-validations");
        // Iterated in the order of names.
        for (name, inner) in properties(document) {
            let place = below(path, &format!("properties[{name}]"));
            node.fields
                .push((name.as_str().into(), self.node(inner, &place)?));
        }
        node.additional = match document.get("additionalProperties") {
            None => Additional::Absent,
            Some(Value::Bool(true)) => Additional::Any,
            Some(Value::Object(inner)) => {
                let place = below(path, "additionalProperties");
                Additional::Schema(Box::new(self.node(inner, &place)?))
            }
            Some(_) => Additional::Forbidden,
        };
        if let Some(inner) = schema(document, "items") {
            node.items = Some(Box::new(self.node(inner, &below(path, "items"))?));
        }
        node.list = match text(document, "x-kubernetes-list-type") {
            "set" => ListType::Set,
            "map" => {
                let keys = texts(document, "x-kubernetes-list-map-keys");
                ListType::Map(keys.map(Into::into).collect())
            }
            _ => ListType::Atomic,
        };
        let is_any = |of: fn(&Node) -> bool| node.children().any(of);
        let has_lists = is_any(|it| it.has_lists);
        let has_embedded = is_any(|it| it.has_embedded);
        let has_defaults = is_any(|it| it.has_defaults || it.default.is_some());
        node.has_lists = has_lists || !matches!(node.list, ListType::Atomic);
        node.has_embedded = has_embedded || node.is_embedded;
        node.has_defaults = has_defaults;
        node.has_default_fields = node.fields.iter().any(|(_, it)| it.default.is_some());
        node.checks = self.checks(document, node.types, path)?.map(Box::new);
        Ok(node)
    }

    fn checks(&mut self, document: &Schema, types: Types, path: &str) -> Result<Option<Checks>> {
        let count = |keyword: &str| document.get(keyword).and_then(Value::as_i64);
        let number = |keyword: &str| document.get(keyword).and_then(Value::as_f64);
        let bound = |keyword: &str, exclusive: &str| {
            Some(Bound {
                limit: number(keyword)?,
                is_exclusive: flag(document, exclusive),
            })
        };
        let numbers = NumberChecks {
            minimum: bound("minimum", "exclusiveMinimum"),
            maximum: bound("maximum", "exclusiveMaximum"),
            multiple_of: number("multipleOf"),
        };
        let has_numbers =
            numbers.minimum.is_some() || numbers.maximum.is_some() || numbers.multiple_of.is_some();
        let pattern = match text(document, "pattern") {
            "" => None,
            source => Some(Pattern::compile(source, &mut self.memory).map_err(|error| {
                let place = below(path, "pattern");
                at(
                    &place,
                    format!("must be a valid regular expression, but isn't: {error}"),
                )
            })?),
        };
        let format = text(document, "format");
        let checks = Checks {
            required: texts(document, "required").map(Into::into).collect(),
            enumeration: enumeration(items(document, "enum")),
            number: has_numbers.then_some(numbers),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            pattern,
            format: Format::of(format, types).map(|it| (format.into(), it)),
            all_of: self.nodes(document, "allOf", path)?,
            any_of: self.nodes(document, "anyOf", path)?,
            one_of: self.nodes(document, "oneOf", path)?,
            not: match schema(document, "not") {
                Some(inner) => Some(Box::new(self.node(inner, &below(path, "not"))?)),
                None => None,
            },
        };
        Ok(checks.says_something().then_some(checks))
    }

    fn nodes(&mut self, document: &Schema, keyword: &str, path: &str) -> Result<Vec<Node>> {
        let alternatives = schemas(document, keyword).enumerate();
        alternatives
            .map(|(index, it)| self.node(it, &below(path, &format!("{keyword}[{index}]"))))
            .collect()
    }
}

fn enumeration(values: &[Value]) -> Option<Enumeration> {
    let texts = values.iter().filter_map(Value::as_str).map(Into::into);
    (!values.is_empty()).then(|| Enumeration {
        values: values.to_vec(),
        texts: texts.collect(),
    })
}

impl Checks {
    fn says_something(&self) -> bool {
        !self.required.is_empty()
            || self.enumeration.is_some()
            || self.number.is_some()
            || [
                self.min_length,
                self.max_length,
                self.min_items,
                self.max_items,
                self.min_properties,
                self.max_properties,
            ]
            .iter()
            .any(Option::is_some)
            || self.pattern.is_some()
            || self.format.is_some()
            || self.has_alternatives()
    }

    pub(super) fn has_alternatives(&self) -> bool {
        !self.all_of.is_empty()
            || !self.any_of.is_empty()
            || !self.one_of.is_empty()
            || self.not.is_some()
    }
}

/// The document as it is published, of which a tree is made.
pub(super) fn read(document: &Value) -> Result<Schema> {
    let read = keywords::normalized(document)?;
    super::structural::check(&read)?;
    Ok(read)
}
