//! The `outrigger` command.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use outrigger::cli::Args;

/// A request is a few dozen small allocations on whichever thread runs it: docs/benchmarks.md has what this saves.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match Args::parse().run() {
        Ok(code) => code,
        Err(error) => {
            use std::io::Write as _;
            // Where standard error has gone, there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "outrigger: {error:#}");
            ExitCode::FAILURE
        }
    }
}
