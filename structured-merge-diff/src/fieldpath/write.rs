//! Sets to their JSON form, byte by byte as Go's library writes it.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::{PathElement, Set};
use crate::literal::write_string;

impl Set {
    /// The set as `fieldsV1` has it: `{"f:spec":{"f:replicas":{}}}`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        let mut key = String::new();
        self.write(false, &mut key, &mut out);
        out
    }

    fn write(&self, is_member: bool, key: &mut String, out: &mut String) {
        out.push('{');
        let mut is_first = true;
        if is_member && !self.has_nothing() {
            out.push_str("\".\":{}");
            is_first = false;
        }
        for (element, is_member, child) in self.entries() {
            if !is_first {
                out.push(',');
            }
            is_first = false;
            key.clear();
            element.write_key(key);
            write_string(key, false, out);
            out.push(':');
            match child {
                Some(child) => child.write(is_member, key, out),
                None => out.push_str("{}"),
            }
        }
        out.push('}');
    }

    /// The set as `fieldsV1` has it. The order of the names is this build's order of JSON objects.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::Object(self.to_map(false))
    }

    fn to_map(&self, is_member: bool) -> Map<String, Value> {
        let mut map = Map::new();
        if is_member && !self.has_nothing() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (element, is_member, child) in self.entries() {
            let value = child.map_or_else(Map::new, |it| it.to_map(is_member));
            map.insert(element.to_key(), Value::Object(value));
        }
        map
    }

    /// Members and children as one sorted list: the field, whether it is a member, what is below it.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&PathElement, bool, Option<&Self>)> {
        let mut members = self.members.iter().peekable();
        let mut children = self.children.iter().peekable();
        std::iter::from_fn(move || {
            let order = match (members.peek(), children.peek()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(member), Some((child, _))) => (*member).cmp(child),
            };
            if order == Ordering::Less {
                return members.next().map(|it| (it, true, None));
            }
            let is_member = order == Ordering::Equal && members.next().is_some();
            let (element, child) = children.next()?;
            Some((element, is_member, Some(&**child)))
        })
    }
}

impl PathElement {
    /// The step as a key of `fieldsV1`: `f:name`, `k:{"name":"a"}`, `v:"a"`, `i:0`.
    #[must_use]
    pub fn to_key(&self) -> String {
        let mut key = String::new();
        self.write_key(&mut key);
        key
    }

    fn write_key(&self, out: &mut String) {
        match self {
            Self::Field(name) => {
                out.push_str("f:");
                out.push_str(name);
            }
            Self::Key(fields) => {
                out.push_str("k:{");
                for (at, (name, value)) in fields.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write_string(name, false, out);
                    out.push(':');
                    value.write_json(out);
                }
                out.push('}');
            }
            Self::Value(value) => {
                out.push_str("v:");
                value.write_json(out);
            }
            Self::Index(index) => {
                out.push_str("i:");
                out.push_str(&index.to_string());
            }
        }
    }
}
