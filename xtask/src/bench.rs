//! `cargo xtask bench`: builds for release what is measured and what measures it, and starts the latter.
//!
//! The benchmark itself is the program of `tests/bench`. Peers that are in the cache are measured beside the product;
//! only sample-apiserver is built for it, where Go is.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::progress::build;
use crate::{guests, peers, workspace};

#[derive(clap::Args)]
#[command(
    after_help = "Parts: schema, apply, get, list, write, store, watch, wasm, start, plugins.

Examples:
  cargo xtask bench                                    everything: a quarter of an hour
  cargo xtask bench --quick                            less of it: three minutes
  cargo xtask bench --only get,list --no-peers         two parts, beside the static server only
  cargo xtask bench --json before.json                 keep the figures …
  cargo xtask bench --json after.json --compare before.json
                                                       … and show them beside those of another commit
  cargo xtask bench --write docs/benchmarks.md         put them into the document

Everything is built for release first (ten minutes on two cores, the first time), runs on loopback, and keeps its
data in temporary folders. kube-apiserver and sample-apiserver are measured beside it where `cargo xtask peers` has
put them, or where OUTRIGGER_PEERS names a folder with them. Clients and servers share the machine: let nothing else
run on it, and compare figures only with those of the same machine."
)]
pub(crate) struct Args {
    /// Measure these parts only.
    #[arg(long, value_name = "PART,…")]
    only: Option<String>,
    /// Fewer rows, smaller stores, one second each.
    #[arg(long)]
    quick: bool,
    /// Leave kube-apiserver and sample-apiserver out.
    #[arg(long)]
    no_peers: bool,
    /// How long each row is measured; 3 seconds, or 1 with --quick.
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
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

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let wardle = guests::example("wardle")?;
    build(
        "building the plugin examples/wardle",
        &mut guests::build(&wardle),
    )?;
    let mut programs = workspace::cargo();
    programs.args(["build", "--release", "--package", "outrigger"]);
    programs.args(["--package", "outrigger-bench", "--bins"]);
    build("building for release", &mut programs)?;

    let target = workspace::target_dir();
    let mut bench = Command::new(target.join("release/bench"));
    bench.arg("--server").arg(target.join("release/outrigger"));
    bench.arg("--plugin").arg(guests::component("wardle"));
    let seconds = args.seconds.unwrap_or(if args.quick { 1 } else { 3 });
    bench.args(["--seconds", &seconds.to_string()]);
    if let Some(commit) = commit() {
        bench.args(["--commit", &commit]);
    }
    if args.no_peers {
        bench.arg("--no-peers");
    } else {
        add_peers(&mut bench)?;
    }
    if let Some(parts) = &args.only {
        bench.args(["--only", parts]);
    }
    if args.quick {
        bench.arg("--quick");
    }
    let files = [
        ("--json", &args.json),
        ("--compare", &args.compare),
        ("--write", &args.write),
    ];
    for (flag, file) in files {
        if let Some(file) = file {
            bench.arg(flag).arg(file);
        }
    }
    Ok(match bench.status()?.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Those that are there.
fn add_peers(bench: &mut Command) -> Result<()> {
    let named = std::env::var_os("OUTRIGGER_PEERS").map(PathBuf::from);
    let found = match named {
        Some(folder) => Some(folder),
        None => peers::find()?,
    };
    if let Some(folder) = found {
        bench.env("OUTRIGGER_PEERS", folder);
        if let Some(program) = peers::sample_apiserver()? {
            bench.arg("--sample-apiserver").arg(program);
        }
    }
    Ok(())
}

/// As git names it, with `-dirty` where files differ from it.
fn commit() -> Option<String> {
    let output = Command::new("git")
        .current_dir(workspace::root())
        .args(["describe", "--always", "--dirty", "--tags"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
