//! What concurrent clients are told over a crash is what one store that does one thing at a time would tell.
//!
//! `OUTRIGGER_LINEARIZABILITY_SEED=new` has other requests than the gate, and
//! `OUTRIGGER_LINEARIZABILITY_OPERATIONS=100000` takes some minutes.

use anyhow::{Result, ensure};
use outrigger_tests::host::free_port;
use outrigger_tests::linearizability::{Outcome, Plan, Progress, judge, record};
use outrigger_tests::random::Random;

use crate::anchors::{ANCHORS, anchor, folders};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_clients_see_one_order_of_all_changes_over_kills() -> Result<()> {
    let seed = Random::seed("OUTRIGGER_LINEARIZABILITY_SEED", 1);
    let operations = Random::seed("OUTRIGGER_LINEARIZABILITY_OPERATIONS", 4_000);
    let folders = folders()?;
    let port = free_port()?;
    let mut dev = folders
        .start_with(&mut folders.command(port)?, port)
        .await?;
    let client = dev.client()?;
    let plan = Plan {
        collection: ANCHORS.into(),
        object: |name, value| anchor(name, i64::try_from(value).unwrap_or(i64::MAX)),
        value_at: "/spec/size",
        clients: 8,
        keys: 4,
        operations,
        seed,
    };
    let kills = async |mut progress: Progress| {
        for _ in 0..3 {
            progress.reach(progress.now() + operations / 4).await?;
            dev.process.kill()?;
            dev = folders
                .start_with(&mut folders.command(port)?, port)
                .await?;
        }
        Ok(())
    };
    let history = record(&[client], &plan, kills).await?;
    let unknown = history.operations.iter();
    let unknown = unknown.filter(|it| it.outcome == Outcome::Unknown).count();
    let (all, changes) = (history.operations.len(), history.events.len());
    eprintln!("seed {seed}: {all} operations, {unknown} of them unknown, {changes} changes");
    ensure!(unknown > 0, "no request was cut off by a kill");
    let verdict = judge(&history);
    ensure!(verdict.is_empty(), "seed {seed}: {verdict:#?}");
    dev.stop().await
}
