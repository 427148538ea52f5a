//! The benchmark: `cargo xtask bench` builds it and the server for release and starts it.
//!
//! It sends the same requests to `outrigger dev`, to yardsticks (a static server, SQLite and wasmtime by themselves) and
//! to peers (kube-apiserver and sample-apiserver, each with etcd) in one run over loopback. Client and servers share
//! the machine: absolute figures say little, ratios within a run say something.

#![expect(clippy::print_stdout, reason = "a benchmark is what it prints")]

mod bench;
mod client;
mod composition;
mod load;
mod loads;
mod parts;
mod progress;
mod report;
mod resources;
mod schema;
mod servers;
mod stage;
mod statistics;
mod usage;
mod versions;
mod yardsticks;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::{Parser as _, ValueEnum as _};
use outrigger_tests::process;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use bench::{Bench, Settings};
use parts::Part;
use progress::Progress;
use report::{Machine, Report};
use yardsticks::static_server;

/// Measures what requests cost.
#[derive(clap::Parser)]
#[command(
    name = "cargo xtask bench",
    bin_name = "cargo xtask bench",
    args_conflicts_with_subcommands = true
)]
struct Args {
    #[command(subcommand)]
    process: Option<Process>,
    #[command(flatten)]
    wanted: Option<Wanted>,
}

/// What this program starts of itself.
#[derive(clap::Subcommand)]
enum Process {
    #[command(name = static_server::COMMAND, hide = true)]
    StaticServer(static_server::Args),
}

#[derive(clap::Args)]
struct Wanted {
    /// The server's program.
    #[arg(long, hide = true)]
    server: PathBuf,
    /// The component of examples/wardle.
    #[arg(long, hide = true)]
    plugin: PathBuf,
    #[arg(long, hide = true)]
    sample_apiserver: Option<PathBuf>,
    /// What is measured, as `git describe` names it.
    #[arg(long, hide = true)]
    commit: Option<String>,
    /// Measure these parts only.
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,
    /// Fewer rows, smaller stores, one second each.
    #[arg(long)]
    quick: bool,
    /// Leave kube-apiserver and sample-apiserver out.
    #[arg(long)]
    no_peers: bool,
    /// How long each row is measured.
    #[arg(long, value_name = "N", default_value_t = 3)]
    seconds: u64,
    /// Write the figures into this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Show the figures in this file, of a run before, beside these.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Put the figures into this document, in the place of those of the run before.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = tokio::select! {
        done = run(Args::parse()) => done,
        // What was started ends, and folders go, with the values that own them.
        interrupted = interrupted() => interrupted.and(Err(anyhow!("interrupted"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            for said in process::keep_logs() {
                eprintln!("{said}");
            }
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

/// Ctrl-C, or SIGTERM.
async fn interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => Ok(pressed?),
        _ = terminate.recv() => Ok(()),
    }
}

async fn run(args: Args) -> Result<()> {
    if let Some(Process::StaticServer(args)) = &args.process {
        return static_server::serve(args).await;
    }
    let wanted = args.wanted.context("start it by `cargo xtask bench`")?;
    raise_open_files()?;
    // What servers say is of interest only where something fails.
    process::keep_logs();
    let before = wanted.compare.as_deref().map(Report::read).transpose()?;
    let all = Part::value_variants();
    let mut parts = match wanted.only.is_empty() {
        true => all.to_vec(),
        false => wanted.only.clone(),
    };
    parts.sort_unstable();
    parts.dedup();
    let mut bench = Bench {
        progress: Progress::start(parts::seconds(&parts, wanted.seconds, wanted.quick))?,
        report: Report {
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            machine: Machine::here(),
            versions: versions::all(wanted.commit.as_deref()),
            is_full: parts.len() == all.len() && !wanted.quick && !wanted.no_peers,
            seconds_each: wanted.seconds,
            ..Report::default()
        },
        settings: Settings {
            server: wanted.server,
            plugin: wanted.plugin,
            sample_apiserver: wanted.sample_apiserver,
            without_peers: wanted.no_peers,
            is_quick: wanted.quick,
            seconds: wanted.seconds,
            parts,
        },
    };
    parts::run(&mut bench).await?;
    bench.progress.finish();
    let mut report = bench.report;
    report.notes.extend(report.disturbance());
    println!("{}", report.markdown(before.as_ref()));
    if let Some(path) = &wanted.json {
        report.write(path)?;
    }
    if let Some(path) = &wanted.write {
        let document = std::fs::read_to_string(path).unwrap_or_default();
        let written = std::fs::write(path, report.in_document(&document));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// A thousand connections have two ends; the servers take over what this process may open.
fn raise_open_files() -> Result<()> {
    let may = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: may.maximum,
        ..may
    };
    setrlimit(Resource::Nofile, all).context("the limit of open files cannot be raised")
}
