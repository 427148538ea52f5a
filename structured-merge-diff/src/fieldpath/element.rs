//! One step of a path, and paths.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::literal::{Literal, compare_names};

/// One key of an element of a list of maps: its name and its value.
pub type KeyField = (Arc<str>, Literal);

/// How to select a child out of its parent.
///
/// Fields come before keys, keys before values, values before indices.
#[derive(Debug, Clone)]
pub enum PathElement {
    /// A field of a map, by name: `.name`
    Field(Arc<str>),
    /// An element of a list of maps, by its keys, sorted by name: `[name="a",port=80]`
    Key(Arc<[KeyField]>),
    /// An element of a set, by its value: `[="a"]`
    Value(Literal),
    /// An element of a list, by its position: `[0]`
    Index(i64),
}

impl PathElement {
    /// A field of a map.
    #[must_use]
    pub fn field(name: &str) -> Self {
        Self::Field(name.into())
    }

    /// An element of a list of maps; the keys may come in any order.
    #[must_use]
    pub fn key(mut fields: Vec<KeyField>) -> Self {
        if fields.len() > 1 {
            fields.sort_by(|(left, _), (right, _)| left.cmp(right));
        }
        Self::Key(fields.into())
    }

    /// An element of a set.
    #[must_use]
    pub fn value(value: impl Into<Literal>) -> Self {
        Self::Value(value.into())
    }
}

impl Ord for PathElement {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(left), Self::Field(right)) => compare_names(left, right),
            (Self::Field(_), _) => Ordering::Less,
            (_, Self::Field(_)) => Ordering::Greater,
            (Self::Key(left), Self::Key(right)) => compare_keys(left, right),
            (Self::Key(_), _) => Ordering::Less,
            (_, Self::Key(_)) => Ordering::Greater,
            (Self::Value(left), Self::Value(right)) => left.cmp(right),
            (Self::Value(_), _) => Ordering::Less,
            (_, Self::Value(_)) => Ordering::Greater,
            (Self::Index(left), Self::Index(right)) => left.cmp(right),
        }
    }
}

fn compare_keys(left: &Arc<[KeyField]>, right: &Arc<[KeyField]>) -> Ordering {
    if Arc::ptr_eq(left, right) {
        return Ordering::Equal;
    }
    for ((left_name, left_value), (right_name, right_value)) in left.iter().zip(right.iter()) {
        let order = compare_names(left_name, right_name).then_with(|| left_value.cmp(right_value));
        if order != Ordering::Equal {
            return order;
        }
    }
    left.len().cmp(&right.len())
}

impl PartialOrd for PathElement {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PathElement {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for PathElement {}

impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                f.write_str("[")?;
                for (at, (name, value)) in fields.iter().enumerate() {
                    if at > 0 {
                        f.write_str(",")?;
                    }
                    write!(f, "{name}={value}")?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// The steps from an object to one of its fields: `.spec.ports[name="a"].port`
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(pub Vec<PathElement>);

impl Path {
    /// A path of fields only.
    #[must_use]
    pub fn of_fields(names: &[&str]) -> Self {
        Self(names.iter().map(|it| PathElement::field(it)).collect())
    }
}

impl From<Vec<PathElement>> for Path {
    fn from(elements: Vec<PathElement>) -> Self {
        Self(elements)
    }
}

impl FromIterator<PathElement> for Path {
    fn from_iter<I: IntoIterator<Item = PathElement>>(elements: I) -> Self {
        Self(elements.into_iter().collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|it| write!(f, "{it}"))
    }
}
