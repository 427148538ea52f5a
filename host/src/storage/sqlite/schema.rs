//! The file's format: how it is made, and how one is recognised as ours and usable.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use super::counts::Counts;
use super::{OpenError, rows, vacuum};
use crate::storage::Revision;

/// `Outr`, which `file(1)` shows too.
const APPLICATION_ID: i64 = 0x4f75_7472;

/// Raised when an older server could not read the file, or would spoil it. 2 has checksums, 3 counts records.
pub(super) const FORMAT: i64 = 3;
pub(super) const WITH_CHECKSUMS: i64 = 2;
pub(super) const WITH_COUNTS: i64 = 3;

const CREATE: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
    INSERT INTO meta VALUES ('format', 3), ('revision', 1), ('compacted', 1);
    CREATE TABLE record (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL,
        revision INTEGER NOT NULL,
        superseded INTEGER,
        version_at INTEGER NOT NULL,
        bytes BLOB NOT NULL,
        checksum INTEGER NOT NULL
    );
    CREATE UNIQUE INDEX record_current ON record (key) WHERE superseded IS NULL;
    CREATE INDEX record_superseded ON record (superseded) WHERE superseded IS NOT NULL;
";

/// Rows that an upgrade reads at a time.
const UPGRADE_STEP: u32 = 1_000;

/// What the writer begins with.
pub(super) struct State {
    pub(super) revision: Revision,
    pub(super) compacted: Revision,
    pub(super) history_rows: usize,
    pub(super) history_bytes: usize,
}

/// Opens the writer's connection, makes the tables in a new file, and upgrades those of an older release.
pub(super) fn open(file: &Path) -> Result<Connection, OpenError> {
    let describe = |err: rusqlite::Error| describe(file, &err);
    let mut connection = Connection::open(file).map_err(describe)?;
    let is_new = !recognise(&connection, file)?;
    if is_new {
        vacuum::prepare(&connection).map_err(describe)?;
    }
    configure(&connection).map_err(describe)?;
    if is_new {
        create(&mut connection).map_err(describe)?;
    }
    upgrade(&mut connection, file)?;
    Ok(connection)
}

/// Whether the file is a store; `false` where it is empty.
fn recognise(connection: &Connection, file: &Path) -> Result<bool, OpenError> {
    let describe = |err: rusqlite::Error| describe(file, &err);
    let application = pragma(connection, "application_id").map_err(describe)?;
    let objects = "SELECT count(*) FROM sqlite_schema";
    let objects: i64 = connection
        .query_row(objects, [], |row| row.get(0))
        .map_err(describe)?;
    if application != APPLICATION_ID && (application != 0 || objects != 0) {
        return Err(OpenError(format!(
            "{} is a database of another program: give a new or an empty folder",
            file.display()
        )));
    }
    Ok(objects != 0)
}

/// Opens a store that must be there for reading; with the format that it is in.
pub(super) fn open_existing(file: &Path) -> Result<(Connection, i64), OpenError> {
    let connection = open_reader(file)?;
    if !recognise(&connection, file)? {
        return Err(OpenError(format!(
            "{} is empty: it is no store",
            file.display()
        )));
    }
    let format = format(&connection, file)?;
    Ok((connection, format))
}

/// The format that the file is in, where this release can read it.
fn format(connection: &Connection, file: &Path) -> Result<i64, OpenError> {
    let format = meta(connection, "format").map_err(|err| describe(file, &err))?;
    if format > FORMAT {
        return Err(OpenError(format!(
            "{} was written by a newer release (format {format}, this one reads up to {FORMAT}): run that \
             release, or restore a backup of this one",
            file.display()
        )));
    }
    Ok(format)
}

/// Brings a file of an older release into the format of this one, in one transaction: a crash leaves the old one.
pub(super) fn upgrade(connection: &mut Connection, file: &Path) -> Result<(), OpenError> {
    let from = format(connection, file)?;
    if from == FORMAT {
        return Ok(());
    }
    tracing::info!(file = %file.display(), from, to = FORMAT, "upgrading the store");
    let mut upgrade = || {
        let transaction = connection.transaction()?;
        if from < WITH_CHECKSUMS {
            add_checksums(&transaction)?;
        }
        Counts::begin(&transaction)?;
        rows::set_meta(&transaction, "format", Revision(FORMAT.unsigned_abs()))?;
        transaction.commit()
    };
    upgrade().map_err(|err| describe(file, &err))?;
    tracing::info!(file = %file.display(), "the store is upgraded");
    Ok(())
}

