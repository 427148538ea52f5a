//! Notes, which the plugin keeps itself, in the key-value space that the host lends it.
//!
//! | key | value |
//! |---|---|
//! | `note/NAMESPACE/NAME` | the note; the key's version is the note's |
//! | `log/NUMBER` | which note was written or deleted as that change |
//! | `last` | the number of the last change |
//!
//! A write changes all three in one batch. Watches live on the log: it holds the last 1,000 changes, and
//! whoever asks for older ones is told to list everything again.

use outrigger_sdk::kv::{self, Operation};
use outrigger_sdk::{Backend, Failure, ListOptions, Object, Page, Plugin, Target, Value, json};

mod changes;

struct Notes;

outrigger_sdk::export!(Notes: Backend, Changes);

impl Plugin for Notes {
    fn manifest() -> String {
        include_str!("manifest.json").into()
    }
}

impl Backend for Notes {
    fn get(target: &Target, name: &str) -> Result<Object, Failure> {
        let entry = kv::get(&note_key(namespace(target), name))?;
        versioned(&entry.ok_or_else(|| target.not_found())?)
    }

    fn list(target: &Target, options: &ListOptions) -> Result<Page, Failure> {
        let prefix = match &target.namespace {
            Some(namespace) => format!("note/{namespace}/"),
            None => "note/".to_owned(),
        };
        // One more than asked for: where the next page begins.
        let start = options.next.as_deref().unwrap_or_default();
        let mut entries = kv::range(&prefix, start, options.limit.saturating_add(1))?;
        let has_more = entries.len() > options.limit as usize;
        let next = if has_more {
            entries.pop().map(|entry| entry.key)
        } else {
            None
        };
        let items = entries.iter().map(versioned).collect::<Result<_, _>>()?;
        Ok(Page {
            items,
            next,
            remaining: None,
        })
    }

    fn create(target: &Target, note: Object) -> Result<Object, Failure> {
        if kv::get(&note_key(note.namespace(), note.name()))?.is_some() {
            return Err(target.already_exists());
        }
        store(target, note, 0)
    }

    fn update(
        target: &Target,
        note: Object,
        expect_version: Option<&str>,
    ) -> Result<Object, Failure> {
        let key = note_key(note.namespace(), note.name());
        let stored = kv::get(&key)?.ok_or_else(|| target.not_found())?;
        expect(target, stored.version, expect_version)?;
        store(target, note, stored.version)
    }

    fn delete(
        target: &Target,
        name: &str,
        expect_version: Option<&str>,
    ) -> Result<Option<Object>, Failure> {
        let key = note_key(namespace(target), name);
        let stored = kv::get(&key)?.ok_or_else(|| target.not_found())?;
        expect(target, stored.version, expect_version)?;
        let last = versioned(&stored)?;
        let deletion = Operation::delete(&key).expecting(stored.version);
        changes::commit(target, deletion, &last, "deleted")?;
        Ok(Some(last))
    }
}

/// Keeps a note, if the one before it is at that version (0: absent).
fn store(target: &Target, mut note: Object, version: u64) -> Result<Object, Failure> {
    set_version(&mut note, None);
    let key = note_key(note.namespace(), note.name());
    let write = Operation::put(&key, note.to_string()).expecting(version);
    let version = changes::commit(target, write, &note, "changed")?;
    set_version(&mut note, Some(version));
    Ok(note)
}

fn expect(target: &Target, version: u64, expected: Option<&str>) -> Result<(), Failure> {
    match expected {
        Some(expected) if expected != version.to_string() => Err(target.conflict()),
        _ => Ok(()),
    }
}

fn note_key(namespace: &str, name: &str) -> String {
    format!("note/{namespace}/{name}")
}

fn namespace(target: &Target) -> &str {
    target.namespace.as_deref().unwrap_or_default()
}

/// A note as it is kept, with the version that its key is at.
fn versioned(entry: &kv::Entry) -> Result<Object, Failure> {
    let mut note = Object::from(parse(&entry.value)?);
    set_version(&mut note, Some(entry.version));
    Ok(note)
}

fn parse(bytes: &[u8]) -> Result<Value, Failure> {
    let text = str::from_utf8(bytes).map_err(|error| Failure::internal(&error.to_string()))?;
    Ok(text.parse()?)
}

fn set_version(note: &mut Object, version: Option<u64>) {
    note["metadata"]["resourceVersion"] = json!(version.map(|version| version.to_string()));
}

#[cfg(test)]
mod tests;
