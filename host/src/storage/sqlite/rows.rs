//! Records, and events out of them, in SQL.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::storage::{Event, Item, Key, Record, Revision};

/// What is in the file is not what was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damaged {
    #[error("the record {key} of revision {revision} does not match its checksum")]
    Record { key: Key, revision: Revision },
    #[error("of {expected} records below {prefix} {found} are found")]
    Missing {
        prefix: String,
        found: i64,
        expected: i64,
    },
    #[error("the record {key} is of revision {revision}, and the store at {at}")]
    Future {
        key: Key,
        revision: Revision,
        at: Revision,
    },
}

impl From<Damaged> for rusqlite::Error {
    fn from(damaged: Damaged) -> Self {
        Self::FromSqlConversionFailure(0, Type::Integer, Box::new(damaged))
    }
}

/// Whether a read failed because of what is in a row, not because of the disk.
pub(super) fn damage(err: &rusqlite::Error) -> Option<&Damaged> {
    match err {
        rusqlite::Error::FromSqlConversionFailure(_, _, cause) => cause.downcast_ref(),
        _ => None,
    }
}

/// CRC-32 of one version of a record. What supersedes it later is no part of it.
pub(super) fn checksum(key: &str, revision: Revision, version_at: u32, bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&revision.0.to_be_bytes());
    crc.update(&version_at.to_be_bytes());
    crc.update(key.as_bytes());
    // No key has it: where the key ends is part of the sum.
    crc.update(&[0]);
    crc.update(bytes);
    crc.finalize()
}

/// What is under a key now.
pub(super) fn current(
    connection: &Connection,
    key: &str,
) -> rusqlite::Result<Option<(Revision, Record)>> {
    connection
        .prepare_cached(
            "SELECT revision, version_at, bytes, checksum FROM record
             WHERE key = ?1 AND superseded IS NULL",
        )?
        .query_row([key], |row| version(key, row, 0))
        .optional()
}

/// A row's record, whichever version it is.
pub(super) fn by_id(connection: &Connection, id: i64) -> rusqlite::Result<Item> {
    connection
        .prepare_cached(
            "SELECT key, revision, version_at, bytes, checksum FROM record WHERE id = ?1",
        )?
        .query_row([id], item)
}

/// Up to `limit` current records under a prefix, from `start` on, in the order of keys.
pub(super) fn list(
    connection: &Connection,
    prefix: &str,
    start: &str,
    limit: usize,
) -> rusqlite::Result<Vec<Item>> {
    between(connection, start.max(prefix), &behind(prefix), limit)
}

/// The same from the key `start` to before `end`.
pub(super) fn between(
    connection: &Connection,
    start: &str,
    end: &str,
    limit: usize,
) -> rusqlite::Result<Vec<Item>> {
    let mut query = connection.prepare_cached(
        "SELECT key, revision, version_at, bytes, checksum FROM record
         WHERE key >= ?1 AND key < ?2 AND superseded IS NULL ORDER BY key LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = query.query_map(params![start, end, limit], item)?;
    rows.collect()
}

/// Key, and what [`version`] reads.
fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    let key: Key = row.get(0)?;
    let (revision, record) = version(&key, row, 1)?;
    Ok(Item {
        key,
        revision,
        record,
    })
}

/// The changes under a prefix after `oldest`, oldest first, at most `limit` of them: the latest; with the
/// revision that they are complete after. `items` are the current records.
pub(super) fn history(
    connection: &Connection,
    prefix: &str,
    oldest: Revision,
    limit: usize,
    items: &[Item],
) -> rusqlite::Result<(Vec<Event>, Revision)> {
    let oldest = oldest.max(before_latest(limit, oldest, items));
    let mut query = connection.prepare_cached(
        "SELECT key, superseded, revision, version_at, bytes, checksum FROM record
         WHERE superseded > ?1 AND key >= ?2 AND key < ?3",
    )?;
    let rows = query.query_map(params![sql(oldest), prefix, behind(prefix)], |row| {
        let key: Key = row.get(0)?;
        let version = version(&key, row, 2)?;
        Ok((key, revision(row, 1)?, version))
    })?;

    // Each version was written at one revision and gone at another: two halves of two events.
    let mut halves: HashMap<(Revision, Key), Event> = HashMap::new();
    let mut half = |at: Revision, key: &Key, fill: &mut dyn FnMut(&mut Event)| {
        let event = halves
            .entry((at, Arc::clone(key)))
            .or_insert_with(|| Event {
                key: Arc::clone(key),
                revision: at,
                record: None,
                previous: None,
            });
        fill(event);
    };
    for row in rows {
        let (key, superseded, (written, record)) = row?;
        half(superseded, &key, &mut |it| {
            it.previous = Some((written, record.clone()));
        });
        if written > oldest {
            half(written, &key, &mut |it| it.record = Some(record.clone()));
        }
    }
    for item in items.iter().filter(|it| it.revision > oldest) {
        half(item.revision, &item.key, &mut |it| {
            it.record = Some(item.record.clone());
        });
    }

    let mut events: Vec<Event> = halves.into_values().collect();
    events.sort_unstable_by(|a, b| (a.revision, &a.key).cmp(&(b.revision, &b.key)));
    let skipped = events.len().saturating_sub(limit);
    let complete_after = events[..skipped].last().map_or(oldest, |it| it.revision);
    events.drain(..skipped);
    Ok((events, complete_after))
}

