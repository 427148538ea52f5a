//! SQLite alone: WAL, `synchronous=FULL`, a table with a key and bytes, one thread that commits all that waits.

use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

/// As many as the product's writer takes.
const GROUP_MAX: usize = 2_000;

struct Put {
    key: String,
    bytes: Bytes,
    /// Why it is not on the disk, if it is not.
    reply: oneshot::Sender<Result<(), String>>,
}

/// Ends when its last handle is dropped.
pub(crate) struct BareStore {
    puts: mpsc::Sender<Put>,
    _thread: JoinHandle<()>,
}

impl BareStore {
    pub(crate) fn open(file: &Path) -> Result<Self> {
        let mut connection = Connection::open(file)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.execute_batch(
            "CREATE TABLE record (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, bytes BLOB NOT NULL)",
        )?;
        let (puts, waiting) = mpsc::channel::<Put>();
        let thread = std::thread::Builder::new()
            .name("bare-store".into())
            .spawn(move || {
                while let Ok(first) = waiting.recv() {
                    let mut group = vec![first];
                    while group.len() < GROUP_MAX
                        && let Ok(put) = waiting.try_recv()
                    {
                        group.push(put);
                    }
                    let committed = commit(&mut connection, &group);
                    let committed = committed.map_err(|err| err.to_string());
                    for put in group {
                        // Who asked may have gone.
                        let _ = put.reply.send(committed.clone());
                    }
                }
            })
            .context("no thread")?;
        Ok(Self {
            puts,
            _thread: thread,
        })
    }

    pub(crate) async fn put(&self, key: String, bytes: Bytes) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let sent = self.puts.send(Put { key, bytes, reply });
        sent.map_err(|_| anyhow!("the store's thread has ended"))?;
        answer.await?.map_err(anyhow::Error::msg)
    }
}

fn commit(connection: &mut Connection, group: &[Put]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for put in group {
        transaction
            .prepare_cached("INSERT INTO record (key, bytes) VALUES (?1, ?2)")?
            .execute(params![put.key, &put.bytes[..]])?;
    }
    transaction.commit()
}
