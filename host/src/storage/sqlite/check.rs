//! The full check of a store: what SQLite knows of its file, and what we know of our rows.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row};

use super::counts::Counts;
use super::{OpenError, folder, mark, rows, schema};
use crate::api::Object;
use crate::storage::Revision;
use crate::storage::encrypted::ENCRYPTED;

/// A file that is broken all over is not worth more lines.
const PROBLEMS_MAX: usize = 100;

/// How far a long command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub step: &'static str,
    pub done: u64,
    pub of: u64,
}

/// What a store holds, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub file: PathBuf,
    pub format: i64,
    pub revision: Revision,
    /// History is complete after this revision.
    pub compacted: Revision,
    pub records: u64,
    /// Versions that were superseded, kept for watches.
    pub superseded: u64,
    /// Empty where the store is sound; at most 100.
    pub problems: Vec<String>,
}

/// Checks the store in `folder`; a server may use it meanwhile. Blocks until all of it was read.
///
/// # Errors
/// There is no store that this release could read; one line that says why and what to do.
pub fn check(folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Report, OpenError> {
    let file = folder::existing(folder)?;
    // Before the view of the store, which a server may write meanwhile.
    let marked = mark::marked(folder);
    let mut report = check_file(&file, progress)?;
    if report.revision < marked {
        report.problem(format!(
            "the store is at revision {} and was at {marked}: its log was damaged, or its file was put back",
            report.revision
        ));
    }
    Ok(report)
}

pub(super) fn check_file(
    file: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, OpenError> {
    let (connection, format) = schema::open_existing(file)?;
    let describe = |err: rusqlite::Error| schema::describe(file, &err);
    // One view of the store from here on, whatever a server writes.
    connection.execute_batch("BEGIN").map_err(describe)?;
    let state = schema::read_state(&connection, file)?;
    let mut report = Report {
        file: file.into(),
        format,
        revision: state.revision,
        compacted: state.compacted,
        records: 0,
        superseded: 0,
        problems: Vec::new(),
    };
    check_pages(&connection, &mut report, progress).map_err(describe)?;
    check_rows(&connection, &mut report, progress).map_err(describe)?;
    if report.compacted > report.revision {
        let (compacted, revision) = (report.compacted, report.revision);
        report.problem(format!(
            "compacted up to {compacted}, the store is at {revision}"
        ));
    }
    Ok(report)
}

impl Report {
    fn problem(&mut self, problem: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }
}

fn check_pages(
    connection: &Connection,
    report: &mut Report,
    progress: &mut dyn FnMut(Progress),
) -> rusqlite::Result<()> {
    progress(Progress {
        step: "checking the file",
        done: 0,
        of: 1,
    });
    let mut query = connection.prepare("PRAGMA integrity_check(100)")?;
    let lines = query.query_map([], |row| row.get::<_, String>(0))?;
    for line in lines {
        match line? {
            ok if ok == "ok" => {}
            problem => report.problem(problem.replace('\n', " ")),
        }
    }
    Ok(())
}

fn check_rows(
    connection: &Connection,
    report: &mut Report,
    progress: &mut dyn FnMut(Progress),
) -> rusqlite::Result<()> {
    let of: i64 = connection.query_row("SELECT count(*) FROM record", [], |row| row.get(0))?;
    let checksum = if report.format < schema::WITH_CHECKSUMS {
        "NULL"
    } else {
        "checksum"
    };
    let mut query = connection.prepare(&format!(
        "SELECT id, key, revision, superseded, version_at, bytes, {checksum} FROM record ORDER BY id"
    ))?;
    let mut rows = query.query([])?;
    let mut done = 0;
    let mut counts = Counts::default();
    while let Some(row) = rows.next()? {
        if let Err(problem) = check_row(row, report, &mut counts) {
            report.problem(problem);
        }
        done += 1;
        if done % 1_000 == 0 {
            progress(Progress {
                step: "checking records",
                done,
                of: of.unsigned_abs(),
            });
        }
    }
    if report.format >= schema::WITH_COUNTS {
        for difference in counts.differences(connection)? {
            report.problem(difference.to_string());
        }
    }
    Ok(())
}

fn check_row(row: &Row<'_>, report: &mut Report, counts: &mut Counts) -> Result<(), String> {
    let id: i64 = row
        .get(0)
        .map_err(|err| format!("a row without a number: {err}"))?;
    let undecodable = |err: rusqlite::Error| format!("row {id} does not decode: {err}");
    let key: String = row.get(1).map_err(undecodable)?;
    let revision = rows::revision(row, 2).map_err(undecodable)?;
    let superseded: Option<i64> = row.get(3).map_err(undecodable)?;
    match superseded {
        Some(_) => report.superseded += 1,
        None => {
            report.records += 1;
            counts.count(&key, 1);
        }
    }
    let version_at: u32 = row.get(4).map_err(undecodable)?;
    let bytes: Vec<u8> = row.get(5).map_err(undecodable)?;
    let checksum: Option<i64> = row.get(6).map_err(undecodable)?;
    let of = format!("{key} of revision {revision}");
    let expected = rows::checksum(&key, revision, version_at, &bytes);
    if checksum.is_some_and(|it| it != i64::from(expected)) {
        return Err(format!("{of} does not match its checksum"));
    }
    if key.split('/').any(str::is_empty) {
        return Err(format!("{of}: the key has an empty segment"));
    }
    let written = 1..=report.revision.0;
    if !written.contains(&revision.0) {
        return Err(format!("{of}: the store is at {}", report.revision));
    }
    if let Some(superseded) = superseded.map(i64::unsigned_abs)
        && (superseded <= revision.0 || !written.contains(&superseded))
    {
        return Err(format!(
            "{of} was superseded at {superseded}, the store is at {}",
            report.revision
        ));
    }
    // A mark in the bytes, where an object's resourceVersion goes; objects are JSON.
    if usize::try_from(version_at).is_ok_and(|it| it > bytes.len()) {
        return Err(format!("{of}: its resourceVersion would go behind its end"));
    }
    let is_encrypted = bytes.starts_with(ENCRYPTED);
    if key.starts_with("objects/") && !is_encrypted && Object::from_slice(&bytes).is_none() {
        return Err(format!("{of} is no JSON object"));
    }
    Ok(())
}