/// The revision before the latest `limit` of the current records: the latest events are among what comes after it. A store that
/// was filled in one go would else make an event of each record, and forget nearly all of them again.
fn before_latest(limit: usize, oldest: Revision, items: &[Item]) -> Revision {
    let written = items.iter().map(|it| it.revision);
    let mut written: Vec<Revision> = written.filter(|it| *it > oldest).collect();
    if limit == 0 || written.len() <= limit {
        return oldest;
    }
    let at = written.len() - limit;
    let (earlier, _, _) = written.select_nth_unstable(at);
    earlier.iter().max().copied().unwrap_or(oldest)
}

pub(super) fn write(connection: &Connection, events: &[Event]) -> rusqlite::Result<()> {
    for event in events {
        if event.previous.is_some() {
            connection
                .prepare_cached(
                    "UPDATE record SET superseded = ?2 WHERE key = ?1 AND superseded IS NULL",
                )?
                .execute(params![&*event.key, sql(event.revision)])?;
        }
        if let Some(record) = &event.record {
            insert(connection, &event.key, event.revision, record)?;
        }
    }
    Ok(())
}

pub(super) fn insert(
    connection: &Connection,
    key: &str,
    revision: Revision,
    record: &Record,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO record (key, revision, version_at, bytes, checksum)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            key,
            sql(revision),
            record.version_at,
            &record.bytes[..],
            checksum(key, revision, record.version_at, &record.bytes),
        ])?;
    Ok(())
}

pub(super) fn set_meta(
    connection: &Connection,
    name: &str,
    value: Revision,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE meta SET value = ?2 WHERE name = ?1")?
        .execute(params![name, sql(value)])?;
    Ok(())
}

/// Superseded rows that are gone.
pub(super) struct Deleted {
    pub(super) rows: usize,
    pub(super) bytes: usize,
    /// The latest revision that superseded one of them.
    pub(super) up_to: Revision,
}

/// Deletes up to `limit` rows that were superseded at `up_to` or before, the oldest first.
pub(super) fn delete_superseded(
    connection: &Connection,
    up_to: Revision,
    limit: usize,
) -> rusqlite::Result<Deleted> {
    let mut query = connection.prepare_cached(
        "DELETE FROM record WHERE id IN
           (SELECT id FROM record WHERE superseded <= ?1 ORDER BY superseded LIMIT ?2)
         RETURNING superseded, length(bytes)",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = query.query_map(params![sql(up_to), limit], |row| {
        Ok((revision(row, 0)?, row.get::<_, i64>(1)?))
    })?;
    let mut deleted = Deleted {
        rows: 0,
        bytes: 0,
        up_to: Revision(0),
    };
    for row in rows {
        let (superseded, bytes) = row?;
        deleted.rows += 1;
        deleted.bytes += usize::try_from(bytes).unwrap_or(0);
        deleted.up_to = deleted.up_to.max(superseded);
    }
    Ok(deleted)
}

/// Revision, version_at, bytes and checksum, from a column on.
fn version(key: &str, row: &Row<'_>, from: usize) -> rusqlite::Result<(Revision, Record)> {
    let revision = revision(row, from)?;
    let record = Record {
        version_at: row.get(from + 1)?,
        bytes: Bytes::from(row.get::<_, Vec<u8>>(from + 2)?),
    };
    let expected = checksum(key, revision, record.version_at, &record.bytes);
    if row.get::<_, i64>(from + 3)? != i64::from(expected) {
        let key = key.into();
        return Err(Damaged::Record { key, revision }.into());
    }
    Ok((revision, record))
}

pub(super) fn revision(row: &Row<'_>, column: usize) -> rusqlite::Result<Revision> {
    Ok(Revision(row.get::<_, i64>(column)?.unsigned_abs()))
}

pub(super) fn sql(revision: Revision) -> i64 {
    i64::try_from(revision.0).expect("a store counts from 1, it does not reach 2^63")
}

/// The first key that is behind all that begin with `prefix`, which ends in `/` or is empty.
pub(super) fn behind(prefix: &str) -> String {
    match prefix.strip_suffix('/') {
        Some(rest) => format!("{rest}0"),
        None => format!("{prefix}\u{10ffff}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By zlib's `crc32`: stores of every release have them.
    #[test]
    fn checksums_are_those_of_stores_that_there_are() {
        let key = "objects/g/r/a";
        assert_eq!(checksum(key, Revision(7), 3, b"{}"), 2_087_497_079);
        let long = [b'x'; 1000];
        assert_eq!(checksum(key, Revision(1 << 40), 26, &long), 2_976_026_159);
    }
}
