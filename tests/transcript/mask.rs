//! What differs between any two servers, replaced: identities, times, versions, addresses.
//!
//! The names of uids and of resourceVersions are numbered as they first appear, so that two which are the same on one
//! side must be the same on the other: a write that changes nothing does not make a new version with either.

use std::collections::HashMap;

use anyhow::Result;
use regex::{Captures, Regex};
use serde_json::Value;

/// Pattern and replacement.
const PLAIN: &[(&str, &str)] = &[
    (r"127\.0\.0\.1:\d+", "SERVER"),
    (r"\b(LIVE|MERGED|APPLIED|kubectl-edit)-\d+", "$1-N"),
    (
        r"\b20(2[4-9]|[3-9]\d)-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| [+-]\d{4})",
        "TIME",
    ),
    (r"(?m)^([EWI])\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+ ", "$1 "),
    // With the spaces behind it: ages differ in width.
    (r"(?m)\b(\d+s|\d+m(\d+s)?)( +|$)", "AGE "),
    (r"\bmade-[a-z0-9]{5}\b", "made-RANDOM"),
    // A list's version is that of the whole store, which others write to.
    (
        r#"("kind": "(?:[A-Za-z]+List|Table)",\s+"metadata": \{\s+(?:"continue": "[^"]*",\s+)?)"resourceVersion": "\d+""#,
        r#"$1"resourceVersion": "OF-THE-STORE""#,
    ),
    // A patched object that does not decode: Go's text quotes the object in the order of its struct, and names types
    // and fields of Go.
    (
        r#"(patch: Invalid value: )"\{.*\}": json: .*"#,
        "${1}NOT-DECODED",
    ),
    // Lines before a part of a diff may be managers, in the order of the seconds in which they wrote.
    (
        r"(?m)^@@ -\d+(,\d+)? \+\d+(,\d+)? @@$",
        "@@ -LINE$1 +LINE$2 @@",
    ),
    (r#""continue": "[^"]+""#, r#""continue": "TOKEN""#),
];

const CAUSE: &str = "* ";
const MANAGER: &str = "  - ";

pub(crate) struct Mask {
    plain: Vec<(Regex, &'static str)>,
    uid: Regex,
    version: Regex,
    /// This side's folder.
    folder: String,
    seen: HashMap<String, String>,
    uids: usize,
    versions: usize,
}

impl Mask {
    pub(crate) fn new(folder: &str) -> Result<Self> {
        let mut plain = Vec::new();
        for (pattern, replacement) in PLAIN {
            plain.push((Regex::new(pattern)?, *replacement));
        }
        Ok(Self {
            plain,
            uid: Regex::new(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")?,
            version: Regex::new(
                r#"(resourceVersion\\*"?:\s*\\*"|Resource Version:\s+|resource version to be 1, was )(\d+)"#,
            )?,
            folder: folder.to_owned(),
            seen: HashMap::new(),
            uids: 0,
            versions: 0,
        })
    }

    pub(crate) fn apply(&mut self, text: &str) -> String {
        let mut text = sorted(text).replace(&self.folder, "FOLDER");
        for (pattern, replacement) in &self.plain {
            text = pattern.replace_all(&text, *replacement).into_owned();
        }
        let text = in_order(&text);
        let (seen, uids) = (&mut self.seen, &mut self.uids);
        let name = |found: &Captures<'_>| numbered(seen, uids, "UID", &found[0]);
        let text = self.uid.replace_all(&text, name).into_owned();
        let (seen, versions) = (&mut self.seen, &mut self.versions);
        let name = |found: &Captures<'_>| {
            let version = numbered(seen, versions, "VERSION", &found[2]);
            format!("{}{version}", &found[1])
        };
        self.version.replace_all(&text, name).into_owned()
    }
}

/// Documents of JSON, one or one a line, with their fields in order: only `kubectl get --raw` shows the server's own
/// order, which means nothing.
fn sorted(text: &str) -> String {
    if !text.starts_with('{') {
        return text.to_owned();
    }
    let documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let shown: Result<Vec<String>, _> = documents
        .map(|it| {
            let mut document = it?;
            order_lists(&mut document);
            serde_json::to_string_pretty(&document)
        })
        .collect();
    shown.map_or_else(|_| text.to_owned(), |it| it.join("\n") + "\n")
}

/// As [`in_order`] does in YAML.
fn order_lists(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                match inner {
                    Value::Array(entries) if name == "managedFields" => {
                        entries.sort_by_key(|it| {
                            [&it["operation"], &it["manager"], &it["subresource"]]
                                .map(Value::to_string)
                        });
                    }
                    // kube-apiserver lists the resources of a group in the order of a map.
                    Value::Array(resources) if name == "resources" => {
                        resources.sort_by_key(|it| it["name"].to_string());
                    }
                    inner => order_lists(inner),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(order_lists),
        _ => {}
    }
}

/// Two lists in an order that says nothing, put into one that is always the same: the causes of a refusal, which Go
/// finds in the order of a map, and the managers of an object in YAML, who stand in the order of the seconds in which
/// they wrote.
fn in_order(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut run: Vec<String> = Vec::new();
    let mut mark = "";
    for line in text.lines() {
        if !mark.is_empty() && line.starts_with(mark) {
            run.push(line.to_owned());
        } else if mark == MANAGER
            && line.starts_with("    ")
            && let Some(entry) = run.last_mut()
        {
            entry.push('\n');
            entry.push_str(line);
        } else {
            run.sort();
            lines.append(&mut run);
            mark = "";
            if line.starts_with(CAUSE) {
                mark = CAUSE;
                run.push(line.to_owned());
            } else {
                if line == "  managedFields:" {
                    mark = MANAGER;
                }
                lines.push(line.to_owned());
            }
        }
    }
    run.sort();
    lines.append(&mut run);
    let end = if text.ends_with('\n') { "\n" } else { "" };
    lines.join("\n") + end
}

fn numbered(
    seen: &mut HashMap<String, String>,
    count: &mut usize,
    word: &str,
    found: &str,
) -> String {
    let name = seen.entry(found.to_owned()).or_insert_with(|| {
        *count += 1;
        format!("{word}-{count}")
    });
    name.clone()
}
