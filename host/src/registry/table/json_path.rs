//! kubectl's JSONPath, as far as columns use it: fields, indexes, wildcards, filters.

use serde_json::{Map, Value};

const MAX_BYTES: usize = 4 * 1024;

/// `.a.b`, `['a']`, `[0]`, `[-1]`, `[*]`, `[?(@.type=="Ready")]`; a dot in a name is written `\.`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    Filter {
        path: Vec<Step>,
        /// `None`: the path must find something.
        test: Option<(Operator, Value)>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl JsonPath {
    /// # Errors
    /// One line about what cannot be read.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("it is longer than {MAX_BYTES} bytes"));
        }
        if text.trim().is_empty() {
            return Err("it is empty".into());
        }
        let text = text.strip_prefix('$').unwrap_or(text);
        let steps = steps(text, true)?;
        Ok(Self { steps })
    }

    /// The first value that it finds.
    pub(super) fn first<'a>(&self, object: &'a Map<String, Value>) -> Option<&'a Value> {
        match self.steps.split_first()? {
            (Step::Field(name), rest) => first(object.get(name)?, rest),
            (Step::All, rest) => object.values().find_map(|it| first(it, rest)),
            (Step::Index(_) | Step::Filter { .. }, _) => None,
        }
    }
}

fn first<'a>(value: &'a Value, steps: &[Step]) -> Option<&'a Value> {
    let Some((step, rest)) = steps.split_first() else {
        return Some(value);
    };
    match (step, value) {
        (Step::Field(name), Value::Object(map)) => first(map.get(name)?, rest),
        (Step::Index(index), Value::Array(list)) => {
            let at = if *index < 0 {
                list.len()
                    .checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
            } else {
                usize::try_from(*index).ok()?
            };
            first(list.get(at)?, rest)
        }
        (Step::All, Value::Array(list)) => list.iter().find_map(|it| first(it, rest)),
        (Step::All, Value::Object(map)) => map.values().find_map(|it| first(it, rest)),
        (Step::Filter { path, test }, Value::Array(list)) => list
            .iter()
            .filter(|it| holds(it, path, test.as_ref()))
            .find_map(|it| first(it, rest)),
        _ => None,
    }
}

fn holds(item: &Value, path: &[Step], test: Option<&(Operator, Value)>) -> bool {
    let Some(found) = first(item, path) else {
        return false;
    };
    let Some((operator, wanted)) = test else {
        return true;
    };
    let order = match (found, wanted) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a.partial_cmp(&b),
            _ => None,
        },
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    };
    let Some(order) = order else { return false };
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEqual => order.is_ge(),
    }
}

/// Filters do not nest: within one `allows_filters` is false.
fn steps(text: &str, allows_filters: bool) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let end = closing(after)?;
            steps.push(bracket(after[..end].trim(), allows_filters)?);
            rest = &after[end + 1..];
            continue;
        }
        if rest.starts_with("..") {
            return Err("recursive descent (..) is not supported".into());
        }
        // The leading dot of the first field may be missing, as in kubectl.
        let after = match rest.strip_prefix('.') {
            Some(after) => after,
            None if steps.is_empty() => rest,
            None => return Err(format!("a dot is missing before {rest:?}")),
        };
        if after.starts_with('[') {
            rest = after;
            continue;
        }
        let (name, remaining) = field(after);
        if name.is_empty() {
            return Err("a name is missing behind a dot".into());
        }
        steps.push(if name == "*" {
            Step::All
        } else {
            Step::Field(name)
        });
        rest = remaining;
    }
    Ok(steps)
}

/// Up to the next unescaped dot or bracket.
fn field(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
            '.' | '[' => return (name, &text[at..]),
            other => name.push(other),
        }
    }
    (name, "")
}

/// Where the bracket closes; those within quotes and parentheses do not count.
fn closing(text: &str) -> Result<usize, String> {
    let (mut quote, mut depth) = (None, 0_usize);
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (Some(_), '\\') => {
                characters.next();
            }
            (Some(open), other) if open == other => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, '[' | '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, ']') if depth == 0 => return Ok(at),
            (None, ']') => depth -= 1,
            (None, _) => {}
        }
    }
    Err("a bracket is not closed".into())
}

