//! Random values of random types.

use serde_json::{Map, Value, json};

use crate::random::Random;
use crate::types::{ListKind, Type, Types};

/// Makes values of types.
pub(crate) struct Values<'a> {
    pub(crate) types: &'a Types,
    pub(crate) random: &'a mut Random,
    /// Whether an element of a list may come twice.
    pub(crate) has_duplicates: bool,
}

impl Values<'_> {
    pub(crate) fn value(&mut self, of: &Type, depth: usize) -> Value {
        if self.random.percent(3) {
            return Value::Null;
        }
        match of {
            Type::String => (*self.random.of(&["x", "y", "z", "<é>", ""])).into(),
            Type::Numeric => self.number(),
            Type::Boolean => self.random.percent(50).into(),
            Type::Untyped => self.untyped_scalar(),
            Type::Struct {
                fields, element, ..
            } => self.structure(fields, element.as_deref(), depth),
            Type::List { element, kind } => self.list(element, kind, depth),
            Type::AnyOf(scalar, list, map) => {
                let of = [scalar, list, map][self.random.below(3)];
                self.value(of, depth)
            }
            Type::Deduced(_) => self.anything(depth.min(2)),
            Type::Named { .. } if depth == 0 => Value::Null,
            Type::Named { index, .. } => {
                let of = &self.types.named[*index];
                self.value(of, depth - 1)
            }
        }
    }

    fn number(&mut self) -> Value {
        match self.random.below(12) {
            0 => json!(1.5),
            1 => json!(1.0),
            2 => json!(8_080_000),
            3 => json!(9_007_199_254_740_993_i64),
            4 => json!(1e-7),
            _ => json!(self.random.below(3)),
        }
    }

    fn untyped_scalar(&mut self) -> Value {
        match self.random.below(3) {
            0 => self.number(),
            1 => self.random.percent(50).into(),
            _ => (*self.random.of(&["x", "y"])).into(),
        }
    }

    fn anything(&mut self, depth: usize) -> Value {
        match self.random.below(if depth == 0 { 3 } else { 6 }) {
            3 => (0..self.random.below(3))
                .map(|_| self.anything(depth - 1))
                .collect(),
            4 | 5 => {
                let mut map = Map::new();
                for name in ["a", "b", "c"] {
                    if self.random.percent(45) {
                        map.insert(name.to_owned(), self.anything(depth - 1));
                    }
                }
                map.into()
            }
            _ => self.untyped_scalar(),
        }
    }

    fn structure(
        &mut self,
        fields: &[(String, Type, Option<Value>)],
        element: Option<&Type>,
        depth: usize,
    ) -> Value {
        let mut map = Map::new();
        let depth = depth.saturating_sub(1);
        for (name, of, _) in fields {
            if self.random.percent(65) {
                map.insert(name.clone(), self.value(of, depth));
            }
        }
        if let Some(of) = element {
            for name in ["p", "q", "r"] {
                if self.random.percent(45) {
                    map.insert(name.to_owned(), self.value(of, depth));
                }
            }
        }
        map.into()
    }

    fn list(&mut self, element: &Type, kind: &ListKind, depth: usize) -> Value {
        let mut items: Vec<Value> = Vec::new();
        let mut seen: Vec<Vec<Value>> = Vec::new();
        for _ in 0..self.random.below(5) {
            let mut item = self.value(element, depth.saturating_sub(1));
            let identity = match kind {
                ListKind::Atomic => {
                    items.push(item);
                    continue;
                }
                ListKind::Set if item.is_null() => continue,
                ListKind::Set => vec![item.clone()],
                ListKind::Map(keys) => {
                    let Some(identity) = self.complete(&mut item, element, keys) else {
                        continue;
                    };
                    identity
                }
            };
            let is_seen = seen.iter().any(|it| {
                let mut pairs = it.iter().zip(&identity);
                pairs.all(|(left, right)| is_same_scalar(left, right))
            });
            if is_seen && !self.has_duplicates {
                continue;
            }
            seen.push(identity);
            items.push(item);
        }
        items.into()
    }

    /// Gives an item of a list of maps the keys that it needs. Some stay out where they may. None: it is no map.
    fn complete(
        &mut self,
        item: &mut Value,
        element: &Type,
        keys: &[String],
    ) -> Option<Vec<Value>> {
        let Type::Struct { fields, .. } = element else {
            return None;
        };
        let item = item.as_object_mut()?;
        let mut identity = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            let (_, of, default) = fields.iter().find(|(name, ..)| name == key)?;
            let is_needed = default.is_none() && at == 0;
            if (is_needed || self.random.percent(70)) && !item.contains_key(key) {
                let value = loop {
                    let value = self.value(of, 0);
                    if !value.is_null() {
                        break value;
                    }
                };
                item.insert(key.clone(), value);
            }
            let absent = json!([]);
            identity.push(
                item.get(key)
                    .or(default.as_ref())
                    .unwrap_or(&absent)
                    .clone(),
            );
        }
        Some(identity)
    }

    /// Another value of the type that is mostly the same.
    pub(crate) fn changed(&mut self, of: &Type, value: &Value, depth: usize) -> Value {
        let of = match of {
            Type::Named { index, .. } => &self.types.named[*index],
            other => other,
        };
        match (of, value) {
            (
                Type::Struct {
                    fields, element, ..
                },
                Value::Object(map),
            ) if self.random.percent(92) => {
                self.changed_map(fields, element.as_deref(), map, depth)
            }
            (Type::List { element, kind }, Value::Array(items)) if self.random.percent(85) => {
                self.changed_list(element, kind, items, depth)
            }
            (Type::AnyOf(..) | Type::Deduced(_), _) if self.random.percent(60) => value.clone(),
            _ => self.value(of, depth),
        }
    }

    fn changed_map(
        &mut self,
        fields: &[(String, Type, Option<Value>)],
        element: Option<&Type>,
        map: &Map<String, Value>,
        depth: usize,
    ) -> Value {
        let depth = depth.saturating_sub(1);
        let mut changed = map.clone();
        let mut names: Vec<String> = map.keys().cloned().collect();
        names.extend(fields.iter().map(|(name, ..)| name.clone()));
        if element.is_some() {
            names.push("q".to_owned());
        }
        for _ in 0..1 + self.random.below(2) {
            if names.is_empty() {
                break;
            }
            let name = self.random.of(&names).clone();
            let known = fields.iter().find(|(it, ..)| *it == name);
            let Some(of) = known.map(|(_, of, _)| of).or(element) else {
                continue;
            };
            match changed.get(&name) {
                Some(_) if self.random.percent(25) => {
                    changed.remove(&name);
                }
                Some(value) => {
                    let value = self.changed(of, &value.clone(), depth);
                    changed.insert(name, value);
                }
                None => {
                    let value = self.value(of, depth);
                    changed.insert(name, value);
                }
            }
        }
        changed.into()
    }

    /// Items are changed, dropped, moved and added; keys may collide, which callers who mind must see to.
    fn changed_list(
        &mut self,
        element: &Type,
        kind: &ListKind,
        items: &[Value],
        depth: usize,
    ) -> Value {
        let mut changed = items.to_vec();
        match self.random.below(4) {
            0 if !changed.is_empty() => {
                changed.remove(self.random.below(changed.len()));
            }
            1 if changed.len() > 1 => {
                let last = changed.len() - 1;
                changed.swap(0, last);
            }
            2 => {
                if let Value::Array(more) = self.list(element, kind, depth) {
                    changed.extend(more);
                }
            }
            _ if !changed.is_empty() => {
                let at = self.random.below(changed.len());
                changed[at] = match kind {
                    ListKind::Map(keys) => {
                        self.changed_item(element, keys, &changed[at].clone(), depth)
                    }
                    _ => self.value(element, depth.saturating_sub(1)),
                };
            }
            _ => {}
        }
        if !self.has_duplicates {
            dedup(&mut changed, kind);
        }
        changed.into()
    }

    fn changed_item(
        &mut self,
        element: &Type,
        keys: &[String],
        item: &Value,
        depth: usize,
    ) -> Value {
        let mut changed = self.changed(element, item, depth.saturating_sub(1));
        if self.complete(&mut changed, element, keys).is_none() {
            return item.clone();
        }
        changed
    }
}

/// Drops what is twice in a set, or has the same keys as written. Defaults are not looked at: some stay.
fn dedup(items: &mut Vec<Value>, kind: &ListKind) {
    let mut kept: Vec<Value> = Vec::new();
    for item in items.drain(..) {
        let is_there = kept.iter().any(|it| match kind {
            ListKind::Atomic => false,
            ListKind::Set => is_same_scalar(it, &item),
            ListKind::Map(keys) => keys.iter().all(|key| match (it.get(key), item.get(key)) {
                (Some(left), Some(right)) => is_same_scalar(left, right),
                (left, right) => left == right,
            }),
        });
        if !is_there {
            kept.push(item);
        }
    }
    *items = kept;
}

fn is_same_scalar(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left == right,
        _ => left == right,
    }
}
