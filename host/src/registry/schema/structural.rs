//! What makes a schema structural, and what apiextensions refuses beside that when a definition is created.
//!
//! Follows k8s.io/apiextensions-apiserver: pkg/apiserver/schema/{validation,complete}.go and
//! ValidateCustomResourceDefinitionOpenAPISchema of pkg/apis/apiextensions/validation. Reads a normalized document;
//! the first thing that is wrong is told.

use super::keywords::{
    ALTERNATIVES, Result, Schema, at, below, flag, items, properties, property, schema, schemas,
    text, texts,
};
use super::rules;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// What may stand at the root where there is a status subresource: its schema is taken out of `properties`.
const BESIDE_STATUS: [&str; 18] = [
    "description",
    "example",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "externalDocs",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "multipleOf",
    "pattern",
    "properties",
    "required",
    "title",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// # Errors
/// One line: the place, and what is wrong with it.
pub(super) fn check(root: &Schema) -> Result<()> {
    if flag(root, "nullable") {
        return Err(at("nullable", "cannot be true at the root"));
    }
    Place {
        level: Level::Root,
        path: "",
        is_inside_meta: false,
        no_default: None,
    }
    .structural(root)?;
    complete(root, root, "", "")
}

/// # Errors
/// One line about what may not stand at the root beside a status subresource.
pub(super) fn check_beside_status(root: &Schema) -> Result<()> {
    let is_allowed = |keyword: &str| {
        BESIDE_STATUS.contains(&keyword)
            || matches!(
                keyword,
                "type" | "x-kubernetes-preserve-unknown-fields" | "x-kubernetes-validations"
            )
    };
    match root.keys().find(|it| !is_allowed(it)) {
        None => Ok(()),
        Some(keyword) => Err(at(
            keyword,
            "is not allowed at the root of the schema if the status subresource is enabled",
        )),
    }
}

#[derive(Clone, Copy)]
struct Place<'a> {
    level: Level,
    path: &'a str,
    /// In the metadata of the resource or of an embedded one.
    is_inside_meta: bool,
    /// Why there may be no default.
    no_default: Option<&'a str>,
}

