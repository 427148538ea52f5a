//! Free room in the file, given back to the disk.
//!
//! Deleted records leave pages that later writes fill. Where there are many, e.g. once a resource was emptied, the last
//! pages of the file move into them and the file becomes shorter: SQLite's incremental vacuum, which a file must be made
//! for. One of an earlier build is not, and keeps its length.

use rusqlite::Connection;

use super::schema;

/// Pages that one step gives back, while writes wait: 1 MiB.
pub(super) const STEP: u64 = 256;

const INCREMENTAL: i64 = 2;

/// For a connection to a file in which nothing is yet.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "auto_vacuum", "incremental")
}

/// How many pages can go: those beyond `keep_bytes`, and beyond a quarter of the file.
pub(super) fn excess(connection: &Connection, keep_bytes: u64) -> rusqlite::Result<u64> {
    if schema::pragma(connection, "auto_vacuum")? != INCREMENTAL {
        return Ok(0);
    }
    let number = |name| schema::pragma(connection, name).map(i64::unsigned_abs);
    let free = number("freelist_count")?;
    let keep = (keep_bytes / number("page_size")?.max(1)).max(number("page_count")? / 4);
    Ok(free.saturating_sub(keep))
}

/// Gives so many pages back, in a transaction of its own.
pub(super) fn give_back(connection: &Connection, pages: u64) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("PRAGMA incremental_vacuum({pages})"))
}

/// Brings the log into the file, which is shorter then.
pub(super) fn shorten(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "wal_checkpoint", "passive")
}
