//! Random cases. What is written next depends on what came of the writes before, as with real clients.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::random::Random;
use crate::rust_side::State;
use crate::types::Types;
use crate::values::Values;

const MANAGERS: [&str; 4] = ["ann", "bob", "cat", "dan"];
const DEPTH: usize = 6;

/// What a case had in it, for the tally.
#[derive(Default, Debug, Clone, Copy)]
pub(crate) struct Content {
    pub(crate) cases: usize,
    pub(crate) conflicts: usize,
    /// Forced applies that took something from somebody.
    pub(crate) forces: usize,
    /// Writes after which somebody else owns less.
    pub(crate) losses: usize,
    /// Writes of objects with fields in lists with keys.
    pub(crate) keyed: usize,
    /// Operations with input that is refused.
    pub(crate) refused: usize,
    pub(crate) removals: usize,
    pub(crate) operations: usize,
}

pub(crate) fn case(random: &mut Random) -> (Value, Content) {
    let mut content = Content::default();
    let case = match random.below(10) {
        0 => sets(random),
        1 | 2 => values(random),
        _ => return story(random),
    };
    content.operations = case["ops"].as_array().map_or(0, Vec::len);
    (case, content)
}

fn versions(types: &Types) -> (Value, Value) {
    (types.to_json(), json!({"v1": "first", "v2": "second"}))
}

/// Sets, many of them broken.
fn sets(random: &mut Random) -> Value {
    let mut ops = Vec::new();
    for _ in 0..6 {
        ops.push(match random.percent(50) {
            true => json!({"op": "parse", "fields": fields_text(random)}),
            false => {
                json!({"op": "sets", "fields": fields_text(random), "others": fields_text(random)})
            }
        });
    }
    json!({"ops": ops})
}

fn fields_text(random: &mut Random) -> String {
    const PIECES: [&str; 24] = [
        "{", "}", "[", "]", ":", ",", "\"", "\\", "f:", "k:", "v:", "i:", ".", "null", "true", "1",
        "-", "e", "\\u", "d83d", "é", " ", "0", "\\n",
    ];
    let mut text = String::new();
    write_fields(random, 3, &mut text);
    if random.percent(25) {
        for _ in 0..1 + random.below(2) {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            let at = *random.of(&places);
            match random.below(3) {
                0 => text.insert_str(at, random.of::<&str>(&PIECES)),
                1 => {
                    text.remove(at);
                }
                _ => text.truncate(at),
            }
            if text.is_empty() {
                break;
            }
        }
    }
    text
}

/// In any order, with names twice.
fn write_fields(random: &mut Random, depth: usize, out: &mut String) {
    const KEYS: [&str; 24] = [
        "f:a",
        "f:b",
        "f:c",
        "f:<é>",
        "f:\\u0001\\\"",
        "f:",
        "k:{\\\"name\\\":\\\"x\\\"}",
        "k:{\\\"name\\\":\\\"y\\\"}",
        "k:{\\\"name\\\":\\\"x\\\",\\\"id\\\":1}",
        "k:{\\\"id\\\":1.0,\\\"name\\\":\\\"x\\\"}",
        "k:{}",
        "v:1",
        "v:1.0",
        "v:-1.5e3",
        "v:8080000",
        "v:\\\"x\\\"",
        "v:\\\"<\\\"",
        "v:true",
        "v:null",
        "v:[1,{\\\"a\\\":[]}]",
        "i:0",
        "i:-3",
        "x:y",
        "v:9007199254740993",
    ];
    out.push('{');
    let mut is_first = true;
    for _ in 0..random.below(5) {
        if !is_first {
            out.push(',');
        }
        is_first = false;
        if random.percent(20) {
            out.push_str("\".\":{}");
            continue;
        }
        out.push('"');
        out.push_str(random.of::<&str>(&KEYS));
        out.push_str("\":");
        match depth > 0 && random.percent(50) {
            true => write_fields(random, depth - 1, out),
            false => out.push_str(random.of::<&str>(&["{}", "{}", "{}", "null", "{\".\":{}}"])),
        }
    }
    out.push('}');
}

/// Typed values on their own.
fn values(random: &mut Random) -> Value {
    let types = Types::random(random);
    let (schema, versions) = versions(&types);
    let mut ops = Vec::new();
    for _ in 0..4 {
        let left = document(random, &types, None, 20);
        let right = document(random, &types, Some(&left), 10);
        let fields = fields_of(random, &schema, &versions, &right);
        let duplicates = random.percent(60);
        let version = "v1";
        ops.push(
            json!({"op": "validate", "version": version, "left": left, "duplicates": duplicates}),
        );
        ops.push(json!({"op": "compare", "version": version, "left": left, "right": right, "duplicates": true}));
        ops.push(json!({"op": "merge", "version": version, "left": left, "right": right, "duplicates": duplicates}));
        for op in ["remove", "extract", "extractWithKeys"] {
            ops.push(json!({"op": op, "version": version, "left": left, "fields": fields}));
        }
    }
    json!({"schema": schema, "versions": versions, "ops": ops})
}

