//! Preconditions of a batch of writes, checked the same way by every engine.

use anyhow::anyhow;

use super::{Event, Expected, Item, Key, Record, Revision, StorageError, Write};

/// The changes that `writes` make at `revision`, or why none of them is made. `current` reads what is there.
///
/// What changes nothing has no event: a delete of what is absent, and a record equal to the present one.
pub(super) fn events(
    writes: Vec<Write>,
    revision: Revision,
    mut current: impl FnMut(&Key) -> Result<Option<(Revision, Record)>, StorageError>,
) -> Result<Vec<Event>, StorageError> {
    check_keys(&writes)?;
    let mut events = Vec::with_capacity(writes.len());
    for write in writes {
        let previous = current(&write.key)?;
        check(&write, previous.as_ref())?;
        if previous.as_ref().map(|(_, record)| record) == write.record.as_ref() {
            continue;
        }
        events.push(Event {
            key: write.key,
            revision,
            record: write.record,
            previous,
        });
    }
    Ok(events)
}

fn check(write: &Write, previous: Option<&(Revision, Record)>) -> Result<(), StorageError> {
    let key = || write.key.clone();
    match (write.expected, previous) {
        (Expected::Anything, _) | (Expected::Absent, None) => Ok(()),
        (Expected::Absent, Some(_)) => Err(StorageError::Exists { key: key() }),
        (Expected::At(expected), Some((revision, _))) if *revision == expected => Ok(()),
        (Expected::At(_), actual) => Err(StorageError::Conflict {
            key: key(),
            actual: actual.map(|(revision, record)| {
                Box::new(Item {
                    key: key(),
                    revision: *revision,
                    record: record.clone(),
                })
            }),
        }),
    }
}

/// A key written twice would have two states at one revision.
pub(super) fn check_keys(writes: &[Write]) -> Result<(), StorageError> {
    let mut keys: Vec<&str> = writes.iter().map(|it| &*it.key).collect();
    keys.sort_unstable();
    if let Some(twice) = keys.windows(2).find(|it| it[0] == it[1]) {
        let why = anyhow!("a batch writes {} twice", twice[0]);
        return Err(StorageError::Failed(why));
    }
    if let Some(bad) = keys.iter().find(|it| it.split('/').any(str::is_empty)) {
        let why = anyhow!("the key {bad:?} has an empty segment");
        return Err(StorageError::Failed(why));
    }
    Ok(())
}
