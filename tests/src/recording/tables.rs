//! The two tables beside the recordings: differences that are right, and answers that wait for later work.
//!
//! A line is `case/step`, a tab, and more (see the tables' own first lines). `*` stands for any text in the first
//! column. A line that nothing needs any more is an error: a table never says more than is true.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail, ensure};

use super::case::{Case, Request};
use super::json::Json;
use super::openapi::comparable;

const ACCEPTED_LINES_MAX: usize = 60;

/// Fields that client programs act upon: nothing there can be accepted.
const ACTED_UPON: [&str; 4] = ["reason", "code", "status", "field"];

/// Differences that are right: `case/step`, one JSON pointer into the answer, the reason.
#[derive(Debug)]
pub struct Accepted {
    lines: Vec<AcceptedLine>,
}

#[derive(Debug)]
struct AcceptedLine {
    label: String,
    pointer: String,
}

/// Answers that differ until something else is done: `case` or `case/step`, what it waits for.
#[derive(Debug)]
pub struct Pending {
    lines: Vec<PendingLine>,
}

#[derive(Debug)]
struct PendingLine {
    label: String,
    reason: String,
}

/// Which lines were needed.
#[derive(Debug, Default)]
pub struct Used {
    accepted: BTreeSet<usize>,
    pending: BTreeSet<usize>,
}

impl Accepted {
    pub fn read(text: &str) -> Result<Self> {
        let count = text.lines().count();
        ensure!(
            count <= ACCEPTED_LINES_MAX,
            "{count} lines, and {ACCEPTED_LINES_MAX} are the most"
        );
        let lines = rows(text).map(|line| {
            let mut columns = line.splitn(3, '\t');
            let mut next = || columns.next().unwrap_or("").to_owned();
            let (label, pointer, reason) = (next(), next(), next());
            let is_text = pointer.starts_with("/body/") || pointer.starts_with("/events/");
            let last = pointer.rsplit('/').next().unwrap_or("");
            ensure!(
                is_text && !ACTED_UPON.contains(&last),
                "{label} {pointer}: only texts inside a body can be accepted"
            );
            ensure!(!reason.trim().is_empty(), "{label} {pointer}: no reason");
            Ok(AcceptedLine { label, pointer })
        });
        Ok(Self {
            lines: lines.collect::<Result<_>>()?,
        })
    }

    /// Whether this difference is accepted; the lines that say so are then used.
    pub fn accepts(&self, label: &str, pointer: &str, recorded: &Json, used: &mut Used) -> bool {
        let matching = self.lines.iter().enumerate();
        let matching: Vec<_> = matching
            .filter(|(_, it)| it.pointer == pointer && matches(&it.label, label))
            .map(|(at, _)| at)
            .collect();
        let is_accepted = !matching.is_empty() && is_text(recorded, pointer);
        if is_accepted {
            used.accepted.extend(matching);
        }
        is_accepted
    }

    pub fn unused(&self, used: &Used) -> Vec<String> {
        let lines = self.lines.iter().enumerate();
        lines
            .filter(|(at, _)| !used.accepted.contains(at))
            .map(|(_, it)| format!("{} {}", it.label, it.pointer))
            .collect()
    }
}

impl Pending {
    pub fn read(text: &str) -> Result<Self> {
        let lines = rows(text).map(|line| {
            let (label, reason) = line
                .split_once('\t')
                .with_context(|| format!("{line}: no tab"))?;
            if reason.trim().is_empty() {
                bail!("{label}: it does not say what it waits for");
            }
            Ok(PendingLine {
                label: label.trim().to_owned(),
                reason: reason.to_owned(),
            })
        });
        Ok(Self {
            lines: lines.collect::<Result<_>>()?,
        })
    }

    /// What an answer waits for; the lines that say so are then used.
    pub fn waits_for(&self, case: &Case, step: &Request, used: &mut Used) -> Option<&str> {
        let mut found = None;
        for (at, line) in self.lines.iter().enumerate() {
            if matches(&line.label, &case.name) || matches(&line.label, &case.label(step)) {
                used.pending.insert(at);
                found = Some(line.reason.as_str());
            }
        }
        found
    }

    pub fn unused(&self, used: &Used) -> Vec<String> {
        let lines = self.lines.iter().enumerate();
        lines
            .filter(|(at, _)| !used.pending.contains(at))
            .map(|(_, it)| it.label.clone())
            .collect()
    }
}

fn rows(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|it| !it.trim().is_empty() && !it.starts_with('#'))
}

/// A text, or a list of texts: nothing larger can be accepted.
fn is_text(recorded: &Json, pointer: &str) -> bool {
    match comparable(recorded).at(pointer) {
        Some(Json::Text(_)) => true,
        Some(Json::List(items)) => items.iter().all(|it| it.as_text().is_some()),
        _ => false,
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut left) = text.strip_prefix(start) else {
        return false;
    };
    let (middle, end) = rest.rsplit_once('*').map_or(("", rest), |it| it);
    for part in middle.split('*') {
        match left.split_once(part) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    left.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text) in [
            ("a/b", "a/b"),
            ("*", ""),
            ("*-apply-*", "x-apply-y/z"),
            ("a*b*c", "abbc"),
            ("*/two", "a/two"),
            ("a*", "a/b"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("a*a", "a"), ("*x*b", "axc"), ("a/*", "b/a/")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn only_texts_inside_bodies_can_be_accepted() -> Result<()> {
        for line in [
            "a/b\t/headers/warning\twhy",
            "a/b\t/status\twhy",
            "a/b\t/body/json/reason\twhy",
            "a/b\t/body/json/details/causes/0/field\twhy",
            "a/b\t/body/json/message\t",
            "a/b\t/body/json/message",
        ] {
            assert!(Accepted::read(line).is_err(), "{line}");
        }
        let table = Accepted::read("# case\n*/b\t/body/json/message\twhy\n*\t/body/json\twhy")?;
        let recorded = Json::read(r#"{"body": {"json": {"message": "m"}}}"#)?;
        let mut used = Used::default();
        assert!(!table.accepts("a/b", "/body/json", &recorded, &mut used));
        assert_eq!(table.unused(&used).len(), 2);
        assert!(table.accepts("a/b", "/body/json/message", &recorded, &mut used));
        assert_eq!(table.unused(&used), ["* /body/json"]);
        Ok(())
    }

    #[test]
    fn accepted_differences_stay_few() {
        let line = "a/b\t/body/json/message\twhy\n";
        assert!(Accepted::read(&line.repeat(ACCEPTED_LINES_MAX)).is_ok());
        assert!(Accepted::read(&line.repeat(ACCEPTED_LINES_MAX + 1)).is_err());
    }
}
