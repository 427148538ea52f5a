//! A store's records out of a file and into one, for copies between engines.
//!
//! Records go in the order of their revisions: an engine that gives them revisions of its own keeps what was written
//! before what. A folder that is copied is locked meanwhile, so that nothing is written behind the copy. What is made
//! gets its name only when it is complete, checked and on the disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::backup::{REVISIONS_SKIPPED, last_revision, place_restored, remove};
use super::check::{Progress, Report, check_file};
use super::counts::Counts;
use super::folder::{self, FolderLock};
use super::{OpenError, mark, rows, schema};
use crate::storage::copy::Tally;
use crate::storage::{Item, Revision};

/// What is read, and written in one transaction.
const BATCH_RECORDS: usize = 500;
const BATCH_BYTES: usize = 4 << 20;

/// The current records of a store, one batch after another.
pub struct Export {
    file: PathBuf,
    connection: Connection,
    revision: Revision,
    /// Where to go on after this store.
    next_revision: Revision,
    /// Of the rows, in the order of revisions.
    ids: Vec<i64>,
    done: usize,
    _lock: Option<FolderLock>,
}

impl Export {
    /// Of a server's folder, which no server may use meanwhile.
    ///
    /// # Errors
    /// One line that says why it cannot be read and what to do.
    pub fn of_folder(folder: &Path) -> Result<Self, OpenError> {
        folder::existing(folder)?;
        let (file, lock) = folder::prepare(folder, Duration::ZERO, &mut |_| {})?;
        let mut export = Self::of(file)?;
        export.next_revision = Revision(export.revision.max(mark::marked(folder)).0 + 1);
        export._lock = Some(lock);
        Ok(export)
    }

    /// Of a backup, which cannot know what came after it.
    ///
    /// # Errors
    /// One line that says why it cannot be read and what to do.
    pub fn of_file(file: &Path) -> Result<Self, OpenError> {
        if !file.is_file() {
            return Err(OpenError(format!("there is no file {}", file.display())));
        }
        Self::of(file.into())
    }

    fn of(file: PathBuf) -> Result<Self, OpenError> {
        let (connection, format) = schema::open_existing(&file)?;
        if format < schema::WITH_CHECKSUMS {
            return Err(OpenError(format!(
                "{} is of format {format}, which has no checksums: start this release's server on it once, or restore it",
                file.display()
            )));
        }
        let describe = |err: rusqlite::Error| schema::describe(&file, &err);
        connection.execute_batch("BEGIN").map_err(describe)?;
        let state = schema::read_state(&connection, &file)?;
        let ids = {
            let query = "SELECT id FROM record WHERE superseded IS NULL ORDER BY revision, key";
            let mut query = connection.prepare(query).map_err(describe)?;
            let ids = query.query_map([], |row| row.get(0)).map_err(describe)?;
            ids.collect::<rusqlite::Result<Vec<i64>>>()
                .map_err(describe)?
        };
        Ok(Self {
            next_revision: Revision(state.revision.0 + REVISIONS_SKIPPED),
            revision: state.revision,
            file,
            connection,
            ids,
            done: 0,
            _lock: None,
        })
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The lowest revision that a copy may begin at: no client has seen it.
    pub fn next_revision(&self) -> Revision {
        self.next_revision
    }

    pub fn records(&self) -> u64 {
        u64::try_from(self.ids.len()).unwrap_or(u64::MAX)
    }

    /// The next records, none at the end.
    ///
    /// # Errors
    /// A record is damaged, or the file cannot be read.
    pub fn next_items(&mut self) -> Result<Vec<Item>, OpenError> {
        let mut items = Vec::new();
        let mut bytes = 0;
        while items.len() < BATCH_RECORDS
            && bytes < BATCH_BYTES
            && let Some(id) = self.ids.get(self.done)
        {
            let item = rows::by_id(&self.connection, *id);
            let item = item.map_err(|err| match rows::damage(&err) {
                Some(damaged) => OpenError(format!(
                    "{} is damaged ({damaged}): there is no copy of it; `outrigger store check` says more",
                    self.file.display()
                )),
                None => schema::describe(&self.file, &err),
            })?;
            bytes += item.record.bytes.len();
            items.push(item);
            self.done += 1;
        }
        Ok(items)
    }
}

/// A store that is being made of records.
pub struct Import {
    store: PathBuf,
    making: PathBuf,
    connection: Connection,
    /// The store that it replaces, if there is one.
    replaced: Revision,
    name: String,
    _lock: FolderLock,
}

impl Import {
    /// Into a folder, which no server may use meanwhile. A store that is there is refused, or with `is_replacing`
    /// kept beside it under another name.
    ///
    /// # Errors
    /// One line that says why it cannot be used and what to do.
    pub fn into_folder(folder: &Path, is_replacing: bool) -> Result<Self, OpenError> {
        let (store, lock) = folder::prepare_restore(folder, Duration::ZERO)?;
        if store.exists() && !is_replacing {
            return Err(OpenError(format!(
                "{} holds a store already: give an empty folder, or --replace it",
                folder.display()
            )));
        }
        let (replaced, name) = last_revision(&store);
        let making = folder::restoring(&store);
        remove(&making)?;
        let connection = schema::open(&making)?;
        // It has no name before it is on the disk.
        let quick = connection.pragma_update(None, "synchronous", "off");
        quick.map_err(|err| schema::describe(&making, &err))?;
        Ok(Self {
            store,
            making,
            connection,
            replaced,
            name,
            _lock: lock,
        })
    }

