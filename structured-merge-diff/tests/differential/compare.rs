//! Whether two answers say the same.

use serde_json::Value;

pub(crate) fn is_same(here: &Value, there: &Value) -> bool {
    match (here, there) {
        (Value::Object(left), Value::Object(right)) if right.contains_key("error") => {
            is_same_error(text(&left.get("error")), text(&right.get("error")))
                && is_same_conflicts(left.get("conflicts"), right.get("conflicts"))
        }
        _ => is_same_value(here, there),
    }
}

fn text<'a>(value: &Option<&'a Value>) -> &'a str {
    value.and_then(Value::as_str).unwrap_or_default()
}

/// Go walks maps in an order of its own: several errors come in any order, and after a field that is not declared the
/// rest of its map is not looked at.
fn is_same_error(here: &str, there: &str) -> bool {
    const STOPS: &str = "field not declared in schema";
    let lines = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let is_several = here.contains("errors:") || there.contains("errors:");
    lines(here) == lines(there) || (is_several && here.contains(STOPS) && there.contains(STOPS))
}

/// Go takes managers in an order of its own; the fields of one come in the order of its set.
fn is_same_conflicts(here: Option<&Value>, there: Option<&Value>) -> bool {
    let sorted = |list: Option<&Value>| {
        let mut list = list?.as_array()?.clone();
        list.sort_by_key(|it| it[0].as_str().unwrap_or_default().to_owned());
        Some(list)
    };
    sorted(here) == sorted(there)
}

/// Numbers by value: Go writes a float without a fraction as it writes an integer.
fn is_same_value(here: &Value, there: &Value) -> bool {
    match (here, there) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left == right,
            _ => left.as_f64() == right.as_f64(),
        },
        (Value::Array(left), Value::Array(right)) => {
            let mut pairs = left.iter().zip(right);
            left.len() == right.len() && pairs.all(|(left, right)| is_same_value(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, left)| {
                    right
                        .get(name)
                        .is_some_and(|right| is_same_value(left, right))
                })
        }
        _ => here == there,
    }
}
