//! `outrigger compile`: the child process in which the server compiles a component. Not for people.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::plugin::compile::{COMPONENT_MAX_BYTES, REFUSED, compile_here, limit_this_process};

/// Compiles the component on the standard input.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to write.
    output: PathBuf,
}

/// # Errors
/// The limits cannot be set, or the component cannot be read. A component that cannot be compiled is the exit
/// status [`REFUSED`].
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    limit_this_process()?;
    let mut component = Vec::new();
    let max = COMPONENT_MAX_BYTES as u64 + 1;
    std::io::stdin()
        .take(max)
        .read_to_end(&mut component)
        .context("the component cannot be read")?;
    anyhow::ensure!(
        component.len() <= COMPONENT_MAX_BYTES,
        "the component is too large"
    );
    match compile_here(&component, &args.output) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            use std::io::Write as _;
            // The server reads it; where that has gone, nobody does.
            let _ = writeln!(std::io::stderr(), "{error:#}");
            Ok(ExitCode::from(REFUSED))
        }
    }
}
