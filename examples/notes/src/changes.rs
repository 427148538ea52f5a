//! The log of changes: what a watch is fed from.

use std::time::{Duration, Instant};

use outrigger_sdk::kv::{self, Operation};
use outrigger_sdk::{Change, Changes, Failure, Object, Poll, Target, Value, json};

use crate::{Notes, note_key, versioned};

/// How many changes the log holds.
pub const KEPT: u64 = 1000;

/// How long a poll sleeps before it looks again.
const INTERVAL: Duration = Duration::from_millis(100);

/// How often a write tries again when another one is faster.
const TRIES: u32 = 10;

impl Changes for Notes {
    fn poll(
        _: &Target,
        cursor: Option<&str>,
        max_wait_ms: u32,
        limit: u32,
    ) -> Result<Poll, Failure> {
        let until = Instant::now() + Duration::from_millis(max_wait_ms.into());
        loop {
            let (last, _) = last_change()?;
            let seen = cursor.and_then(|cursor| cursor.parse().ok());
            let Some(seen) = seen.filter(|&seen| seen <= last && last - seen <= KEPT) else {
                return Ok(Poll {
                    cursor: last.to_string(),
                    resync: true,
                    ..Poll::default()
                });
            };
            if seen < last || Instant::now() >= until {
                return since(seen, limit);
            }
            std::thread::sleep(INTERVAL);
        }
    }
}

/// The changes after that number.
fn since(seen: u64, limit: u32) -> Result<Poll, Failure> {
    let mut poll = Poll {
        cursor: seen.to_string(),
        ..Poll::default()
    };
    for entry in kv::range("log/", &log_key(seen + 1), limit)? {
        let line: Value = crate::parse(&entry.value)?;
        let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
        if text("change") == "deleted" {
            poll.changes.push(Change::Deleted(
                json!({"metadata": line["metadata"]}).into(),
            ));
        } else if let Some(note) = kv::get(&text("key"))? {
            poll.changes.push(Change::Changed(versioned(&note)?));
        }
        poll.cursor = entry
            .key
            .trim_start_matches("log/")
            .trim_start_matches('0')
            .to_owned();
    }
    Ok(poll)
}

/// Writes a note's key and the log in one batch, and returns the version of both.
pub fn commit(
    target: &Target,
    write: Operation,
    note: &Object,
    change: &str,
) -> Result<u64, Failure> {
    let metadata = &note["metadata"];
    let line = json!({
        "change": change,
        "key": note_key(note.namespace(), note.name()),
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
    });
    for _ in 0..TRIES {
        let (last, last_version) = last_change()?;
        let number = last + 1;
        let mut batch = vec![
            write.clone(),
            Operation::put("last", number.to_string()).expecting(last_version),
            Operation::put(&log_key(number), line.to_string()),
        ];
        if number > KEPT {
            batch.push(Operation::delete(&log_key(number - KEPT)));
        }
        match kv::batch(batch) {
            Err(failure) if failure.code == 409 => {
                let version = kv::get(&write.key)?.map_or(0, |entry| entry.version);
                if write
                    .expect_version
                    .is_some_and(|expected| expected != version)
                {
                    return Err(target.conflict());
                }
            }
            result => return result,
        }
    }
    Err(Failure::unavailable(
        "too many notes are written at once",
        1,
    ))
}

/// The number of the last change, and the version of its key.
fn last_change() -> Result<(u64, u64), Failure> {
    let Some(entry) = kv::get("last")? else {
        return Ok((0, 0));
    };
    let number = crate::parse(&entry.value)?.as_u64().unwrap_or_default();
    Ok((number, entry.version))
}

/// Numbers with leading zeros, since keys are in the order of their bytes.
fn log_key(number: u64) -> String {
    format!("log/{number:020}")
}
