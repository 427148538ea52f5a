//! What differs between any two servers, replaced: identities, times, versions, addresses.
//!
//! The names of uids and of resourceVersions are numbered as they first appear, so that two which are the same on one
//! side must be the same on the other: a write that changes nothing does not make a new version with either.

use std::collections::HashMap;

use anyhow::Result;
use regex::{Captures, Regex};

/// Pattern and replacement.
const PLAIN: &[(&str, &str)] = &[
    (r"127\.0\.0\.1:\d+", "SERVER"),
    (r"\b(LIVE|MERGED|APPLIED|kubectl-edit)-\d+", "$1-N"),
    (r"\b20(2[4-9]|[3-9]\d)-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| [+-]\d{4})", "TIME"),
    (r"(?m)^([EWI])\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+ ", "$1 "),
    // An age ends its row, but for wide ones; a date of the definition's columns does not.
    (r"(?m)(^|\s)(<invalid>|\d+s|\d+m(\d+s)?)( +|$)", "${1}AGE "),
    (r"\bmade-[a-z0-9]{5}\b", "made-RANDOM"),
    // A list's version is that of the whole store, which others write to.
    (
        r#"("kind":"(?:[A-Za-z]+List|Table)",(?:"apiVersion":"[^"]+",)?"metadata":\{)"resourceVersion":"\d+""#,
        r#"$1"resourceVersion":"OF-THE-STORE""#,
    ),
    // A patched object that does not decode: Go's text quotes the object in the order of its struct, and names types
    // and fields of Go.
    (r#"(patch: Invalid value: )"\{.*\}": json: .*"#, "${1}NOT-DECODED"),
    (r#""continue":"[^"]+""#, r#""continue":"TOKEN""#),
];

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
            version: Regex::new(r#"(resourceVersion\\*"?:\s*\\*"|Resource Version:\s+|resource version to be 1, was )(\d+)"#)?,
            folder: folder.to_owned(),
            seen: HashMap::new(),
            uids: 0,
            versions: 0,
        })
    }

    pub(crate) fn apply(&mut self, text: &str) -> String {
        let mut text = text.replace(&self.folder, "FOLDER");
        for (pattern, replacement) in &self.plain {
            text = pattern.replace_all(&text, *replacement).into_owned();
        }
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
