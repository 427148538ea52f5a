//! The parts of the benchmark, each with its loads.

mod applies;
mod gets;
mod lists;
mod plugins;
mod starts;
mod stores;
mod wasm;
mod watches;
mod writes;

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::bench::Bench;
use crate::schema;
use crate::stage::Stage;

/// What garbage of the start is collected in, before memory is measured.
pub(crate) const SETTLING: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Part {
    /// what pruning, defaulting and validating cost
    Schema,
    /// apply and merge patch, 10 KiB, five managers; beside kube-apiserver
    Apply,
    /// one object of 1 KiB; beside a static server, sample-apiserver, kube-apiserver
    Get,
    /// 10,000 objects: whole, compressed, by pages, as Table
    List,
    /// create, update, merge patch, apply with a plugin's hooks and with a schema
    Write,
    /// durable writes below the requests; beside SQLite alone
    Store,
    /// 1,000 watchers; beside ring and join, sample-apiserver
    Watch,
    /// calls of a plugin's hooks; beside wasmtime alone
    Wasm,
    /// start and memory, from no objects to 1,000,000, and what requests cost then
    Start,
    /// 500 plugins: start, memory, and what requests cost then
    Plugins,
}

impl Part {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Schema => "Schema",
            Self::Apply => "Apply",
            Self::Get => "Get",
            Self::List => "List",
            Self::Write => "Write",
            Self::Store => "Store",
            Self::Watch => "Watch",
            Self::Wasm => "Plugin calls",
            Self::Start => "Start and memory",
            Self::Plugins => "Many plugins",
        }
    }

    /// Whether it sends requests to the servers of a [`Stage`].
    fn is_of_requests(self) -> bool {
        matches!(
            self,
            Self::Apply | Self::Get | Self::List | Self::Write | Self::Watch
        )
    }

    /// Whether it needs something of those servers, if only the memory of one when it has started.
    fn needs_stage(self) -> bool {
        self.is_of_requests() || self == Self::Start
    }

    /// Roughly, for the progress bar: some rows, and what must be made before.
    fn seconds(self, each: u64, is_quick: bool) -> u64 {
        let (rows, more) = match self {
            Self::Schema => (2, 0),
            Self::Apply => (8, 2),
            Self::Get => (13, 1),
            Self::List => (12, 5),
            Self::Write => (28, 3),
            Self::Store => (4, 2),
            Self::Watch => (9, 10),
            Self::Wasm => (5, 2),
            Self::Start => (9, if is_quick { 15 } else { 90 }),
            Self::Plugins => (4, if is_quick { 15 } else { 120 }),
        };
        rows * (each + 1) + more
    }
}

/// What is made before the parts that send requests.
pub(crate) const SERVERS: &str = "Servers";
const STAGE_SECONDS: u64 = 60;

/// How long all that is wanted takes, roughly.
pub(crate) fn seconds(parts: &[Part], each: u64, is_quick: bool) -> u64 {
    let stage = if parts.iter().any(|it| it.needs_stage()) {
        STAGE_SECONDS
    } else {
        0
    };
    let parts = parts.iter().map(|it| it.seconds(each, is_quick));
    stage + parts.sum::<u64>()
}

/// Runs what is wanted: first all that sends requests to the same servers, then what nothing may run beside.
pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    let parts = bench.settings.parts.clone();
    if parts.iter().any(|it| it.needs_stage()) {
        bench.progress.begin(SERVERS, STAGE_SECONDS);
        let mut stage = Stage::set(bench).await.context("the servers")?;
        for &part in parts.iter().filter(|it| it.is_of_requests()) {
            begin(bench, part);
            let done = match part {
                Part::Apply => applies::run(bench, &stage).await,
                Part::Get => gets::run(bench, &stage).await,
                Part::List => lists::run(bench, &mut stage).await,
                Part::Write => writes::run(bench, &stage).await,
                _ => watches::run(bench, &stage).await,
            };
            done.with_context(|| part.title())?;
        }
        stage.product.stop().await?;
    }
    for &part in parts.iter().filter(|it| !it.is_of_requests()) {
        begin(bench, part);
        let done = match part {
            Part::Schema => measure_schema(bench),
            Part::Store => stores::run(bench).await,
            Part::Wasm => wasm::run(bench).await,
            Part::Start => starts::run(bench).await,
            _ => plugins::run(bench).await,
        };
        done.with_context(|| part.title())?;
    }
    Ok(())
}

fn begin(bench: &mut Bench, part: Part) {
    let seconds = part.seconds(bench.settings.seconds, bench.settings.is_quick);
    bench.progress.begin(part.title(), seconds);
}

fn measure_schema(bench: &mut Bench) -> Result<()> {
    bench.report.schema = Some(schema::measure(bench.settings.duration() * 2)?);
    Ok(())
}
