//! What concurrent clients are told over a crash is what one store that does one thing at a time would tell.

use anyhow::Result;
use outrigger_tests::host::free_port;
use outrigger_tests::linearizability::{Plan, Progress, record};

use crate::anchors::folders;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_clients_see_one_order_of_all_changes_over_kills() -> Result<()> {
    let plan = Plan::of_anchors(4_000);
    let folders = folders()?;
    let port = free_port()?;
    let mut dev = folders
        .start_with(&mut folders.command(port)?, port)
        .await?;
    let client = dev.client()?;
    let kills = async |mut progress: Progress| {
        for _ in 0..3 {
            progress.reach(progress.now() + plan.operations / 4).await?;
            dev.process.kill()?;
            dev = folders
                .start_with(&mut folders.command(port)?, port)
                .await?;
        }
        Ok(())
    };
    let history = record(&[client], &plan, kills).await?;
    history.check(&plan)?;
    dev.stop().await
}
