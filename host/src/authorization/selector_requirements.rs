//! The selectors of a list, a watch or a deletecollection as an authorizer sees them (KEP-4601).
//!
//! Selectors only narrow, so one that cannot be read here is left out, and the question is the broader one;
//! the handler answers such a request with 400 by itself. Grammars: k8s.io/apimachinery, pkg/labels and
//! pkg/fields.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    FieldSelectorRequirement, LabelSelectorRequirement,
};

use crate::api::field_selector::{self, FieldTerm};

/// Empty where the selector demands nothing or cannot be read.
pub(super) fn of_fields(selector: &str) -> Vec<FieldSelectorRequirement> {
    let terms = field_selector::parse(selector).unwrap_or_default();
    let requirement = |term: FieldTerm| FieldSelectorRequirement {
        key: term.field,
        operator: if term.is_negated { "NotIn" } else { "In" }.to_owned(),
        values: Some(vec![term.value]),
    };
    terms.into_iter().map(requirement).collect()
}

/// Empty where the selector demands nothing or cannot be read. Sorted by key, as upstream.
pub(super) fn of_labels(selector: &str) -> Vec<LabelSelectorRequirement> {
    let mut requirements = label_requirements(selector).unwrap_or_default();
    requirements.sort_by(|a, b| a.key.cmp(&b.key));
    requirements
}

fn label_requirements(selector: &str) -> Option<Vec<LabelSelectorRequirement>> {
    let tokens = tokens(selector);
    let mut tokens = tokens.iter().map(String::as_str).peekable();
    let mut requirements = Vec::new();
    while tokens.peek().is_some() {
        requirements.push(label_requirement(&mut tokens)?);
        match tokens.next() {
            None => break,
            Some(",") if tokens.peek().is_some() => {}
            Some(_) => return None,
        }
    }
    Some(requirements)
}

fn label_requirement<'a>(
    tokens: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
) -> Option<LabelSelectorRequirement> {
    let requirement = |key: &str, operator: &str, mut values: Vec<String>| {
        values.sort_unstable();
        values.dedup();
        LabelSelectorRequirement {
            key: key.to_owned(),
            operator: operator.to_owned(),
            values: (!values.is_empty()).then_some(values),
        }
    };
    let first = tokens.next()?;
    if first == "!" {
        let key = word(tokens.next()?)?;
        return Some(requirement(key, "DoesNotExist", Vec::new()));
    }
    let key = word(first)?;
    let operator = match tokens.peek().copied() {
        None | Some(",") => return Some(requirement(key, "Exists", Vec::new())),
        Some(operator) => operator,
    };
    tokens.next();
    match operator {
        "=" | "==" | "!=" => {
            let value = match tokens.peek().copied() {
                // `key=` asks for the empty value.
                None | Some(",") => String::new(),
                Some(value) => {
                    tokens.next();
                    word(value)?.to_owned()
                }
            };
            let operator = if operator == "!=" { "NotIn" } else { "In" };
            Some(requirement(key, operator, vec![value]))
        }
        "in" => Some(requirement(key, "In", set(tokens)?)),
        "notin" => Some(requirement(key, "NotIn", set(tokens)?)),
        // `gt` and `lt` are no operators of a LabelSelectorRequirement: the broader question is asked.
        _ => None,
    }
}

fn set<'a>(tokens: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>) -> Option<Vec<String>> {
    if tokens.next()? != "(" {
        return None;
    }
    let mut values = Vec::new();
    loop {
        match tokens.next()? {
            ")" => {
                values.push(String::new());
                return Some(values);
            }
            "," => values.push(String::new()),
            value => {
                values.push(word(value)?.to_owned());
                match tokens.next()? {
                    ")" => return Some(values),
                    "," => {}
                    _ => return None,
                }
            }
        }
    }
}

/// A key or a value: what is no operator.
fn word(token: &str) -> Option<&str> {
    let first = token.chars().next()?;
    (!is_special(first)).then_some(token)
}

fn is_special(char: char) -> bool {
    matches!(char, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn tokens(selector: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut chars = selector.chars().peekable();
    while let Some(char) = chars.next() {
        if char.is_ascii_whitespace() {
            continue;
        }
        let mut token = String::from(char);
        if is_special(char) {
            if matches!(char, '=' | '!') && chars.peek() == Some(&'=') {
                token.extend(chars.next());
            }
        } else {
            while let Some(next) = chars.next_if(|it| !is_special(*it) && !it.is_ascii_whitespace())
            {
                token.push(next);
            }
        }
        tokens.push(token);
    }
    tokens
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check_fields(selector: &str, expected: Expect) {
        let shown: Vec<String> = of_fields(selector)
            .iter()
            .map(|it| format!("{} {} {:?}", it.key, it.operator, it.values))
            .collect();
        expected.assert_eq(&shown.join("; "));
    }

    fn check_labels(selector: &str, expected: Expect) {
        let shown: Vec<String> = of_labels(selector)
            .iter()
            .map(|it| {
                let values = it.values.clone().unwrap_or_default();
                format!("{} {} {values:?}", it.key, it.operator)
            })
            .collect();
        expected.assert_eq(&shown.join("; "));
    }

    #[test]
    fn reads_field_selectors() {
        check_fields(
            r"metadata.name=a,spec.x!=b\,c,spec.y==",
            expect![[
                r#"metadata.name In Some(["a"]); spec.x NotIn Some(["b,c"]); spec.y In Some([""])"#
            ]],
        );
        check_fields("", expect![""]);
    }

    #[test]
    fn leaves_out_field_selectors_that_it_cannot_read() {
        check_fields("metadata.name", expect![""]);
        check_fields("a=b=c", expect![""]);
        check_fields(r"a=b\x", expect![""]);
        check_fields("a=b,nonsense", expect![""]);
    }

    #[test]
    fn reads_label_selectors() {
        check_labels(
            "tier in (web, db,web),!old, env=prod,app,zone != eu-1,x notin (a)",
            expect![[
                r#"app Exists []; env In ["prod"]; old DoesNotExist []; tier In ["db", "web"]; x NotIn ["a"]; zone NotIn ["eu-1"]"#
            ]],
        );
        check_labels("a=", expect![[r#"a In [""]"#]]);
        check_labels("", expect![""]);
    }

    #[test]
    fn leaves_out_label_selectors_that_it_cannot_read() {
        check_labels("a in b", expect![""]);
        check_labels("a,", expect![""]);
        check_labels("a>1", expect![""]);
        check_labels("(", expect![""]);
        check_labels("a in (b", expect![""]);
        check_labels("=a", expect![""]);
    }
}
