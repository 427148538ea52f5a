//! Filling an empty prefix with the records of another store.
//!
//! Nobody may use the prefix meanwhile, and a server that is started on it is refused until the import has ended. One
//! that was cut off is begun again from nothing.

use tokio::time::Instant;

use super::client::Client;
use super::failure::{Effect, Failure};
use super::meta::{self, Found, Meta};
use super::proto::{self, Operation, end_of};
use super::record::{Mark, encode};
use super::{ConnectError, LOAD_DEADLINE, Options, REQUEST_DEADLINE, checked_prefix};
use crate::storage::{Key, Record, Revision};

/// Of one transaction: etcd takes 128 by default.
const BATCH_MAX_RECORDS: usize = 100;
/// etcd takes 1.5 MiB in one request by default.
const BATCH_MAX_BYTES: usize = 1 << 20;

/// Writes all of `records` below [`Options::prefix`], where there may be nothing, or an import that was cut off. All
/// revisions of the new store are later than `after`. Returns the one that it is at.
///
/// # Errors
/// One line that says why; the prefix then is to be imported into again, or deleted.
pub async fn import(
    options: Options,
    after: Revision,
    records: impl IntoIterator<Item = (Key, Record)>,
    mut progress: impl FnMut(usize),
) -> Result<Revision, ConnectError> {
    let prefix = checked_prefix(&options)?;
    let client = Client::new(options);
    let found = begin(&client, &prefix, after).await?;
    let mark = Mark::new();
    let mut batch = Vec::new();
    let (mut bytes, mut done) = (0, 0);
    for (key, record) in records {
        let size = key.len() + record.bytes.len();
        if batch.len() >= BATCH_MAX_RECORDS || (bytes + size > BATCH_MAX_BYTES && bytes > 0) {
            done += batch.len();
            write(&client, std::mem::take(&mut batch)).await?;
            bytes = 0;
            progress(done);
        }
        bytes += size;
        batch.push(proto::PutRequest {
            key: format!("{prefix}{key}").into(),
            value: encode(&record, mark),
        });
    }
    done += batch.len();
    write(&client, batch).await?;
    progress(done);
    let meta = Meta {
        importing: false,
        ..found.meta
    };
    let found = rewrite(&client, &prefix, meta, found.mod_revision).await?;
    Ok(found.public(found.revision))
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
