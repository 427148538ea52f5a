//! All current records under a prefix, which a cache is loaded with. Many are read by several threads.
//!
//! Each thread has a connection of its own and a part of the keys. All see the same: only the writer changes records,
//! and its thread waits for them.

use std::path::Path;
use std::thread;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{rows, schema};
use crate::ambient::processors;
use crate::storage::Item;

/// Fewer rows are not worth another thread.
const ROWS_PER_THREAD: i64 = 8192;
/// Each has a connection and 2 MiB of pages.
const MAX_THREADS: usize = 4;
/// Keys that are looked at to find where the parts begin: halves differ by about a tenth.
const SAMPLES: i64 = 128;

/// In the order of keys; an error is that of the first record which cannot be read.
pub(super) fn items(
    connection: &Connection,
    file: &Path,
    prefix: &str,
) -> rusqlite::Result<Vec<Item>> {
    let threads = processors();
    let borders = match threads.min(MAX_THREADS) {
        threads if threads > 1 && is_large(connection, prefix)? => {
            borders(connection, prefix, threads)?
        }
        _ => Vec::new(),
    };
    read(connection, file, prefix, &borders)
}

/// By one thread more than there are `borders`, which are keys under the prefix in their order.
fn read(
    connection: &Connection,
    file: &Path,
    prefix: &str,
    borders: &[String],
) -> rusqlite::Result<Vec<Item>> {
    let end = rows::behind(prefix);
    let first_end = borders.first().unwrap_or(&end);
    let later_ends = borders.iter().skip(1).chain([&end]);
    thread::scope(|scope| {
        let later: Vec<_> = borders
            .iter()
            .zip(later_ends)
            .map(|(start, end)| {
                scope.spawn(move || {
                    let connection = schema::reader(file)?;
                    rows::between(&connection, start, end, usize::MAX)
                })
            })
            .collect();
        let mut items = rows::between(connection, prefix, first_end, usize::MAX)?;
        for part in later {
            match part.join() {
                Ok(part) => items.extend(part?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(items)
    })
}

fn is_large(connection: &Connection, prefix: &str) -> rusqlite::Result<bool> {
    let mut query = connection.prepare_cached(
        "SELECT 1 FROM record WHERE key >= ?1 AND key < ?2 AND superseded IS NULL LIMIT 1 OFFSET ?3",
    )?;
    query.exists(params![prefix, rows::behind(prefix), 2 * ROWS_PER_THREAD])
}

/// Keys that part those under a prefix into about equal shares, by the keys of rows all over the table.
fn borders(connection: &Connection, prefix: &str, shares: usize) -> rusqlite::Result<Vec<String>> {
    let (first, last): (i64, i64) = connection.query_row(
        "SELECT (SELECT min(id) FROM record), (SELECT max(id) FROM record)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let mut row = connection.prepare_cached(
        "SELECT key, superseded IS NULL FROM record WHERE id >= ?1 ORDER BY id LIMIT 1",
    )?;
    let mut keys = Vec::new();
    for sample in 0..SAMPLES {
        let id = first + (last - first) / SAMPLES * sample;
        let found = row.query_row([id], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)));
        match found.optional()? {
            Some((key, true)) if key.starts_with(prefix) => keys.push(key),
            _ => {}
        }
    }
    keys.sort_unstable();
    keys.dedup();
    let shares = shares.min(keys.len());
    let border = |share: usize| keys[share * keys.len() / shares].clone();
    Ok((1..shares).map(border).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use bytes::Bytes;
    use tempfile::TempDir;

    use super::*;
    use crate::storage::{Record, Revision};

    const PREFIX: &str = "objects/g/r/";

    /// A store with so many records under the prefix, not in the order of their keys, and some beside it.
    fn store(count: usize) -> (TempDir, std::path::PathBuf, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.sqlite3");
        let mut connection = schema::open(&file).unwrap();
        let transaction = connection.transaction().unwrap();
        let record = Record {
            bytes: Bytes::from_static(b"{}"),
            version_at: 1,
        };
        for number in 0..count {
            let mixed = number * 7919 % count;
            let key = format!("{PREFIX}n/{mixed:06}");
            let key = if number % 100 == 0 {
                "objects/g/q/n/".to_owned() + &key
            } else {
                key
            };
            let revision = Revision(number as u64 + 2);
            rows::insert(&transaction, &key, revision, &record).unwrap();
        }
        transaction.commit().unwrap();
        (folder, file, connection)
    }

    #[test]
    fn parts_are_what_one_thread_would_read() {
        let (_folder, file, connection) = store(1_000);
        let whole = rows::list(&connection, PREFIX, "", usize::MAX).unwrap();
        assert_eq!(whole.len(), 990);
        let key = |number: usize| format!("{PREFIX}n/{number:06}");
        let places: [&[usize]; 5] = [&[], &[1], &[500], &[3, 4], &[0, 333, 999]];
        for places in places {
            let borders: Vec<String> = places.iter().map(|it| key(*it)).collect();
            let read = read(&connection, &file, PREFIX, &borders).unwrap();
            assert_eq!(read, whole, "{places:?}");
        }
    }

    #[test]
    fn a_damaged_record_is_found_in_whichever_part_it_is() {
        let (_folder, file, connection) = store(1_000);
        for number in [901, 601, 30] {
            let key = format!("{PREFIX}n/{number:06}");
            let changed = connection
                .execute("UPDATE record SET bytes = x'78' WHERE key = ?1", [&key])
                .unwrap();
            assert_eq!(changed, 1);
            let borders = [300, 700].map(|it| format!("{PREFIX}n/{it:06}"));
            let err = read(&connection, &file, PREFIX, &borders).unwrap_err();
            let damaged = rows::damage(&err).unwrap().to_string();
            assert!(damaged.contains(&key), "the first one: {damaged}");
        }
    }

    #[test]
    fn many_records_are_parted_about_equally() {
        let count = 3 * usize::try_from(ROWS_PER_THREAD).unwrap();
        let (_folder, file, connection) = store(count);
        assert!(is_large(&connection, PREFIX).unwrap());
        assert!(!is_large(&connection, "objects/g/q/").unwrap());
        let borders = borders(&connection, PREFIX, 4).unwrap();
        assert_eq!(borders.len(), 3);
        let mut starts = vec![PREFIX.to_owned()];
        starts.extend(borders.clone());
        let ends = borders.into_iter().chain([rows::behind(PREFIX)]);
        for (start, end) in starts.iter().zip(ends) {
            let part = rows::between(&connection, start, &end, usize::MAX).unwrap();
            let share = count / 4;
            assert!(
                (share / 2..share * 2).contains(&part.len()),
                "{}",
                part.len()
            );
        }
        let whole = rows::list(&connection, PREFIX, "", usize::MAX).unwrap();
        assert!(items(&connection, &file, PREFIX).unwrap() == whole);
    }
}
