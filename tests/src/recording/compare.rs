//! Where two answers differ.

use std::collections::BTreeSet;

use super::json::Json;

/// How much of a value a difference shows.
const SHOWN_CHARACTERS: usize = 300;

#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// A JSON pointer into the answer.
    pub pointer: String,
    /// What was expected there, and what came.
    pub what: String,
}

/// All differences, in the order of field names and items.
#[must_use]
pub fn differences(expected: &Json, got: &Json) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(expected, got, "", &mut found);
    found
}

fn compare(expected: &Json, got: &Json, at: &str, found: &mut Vec<Difference>) {
    let mut differs = |pointer: String, what: String| found.push(Difference { pointer, what });
    match (expected, got) {
        (Json::Object(ours), Json::Object(theirs)) => {
            let keys: BTreeSet<_> = ours.iter().chain(theirs).map(|(key, _)| key).collect();
            for key in keys {
                let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                match (expected.get(key), got.get(key)) {
                    (Some(expected), Some(got)) => compare(expected, got, &at, found),
                    (Some(expected), None) => found.push(Difference {
                        pointer: at,
                        what: format!("missing, expected {}", short(expected)),
                    }),
                    (None, got) => found.push(Difference {
                        pointer: at,
                        what: format!("not expected, got {}", short(got.unwrap_or(&Json::Null))),
                    }),
                }
            }
        }
        (Json::List(ours), Json::List(theirs)) => {
            if ours.len() != theirs.len() {
                let what = format!("{} items expected, got {}", ours.len(), theirs.len());
                differs(at.to_owned(), what);
            }
            for (index, (expected, got)) in ours.iter().zip(theirs).enumerate() {
                compare(expected, got, &format!("{at}/{index}"), found);
            }
        }
        _ if expected == got => {}
        _ => {
            let what = format!("expected {}, got {}", short(expected), short(got));
            differs(at.to_owned(), what);
        }
    }
}

fn short(value: &Json) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_each_place_that_differs() -> serde_json::Result<()> {
        let expected = Json::read(
            r#"{"a/b": 1, "list": [1, {"x": "old"}, 3], "gone": {}, "one": 1, "same": {"b": 1, "a": 2}}"#,
        )?;
        let got = Json::read(
            r#"{"a/b": 2, "list": [1, {"x": "new"}], "more": [], "one": 1.0, "same": {"a": 2, "b": 1}}"#,
        )?;
        let found: Vec<_> = differences(&expected, &got)
            .into_iter()
            .map(|it| format!("{}: {}", it.pointer, it.what))
            .collect();
        assert_eq!(
            found,
            [
                "/a~1b: expected 1, got 2",
                "/gone: missing, expected {}",
                "/list: 3 items expected, got 2",
                "/list/1/x: expected \"old\", got \"new\"",
                "/more: not expected, got []",
                "/one: expected 1, got 1.0",
            ]
        );
        Ok(())
    }
}
