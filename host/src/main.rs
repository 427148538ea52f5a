//! The `outrigger` command.

use std::process::ExitCode;

use clap::Parser;
use outrigger::cli::Args;

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
