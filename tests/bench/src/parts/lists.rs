//! Lists of 10,000 objects, in the forms that clients ask for.

use std::time::Instant;

use anyhow::Result;

use super::Part;
use crate::bench::Bench;
use crate::client::counting::Counting;
use crate::load::{self, Meter};
use crate::loads;
use crate::resources::{LIST, Resource};
use crate::servers::Server;
use crate::stage::Stage;
use crate::usage;

const LIST_SCHEMA: &str = "list of 10,000, 2 KiB, schema";
const PAGE_SCHEMA: &str = "list, limit=500, 2 KiB, schema";

type Headers<'a> = [(&'a str, &'a str)];

const JSON: &Headers<'_> = &[("accept", "application/json")];
const GZIP: &Headers<'_> = &[("accept", "application/json"), ("accept-encoding", "gzip")];
const TABLE: &Headers<'_> = &[(
    "accept",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
)];
/// Lists after which the peak of memory is looked at.
const LISTS: usize = 5;

pub(super) async fn run(bench: &mut Bench, stage: &mut Stage) -> Result<()> {
    // Rows that were made before would be there.
    stage.product.stop().await?;
    stage.product.start().await?;
    let product = stage.product.server()?;
    let path = Resource::Hooks.collection(LIST);
    let page = format!("{path}?limit=500");

    let mut servers = vec![product.clone()];
    if let (Some(sample), false) = (&stage.sample, bench.settings.is_quick) {
        servers.push(sample.server());
    }
    // Before memory is there that other lists have left behind.
    memory(bench, &product, &path).await?;
    let still = stage.still.server();
    list(bench, &still, loads::LIST, "/list", JSON).await?;
    for server in &servers {
        list(bench, server, loads::LIST, &path, JSON).await?;
        list(bench, server, loads::LIST_GZIP, &path, GZIP).await?;
        list(bench, server, loads::LIST_PAGE, &page, JSON).await?;
        first_table(bench, server, &path).await?;
        list(bench, server, loads::TABLE_AGAIN, &path, TABLE).await?;
    }
    if let (Some(kube), false) = (&stage.kube, bench.settings.is_quick) {
        let path = Resource::Schema.collection(LIST);
        let page = format!("{path}?limit=500");
        for server in [&product, &kube.server()?] {
            list(bench, server, LIST_SCHEMA, &path, JSON).await?;
            list(bench, server, PAGE_SCHEMA, &page, JSON).await?;
        }
    }
    Ok(())
}

async fn list(
    bench: &mut Bench,
    server: &Server,
    load: &str,
    path: &str,
    headers: &Headers<'_>,
) -> Result<()> {
    bench.step(load, 1, server.name);
    let cost = load::reads(server, path, headers, 1, bench.settings.duration()).await?;
    bench.row(Part::List, load, 1, server.name, cost);
    Ok(())
}

/// One request, whose rows nobody has asked for before.
async fn first_table(bench: &mut Bench, server: &Server, path: &str) -> Result<()> {
    let connection = Counting::open(&server.client, path, TABLE, 0).await?;
    let (meter, began) = (Meter::start(&server.pids)?, Instant::now());
    connection.once().await?;
    let latency = [began.elapsed()];
    let cost = meter.stop()?.cost(&latency, 1);
    bench.row(Part::List, loads::TABLE_FIRST, 1, server.name, cost);
    Ok(())
}

/// How much more memory there was at the peak of some lists than before them.
async fn memory(bench: &mut Bench, server: &Server, path: &str) -> Result<()> {
    let before = usage::memory(&server.pids)?.resident;
    for pid in &server.pids {
        usage::reset_peak(*pid)?;
    }
    for _ in 0..LISTS {
        let connection = Counting::open(&server.client, path, JSON, 0).await?;
        connection.once().await?;
    }
    let more = usage::memory(&server.pids)?.peak - before;
    let more = (more.max(0.0), "MiB");
    bench.value(Part::List.title(), loads::LIST_MEMORY, server.name, more);
    Ok(())
}
