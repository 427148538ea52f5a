//! Random types.

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
