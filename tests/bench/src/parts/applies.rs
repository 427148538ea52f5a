//! Apply that changes one field of an object of 10 KiB with five managers, and a merge patch of the same.

use anyhow::Result;

use super::Part;
use crate::bench::Bench;
use crate::load;
use crate::resources::{Operation, Resource};
use crate::stage::Stage;

pub(super) async fn run(bench: &mut Bench, stage: &Stage) -> Result<()> {
    let mut servers = vec![stage.product.server()?];
    if let Some(kube) = &stage.kube {
        servers.push(kube.server()?);
    }
    for operation in [Operation::Apply, Operation::MergePatch] {
        let load = operation.load(Resource::Managed);
        for clients in [1, 64] {
            for server in &servers {
                bench.step(&load, clients, server.name);
                let duration = bench.settings.duration();
                let cost =
                    load::writes(server, Resource::Managed, operation, clients, duration).await?;
                bench.row(Part::Apply, &load, clients, server.name, cost);
            }
        }
    }
    Ok(())
}