/// Some fields that a value has.
fn fields_of(random: &mut Random, schema: &Value, versions: &Value, value: &Value) -> String {
    let case = json!({"schema": schema, "versions": versions});
    let Ok(mut state) = State::new(&case) else {
        return "{}".to_owned();
    };
    let all = state
        .answer(&json!({"op": "validate", "version": "v1", "left": value, "duplicates": true}));
    let all = all["set"]
        .as_str()
        .and_then(|it| serde_json::from_str(it).ok());
    let mut some = all.unwrap_or_else(|| json!({}));
    thin(random, &mut some);
    some.to_string()
}

fn thin(random: &mut Random, fields: &mut Value) {
    let Some(map) = fields.as_object_mut() else {
        return;
    };
    map.retain(|_, _| random.percent(65));
    map.values_mut().for_each(|it| thin(random, it));
}

/// A document of the types: like the last one, mostly; broken in so many of a hundred.
fn document(random: &mut Random, types: &Types, last: Option<&Value>, broken: u64) -> Value {
    let has_duplicates = random.percent(10);
    let mut values = Values {
        types,
        random,
        has_duplicates,
    };
    let mut document = match last {
        Some(last) if values.random.percent(85) => values.changed(&types.object, last, DEPTH),
        _ => values.value(&types.object, DEPTH),
    };
    if random.percent(broken) {
        break_document(random, &mut document);
    }
    document
}

/// Breaks it in one place: of several that are wrong, Go finds the first in an order of its own.
fn break_document(random: &mut Random, document: &mut Value) {
    if random.percent(10) {
        *document = junk(random);
        return;
    }
    let count = count(document);
    let mut at = random.below(count);
    let Some(node) = nth(document, &mut at) else {
        return;
    };
    match node {
        Value::Array(items) if !items.is_empty() => match random.below(3) {
            0 => {
                let copy = random.of(items).clone();
                items.push(copy);
            }
            1 => {
                let at = random.below(items.len());
                items[at] = junk(random);
            }
            _ => items.push(Value::Null),
        },
        Value::Object(fields) => match random.below(3) {
            0 => {
                fields.insert("unknown".to_owned(), junk(random));
            }
            1 => {
                let names: Vec<String> = fields.keys().cloned().collect();
                if !names.is_empty() {
                    fields.remove(random.of(&names));
                }
            }
            _ => *node = junk(random),
        },
        node => *node = junk(random),
    }
}

fn junk(random: &mut Random) -> Value {
    random
        .of(&[
            json!(1),
            json!(1.5),
            json!("junk\n<\u{1}"),
            json!(true),
            json!([]),
            json!(["junk"]),
            json!([[1]]),
            json!({"junk": [null, 1.5, "x"]}),
            json!({}),
            json!(18_446_744_073_709_551_615_u64),
            Value::Null,
        ])
        .clone()
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

fn nth<'a>(value: &'a mut Value, at: &mut usize) -> Option<&'a mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|it| nth(it, at)),
        Value::Object(fields) => fields.values_mut().find_map(|it| nth(it, at)),
        _ => None,
    }
}

/// Some managers apply and update one object.
fn story(random: &mut Random) -> (Value, Content) {
    let types = Types::random(random);
    let is_deduced = random.percent(10);
    let (schema, mut versions) = versions(&types);
    if is_deduced {
        versions = json!({});
    }
    let mut case =
        json!({"schema": schema, "versions": versions, "ignored": ignored(random), "ops": []});
    let mut content = Content::default();
    let Ok(mut state) = State::new(&case) else {
        return (case, content);
    };
    let mut teller = Teller {
        types,
        applied: BTreeMap::new(),
        has_second: random.percent(25),
        is_deduced,
    };
    let mut ops = Vec::new();
    for _ in 0..3 + random.below(7) {
        let operation = teller.next(random, &state);
        let before: BTreeMap<String, usize> = sizes(&state);
        let answer = state.answer(&operation);
        content.add(&operation, &answer, &before, &sizes(&state));
        teller.note(&operation, &answer);
        ops.push(operation);
    }
    content.operations = ops.len();
    case["ops"] = ops.into();
    (case, content)
}

fn sizes(state: &State) -> BTreeMap<String, usize> {
    let managers = state.managers.iter();
    managers
        .map(|(manager, it)| (manager.clone(), it.set.len()))
        .collect()
}

