//! What is found after an end: the store is opened again, the watcher resumes, and everything is compared.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use outrigger::storage::Storage;
use outrigger::storage::sqlite::{self, Options, SqliteStorage};

use crate::journal::{Entry, Journal};
use crate::judge::judge;
use crate::writer::{self, Tell};

/// Opens the store in `folder` once and says what must not be. What the resumed watcher is sent goes into the journal.
///
/// # Errors
/// The store cannot be opened or read.
pub fn judged(folder: &Path, journal: &mut Journal) -> Result<Vec<String>> {
    let options = Options {
        lock_wait: Duration::from_secs(10),
        ..Options::default()
    };
    let storage: Arc<dyn Storage> = Arc::new(SqliteStorage::open(folder, options)?);
    let last = journal.entries.iter().filter_map(|it| match it {
        Entry::Saw { revision, .. } | Entry::Relisted { revision, .. } => Some(*revision),
        _ => None,
    });
    let last = last.max().unwrap_or(1);
    let resumed = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&resumed);
    let tell: Tell = Arc::new(move |it| told.lock().expect("no panic").push(it));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let found = runtime.block_on(async {
        writer::resume(&storage, last, &tell).await?;
        writer::find(&*storage).await
    })?;
    journal
        .entries
        .append(&mut resumed.lock().expect("no panic"));
    let mut verdict = judge(journal, &found);
    let report = sqlite::check(folder, &mut |_| {})?;
    verdict.extend(report.problems);
    Ok(verdict)
}
