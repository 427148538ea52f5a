//! Label and field selectors of lists, watches and deletecollection.
//!
//! The syntax and the error texts are those of k8s.io/apimachinery, pkg/labels and pkg/fields. A selector has at
//! most 64 KiB and 256 requirements; more is a 400.

mod label;

pub use label::LabelSelector;

use super::definition::{ObjectModel, SelectableField};
use crate::api::field_selector::{self, FieldTerm};
use crate::api::quote;
use crate::api::status::{self, Result};
use crate::storage::watch_cache::{self as index, Pairs};

const MAX_BYTES: usize = 64 * 1024;
const MAX_REQUIREMENTS: usize = 256;

/// All of its terms must hold; without terms it selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    field: Field,
    value: Box<str>,
    is_negated: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Name,
    Namespace,
    /// Path without its leading dot, as in [`crate::storage::watch_cache::Attributes`].
    Other(Box<str>),
}

/// Which fields of a resource can be selected by, and how others are refused.
#[derive(Debug, Clone, Copy)]
pub struct KnownFields<'a> {
    pub object_model: ObjectModel,
    pub is_namespaced: bool,
    pub selectable: &'a [SelectableField],
}

impl FieldSelector {
    /// # Errors
    /// 400 where it cannot be read.
    pub fn parse(text: &str) -> Result<Vec<FieldTerm>> {
        if text.len() > MAX_BYTES {
            return Err(too_large("field"));
        }
        let terms = field_selector::parse(text).map_err(status::bad_request)?;
        if terms.len() > MAX_REQUIREMENTS {
            return Err(too_large("field"));
        }
        Ok(terms)
    }

    /// # Errors
    /// 400 where a term names a field that is not in `known`.
    pub fn of(terms: Vec<FieldTerm>, known: KnownFields<'_>) -> Result<Self> {
        let terms = terms.into_iter().map(|term| {
            Ok(Term {
                field: known.find(&term.field).map_err(status::bad_request)?,
                value: term.value.into(),
                is_negated: term.is_negated,
            })
        });
        Ok(Self {
            terms: terms.collect::<Result<_>>()?,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// A field that is not there reads as empty.
    pub fn matches(&self, namespace: &str, name: &str, fields: Pairs<'_>) -> bool {
        self.terms.iter().all(|term| {
            let value = match &term.field {
                Field::Name => name,
                Field::Namespace => namespace,
                Field::Other(path) => fields.get(path).unwrap_or(""),
            };
            (value == &*term.value) != term.is_negated
        })
    }

    /// The declared fields that must have one certain value.
    pub fn exact_others(&self) -> impl Iterator<Item = index::Term> {
        self.terms.iter().filter_map(|term| match &term.field {
            Field::Other(path) if !term.is_negated => Some(index::Term {
                attribute: index::Attribute::Field(path.clone()),
                value: term.value.clone(),
            }),
            _ => None,
        })
    }

    /// The only name that it can select, so that one object is looked up and not all are walked.
    pub fn exact_name(&self) -> Option<&str> {
        self.exact(&Field::Name)
    }

    /// The only namespace that it can select.
    pub fn exact_namespace(&self) -> Option<&str> {
        self.exact(&Field::Namespace)
    }

    fn exact(&self, field: &Field) -> Option<&str> {
        let term = self
            .terms
            .iter()
            .find(|it| it.field == *field && !it.is_negated)?;
        Some(&term.value)
    }
}

impl KnownFields<'_> {
    fn find(&self, field: &str) -> Result<Field, String> {
        let is_typed = self.object_model == ObjectModel::Typed;
        match field {
            "metadata.name" => return Ok(Field::Name),
            "metadata.namespace" if self.is_namespaced || is_typed => return Ok(Field::Namespace),
            _ => {}
        }
        if self
            .selectable
            .iter()
            .any(|it| it.json_path.trim_start_matches('.') == field)
        {
            return Ok(Field::Other(field.into()));
        }
        Err(if is_typed {
            format!(
                "{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                quote(field)
            )
        } else {
            format!("field label not supported: {field}")
        })
    }
}

fn too_large(which: &str) -> Box<status::Status> {
    status::bad_request(format!(
        "the {which} selector is too large: at most {MAX_REQUIREMENTS} requirements and {MAX_BYTES} bytes"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;
    use crate::storage::watch_cache::Attributes;

    fn selectable() -> Vec<SelectableField> {
        vec![SelectableField {
            json_path: ".spec.color".into(),
        }]
    }

    fn parse(text: &str, object_model: ObjectModel) -> Result<FieldSelector, String> {
        let known = KnownFields {
            object_model,
            is_namespaced: true,
            selectable: &selectable(),
        };
        FieldSelector::parse(text)
            .and_then(|terms| FieldSelector::of(terms, known))
            .map_err(|it| format!("{}: {}", it.code, it.message))
    }

    #[test]
    fn selects_by_name_namespace_and_declared_fields() {
        let attributes = Attributes::new([], [("spec.color", "r,=d")], 0..0);
        let matches = |text| {
            let selector = parse(text, ObjectModel::Custom).unwrap();
            selector.matches("ns", "a", attributes.fields())
        };
        assert!(matches(""));
        assert!(matches(",,"));
        assert!(matches("metadata.name=a"));
        assert!(matches("metadata.name==a,metadata.namespace=ns"));
        assert!(!matches("metadata.name!=a"));
        assert!(matches(r"spec.color=r\,\=d"));
        assert!(!matches("spec.color=red"));
        assert!(matches("metadata.name!=b"));
    }

    #[test]
    fn knows_when_only_one_name_can_match() {
        let selector = parse("metadata.name=a,metadata.namespace!=b", ObjectModel::Custom).unwrap();
        assert_eq!(selector.exact_name(), Some("a"));
        assert_eq!(selector.exact_namespace(), None);
    }

    #[test]
    fn refuses_what_it_cannot_select_by() {
        let error = |text, model| parse(text, model).unwrap_err();
        assert_eq!(
            error("nope", ObjectModel::Custom),
            "400: invalid selector: 'nope'; can't understand 'nope'"
        );
        assert_eq!(
            error("spec.zzz=1", ObjectModel::Custom),
            "400: field label not supported: spec.zzz"
        );
        assert_eq!(
            error("spec.zzz=1", ObjectModel::Typed),
            "400: \"spec.zzz\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        );
        assert_eq!(
            error("metadata.name=a=b", ObjectModel::Custom),
            "400: invalid field selector: unescaped character in value: 61"
        );
        assert_eq!(
            error(r"metadata.name=a\b", ObjectModel::Custom),
            r"400: invalid field selector: invalid escape sequence: \b"
        );
        let many = "metadata.name!=a,".repeat(257);
        assert!(
            error(&many, ObjectModel::Custom).starts_with("400: the field selector is too large")
        );
    }

    #[test]
    fn namespaces_of_cluster_scoped_custom_resources_are_unknown() {
        let known = KnownFields {
            object_model: ObjectModel::Custom,
            is_namespaced: false,
            selectable: &[],
        };
        let terms = FieldSelector::parse("metadata.namespace=a").unwrap();
        assert!(FieldSelector::of(terms, known).is_err());
    }
}
