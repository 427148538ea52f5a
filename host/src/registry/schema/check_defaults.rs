//! Whether the defaults of a schema are values that it allows (apiextensions-apiserver,
//! pkg/apiserver/schema/defaulting/validation.go). Rules of `x-kubernetes-validations` are not asked.

use serde_json::{Map, Value};

use super::compile::Node;
use super::keywords::{Result, at, below};
use super::operand::Operand;
use super::{Path, embedded, prune, validate};
use crate::api::status::FieldError;

const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// # Errors
/// One line about the first default that is not as the schema wants it.
pub(super) fn check(root: &Node) -> Result<()> {
    // The root is an object with metadata, as embedded ones are.
    let mut place = Place {
        path: String::new(),
        steps: Vec::new(),
        is_inside_meta: false,
    };
    if let Some(default) = &root.default {
        place.of_object(root, default)?;
    }
    place.fields(root, true)
}

enum Step {
    Field(String),
    Item,
}

struct Place {
    path: String,
    /// From the resource that has it, which may be an embedded one.
    steps: Vec<Step>,
    is_inside_meta: bool,
}

impl Place {
    fn node(&mut self, node: &Node) -> Result<()> {
        if !node.has_defaults && node.default.is_none() {
            return Ok(());
        }
        let outer = node.is_embedded.then(|| {
            (
                std::mem::take(&mut self.steps),
                std::mem::take(&mut self.is_inside_meta),
            )
        });
        if let Some(default) = &node.default {
            self.one(node, default)
                .map_err(|problem| at(&below(&self.path, "default"), problem))?;
        }
        if let Some(items) = node.items.as_deref() {
            self.steps.push(Step::Item);
            self.within("items", |it| it.node(items))?;
            self.steps.pop();
        }
        self.fields(node, node.is_embedded)?;
        if let Some((steps, is_inside_meta)) = outer {
            self.steps = steps;
            self.is_inside_meta = is_inside_meta;
        }
        Ok(())
    }

    /// What additionalProperties have as defaults is not looked at.
    fn fields(&mut self, node: &Node, has_meta: bool) -> Result<()> {
        for (name, field) in node.fields() {
            let was_inside_meta = self.is_inside_meta;
            self.is_inside_meta |= has_meta && META_FIELDS.contains(&name);
            self.steps.push(Step::Field(name.to_owned()));
            self.within(&format!("properties[{name}]"), |it| it.node(field))?;
            self.steps.pop();
            self.is_inside_meta = was_inside_meta;
        }
        Ok(())
    }

    fn within(&mut self, what: &str, run: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let longer = below(&self.path, what);
        let path = std::mem::replace(&mut self.path, longer);
        run(self)?;
        self.path = path;
        Ok(())
    }

    /// A default of the root: a whole object.
    fn of_object(&self, root: &Node, default: &Value) -> Result<()> {
        let mut errors = validate::validate(root, Operand::from(default), None, "");
        if let Value::Object(map) = default {
            embedded::resource(map, Path::Root, &mut errors);
            if !prune::prune(root, &mut map.clone()).is_empty() {
                return Err(at("default", "must not have unknown fields"));
            }
        }
        told(errors).map_err(|problem| at("default", problem))
    }

    fn one(&self, node: &Node, default: &Value) -> Result<()> {
        if self.is_inside_meta {
            let mut errors = Vec::new();
            if let Value::Object(whole) = self.whole(default) {
                embedded::resource(&whole, Path::Root, &mut errors);
            }
            told(errors).map_err(|it| format!("must result in valid metadata: {it}"))?;
        } else {
            if !prune::prune_default(node, &mut default.clone()) {
                return Err("must not have unknown fields".into());
            }
            told(embedded_errors(node, default))?;
        }
        told(validate::validate(node, Operand::from(default), None, ""))
    }

    /// The resource with nothing in it but a type and the default.
    fn whole(&self, default: &Value) -> Value {
        let mut whole = default.clone();
        for step in self.steps.iter().rev() {
            whole = match step {
                Step::Item => Value::Array(vec![whole]),
                Step::Field(name) => Value::Object(Map::from_iter([(name.clone(), whole)])),
            };
        }
        if let Value::Object(map) = &mut whole {
            for (field, value) in [("apiVersion", "validation/v1"), ("kind", "Validation")] {
                map.entry(field).or_insert_with(|| value.into());
            }
        }
        whole
    }
}

/// The first of them.
fn told(errors: Vec<FieldError>) -> Result<()> {
    match errors.into_iter().next() {
        None => Ok(()),
        Some(error) if error.field == "<nil>" => Err(error.message),
        Some(error) => Err(format!("{}: {}", error.field, error.message)),
    }
}

fn embedded_errors(node: &Node, default: &Value) -> Vec<FieldError> {
    let Value::Object(map) = default else {
        return Vec::new();
    };
    let mut errors = Vec::new();
    if let Err(error) = embedded::coerce(node, &mut map.clone(), false, &mut Vec::new()) {
        errors.push(error);
    }
    if node.is_embedded {
        embedded::resource(map, Path::Root, &mut errors);
    }
    errors.extend(embedded::validate(node, map));
    errors
}