fn bracket(inner: &str, allows_filters: bool) -> Result<Step, String> {
    if inner == "*" {
        return Ok(Step::All);
    }
    if let Ok(index) = inner.parse() {
        return Ok(Step::Index(index));
    }
    if let Some(name) = quoted(inner) {
        return Ok(Step::Field(name));
    }
    if let Some(filter) = inner.strip_prefix("?(").and_then(|it| it.strip_suffix(')'))
        && allows_filters
    {
        return self::filter(filter.trim());
    }
    Err(format!("[{inner}] is not supported"))
}

fn quoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|it| matches!(it, '\'' | '"'))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        if character == quote {
            return None;
        }
        out.push(if character == '\\' {
            characters.next()?
        } else {
            character
        });
    }
    Some(out)
}

fn filter(text: &str) -> Result<Step, String> {
    let Some(path) = text.strip_prefix('@') else {
        return Err(format!("the filter {text:?} does not begin with @"));
    };
    let operators = [
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ];
    let found = path.char_indices().find_map(|(at, _)| {
        let operator = operators
            .iter()
            .find(|(sign, _)| path[at..].starts_with(sign));
        operator.map(|(sign, operator)| (at, sign.len(), *operator))
    });
    let Some((at, length, operator)) = found else {
        return Ok(Step::Filter {
            path: steps(path.trim(), false)?,
            test: None,
        });
    };
    let literal = path[at + length..].trim();
    let value = match quoted(literal) {
        Some(text) => Value::from(text),
        None => serde_json::from_str(literal)
            .ok()
            .filter(|it: &Value| it.is_number() || it.is_boolean())
            .ok_or_else(|| format!("{literal:?} is no text, number or boolean"))?,
    };
    Ok(Step::Filter {
        path: steps(path[..at].trim(), false)?,
        test: Some((operator, value)),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use serde_json::json;

    use super::*;

    fn find(path: &str) -> Option<Value> {
        let object = json!({
            "metadata": {"annotations": {"example.com/x": "1"}},
            "spec": {"parts": [{"name": "a", "n": 1}, {"name": "b", "n": 2}], "empty": []},
            "status": {"conditions": [{"type": "Synced", "status": "False"}, {"type": "Ready", "status": "True"}]},
        });
        let path = JsonPath::parse(path).unwrap();
        path.first(object.as_object().unwrap()).cloned()
    }

    #[test]
    fn finds_the_first_value() {
        for (path, found) in [
            (".spec.parts[0].name", json!("a")),
            ("spec.parts[-1].name", json!("b")),
            ("$.spec.parts[*].n", json!(1)),
            (".spec['parts'][1]['n']", json!(2)),
            (r".metadata.annotations.example\.com/x", json!("1")),
            (".metadata.annotations['example.com/x']", json!("1")),
            (
                ".status.conditions[?(@.type==\"Ready\")].status",
                json!("True"),
            ),
            (
                ".status.conditions[?(@.type == 'Ready')].status",
                json!("True"),
            ),
            (
                ".status.conditions[?(@.type!='Synced')].type",
                json!("Ready"),
            ),
            (".spec.parts[?(@.n>1)].name", json!("b")),
            (".spec.parts[?(@.n)].name", json!("a")),
            (".spec.*[0].name", json!("a")),
        ] {
            assert_eq!(find(path), Some(found), "{path}");
        }
        for nothing in [
            ".a",
            ".spec.parts.name",
            ".spec.parts[9]",
            ".spec.parts[-3]",
            ".spec.empty[*]",
            ".spec.parts[?(@.zzz)]",
            ".spec.parts[?(@.n=='1')]",
            "[0]",
        ] {
            assert_eq!(find(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn any_path_is_read_or_refused() {
        for bad in [
            "",
            " ",
            "..a",
            ".a..b",
            "a[",
            "a[b]",
            "a['b]",
            "[?(x)]",
            "a[0]b",
            "a.",
            "[?(@.x==y)]",
            "[?(@[?(@.a)])]",
        ] {
            assert!(JsonPath::parse(bad).is_err(), "{bad}");
        }
        let words = [
            "a", ".", "[", "]", "?(", "@", ")", "'", "\"", "*", "-1", "==", "\\", "\u{e9}", "<",
            " ",
        ];
        let mut seed = 3_u64;
        for _ in 0..50_000 {
            let mut text = String::new();
            for _ in 0..seed % 10 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push_str(words[usize::try_from(seed >> 33).unwrap() % words.len()]);
            }
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let _ = JsonPath::parse(&text).map(|it| it.first(&Map::new()).is_some());
        }
    }
}
