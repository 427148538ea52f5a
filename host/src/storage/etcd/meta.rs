//! What an etcd says of the store in it: whether there is one below the prefix, its format, and its offset.
//!
//! Every write has the precondition that this record is still the one that was read: a server whose offset is not
//! that of the store any more cannot write.

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::client::Client;
use super::failure::{Effect, Failure};
use super::proto::{self, Compare, Operation, end_of};
use crate::storage::Revision;

/// Everything of the engine itself is below it; no record is.
pub(super) const PREFIX: &str = "meta/";
pub(super) const STORE: &str = "meta/store";
/// Written by transactions that only delete, for their mark.
pub(super) const DELETES: &str = "meta/deletes";
/// Who compacted last, and up to which revision.
pub(super) const COMPACTION: &str = "meta/compaction";
/// Written to find out whether a full etcd takes writes again.
pub(super) const PROBE: &str = "meta/probe";

/// Raised when an older server could not read the store.
const FORMAT: u64 = 1;

/// Watches of older ones do not tell reliably how far they are. (k8s.io/apiserver,
/// pkg/storage/feature/feature_support_checker.go, asks for the same.)
const OLDEST_ETCD: [u64; 3] = [3, 5, 13];

/// The record `meta/store`, JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    pub(super) format: u64,
    /// A public revision is etcd's and this.
    pub(super) offset: u64,
    /// An import has begun and not ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) importing: bool,
}

impl Meta {
    pub(super) fn new(offset: u64) -> Self {
        Self {
            format: FORMAT,
            offset,
            importing: false,
        }
    }
}

/// The store as it was at one revision of etcd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) meta: Meta,
    /// That of the record, etcd's.
    pub(super) mod_revision: i64,
    pub(super) revision: i64,
    /// Another one after etcd was restored or made anew.
    pub(super) cluster: u64,
}

impl Found {
    pub(super) fn public(&self, etcd: i64) -> Revision {
        Revision(self.meta.offset + u64::try_from(etcd).unwrap_or(0))
    }
}

/// The store below `prefix`, which is made where there is nothing.
pub(super) async fn open(
    client: &Client,
    prefix: &str,
    deadline: Instant,
) -> Result<Found, Failure> {
    check_release(client, deadline).await?;
    loop {
        if let Some(found) = read(client, prefix, deadline).await? {
            return usable(client, prefix, found);
        }
        // Another server may be quicker: what is there then is read.
        write(client, prefix, Meta::new(0), 0, deadline).await?;
    }
}

/// The store below `prefix`, which must be there.
pub(super) async fn existing(
    client: &Client,
    prefix: &str,
    deadline: Instant,
) -> Result<Found, Failure> {
    check_release(client, deadline).await?;
    match read(client, prefix, deadline).await? {
        Some(found) => usable(client, prefix, found),
        None => Err(refused(format!(
            "there is no store below {prefix} in etcd at {}: give the --etcd-servers and --etcd-prefix of its servers",
            client.options.servers.join(",")
        ))),
    }
}

async fn check_release(client: &Client, deadline: Instant) -> Result<(), Failure> {
    match client.version(deadline).await {
        Ok(version) => check_version(&version, client),
        Err(failure) if failure.is_passing() => Err(failure),
        // What stands before an etcd may keep its version to itself.
        Err(failure) => {
            tracing::debug!("the version of etcd is not known: {}", failure.text);
            Ok(())
        }
    }
}

fn check_version(version: &str, client: &Client) -> Result<(), Failure> {
    if !is_too_old(version) {
        return Ok(());
    }
    let servers = client.options.servers.join(",");
    Err(refused(format!(
        "etcd at {servers} is of release {version}, whose watches are not reliable: upgrade it to 3.5.13 or later"
    )))
}

