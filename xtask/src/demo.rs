//! `cargo xtask demo`: builds what the demonstration needs and starts it.
//!
//! The demonstration itself is the program `demo` of the tests' crate, which has the harness and a client.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::progress::build;
use crate::{guests, peers, workspace};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// End after the walk-through, with a failure if one of its steps failed.
    #[arg(long)]
    once: bool,
    /// Make the requests without kubectl, even where it is there.
    #[arg(long)]
    without_kubectl: bool,
    /// Keep the server's data (with its CA and kubeconfig) in this folder, instead of a temporary one.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<std::path::PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let wardle = guests::example("wardle")?;
    build("building the host", &mut workspace::build_binaries())?;
    build(
        "building the plugin examples/wardle",
        &mut guests::build(&wardle),
    )?;

    let mut demo = Command::new(workspace::target_dir().join("debug/demo"));
    demo.current_dir(workspace::root());
    if args.once {
        demo.arg("--once");
    }
    if let Some(folder) = &args.data_dir {
        demo.arg("--data-dir").arg(folder);
    }
    if !args.without_kubectl
        && let Some(kubectl) = peers::kubectl()?
    {
        demo.arg("--kubectl").arg(kubectl);
    }
    let status = demo.status()?;
    Ok(match status.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
