//! The recorded answers of real servers, each one a test: sent again to the host, they must be answered alike.
//!
//! Twice: to `outrigger dev`, and, where `OUTRIGGER_PEERS` names a folder with etcd, kube-apiserver and kubectl
//! (`cargo xtask test --only oracle` finds or builds them and sets it), through a real kube-apiserver to what
//! `deploy/base` installs. Without it the second half is ignored; with `CI=true` that is a failure.
//!
//! `recordings/README.md` says what a recording is. `ignore.tsv` has the differences that are right, `pending.tsv`
//! the answers that wait for later work; both say nothing that is not so. Arguments are parts of names of cases.
//!
//! Cases run beside each other, and pause where the recorded client did: what a watch sends in a while is what
//! they ask.

#![expect(
    clippy::print_stdout,
    reason = "a test runner answers on standard output"
)]

mod behind;
mod exchange;
mod replay;
mod suite;
mod verdict;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use outrigger_tests::recording::case::Case;
use outrigger_tests::recording::json::Json;
use outrigger_tests::tally::is_everything_required;
use outrigger_tests::{cluster, process};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use replay::{Reach, Server};
use suite::{SUITES, Suite, full_name, needs_a_cluster};
use verdict::Tally;

/// Many of them wait for what a watch sends.
const CASES_AT_ONCE: usize = 16;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(err) => {
            println!("{err:?}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<ExitCode> {
    let (flags, filters): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|it| it.starts_with('-'));
    let mut suites = Vec::new();
    for suite in &SUITES {
        suites.push((suite, suite.cases(&filters)?));
    }
    suites.retain(|(_, cases)| !cases.is_empty());
    if flags.iter().any(|it| it == "--list") {
        for case in suites.iter().flat_map(|it| &it.1) {
            println!("{}: test", full_name(case));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let _ = process::keep_logs();
    let mut tally = Tally::new()?;
    directly(&suites, &mut tally).await;
    let is_whole = match cluster::peers() {
        Some(_) => {
            behind_kube_apiserver(&suites, &mut tally).await;
            true
        }
        None => without_peers(&suites, &mut tally),
    };
    if filters.is_empty() && is_whole {
        tally.check_tables();
    }
    if tally.has_failed() {
        println!("{}", process::keep_logs().join("\n"));
    }
    Ok(tally.finish())
}

async fn directly(suites: &[(&Suite, Vec<Case>)], tally: &mut Tally) {
    for (suite, cases) in suites {
        let cases: Vec<_> = cases.iter().filter(|it| !needs_a_cluster(it)).collect();
        let reach = Reach::Everything;
        let started = async {
            let serving = suite.start().await?;
            let client = serving.dev.client()?.http1();
            anyhow::Ok((serving, client))
        };
        match started.await.context("outrigger dev") {
            Ok((_serving, client)) => {
                play_all(&cases, &Server { client, reach }, tally).await;
            }
            Err(err) => tally.not_started(&cases, reach, &err),
        }
    }
}

async fn behind_kube_apiserver(suites: &[(&Suite, Vec<Case>)], tally: &mut Tally) {
    let started = async {
        let installed = behind::install(suites.iter().map(|it| it.0)).await?;
        let client = installed.admin()?.http1();
        anyhow::Ok((installed, client))
    };
    let started = started.await.context("behind kube-apiserver");
    for (suite, cases) in suites {
        let reach = suite.behind();
        let cases: Vec<_> = cases.iter().filter(|it| reach.has_part_of(it)).collect();
        match &started {
            Ok((_installed, client)) => {
                let client = client.clone();
                play_all(&cases, &Server { client, reach }, tally).await;
            }
            Err(err) => tally.not_started(&cases, reach, err),
        }
    }
}

/// Says so. Not everything has been asked then.
fn without_peers(suites: &[(&Suite, Vec<Case>)], tally: &mut Tally) -> bool {
    println!(
        "behind kube-apiserver: needs etcd, kube-apiserver and kubectl: `cargo xtask test --only oracle` finds or builds them"
    );
    for (suite, cases) in suites {
        let cases: Vec<_> = cases.iter().collect();
        let why = anyhow::anyhow!("OUTRIGGER_PEERS is not set");
        match is_everything_required() {
            true => tally.not_started(&cases, suite.behind(), &why),
            false => tally.ignore(&cases, suite.behind()),
        }
    }
    false
}

/// Plays the cases beside each other and judges them in their order.
async fn play_all(cases: &[&Case], server: &Server, tally: &mut Tally) {
    let places = Arc::new(Semaphore::new(CASES_AT_ONCE));
    let mut playing = JoinSet::new();
    for (at, case) in cases.iter().enumerate() {
        let (case, server, places) = ((*case).clone(), server.clone(), places.clone());
        playing.spawn(async move {
            let _place = places.acquire_owned().await;
            (at, replay::play(&case, &server).await)
        });
    }
    let mut played: BTreeMap<usize, Result<BTreeMap<String, Json>>> = BTreeMap::new();
    while let Some(done) = playing.join_next().await {
        match done {
            Ok((at, answers)) => drop(played.insert(at, answers)),
            Err(err) => println!("a case ended early: {err}"),
        }
    }
    for (at, case) in cases.iter().enumerate() {
        let answers = played.remove(&at);
        let answers = answers.unwrap_or_else(|| Err(anyhow::anyhow!("it ended early")));
        tally.judge(case, server, answers);
    }
}
