//! The same kubectl commands, once with a CustomResourceDefinition in a kube-apiserver and once with the host behind
//! another, serving the same definition from its plugins' folder: what kubectl prints must be the same.
//!
//! `scenarios/*.txt` are the commands, as a person would type them; [`scenario`] says how they are written. Each
//! command is a test: both outputs and the exit code, after [`mask`] has replaced what differs between any two
//! servers. `OUTRIGGER_PEERS` names the folder with etcd, kube-apiserver and kubectl (`cargo xtask test --only e2e`
//! sets it). `OUTRIGGER_KUBECTL` names another kubectl (`cargo xtask test --only kubectls` does). Arguments are parts
//! of names of scenarios.

#![expect(
    clippy::print_stdout,
    reason = "a test runner answers on standard output"
)]

mod mask;
mod scenario;
mod side;
mod verdict;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use outrigger_tests::tally::Tally;
use outrigger_tests::{cluster, process};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use scenario::Scenario;
use side::{Heard, Side};

/// While one waits, e.g. for a watch, another has something to do.
const SCENARIOS_AT_ONCE: usize = 4;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(err) => {
            println!("{err:?}\n{}", process::keep_logs().join("\n"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<ExitCode> {
    let (flags, filters): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|it| it.starts_with('-'));
    let mut scenarios = Scenario::read_all()?;
    scenarios.retain(|it| filters.is_empty() || filters.iter().any(|part| it.name.contains(part)));
    if flags.iter().any(|it| it == "--list") {
        for it in &scenarios {
            println!("{}: test", it.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut tally = Tally::default();
    let count: usize = scenarios.iter().map(|it| it.commands.len()).sum();
    if cluster::peers().is_none() {
        println!(
            "transcript needs etcd, kube-apiserver and kubectl: `cargo xtask test --only e2e` finds or builds them"
        );
        tally.leave_out(count);
        return Ok(tally.finish());
    }
    let _ = process::keep_logs();
    let started = Instant::now();
    let (custom, ours) = tokio::try_join!(
        async {
            side::custom()
                .await
                .context("the definition in kube-apiserver")
        },
        async { side::ours().await.context("the host behind kube-apiserver") },
    )?;
    println!(
        "both servers serve ({:.1} s)",
        started.elapsed().as_secs_f64()
    );
    tally.failed = compare_all(scenarios, Arc::new(custom), Arc::new(ours)).await;
    tally.passed = count - tally.failed;
    Ok(tally.finish())
}

/// The number of commands that differ.
async fn compare_all(scenarios: Vec<Scenario>, custom: Arc<Side>, ours: Arc<Side>) -> usize {
    let places = Arc::new(Semaphore::new(SCENARIOS_AT_ONCE));
    let mut playing = JoinSet::new();
    for scenario in scenarios {
        let (custom, ours, places) = (custom.clone(), ours.clone(), places.clone());
        playing.spawn(async move {
            let _place = places.acquire_owned().await;
            let started = Instant::now();
            let heard = tokio::try_join!(custom.play(&scenario), ours.play(&scenario));
            judge(&scenario, heard, started)
        });
    }
    let mut failed = 0;
    while let Some(done) = playing.join_next().await {
        failed += done.unwrap_or_else(|err| {
            println!("a scenario ended early: {err}");
            1
        });
    }
    failed
}

fn judge(scenario: &Scenario, heard: Result<(Vec<Heard>, Vec<Heard>)>, started: Instant) -> usize {
    let total = scenario.commands.len();
    let (failed, text) = match heard {
        Ok((custom, ours)) => verdict::compare(scenario, &custom, &ours),
        Err(err) => (total, format!("{err:#}\n")),
    };
    let word = if failed == 0 { "ok" } else { "FAILED" };
    let seconds = started.elapsed().as_secs_f64();
    print!("{text}");
    println!(
        "test {} ... {word} ({} of {total} commands alike, {seconds:.1} s)",
        scenario.name,
        total - failed
    );
    failed
}
