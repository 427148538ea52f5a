//! Random types, and random values of them.

use serde_json::{Map, Value, json};

use crate::random::Random;

const NAMES: [&str; 6] = ["a", "b", "c", "d", "lossy", "key"];

#[derive(Clone, Debug)]
pub(crate) enum Type {
    String,
    Numeric,
    Boolean,
    /// A scalar of any kind.
    Untyped,
    Struct {
        fields: Vec<(String, Type, Option<Value>)>,
        element: Option<Box<Type>>,
        is_atomic: bool,
    },
    List {
        element: Box<Type>,
        kind: ListKind,
    },
    /// A scalar, a list or a map, each of a type of its own.
    AnyOf(Box<Type>, Box<Type>, Box<Type>),
    /// `__untyped_deduced_` or `__untyped_atomic_`
    Deduced(bool),
    Named {
        index: usize,
        relationship: Option<&'static str>,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum ListKind {
    Atomic,
    Set,
    Map(Vec<String>),
}

/// A schema: the type of the objects, and types with names.
#[derive(Clone, Debug)]
pub(crate) struct Types {
    pub(crate) object: Type,
    pub(crate) named: Vec<Type>,
}

impl Types {
    pub(crate) fn random(random: &mut Random) -> Self {
        let named = random.below(3);
        let types = (0..named).map(|_| composite(random, 2, named)).collect();
        let fields = 2 + random.below(4);
        Self {
            object: structure(random, 4, named, fields),
            named: types,
        }
    }

    /// The same fields with other relationships here and there, as a schema changes over time.
    pub(crate) fn changed(&self, random: &mut Random) -> Self {
        let mut changed = self.clone();
        change(random, &mut changed.object, true);
        for named in &mut changed.named {
            change(random, named, false);
        }
        changed
    }

