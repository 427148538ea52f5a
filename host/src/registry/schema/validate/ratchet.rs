//! What has not changed since the old object (KEP-4008; k8s.io/apiserver, pkg/cel/common/equality.go).
//!
//! Fields correspond by their names, items of lists by their keys where the list is a map; items of other lists do
//! not. What the schema knows nothing of counts as changed.

use std::collections::HashMap;

use serde_json::Value;

use super::super::compile::{ListType, Node};
use super::super::operand::Operand;
use super::super::work::Work;

/// The old items of a list that is a map, by their keys.
pub(super) struct Items<'a> {
    keys: &'a [Box<str>],
    by_key: HashMap<Vec<Key<'a>>, &'a Value>,
}

#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    Flag(bool),
    Integer(i64),
    Float(u64),
    Text(&'a str),
}

impl<'a> Items<'a> {
    /// `None`: items of the list do not correspond.
    pub(super) fn of(node: &'a Node, old: Option<Operand<'a>>) -> Option<Self> {
        let (ListType::Map(keys), Some(Operand::List(list))) = (&node.list, old) else {
            return None;
        };
        let mut by_key = HashMap::with_capacity(list.len());
        for item in list {
            if let Some(key) = key(keys, item) {
                by_key.entry(key).or_insert(item);
            }
        }
        Some(Self { keys, by_key })
    }

    pub(super) fn find(&self, item: &Value) -> Option<Operand<'a>> {
        let found = self.by_key.get(&key(self.keys, item)?)?;
        Some(Operand::from(*found))
    }
}

fn key<'a>(keys: &[Box<str>], item: &'a Value) -> Option<Vec<Key<'a>>> {
    let map = item.as_object()?;
    keys.iter()
        .map(|name| {
            Some(match Operand::from(map.get(&**name)?) {
                Operand::Flag(flag) => Key::Flag(flag),
                Operand::Integer(integer) => Key::Integer(integer),
                Operand::Float(float) => Key::Float(float.to_bits()),
                Operand::Text(text) => Key::Text(text),
                Operand::Null | Operand::List(_) | Operand::Map(_) => return None,
            })
        })
        .collect()
}

pub(super) fn is_unchanged(
    node: &Node,
    old: Operand<'_>,
    new: Operand<'_>,
    work: &mut Work,
) -> bool {
    if !work.spend(1) {
        return false;
    }
    match (old, new) {
        (Operand::Null, Operand::Null) => true,
        (Operand::Flag(a), Operand::Flag(b)) => a == b,
        (Operand::Integer(a), Operand::Integer(b)) => a == b,
        (Operand::Float(a), Operand::Float(b)) => a == b,
        (Operand::Text(a), Operand::Text(b)) => {
            work.spend_bytes(a.len());
            a == b
        }
        (Operand::List(a), Operand::List(b)) if a.len() != b.len() => false,
        (Operand::List(a), Operand::List(b)) => match Items::of(node, Some(old)) {
            None => {
                work.spend_values(a);
                a == b
            }
            Some(items) => b.iter().all(|item| {
                let child = node.items.as_deref().zip(items.find(item));
                child.is_some_and(|(node, old)| is_unchanged(node, old, item.into(), work))
            }),
        },
        (Operand::Map(a), Operand::Map(b)) => {
            a.len() == b.len()
                && b.iter().all(|(name, item)| {
                    let child = node.child(name).zip(a.get(name));
                    child.is_some_and(|(node, old)| {
                        is_unchanged(node, old.into(), item.into(), work)
                    })
                })
        }
        _ => false,
    }
}