    /// # Errors
    /// The file cannot be written.
    pub fn put(&mut self, items: &[Item]) -> Result<(), OpenError> {
        let mut put = || {
            let transaction = self.connection.transaction()?;
            let mut counts = Counts::default();
            for item in items {
                rows::insert(&transaction, &item.key, item.revision, &item.record)?;
                counts.count(&item.key, 1);
            }
            counts.write(&transaction)?;
            transaction.commit()
        };
        put().map_err(|err| schema::describe(&self.making, &err))
    }

    /// Gives the store its place: it begins at `revision`, or after the one that it replaces, and has no history.
    ///
    /// # Errors
    /// What is there is not what `expected` says; the file cannot be written. Then there is no store, and the one
    /// that was there is as it was.
    pub fn finish(
        self,
        revision: Revision,
        expected: &Tally,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Report, OpenError> {
        let Self {
            store,
            making,
            connection,
            replaced,
            name,
            _lock,
        } = self;
        let revision = revision.max(Revision(replaced.0 + 1));
        let describe = |err: rusqlite::Error| schema::describe(&making, &err);
        let begin = || {
            rows::set_meta(&connection, "revision", revision)?;
            rows::set_meta(&connection, "compacted", revision)?;
            connection.pragma_update(None, "journal_mode", "delete")
        };
        begin().map_err(describe)?;
        drop(connection);
        let report = check_file(&making, progress)?;
        if let Some(problem) = report.problems.first() {
            return Err(OpenError(format!(
                "the copy {} is damaged ({problem}): try it again, and check the disk",
                making.display()
            )));
        }
        let there = tally(&making)?;
        if there != *expected {
            return Err(OpenError(format!(
                "the copy {} has {} records with checksum {}, and should have {} with {}: try it again",
                making.display(),
                there.records,
                there.checksum(),
                expected.records,
                expected.checksum()
            )));
        }
        place_restored(&making, &store, &name)?;
        Ok(Report {
            file: store,
            ..report
        })
    }
}

/// Of all current records in a file.
fn tally(file: &Path) -> Result<Tally, OpenError> {
    let mut tally = Tally::default();
    let mut export = Export::of(file.into())?;
    loop {
        let items = export.next_items()?;
        if items.is_empty() {
            return Ok(tally);
        }
        items.iter().for_each(|it| tally.add(it));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use std::sync::Arc;

    use expect_test::expect;

    use super::*;
    use crate::storage::conformance::{PREFIX, attached, context, put};
    use crate::storage::sqlite::{Options, SqliteStorage};
    use crate::storage::{Expected, Storage};

    fn open(folder: &Path) -> Arc<dyn Storage> {
        Arc::new(SqliteStorage::open(folder, Options::default()).unwrap())
    }

    async fn filled(folder: &Path, records: usize) -> Revision {
        let storage = open(folder);
        let mut revision = Revision(0);
        for number in (0..records).rev() {
            let write = put(&format!("a/{number}"), "1", Expected::Absent);
            revision = storage.commit(&context(), vec![write]).await.unwrap();
        }
        let write = put("a/0", "2", Expected::Anything);
        revision.max(storage.commit(&context(), vec![write]).await.unwrap())
    }

    fn copy(mut from: Export, to: &Path, is_replacing: bool) -> Result<Report, OpenError> {
        let mut import = Import::into_folder(to, is_replacing)?;
        let mut tally = Tally::default();
        loop {
            let items = from.next_items()?;
            if items.is_empty() {
                return import.finish(from.next_revision(), &tally, &mut |_| {});
            }
            items.iter().for_each(|it| tally.add(it));
            import.put(&items)?;
        }
    }

    #[tokio::test]
    async fn a_copy_has_all_records_at_their_revisions_and_goes_on_after_them() {
        let data = tempfile::tempdir().unwrap();
        let (from, to) = (data.path().join("from"), data.path().join("to"));
        let last = filled(&from, 1_200).await;
        let report = copy(Export::of_folder(&from).unwrap(), &to, false).unwrap();
        assert_eq!(report.records, 1_200);
        assert_eq!(report.revision, Revision(last.0 + 1));
        let (one, other) = (open(&from), open(&to));
        let all = one.list(PREFIX, "", 2_000).await.unwrap();
        assert_eq!(other.list(PREFIX, "", 2_000).await.unwrap(), all);
        let cache = attached(&other).await;
        assert!(
            cache.watch_after(last).is_err(),
            "what came after is not known"
        );
        assert!(cache.watch_after(report.revision).is_ok());
        let next = vec![put("a/new", "1", Expected::Absent)];
        assert!(other.commit(&context(), next).await.unwrap() > report.revision);
    }

    #[tokio::test]
    async fn a_copy_goes_on_after_the_store_that_it_replaces() {
        let data = tempfile::tempdir().unwrap();
        let (from, to) = (data.path().join("from"), data.path().join("to"));
        filled(&from, 3).await;
        let replaced = filled(&to, 50).await;
        let export = || Export::of_folder(&from).unwrap();
        let refused = copy(export(), &to, false).unwrap_err().to_string();
        let shown = refused.replace(&data.path().display().to_string(), "DATA");
        expect!["DATA/to holds a store already: give an empty folder, or --replace it"]
            .assert_eq(&shown);
        let report = copy(export(), &to, true).unwrap();
        assert_eq!(
            (report.records, report.revision),
            (3, Revision(replaced.0 + 1))
        );
        let kept = to.join(format!("store.sqlite3.replaced-{replaced}"));
        assert!(kept.is_file());
    }

    #[tokio::test]
    async fn a_backup_cannot_know_what_came_after_it() {
        let data = tempfile::tempdir().unwrap();
        let from = data.path().join("from");
        let last = filled(&from, 3).await;
        let backup = data.path().join("backup");
        super::super::backup(&from, &backup, &mut |_| {}).unwrap();
        let export = Export::of_file(&backup).unwrap();
        assert_eq!(export.next_revision(), Revision(last.0 + REVISIONS_SKIPPED));
        let report = copy(export, &data.path().join("to"), false).unwrap();
        assert_eq!(report.revision, Revision(last.0 + REVISIONS_SKIPPED));
    }

    #[tokio::test]
    async fn a_store_in_use_is_not_copied() {
        let data = tempfile::tempdir().unwrap();
        let _storage = open(data.path());
        let refused = Export::of_folder(data.path()).err().unwrap().to_string();
        assert!(refused.contains("is used by process"), "{refused}");
    }

    #[tokio::test]
    async fn a_copy_that_lacks_a_record_gets_no_name() {
        let data = tempfile::tempdir().unwrap();
        let (from, to) = (data.path().join("from"), data.path().join("to"));
        filled(&from, 3).await;
        let mut export = Export::of_folder(&from).unwrap();
        let mut import = Import::into_folder(&to, false).unwrap();
        let items = export.next_items().unwrap();
        let mut tally = Tally::default();
        items.iter().for_each(|it| tally.add(it));
        import.put(&items[1..]).unwrap();
        let refused = import.finish(Revision(9), &tally, &mut |_| {}).unwrap_err();
        assert!(refused.to_string().contains("has 2 records"), "{refused}");
        assert!(folder::existing(&to).is_err());
        let refused = SqliteStorage::open(&to, Options::default()).err().unwrap();
        assert!(refused.to_string().contains("run it again"), "{refused}");
    }
}