    /// In the library's own form. In v2, the fields of the object have other names.
    pub(crate) fn to_json(&self) -> Value {
        let mut types = vec![
            json!({"name": "__untyped_atomic_", "scalar": "untyped",
                "list": {"elementType": {"namedType": "__untyped_atomic_"}, "elementRelationship": "atomic"},
                "map": {"elementType": {"namedType": "__untyped_atomic_"}, "elementRelationship": "atomic"}}),
            json!({"name": "__untyped_deduced_", "scalar": "untyped",
                "list": {"elementType": {"namedType": "__untyped_atomic_"}, "elementRelationship": "atomic"},
                "map": {"elementType": {"namedType": "__untyped_deduced_"}, "elementRelationship": "separable"}}),
        ];
        let mut second = self.object.clone();
        if let Type::Struct { fields, .. } = &mut second {
            fields.iter_mut().for_each(|(name, ..)| name.push_str("V2"));
        }
        for (name, object) in [("first", &self.object), ("second", &second)] {
            types.push(definition(name, object));
        }
        for (index, named) in self.named.iter().enumerate() {
            types.push(definition(&format!("t{index}"), named));
        }
        json!({"types": types})
    }
}

fn definition(name: &str, of: &Type) -> Value {
    let mut definition = of.to_json();
    definition["name"] = name.into();
    definition
}

impl Type {
    fn to_json(&self) -> Value {
        match self {
            Self::String => json!({"scalar": "string"}),
            Self::Numeric => json!({"scalar": "numeric"}),
            Self::Boolean => json!({"scalar": "boolean"}),
            Self::Untyped => json!({"scalar": "untyped"}),
            Self::Struct {
                fields,
                element,
                is_atomic,
            } => {
                let mut map = Map::new();
                if !fields.is_empty() {
                    let fields = fields.iter().map(|(name, of, default)| {
                        let mut field = json!({"name": name, "type": of.to_json()});
                        if let Some(default) = default {
                            field["default"] = default.clone();
                        }
                        field
                    });
                    map.insert("fields".to_owned(), fields.collect());
                }
                if let Some(element) = element {
                    map.insert("elementType".to_owned(), element.to_json());
                }
                if *is_atomic {
                    map.insert("elementRelationship".to_owned(), "atomic".into());
                }
                json!({"map": map})
            }
            Self::List { element, kind } => {
                let mut list = json!({"elementType": element.to_json()});
                list["elementRelationship"] = match kind {
                    ListKind::Atomic => "atomic".into(),
                    ListKind::Set | ListKind::Map(_) => "associative".into(),
                };
                if let ListKind::Map(keys) = kind {
                    list["keys"] = json!(keys);
                }
                json!({"list": list})
            }
            Self::AnyOf(scalar, list, map) => {
                let mut any = scalar.to_json();
                any["list"] = list.to_json()["list"].take();
                any["map"] = map.to_json()["map"].take();
                any
            }
            Self::Deduced(true) => json!({"namedType": "__untyped_deduced_"}),
            Self::Deduced(false) => json!({"namedType": "__untyped_atomic_"}),
            Self::Named {
                index,
                relationship,
            } => {
                let mut named = json!({"namedType": format!("t{index}")});
                if let Some(it) = relationship {
                    named["elementRelationship"] = (*it).into();
                }
                named
            }
        }
    }
}

fn any(random: &mut Random, depth: usize, named: usize) -> Type {
    if depth == 0 || random.percent(35) {
        return scalar(random);
    }
    match random.below(14) {
        0..9 => composite(random, depth, named),
        9 => Type::Deduced(true),
        10 => Type::Deduced(false),
        11 => Type::AnyOf(
            Box::new(scalar(random)),
            Box::new(list(random, depth - 1, named)),
            Box::new(map(random, depth - 1, named)),
        ),
        _ if named > 0 => Type::Named {
            index: random.below(named),
            // Of a list that is to be separable nothing is known.
            relationship: random.percent(25).then_some("atomic"),
        },
        _ => scalar(random),
    }
}

fn scalar(random: &mut Random) -> Type {
    match random.below(8) {
        0..4 => Type::String,
        4..6 => Type::Numeric,
        6 => Type::Boolean,
        _ => Type::Untyped,
    }
}

fn composite(random: &mut Random, depth: usize, named: usize) -> Type {
    match random.below(9) {
        0..3 => {
            let fields = 1 + random.below(3);
            structure(random, depth, named, fields)
        }
        3..5 => map(random, depth, named),
        _ => list(random, depth, named),
    }
}

fn structure(random: &mut Random, depth: usize, named: usize, fields: usize) -> Type {
    let mut chosen = Vec::new();
    for name in NAMES {
        if chosen.len() < fields && random.percent(60) {
            let of = any(random, depth.saturating_sub(1), named);
            chosen.push((name.to_owned(), of, None));
        }
    }
    Type::Struct {
        fields: chosen,
        element: random
            .percent(10)
            .then(|| Box::new(any(random, depth.saturating_sub(1), named))),
        is_atomic: depth < 4 && random.percent(10),
    }
}

fn map(random: &mut Random, depth: usize, named: usize) -> Type {
    Type::Struct {
        fields: Vec::new(),
        element: Some(Box::new(any(random, depth.saturating_sub(1), named))),
        is_atomic: random.percent(10),
    }
}

fn list(random: &mut Random, depth: usize, named: usize) -> Type {
    match random.below(10) {
        0..6 => keyed_list(random, depth, named),
        6..8 => Type::List {
            element: Box::new(scalar(random)),
            kind: ListKind::Set,
        },
        _ => Type::List {
            element: Box::new(any(random, depth.saturating_sub(1), named)),
            kind: ListKind::Atomic,
        },
    }
}

fn keyed_list(random: &mut Random, depth: usize, named: usize) -> Type {
    let count = 1 + random.below(2);
    let mut fields = Vec::new();
    let mut keys = Vec::new();
    for name in ["name", "id"].into_iter().take(count) {
        let of = match random.percent(60) {
            true => Type::String,
            false => scalar(random),
        };
        let default = random.percent(25).then(|| match of {
            Type::Numeric => 80.into(),
            Type::Boolean => true.into(),
            _ => "x".into(),
        });
        fields.push((name.to_owned(), of, default));
        keys.push(name.to_owned());
    }
    for name in ["a", "b", "c"] {
        if random.percent(50) {
            let of = any(random, depth.saturating_sub(1), named);
            fields.push((name.to_owned(), of, None));
        }
    }
    let element = Type::Struct {
        fields,
        element: None,
        is_atomic: random.percent(10),
    };
    Type::List {
        element: Box::new(element),
        kind: ListKind::Map(keys),
    }
}

fn change(random: &mut Random, of: &mut Type, is_top: bool) {
    match of {
        Type::Struct {
            fields,
            element,
            is_atomic,
        } => {
            if !is_top && random.percent(25) {
                *is_atomic = !*is_atomic;
            }
            for (_, of, _) in fields {
                change(random, of, false);
            }
            if let Some(element) = element {
                change(random, element, false);
            }
        }
        Type::List { element, kind } => {
            if random.percent(20) {
                *kind = ListKind::Atomic;
            }
            change(random, element, false);
        }
        Type::AnyOf(_, list, map) => {
            change(random, list, false);
            change(random, map, false);
        }
        Type::Named { relationship, .. } if random.percent(25) => *relationship = Some("atomic"),
        _ => {}
    }
}

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