/// A text that is no version is none that is too old.
fn is_too_old(version: &str) -> bool {
    let numbers = version.split(['.', '-', '+']).map(str::parse);
    let numbers: Vec<u64> = numbers.map_while(Result::ok).take(3).collect();
    numbers.len() == OLDEST_ETCD.len() && numbers[..] < OLDEST_ETCD[..]
}

fn usable(client: &Client, prefix: &str, found: Found) -> Result<Found, Failure> {
    if found.meta.importing {
        let servers = client.options.servers.join(",");
        return Err(refused(format!(
            "the copy into {prefix} of etcd at {servers} was cut off: run it again"
        )));
    }
    Ok(found)
}

/// `None` where there is nothing below the prefix.
pub(super) async fn read(
    client: &Client,
    prefix: &str,
    deadline: Instant,
) -> Result<Option<Found>, Failure> {
    let store = proto::RangeRequest {
        key: format!("{prefix}{STORE}").into(),
        ..Default::default()
    };
    let any = proto::RangeRequest {
        key: prefix.to_owned().into(),
        range_end: end_of(prefix),
        limit: 1,
        ..Default::default()
    };
    let request = proto::TxnRequest {
        success: vec![Operation::Range(store).into(), Operation::Range(any).into()],
        ..Default::default()
    };
    let answer = client.repeatable_txn(request, deadline).await?;
    let header = answer.header.unwrap_or_default();
    let mut ranges = answer.responses.into_iter().map(|it| {
        let kvs = it.range.unwrap_or_default().kvs;
        kvs.into_iter().next()
    });
    let (store, any) = (ranges.next().flatten(), ranges.next().flatten());
    let Some(store) = store else {
        return match any {
            None => Ok(None),
            Some(other) => Err(refused(format!(
                "etcd at {} has keys below {prefix} that are not of this server ({}): give another --etcd-prefix",
                client.options.servers.join(","),
                String::from_utf8_lossy(&other.key)
            ))),
        };
    };
    Ok(Some(Found {
        meta: parse(&store.value, prefix)?,
        mod_revision: store.mod_revision,
        revision: header.revision,
        cluster: header.cluster_id,
    }))
}

fn parse(value: &[u8], prefix: &str) -> Result<Meta, Failure> {
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    let unread = || {
        refused(format!(
            "{prefix}{STORE} in etcd was not written by this server: give another --etcd-prefix"
        ))
    };
    // The rest of a newer one may be anything.
    let Format { format } = serde_json::from_slice(value).map_err(|_| unread())?;
    if format > FORMAT {
        return Err(refused(format!(
            "the store below {prefix} in etcd was written by a newer release (format {format}, this one reads up to \
             {FORMAT}): run that release"
        )));
    }
    serde_json::from_slice(value).map_err(|_| unread())
}

/// Whether the record was at `expected` (0: not there) and is written now.
pub(super) async fn write(
    client: &Client,
    prefix: &str,
    meta: Meta,
    expected: i64,
    deadline: Instant,
) -> Result<(), Failure> {
    let key = bytes::Bytes::from(format!("{prefix}{STORE}"));
    let put = proto::PutRequest {
        key: key.clone(),
        value: serde_json::to_vec(&meta).expect("numbers are JSON").into(),
    };
    let request = proto::TxnRequest {
        compare: vec![Compare::written_at(key, expected)],
        success: vec![Operation::Put(put).into()],
        ..Default::default()
    };
    client.txn(request, deadline).await.map(drop)
}

fn refused(text: String) -> Failure {
    Failure::new(Effect::Refused, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_before_the_fixes_of_watches_are_too_old() {
        for version in ["3.4.31", "3.5.0", "3.5.12", "3.5.12-rc.1", "2.3.8"] {
            assert!(is_too_old(version), "{version}");
        }
        for version in [
            "3.5.13",
            "3.5.35",
            "3.6.0",
            "3.7.3",
            "3.10.0",
            "4.0.0-alpha.0",
            "",
            "main",
        ] {
            assert!(!is_too_old(version), "{version}");
        }
    }
}
