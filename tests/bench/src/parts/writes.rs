//! Creates, updates, merge patches and applies: with a plugin's hooks, and with nothing but a schema.

use anyhow::Result;

use super::Part;
use crate::bench::Bench;
use crate::load;
use crate::resources::{Operation, Resource};
use crate::servers::Server;
use crate::stage::Stage;

const OPERATIONS: [Operation; 4] = [
    Operation::Create,
    Operation::Update,
    Operation::MergePatch,
    Operation::Apply,
];

pub(super) async fn run(bench: &mut Bench, stage: &Stage) -> Result<()> {
    let product = stage.product.server()?;
    let mut with_hooks = vec![product.clone()];
    if let Some(sample) = &stage.sample {
        with_hooks.push(sample.server());
    }
    measure(bench, Resource::Hooks, &with_hooks).await?;
    if let Some(kube) = &stage.kube {
        measure(bench, Resource::Schema, &[product, kube.server()?]).await?;
    } else {
        measure(bench, Resource::Schema, &[product]).await?;
    }
    Ok(())
}

async fn measure(bench: &mut Bench, resource: Resource, servers: &[Server]) -> Result<()> {
    for operation in OPERATIONS {
        if bench.settings.is_quick && resource == Resource::Schema && operation != Operation::Create
        {
            continue;
        }
        let load = operation.load(resource);
        for clients in [1, 64] {
            for server in servers {
                bench.step(&load, clients, server.name);
                let duration = bench.settings.duration();
                let cost = load::writes(server, resource, operation, clients, duration).await?;
                bench.row(Part::Write, &load, clients, server.name, cost);
            }
        }
    }
    Ok(())
}