fn add_checksums(transaction: &Connection) -> rusqlite::Result<()> {
    transaction
        .execute_batch("ALTER TABLE record ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0")?;
    let (mut last, mut done) = (0, 0u64);
    loop {
        let sums: Vec<(i64, u32)> = transaction
            .prepare_cached(
                "SELECT id, key, revision, version_at, bytes FROM record
                 WHERE id > ?1 ORDER BY id LIMIT ?2",
            )?
            .query_map(params![last, UPGRADE_STEP], |row| {
                let key: String = row.get(1)?;
                let bytes: Vec<u8> = row.get(4)?;
                let sum = rows::checksum(&key, rows::revision(row, 2)?, row.get(3)?, &bytes);
                Ok((row.get(0)?, sum))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let Some((id, _)) = sums.last() else { break };
        last = *id;
        for (id, sum) in &sums {
            transaction
                .prepare_cached("UPDATE record SET checksum = ?2 WHERE id = ?1")?
                .execute(params![id, sum])?;
        }
        done += u64::from(UPGRADE_STEP);
        if done % 100_000 == 0 {
            tracing::info!(rows = done, "upgrading the store");
        }
    }
    Ok(())
}

/// Another connection that cannot write, so that reads never wait for the writer.
pub(super) fn open_reader(file: &Path) -> Result<Connection, OpenError> {
    reader(file).map_err(|err| describe(file, &err))
}

/// The same for a file that is known to be a store.
pub(super) fn reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

pub(super) fn read_state(connection: &Connection, file: &Path) -> Result<State, OpenError> {
    let read = || -> rusqlite::Result<State> {
        let history = "SELECT count(*), coalesce(sum(length(bytes)), 0) FROM record
            WHERE superseded IS NOT NULL";
        let (rows, bytes): (i64, i64) =
            connection.query_row(history, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(State {
            revision: Revision(meta(connection, "revision")?.unsigned_abs()),
            compacted: Revision(meta(connection, "compacted")?.unsigned_abs()),
            history_rows: usize::try_from(rows).unwrap_or(0),
            history_bytes: usize::try_from(bytes).unwrap_or(0),
        })
    };
    read().map_err(|err| describe(file, &err))
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // A person's backup tool may hold a lock for a moment.
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    // Shrinks the log again after a burst.
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// Makes `revision` the store's first: what was superseded before goes.
pub(super) fn begin_at(connection: &mut Connection, revision: Revision) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute("DELETE FROM record WHERE superseded IS NOT NULL", [])?;
    rows::set_meta(&transaction, "revision", revision)?;
    rows::set_meta(&transaction, "compacted", revision)?;
    transaction.commit()
}

/// In one transaction: a crash leaves an empty file, which is begun again.
fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(CREATE)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.commit()
}

pub(super) fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

pub(super) fn meta(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    let query = "SELECT value FROM meta WHERE name = ?1";
    connection.query_row(query, [name], |row| row.get(0))
}

pub(super) fn describe(file: &Path, err: &rusqlite::Error) -> OpenError {
    let file = file.display();
    OpenError(match err.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            format!("{file} is damaged ({err}): restore a backup, or move it away to begin empty")
        }
        Some(ErrorCode::DiskFull) => {
            format!("the disk of {file} is full: free some space and start again")
        }
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            format!(
                "{file} cannot be opened for writing ({err}): check the owner and mode of it and its folder"
            )
        }
        Some(ErrorCode::SystemIoFailure) => {
            format!("{file} cannot be read ({err}): check the disk")
        }
        _ if matches!(
            err,
            rusqlite::Error::SqliteFailure(..) | rusqlite::Error::QueryReturnedNoRows
        ) =>
        {
            format!("{file} is no store that this release knows ({err}): restore a backup")
        }
        _ => format!("{file} cannot be used: {err}"),
    })
}
