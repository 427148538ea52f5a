//! `cargo xtask bench`: builds for release what is measured and what measures it, and starts the latter.
//!
//! The benchmark itself is the program of `tests/bench`.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::progress::build;
use crate::{guests, workspace};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask bench                                    everything, about three minutes after the build
  cargo xtask bench --schema                           what pruning, defaulting and validating cost
  cargo xtask bench --only get,list --clients 16       two operations, 16 clients at once
  cargo xtask bench --json before.json                 keep the figures …
  cargo xtask bench --json after.json --compare before.json
                                                       … and show them beside those of another commit

The server is built for release (ten minutes on two cores, the first time), serves examples/wardle and a
CustomResourceDefinition on loopback, and keeps its data in a temporary folder. Client and server share the
machine: compare figures only with those of the same machine, with nothing else running on it.")]
pub(crate) struct Args {
    /// Measure these operations only: get, list, create, update, merge-patch, json-patch,
    /// apply.
    #[arg(long, value_name = "OPERATION,…")]
    only: Option<String>,
    /// Measure what a schema costs, beside parsing the same object, and no requests.
    #[arg(long)]
    schema: bool,
    /// How many clients at once; one figure for each.
    #[arg(long, value_name = "N,…", default_value = "1,16")]
    clients: String,
    /// How long each figure is measured.
    #[arg(long, value_name = "N", default_value_t = 3)]
    seconds: u64,
    /// Write the figures into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Show the figures in this file, of a run before, beside these.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
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
    bench.args(["--clients", &args.clients]);
    bench.args(["--seconds", &args.seconds.to_string()]);
    if let Some(operations) = &args.only {
        bench.args(["--only", operations]);
    }
    if args.schema {
        bench.arg("--schema");
    }
    for (flag, file) in [("--json", &args.json), ("--compare", &args.compare)] {
        if let Some(file) = file {
            bench.arg(flag).arg(file);
        }
    }
    Ok(match bench.status()?.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
