//! One object, again and again.

use anyhow::Result;

use super::Part;
use crate::bench::Bench;
use crate::resources::Resource;
use crate::servers::Server;
use crate::stage::Stage;
use crate::{load, loads};

const GET_SCHEMA: &str = "get, 2 KiB, schema";

pub(super) async fn run(bench: &mut Bench, stage: &Stage) -> Result<()> {
    let product = stage.product.server()?;
    let hooks = Resource::Hooks.listed();
    let still = stage.still.server();
    // 8 × 32 is what the static server's limit was found with.
    for clients in [1, 64, 256] {
        get(bench, &product, loads::GET, &hooks, clients).await?;
        get(bench, &still, loads::GET, "/object", clients).await?;
    }
    let schema = Resource::Schema.listed();
    for clients in [1, 64] {
        if let Some(sample) = &stage.sample {
            get(bench, &sample.server(), loads::GET, &hooks, clients).await?;
        }
        if let Some(kube) = &stage.kube {
            get(bench, &product, GET_SCHEMA, &schema, clients).await?;
            get(bench, &kube.server()?, GET_SCHEMA, &schema, clients).await?;
        }
    }
    Ok(())
}

async fn get(
    bench: &mut Bench,
    server: &Server,
    load: &str,
    path: &str,
    clients: usize,
) -> Result<()> {
    bench.step(load, clients, server.name);
    let duration = bench.settings.duration();
    let headers = [("accept", "application/json")];
    let cost = load::reads(server, path, &headers, clients, duration).await?;
    bench.row(Part::Get, load, clients, server.name, cost);
    Ok(())
}
