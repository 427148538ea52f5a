//! How many current records there are of each resource, kept in `meta` beside them.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::rows::Damaged;
use crate::storage::{Event, Item, Revision};

/// How the current records below each resource's prefix have become more or fewer. Their number is kept beside them:
/// by a damaged index some are not found, and nothing else would tell.
#[derive(Debug, Default)]
pub(super) struct Counts(HashMap<String, i64>);

impl Counts {
    const PREFIX: &str = "records:";

    pub(super) fn add(&mut self, events: &[Event]) {
        for event in events {
            match (&event.previous, &event.record) {
                (None, Some(_)) => self.count(&event.key, 1),
                (Some(_), None) => self.count(&event.key, -1),
                _ => {}
            }
        }
    }

    pub(super) fn count(&mut self, key: &str, by: i64) {
        let Some(prefix) = counted(key) else { return };
        match self.0.get_mut(prefix) {
            Some(count) => *count += by,
            None => drop(self.0.insert(prefix.to_owned(), by)),
        }
    }

    /// Adds them to what is kept.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        for (prefix, by) in self.0.iter().filter(|(_, by)| **by != 0) {
            connection
                .prepare_cached(
                    "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = value + ?2",
                )?
                .execute(params![format!("{}{prefix}", Self::PREFIX), by])?;
        }
        Ok(())
    }

    /// Counts all that there are, row by row.
    pub(super) fn begin(connection: &Connection) -> rusqlite::Result<()> {
        let kept = format!("{}%", Self::PREFIX);
        connection.execute("DELETE FROM meta WHERE name LIKE ?1", [kept])?;
        let mut counts = Self::default();
        let mut query =
            connection.prepare("SELECT key FROM record NOT INDEXED WHERE superseded IS NULL")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            counts.count(row.get_ref(0)?.as_str()?, 1);
        }
        counts.write(connection)
    }

    /// What is kept differs from these, which are of all records.
    pub(super) fn differences(&self, connection: &Connection) -> rusqlite::Result<Vec<Damaged>> {
        let mut query = connection.prepare("SELECT name, value FROM meta ORDER BY name")?;
        let rows = query.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
        })?;
        let mut found = self.0.clone();
        let mut differences = Vec::new();
        for row in rows {
            let (name, expected) = row?;
            let Some(prefix) = name.strip_prefix(Self::PREFIX) else {
                continue;
            };
            let found = found.remove(prefix).unwrap_or(0);
            differences.extend(missing(prefix, found, expected));
        }
        let uncounted = found
            .iter()
            .filter_map(|(prefix, it)| missing(prefix, *it, 0));
        differences.extend(uncounted);
        Ok(differences)
    }
}

/// The resource's prefix that an object's key begins with, `objects/GROUP/RESOURCE/`.
fn counted(key: &str) -> Option<&str> {
    let below = key.strip_prefix("objects/")?;
    let (end, _) = below.match_indices('/').nth(1)?;
    Some(&key[..key.len() - below.len() + end + 1])
}

fn missing(prefix: &str, found: i64, expected: i64) -> Option<Damaged> {
    (found != expected).then(|| Damaged::Missing {
        prefix: prefix.to_owned(),
        found,
        expected,
    })
}

/// Whether `items` are all current records under a prefix, as far as that is counted, in a store at a revision.
///
/// # Errors
/// What is wrong with them.
pub(super) fn check_loaded(
    connection: &Connection,
    prefix: &str,
    items: &[Item],
    at: Revision,
) -> rusqlite::Result<()> {
    if let Some(item) = items.iter().find(|it| it.revision > at) {
        let (key, revision) = (Arc::clone(&item.key), item.revision);
        return Err(Damaged::Future { key, revision, at }.into());
    }
    if counted(prefix) != Some(prefix) {
        return Ok(());
    }
    let expected = connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([format!("{}{prefix}", Counts::PREFIX)], |row| row.get(0))
        .optional()?;
    let found = i64::try_from(items.len()).unwrap_or(i64::MAX);
    match missing(prefix, found, expected.unwrap_or(0)) {
        Some(missing) => Err(missing.into()),
        None => Ok(()),
    }
}