impl Place<'_> {
    fn structural(self, node: &Schema) -> Result<()> {
        self.allowed(node)?;
        let of_type = text(node, "type");
        let wrong = |keyword: &str, problem: &str| Err(at(&below(self.path, keyword), problem));
        if of_type == "array" && !node.contains_key("items") {
            return wrong("items", "must be specified");
        }
        self.children(node)?;
        self.extensions(node)?;
        self.alternatives(node)?;
        self.lists_and_maps(node)?;
        rules::check(node, self.path)
    }

    /// What stands below: its schema is one of values, so it has all that a schema can have.
    fn children(self, node: &Schema) -> Result<()> {
        let is_root = self.level == Level::Root;
        let has_meta = is_root || flag(node, "x-kubernetes-embedded-resource");
        if let Some(inner) = schema(node, "items") {
            Place {
                level: Level::Item,
                path: &below(self.path, "items"),
                ..self
            }
            .structural(inner)?;
        }
        for (name, inner) in properties(node) {
            let is_meta = has_meta && META_FIELDS.contains(&name.as_str());
            let why = format!("in top-level {name}");
            Place {
                level: Level::Field,
                path: &below(self.path, &format!("properties[{name}]")),
                is_inside_meta: self.is_inside_meta || is_meta,
                no_default: if is_meta && is_root {
                    Some(&why)
                } else {
                    self.no_default
                },
            }
            .structural(inner)?;
        }
        if let Some(inner) = schema(node, "additionalProperties") {
            let why = "inside additionalProperties applying to object metadata";
            Place {
                level: Level::Field,
                path: &below(self.path, "additionalProperties"),
                no_default: if self.is_inside_meta {
                    Some(why)
                } else {
                    self.no_default
                },
                ..self
            }
            .structural(inner)?;
        }
        Ok(())
    }

    /// What holds of every node, those of alternatives too.
    fn allowed(self, node: &Schema) -> Result<()> {
        let wrong = |keyword: &str, problem: &str| Err(at(&below(self.path, keyword), problem));
        let of_type = text(node, "type");
        if of_type == "null" {
            return wrong(
                "type",
                "cannot be set to null, use nullable as an alternative",
            );
        }
        if !of_type.is_empty() && !TYPES.contains(&of_type) {
            let problem = format!("must be one of {}, not {of_type:?}", TYPES.join(", "));
            return wrong("type", &problem);
        }
        if let Some(why) = self.no_default
            && node.contains_key("default")
        {
            return wrong("default", &format!("must not be set {why}"));
        }
        if self.is_inside_meta && flag(node, "x-kubernetes-embedded-resource") {
            let problem = "must not be used inside of resource meta";
            return wrong("x-kubernetes-embedded-resource", problem);
        }
        let additional = node.get("additionalProperties");
        if node.contains_key("properties") && additional.is_some_and(|it| it != true) {
            let problem = "additionalProperties and properties are mutual exclusive";
            return wrong("additionalProperties", problem);
        }
        let preserves = "x-kubernetes-preserve-unknown-fields";
        if node.get(preserves).is_some_and(|it| it == false) {
            return wrong(preserves, "must be true or undefined");
        }
        Ok(())
    }

    fn extensions(self, node: &Schema) -> Result<()> {
        let wrong = |keyword: &str, problem: &str| Err(at(&below(self.path, keyword), problem));
        let of_type = text(node, "type");
        let is_root = self.level == Level::Root;
        let is_embedded = flag(node, "x-kubernetes-embedded-resource");
        let preserves = flag(node, "x-kubernetes-preserve-unknown-fields");
        let is_int_or_string = flag(node, "x-kubernetes-int-or-string");
        let additional = node.contains_key("additionalProperties");
        if is_root && additional {
            return wrong("additionalProperties", "must not be used at the root");
        }
        if is_int_or_string && preserves {
            let problem = "must be false if x-kubernetes-int-or-string is true";
            return wrong("x-kubernetes-preserve-unknown-fields", problem);
        }
        if is_int_or_string && is_embedded {
            let problem = "must be false if x-kubernetes-int-or-string is true";
            return wrong("x-kubernetes-embedded-resource", problem);
        }
        if is_embedded && of_type != "object" {
            let problem = "must be object if x-kubernetes-embedded-resource is true";
            return wrong("type", problem);
        }
        if of_type.is_empty() && !is_int_or_string && !preserves {
            let problem = match self.level {
                Level::Root => "must not be empty at the root",
                Level::Item => "must not be empty for specified array items",
                Level::Field => "must not be empty for specified object fields",
            };
            return wrong("type", problem);
        }
        if is_embedded && additional {
            let problem = "must not be used if x-kubernetes-embedded-resource is set";
            return wrong("additionalProperties", problem);
        }
        if is_root && !of_type.is_empty() && of_type != "object" {
            return wrong("type", "must be object at the root");
        }
        if is_embedded && !preserves && !node.contains_key("properties") {
            let problem = "must not be empty if x-kubernetes-embedded-resource is true without \
                x-kubernetes-preserve-unknown-fields";
            return wrong("properties", problem);
        }
        if is_root || is_embedded {
            self.metadata(node)?;
        }
        Ok(())
    }

    /// Type and metadata of an object: they are what they are in Kubernetes.
    fn metadata(self, node: &Schema) -> Result<()> {
        for (name, wanted) in [
            ("kind", "string"),
            ("apiVersion", "string"),
            ("metadata", "object"),
        ] {
            if property(node, name).is_some_and(|it| text(it, "type") != wanted) {
                let place = below(self.path, &format!("properties[{name}].type"));
                return Err(at(&place, format!("must be {wanted}")));
            }
        }
        let Some(metadata) = property(node, "metadata").filter(|_| self.level == Level::Root)
        else {
            return Ok(());
        };
        let is_allowed = |keyword: &str| matches!(keyword, "type" | "default" | "properties");
        let is_named = |name: &str| matches!(name, "name" | "generateName");
        if metadata.keys().all(|it| is_allowed(it))
            && properties(metadata).all(|(name, _)| is_named(name))
        {
            return Ok(());
        }
        let problem = "must not specify anything other than name and generateName, but metadata is \
            implicitly specified";
        Err(at(&below(self.path, "properties[metadata]"), problem))
    }

    fn alternatives(self, node: &Schema) -> Result<()> {
        // Types are allowed in two forms of int-or-string.
        let skips_any = is_int_or_string(items(node, "anyOf"));
        let skips_first = schemas(node, "allOf")
            .next()
            .is_some_and(|it| is_int_or_string(items(it, "anyOf")));
        self.nested_alternatives(node, skips_any, skips_first)
    }

    fn nested_alternatives(self, node: &Schema, skips_any: bool, skips_first: bool) -> Result<()> {
        for keyword in ALTERNATIVES {
            if keyword == "anyOf" && skips_any {
                continue;
            }
            for (index, inner) in schemas(node, keyword).enumerate() {
                let place = Place {
                    path: &below(self.path, &format!("{keyword}[{index}]")),
                    ..self
                };
                place.nested(inner, keyword == "allOf" && index == 0 && skips_first)?;
            }
        }
        if let Some(inner) = schema(node, "not") {
            let place = Place {
                path: &below(self.path, "not"),
                ..self
            };
            place.nested(inner, false)?;
        }
        Ok(())
    }

    /// A schema of alternatives says what values may be, not what there is.
    fn nested(self, node: &Schema, skips_any: bool) -> Result<()> {
        self.allowed(node)?;
        self.nested_alternatives(node, skips_any, false)?;
        if let Some(inner) = schema(node, "items") {
            let place = Place {
                path: &below(self.path, "items"),
                ..self
            };
            place.nested(inner, false)?;
        }
        for (name, inner) in properties(node) {
            let place = Place {
                path: &below(self.path, &format!("properties[{name}]")),
                ..self
            };
            place.nested(inner, false)?;
            if name == "metadata" {
                return Err(at(place.path, "must not be specified in a nested context"));
            }
        }
        const EMPTY: [&str; 11] = [
            "default",
            "description",
            "nullable",
            "title",
            "type",
            "x-kubernetes-embedded-resource",
            "x-kubernetes-int-or-string",
            "x-kubernetes-list-map-keys",
            "x-kubernetes-list-type",
            "x-kubernetes-map-type",
            "x-kubernetes-preserve-unknown-fields",
        ];
        let forbidden = EMPTY
            .into_iter()
            .chain(["x-kubernetes-validations"])
            .find(|it| node.contains_key(*it));
        if let Some(keyword) = forbidden {
            return Err(at(
                &below(self.path, keyword),
                "must be undefined to be structural",
            ));
        }
        if node
            .get("additionalProperties")
            .is_some_and(|it| it != false)
        {
            let problem = "must be undefined to be structural";
            return Err(at(&below(self.path, "additionalProperties"), problem));
        }
        Ok(())
    }

    fn lists_and_maps(self, node: &Schema) -> Result<()> {
        let wrong = |keyword: &str, problem: &str| Err(at(&below(self.path, keyword), problem));
        let of_type = text(node, "type");
        let (list_type, map_type) = ("x-kubernetes-list-type", "x-kubernetes-map-type");
        let is_set = text(node, list_type) == "set";
        if node.contains_key(map_type) {
            if of_type != "object" {
                return wrong(
                    "type",
                    "must be object if x-kubernetes-map-type is specified",
                );
            }
            if !matches!(text(node, map_type), "atomic" | "granular") {
                return wrong(map_type, "must be atomic or granular");
            }
        }
        if node.contains_key(list_type) {
            if of_type != "array" {
                return wrong(
                    "type",
                    "must be array if x-kubernetes-list-type is specified",
                );
            }
            if !matches!(text(node, list_type), "atomic" | "set" | "map") {
                return wrong(list_type, "must be atomic, set or map");
            }
        }
        let item = schema(node, "items").filter(|_| node.contains_key(list_type));
        if let Some(item) = item.filter(|_| is_set) {
            let problem = "must be atomic as item of a list with x-kubernetes-list-type=set";
            let is_divided = matches!(text(item, list_type), "set" | "map");
            if text(item, "type") == "array" && is_divided {
                return wrong("items.x-kubernetes-list-type", problem);
            }
            if text(item, "type") == "object" && text(item, map_type) != "atomic" {
                return wrong("items.x-kubernetes-map-type", problem);
            }
        }
        if item.is_some_and(|it| flag(it, "nullable")) && text(node, list_type) != "atomic" {
            let problem = format!(
                "cannot be nullable when x-kubernetes-list-type is {}",
                text(node, list_type)
            );
            return wrong("items.nullable", &problem);
        }
        self.map_keys(node)
    }

    fn map_keys(self, node: &Schema) -> Result<()> {
        let wrong = |keyword: &str, problem: &str| Err(at(&below(self.path, keyword), problem));
        let keys: Vec<&str> = texts(node, "x-kubernetes-list-map-keys").collect();
        if text(node, "x-kubernetes-list-type") != "map" {
            return if keys.is_empty() {
                Ok(())
            } else {
                let problem = "must be map if x-kubernetes-list-map-keys is non-empty";
                wrong("x-kubernetes-list-type", problem)
            };
        }
        let place = "x-kubernetes-list-map-keys";
        if keys.is_empty() {
            return wrong(place, "must not be empty if x-kubernetes-list-type is map");
        }
        let Some(item) = schema(node, "items") else {
            return wrong(
                "items",
                "must have a schema if x-kubernetes-list-type is map",
            );
        };
        if text(item, "type") != "object" {
            let problem = "must be object if parent array's x-kubernetes-list-type is map";
            return wrong("items.type", problem);
        }
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].contains(key) {
                return wrong(place, "must not contain duplicate entries");
            }
            let Some(property) = property(item, key) else {
                return wrong(place, "entries must all be names of item properties");
            };
            let of_key = format!("items.properties[{key}]");
            if matches!(text(property, "type"), "array" | "object") {
                let problem =
                    "must be a scalar type if parent array's x-kubernetes-list-type is map";
                return wrong(&below(&of_key, "type"), problem);
            }
            let is_required = texts(item, "required").any(|it| it == *key);
            if !is_required && !property.contains_key("default") {
                let problem = "this property is in x-kubernetes-list-map-keys, so it must have a default or be \
                    a required property";
                return wrong(&below(&of_key, "default"), problem);
            }
            if flag(property, "nullable") {
                let problem =
                    "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
                return wrong(&below(&of_key, "nullable"), problem);
            }
        }
        Ok(())
    }
}

