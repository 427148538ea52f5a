//! `x-kubernetes-validations`: what a rule must look like, and the paths of fields that rules and selectors name.
//!
//! The expressions themselves are not looked at.

use super::keywords::{Result, Schema, at, below, items, property, schema, text};

const REASONS: [&str; 4] = [
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
];

/// # Errors
/// One line about the first rule of the node that apiextensions would refuse.
pub(super) fn check(node: &Schema, path: &str) -> Result<()> {
    for (index, rule) in items(node, "x-kubernetes-validations").iter().enumerate() {
        let place = below(path, &format!("x-kubernetes-validations[{index}]"));
        let Some(rule) = rule.as_object() else {
            continue;
        };
        one(node, rule, &place)?;
    }
    Ok(())
}

fn one(node: &Schema, rule: &Schema, path: &str) -> Result<()> {
    let wrong = |field: &str, problem: &str| Err(at(&below(path, field), problem));
    let (expression, message) = (text(rule, "rule").trim(), text(rule, "message"));
    if expression.is_empty() {
        return wrong("rule", "rule is not specified");
    }
    for field in ["message", "messageExpression", "fieldPath"] {
        if rule.contains_key(field) && text(rule, field).trim().is_empty() {
            return wrong(field, "must be non-empty if specified");
        }
    }
    if has_newlines(message.trim()) {
        return wrong("message", "must not contain line breaks");
    }
    if has_newlines(expression) && message.is_empty() {
        let problem = "message must be specified if rule contains line breaks";
        return wrong("message", problem);
    }
    let reason = text(rule, "reason");
    if !reason.is_empty() && !REASONS.contains(&reason) {
        let problem = format!("must be one of {}", REASONS.join(", "));
        return wrong("reason", &problem);
    }
    let field_path = text(rule, "fieldPath");
    if has_newlines(field_path) {
        return wrong("fieldPath", "must not contain line breaks");
    }
    if !field_path.is_empty() && find(node, field_path, true).is_err() {
        return wrong("fieldPath", "must be a valid path");
    }
    Ok(())
}

fn has_newlines(text: &str) -> bool {
    text.contains(['\n', '\r'])
}

/// The names that a path like `.spec.color` or `.labels['a/b']` goes through, and the schema at its end; `None`
/// where nothing is known of it.
///
/// # Errors
/// What is wrong with the path.
pub(super) fn find<'a>(
    node: &'a Schema,
    path: &str,
    allows_brackets: bool,
) -> std::result::Result<(Vec<String>, Option<&'a Schema>), &'static str> {
    const UNKNOWN: &str = "does not refer to a valid field";
    let mut names = Vec::new();
    let mut node = Some(node);
    let mut rest = path;
    while !rest.is_empty() {
        let name = if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[', ']']).unwrap_or(after.len());
            rest = &after[end..];
            after[..end].to_owned()
        } else if let Some(after) = rest.strip_prefix("['").filter(|_| allows_brackets) {
            let end = quote_end(after).ok_or("a quote is not closed")?;
            rest = after[end..]
                .strip_prefix("']")
                .ok_or("a bracket is not closed")?;
            unescaped(&after[..end])
        } else if rest.starts_with('[') && !allows_brackets {
            return Err("array notation is not allowed");
        } else {
            return Err("must consist of .name or ['name']");
        };
        if name.is_empty() {
            return Err(UNKNOWN);
        }
        let here = node.ok_or(UNKNOWN)?;
        node = if here.contains_key("properties") {
            Some(property(here, &name).ok_or(UNKNOWN)?)
        } else if here.contains_key("additionalProperties") {
            schema(here, "additionalProperties")
        } else {
            return Err(UNKNOWN);
        };
        names.push(name);
    }
    Ok((names, node))
}

fn quote_end(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (index, character) in text.char_indices() {
        match character {
            '\'' if !is_escaped => return Some(index),
            _ => is_escaped = character == '\\' && !is_escaped,
        }
    }
    None
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\\' {
            out.extend(characters.next());
        } else {
            out.push(character);
        }
    }
    out
}
