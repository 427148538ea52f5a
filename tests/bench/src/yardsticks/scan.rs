//! What a start with many objects cannot do without: a scan of the file, and a parse of each object's metadata.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use rusqlite::{Connection, OpenFlags};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::load::Meter;
use crate::report::Cost;

/// Metadata of its own type, the rest as it is.
#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow, default)]
    spec: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    labels: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

fn parse(json: &[u8]) -> Result<()> {
    let Outline { metadata, spec } = serde_json::from_slice(json)?;
    let Metadata {
        name,
        namespace,
        labels,
    } = metadata;
    black_box((name, namespace, labels, spec));
    Ok(())
}

/// Reads all current objects of a stopped server's store; how many there are, and how long it takes.
pub(crate) fn scan(file: &Path) -> Result<(usize, Duration)> {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let began = Instant::now();
    let mut query = connection.prepare(
        "SELECT key, bytes FROM record WHERE superseded IS NULL AND key >= 'objects/' AND key < 'objects0'
         ORDER BY key",
    )?;
    let mut rows = query.query([])?;
    let mut objects = 0;
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        let bytes: Vec<u8> = row.get(1)?;
        parse(&bytes)?;
        black_box((key, bytes));
        objects += 1;
    }
    Ok((objects, began.elapsed()))
}

/// Parses the metadata of one object again and again.
pub(crate) fn parse_metadata(json: &[u8], duration: Duration) -> Result<Cost> {
    let end = Instant::now() + duration;
    let meter = Meter::start(&[rustix::process::getpid()])?;
    let mut latencies = Vec::new();
    loop {
        let began = Instant::now();
        if began > end {
            break;
        }
        parse(black_box(json))?;
        latencies.push(began.elapsed());
    }
    let used = meter.stop()?;
    latencies.sort_unstable();
    let mut cost = used.cost(&latencies, latencies.len());
    cost.client_cpu_us = 0.0;
    Ok(cost)
}