/// Exactly `[{"type": "integer"}, {"type": "string"}]`.
fn is_int_or_string(alternatives: &[serde_json::Value]) -> bool {
    let types = alternatives.iter().map(|it| match it.as_object() {
        Some(schema) if schema.len() == 1 => text(schema, "type"),
        _ => "",
    });
    types.eq(["integer", "string"])
}

/// What alternatives say something about must be there beside them. `path` is of `whole`, `from` of the alternative.
fn complete(alternative: &Schema, whole: &Schema, path: &str, from: &str) -> Result<()> {
    for keyword in ALTERNATIVES {
        for (index, inner) in schemas(alternative, keyword).enumerate() {
            let from = below(from, &format!("{keyword}[{index}]"));
            complete_nested(inner, Some(whole), path, &from)?;
        }
    }
    if let Some(inner) = schema(alternative, "not") {
        complete_nested(inner, Some(whole), path, &below(from, "not"))?;
    }
    Ok(())
}

fn complete_nested(
    alternative: &Schema,
    whole: Option<&Schema>,
    path: &str,
    from: &str,
) -> Result<()> {
    let Some(whole) = whole else {
        return Err(at(
            path,
            format!("must be specified because it is defined in {from}"),
        ));
    };
    complete(alternative, whole, path, from)?;
    if let Some(inner) = schema(alternative, "items") {
        complete_nested(
            inner,
            schema(whole, "items"),
            &below(path, "items"),
            &below(from, "items"),
        )?;
    }
    for (name, inner) in properties(alternative) {
        let what = format!("properties[{name}]");
        complete_nested(
            inner,
            property(whole, name),
            &below(path, &what),
            &below(from, &what),
        )?;
    }
    Ok(())
}
