//! Filling an empty prefix with the records of another store.
//!
//! Nobody may use the prefix meanwhile, and a server that is started on it is refused until the import has ended. One
//! that was cut off is begun again from nothing.
//!
//! Records get revisions of etcd's, in the order in which they are put. What is below `control/` has one of its own: by
//! it the server knows which objects were written before.

use tokio::time::Instant;

use super::client::Client;
use super::failure::{Effect, Failure};
use super::load;
use super::meta::{self, Found, Meta};
use super::proto::{self, Operation, end_of};
use super::record::{Mark, encode};
use super::shared::Shared;
use super::{ConnectError, LOAD_DEADLINE, Options, REQUEST_DEADLINE, checked_prefix};
use crate::storage::copy::{PAGE, Tally, Walk};
use crate::storage::{Item, Revision};

/// Of one transaction: etcd takes 128 by default.
const BATCH_MAX_RECORDS: usize = 100;
/// etcd takes 1.5 MiB in one request by default.
const BATCH_MAX_BYTES: usize = 1 << 20;

/// A store that is being made of records.
pub struct Import {
    shared: Shared,
    found: Found,
    mark: Mark,
    batch: Vec<proto::PutRequest>,
    batch_bytes: usize,
    /// Whether the batch must go before anything else is put.
    is_closed: bool,
}

impl Import {
    /// Below [`Options::prefix`], where there may be nothing, or an import that was cut off. All revisions of the new
    /// store are later than `after`.
    ///
    /// # Errors
    /// One line that says why it cannot be imported there and what to do.
    pub async fn begin(options: Options, after: Revision) -> Result<Self, ConnectError> {
        let prefix = checked_prefix(&options)?;
        let client = Client::new(options);
        let found = begin(&client, &prefix, after).await?;
        Ok(Self {
            shared: Shared::new(client, prefix, found, found.revision),
            found,
            mark: Mark::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            is_closed: false,
        })
    }

    /// # Errors
    /// They cannot be written; the prefix then is to be imported into again, or deleted.
    pub async fn put(&mut self, items: &[Item]) -> Result<(), ConnectError> {
        for Item { key, record, .. } in items {
            let size = key.len() + record.bytes.len();
            let is_control = key.starts_with("control/");
            if self.is_closed
                || is_control
                || self.batch.len() >= BATCH_MAX_RECORDS
                || self.batch_bytes + size > BATCH_MAX_BYTES
            {
                self.flush().await?;
            }
            self.is_closed = is_control;
            self.batch_bytes += size;
            self.batch.push(proto::PutRequest {
                key: self.shared.key(key),
                value: encode(record, self.mark),
            });
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        match batch.is_empty() {
            true => Ok(()),
            false => write(&self.shared.client, batch).await,
        }
    }

    /// Reads all records again, and has servers take the store. Returns the revision that it is at.
    ///
    /// # Errors
    /// What is there is not what `expected` says; the prefix then is to be imported into again, or deleted.
    pub async fn finish(mut self, expected: &Tally) -> Result<Revision, ConnectError> {
        self.flush().await?;
        let prefix = &self.shared.prefix;
        let there = self.tally().await?;
        if there != *expected {
            return Err(ConnectError(format!(
                "below {prefix} in etcd there are {} records with checksum {}, and should be {} with {}: copy again, and let nobody else write there",
                there.records,
                there.checksum(),
                expected.records,
                expected.checksum()
            )));
        }
        let meta = Meta {
            importing: false,
            ..self.found.meta
        };
        let client = &self.shared.client;
        let found = rewrite(client, prefix, meta, self.found.mod_revision).await?;
        Ok(found.public(found.revision))
    }

    async fn tally(&self) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        let mut walk = Walk::default();
        while let Some((prefix, start)) = walk.page() {
            let deadline = Instant::now() + LOAD_DEADLINE;
            let page = load::items(&self.shared, prefix, &start, PAGE, 0, deadline).await?;
            page.0.iter().for_each(|it| tally.add(it));
            walk.seen(&page.0);
        }
        Ok(tally)
    }
}

/// Makes the store's record, with the offset that its revisions need, and deletes what an earlier import left.
async fn begin(client: &Client, prefix: &str, after: Revision) -> Result<Found, Failure> {
    let deadline = Instant::now() + LOAD_DEADLINE;
    let found = meta::read(client, prefix, deadline).await?;
    if found.is_some_and(|it| !it.meta.importing) {
        return Err(Failure::new(
            Effect::Refused,
            format!("there is a store below {prefix} in etcd already: give another --etcd-prefix"),
        ));
    }
    // The revision after `after` at the least, however young etcd is.
    let meta = Meta {
        importing: true,
        ..Meta::new(after.0)
    };
    let at = found.map_or(0, |it| it.mod_revision);
    let found = rewrite(client, prefix, meta, at).await?;
    // Whatever is below the prefix, but for the engine's own.
    let own = format!("{prefix}{}", meta::PREFIX);
    let ranges = [
        (prefix.to_owned().into(), own.clone().into()),
        (end_of(&own), end_of(prefix)),
    ];
    let deletes = ranges.map(|(key, range_end)| {
        Operation::Delete(proto::DeleteRangeRequest { key, range_end }).into()
    });
    let request = proto::TxnRequest {
        success: deletes.into(),
        ..Default::default()
    };
    client.txn(request, deadline).await?;
    Ok(found)
}

async fn rewrite(
    client: &Client,
    prefix: &str,
    meta: Meta,
    expected: i64,
) -> Result<Found, Failure> {
    let deadline = Instant::now() + REQUEST_DEADLINE;
    meta::write(client, prefix, meta, expected, deadline).await?;
    let found = meta::read(client, prefix, deadline).await?;
    found.filter(|it| it.meta == meta).ok_or_else(|| {
        Failure::new(
            Effect::Refused,
            format!("somebody else writes below {prefix} in etcd: stop the servers that use it"),
        )
    })
}

async fn write(client: &Client, puts: Vec<proto::PutRequest>) -> Result<(), Failure> {
    let request = proto::TxnRequest {
        success: puts
            .into_iter()
            .map(|it| Operation::Put(it).into())
            .collect(),
        ..Default::default()
    };
    // Written twice it is the same.
    let deadline = Instant::now() + LOAD_DEADLINE;
    client.repeatable_txn(request, deadline).await.map(drop)
}
