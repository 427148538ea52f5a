//! Turns what differs from run to run into names that are equal where the behaviour is equal.
//!
//! Uids become `<uid-1>`, … in the order in which an answer shows them, times `<time>`, and the resourceVersions of
//! objects their ranks within the case: equal and increasing where they must be. Those of lists move with the
//! writes of others and become `<rv>`. Causes and managedFields are sorted: the recorded server orders them by a
//! hash map and by the clock. Plain bookmarks come by the clock and are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::json::Json;
use super::placeholders::Values;

static UUID: LazyLock<Regex> =
    LazyLock::new(|| pattern("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"));
static TIME: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"));
static AGE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\d+[smhdy])+$"));
static STORE_VERSION: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(resource version: |current: )\d+"));
/// In texts: the version in parentheses, and in JSON within a text.
static OBJECT_VERSION: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(\(|resourceVersion\\*"?: ?\\*"?)(\d+)"#));

const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the patterns are constants")
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Those that clients read, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub enum Content {
    /// `{"json": …}`, `{"text": …}` or `{"bytes": true}`.
    Body(Json),
    /// Those of a watch, and the text `END` where the server ended it.
    Events(Json),
}

impl Content {
    fn json(&self) -> &Json {
        match self {
            Self::Body(json) | Self::Events(json) => json,
        }
    }
}

/// Of the answers of one case.
pub struct Normaliser<'a> {
    values: &'a Values,
    uids: BTreeMap<String, String>,
    versions: BTreeMap<String, String>,
}

impl<'a> Normaliser<'a> {
    pub fn new<'b>(values: &'a Values, answers: impl Iterator<Item = &'b Answer>) -> Self {
        let mut found = BTreeSet::new();
        for answer in answers {
            collect_versions(answer.content.json(), &mut found);
        }
        let ranked = found.iter().enumerate();
        Self {
            values,
            uids: BTreeMap::new(),
            versions: ranked
                .map(|(at, version)| (version.to_string(), format!("<rv-{}>", at + 1)))
                .collect(),
        }
    }

    /// The answer in the form of the recordings. Answers must come in the order of their steps.
    pub fn answer(&mut self, answer: &Answer) -> Json {
        let headers = answer.headers.iter();
        let headers = headers.map(|(name, value)| (name.clone(), Json::Text(self.text(value))));
        let headers = Json::Object(headers.collect());
        let (key, content) = match &answer.content {
            Content::Body(body) => ("body", self.value(body, None)),
            Content::Events(events) => {
                let Json::List(mut events) = self.value(events, None) else {
                    return Json::Null;
                };
                events.retain(is_shown);
                ("events", Json::List(events))
            }
        };
        Json::object([
            ("status", Json::Number(answer.status.into())),
            ("headers", headers),
            (key, content),
        ])
    }

    fn text(&mut self, text: &str) -> String {
        let text = text
            .replace(&self.values.namespace, "$NS")
            .replace(&self.values.id, "$ID");
        let uids = &mut self.uids;
        let text = UUID.replace_all(&text, |found: &Captures<'_>| {
            let next = format!("<uid-{}>", uids.len() + 1);
            uids.entry(found[0].to_owned()).or_insert(next).clone()
        });
        let text = TIME.replace_all(&text, "<time>");
        let text = STORE_VERSION.replace_all(&text, "${1}<rv>");
        let versions = &self.versions;
        let text = OBJECT_VERSION.replace_all(&text, |found: &Captures<'_>| {
            let version = versions.get(&found[2]).map_or(&found[2], String::as_str);
            format!("{}{version}", &found[1])
        });
        text.into_owned()
    }

    /// `key` is the field that the value, or the list around it, belongs to.
    fn value(&mut self, value: &Json, key: Option<&str>) -> Json {
        match value {
            Json::Object(_) => self.object(value),
            Json::List(items) => Json::List(items.iter().map(|it| self.value(it, key)).collect()),
            Json::Text(text) if key == Some("continue") && !text.is_empty() => {
                Json::text("<continue>")
            }
            Json::Text(text) => Json::Text(self.text(text)),
            other => other.clone(),
        }
    }

    fn object(&mut self, value: &Json) -> Json {
        let fields = value.fields().iter();
        let fields = fields.map(|(key, it)| (self.text(key), self.value(it, Some(key))));
        let mut out = Json::Object(fields.collect());
        for unordered in ["causes", "managedFields"] {
            if let Some(Json::List(items)) = out.get(unordered) {
                let mut items = items.clone();
                items.sort_by_cached_key(Json::sort_key);
                out.set(unordered, Json::List(items));
            }
        }
        if let Some(start) = start_of_long_message(&out) {
            out.set("message", start);
        }
        if let Some(Json::List(cells)) = out.get("cells") {
            let is_age = |it: &Json| it.as_text().is_some_and(|it| AGE.is_match(it));
            let cell = |it: &Json| {
                if is_age(it) {
                    Json::text("<age>")
                } else {
                    it.clone()
                }
            };
            out.set("cells", Json::List(cells.iter().map(cell).collect()));
        }
        if let Some(version) = version_of(value) {
            let rank = match value.get("name") {
                Some(_) => self.versions.get(version).map_or(version, String::as_str),
                None => "<rv>",
            };
            out.set("resourceVersion", Json::text(rank));
        }
        out
    }
}

/// A Status with many causes lists them in its message, in their order by chance.
fn start_of_long_message(object: &Json) -> Option<Json> {
    let is_status = object.get("kind")?.as_text()? == "Status";
    let causes = object.get("details")?.get("causes")?.items();
    let message = object.get("message")?.as_text()?;
    let start = message.split('[').next()?;
    (is_status && causes.len() > 1).then(|| Json::text(start))
}

fn is_shown(event: &Json) -> bool {
    let kind = event.get("type").and_then(Json::as_text);
    kind != Some("BOOKMARK") || event.to_string().contains(INITIAL_EVENTS_END)
}

/// The resourceVersion in an object's metadata, if it is one of the store's.
fn version_of(metadata: &Json) -> Option<&str> {
    let version = metadata.get("resourceVersion")?.as_text()?;
    let is_number = !version.is_empty() && version.bytes().all(|it| it.is_ascii_digit());
    (is_number && version != "0").then_some(version)
}

/// Those of objects: they have a name. Those of lists and bookmarks move with the writes of others.
fn collect_versions(value: &Json, found: &mut BTreeSet<u128>) {
    if value.get("name").is_some()
        && let Some(version) = version_of(value)
    {
        found.extend(version.parse::<u128>());
    }
    for (_, item) in value.fields() {
        collect_versions(item, found);
    }
    for item in value.items() {
        collect_versions(item, found);
    }
}

#[cfg(test)]
mod tests;