impl Content {
    fn add(
        &mut self,
        operation: &Value,
        answer: &Value,
        before: &BTreeMap<String, usize>,
        after: &BTreeMap<String, usize>,
    ) {
        let is_write = operation["op"] == "apply" || operation["op"] == "update";
        if answer.get("conflicts").is_some() {
            self.conflicts += 1;
        } else if answer.get("error").is_some() {
            self.refused += 1;
        } else if is_write {
            let actor = operation["manager"].as_str().unwrap_or_default();
            let has_lost = before.iter().any(|(manager, size)| {
                manager != actor && after.get(manager).is_none_or(|it| it < size)
            });
            self.losses += usize::from(has_lost);
            self.forces += usize::from(has_lost && operation["force"] == true);
            self.keyed += usize::from(answer["managers"].to_string().contains("k:{"));
            let has_dropped = before.get(actor) > after.get(actor);
            self.removals += usize::from(has_dropped && operation["op"] == "apply");
        }
    }
}

fn ignored(random: &mut Random) -> Value {
    if random.percent(80) {
        return json!({});
    }
    let name = *random.of(&["a", "b", "c"]);
    let filter = match random.below(3) {
        0 => json!({"exclude": format!("{{\"f:{name}\":{{}}}}")}),
        1 => json!({"exclude": format!("{{\"f:{name}\":{{\"f:a\":{{}}}},\"f:d\":{{}}}}")}),
        _ => json!({"include": [[name, "*", "a"], ["d"], [name, "b"]]}),
    };
    json!({"v1": filter})
}

struct Teller {
    types: Types,
    /// What each manager applied last, in v1.
    applied: BTreeMap<String, Value>,
    has_second: bool,
    is_deduced: bool,
}

impl Teller {
    fn next(&mut self, random: &mut Random, state: &State) -> Value {
        let manager = *random.of(&MANAGERS);
        let live = state.live().map(|(live, version)| in_first(live, version));
        match random.below(40) {
            0 => {
                let fields = match random.percent(50) {
                    true => fields_text(random),
                    false => hand_written(random, state),
                };
                json!({"op": "managers", "manager": manager, "version": random.of(&["v1", "v2", "gone"]),
                    "fields": fields, "force": random.percent(50)})
            }
            1 | 2 if !self.is_deduced => {
                self.types = self.types.changed(random);
                let (schema, versions) = versions(&self.types);
                json!({"op": "schema", "schema": schema, "versions": versions})
            }
            3..13 => {
                let object = document(random, &self.types, live.as_ref(), 5);
                self.write("update", random, manager, &object)
            }
            13..20 => {
                // Applies a part of what is there: fields come to be shared.
                let mut part = live.unwrap_or_else(|| json!({}));
                drop_some(random, &mut part);
                self.write("apply", random, manager, &part)
            }
            _ => {
                let last = self.applied.get(manager).cloned();
                let last = last.or(live).filter(|_| random.percent(80));
                let object = document(random, &self.types, last.as_ref(), 5);
                self.write("apply", random, manager, &object)
            }
        }
    }

    fn write(&self, op: &str, random: &mut Random, manager: &str, object: &Value) -> Value {
        let version = match self.has_second && random.percent(40) {
            true => "v2",
            false => "v1",
        };
        let object = match version {
            "v2" if !self.is_deduced => in_second(object),
            _ => object.clone(),
        };
        let is_forced = op == "apply" && random.percent(40);
        json!({"op": op, "manager": manager, "version": version, "left": object, "force": is_forced})
    }

    fn note(&mut self, operation: &Value, answer: &Value) {
        if operation["op"] == "apply" && answer.get("error").is_none() {
            let manager = operation["manager"].as_str().unwrap_or_default();
            let version = operation["version"].as_str().unwrap_or_default();
            let object = in_first(&operation["left"], version);
            self.applied.insert(manager.to_owned(), object);
        }
    }
}

/// What somebody owns, less or more of it.
fn hand_written(random: &mut Random, state: &State) -> String {
    let sets: Vec<Value> = state
        .managers
        .values()
        .map(|it| it.set.to_value())
        .collect();
    if sets.is_empty() {
        return "{}".to_owned();
    }
    let mut fields = random.of(&sets).clone();
    thin(random, &mut fields);
    fields.to_string()
}

fn drop_some(random: &mut Random, value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|name, _| name == "name" || name == "id" || random.percent(70));
        fields.values_mut().for_each(|it| drop_some(random, it));
    } else if let Value::Array(items) = value {
        items.retain(|_| random.percent(80));
        items.iter_mut().for_each(|it| drop_some(random, it));
    }
}

fn in_first(object: &Value, version: &str) -> Value {
    rename(object, |name| match version {
        "v2" => name.strip_suffix("V2").unwrap_or(name).to_owned(),
        _ => name.to_owned(),
    })
}

fn in_second(object: &Value) -> Value {
    rename(object, |name| format!("{name}V2"))
}

fn rename(object: &Value, to: impl Fn(&str) -> String) -> Value {
    match object {
        Value::Object(fields) => {
            let renamed: Map<String, Value> = fields
                .iter()
                .map(|(name, value)| (to(name), value.clone()))
                .collect();
            renamed.into()
        }
        other => other.clone(),
    }
}
