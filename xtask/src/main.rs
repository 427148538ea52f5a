//! `cargo xtask`: the project's own commands. It needs nothing but cargo.

#![expect(
    clippy::print_stdout,
    reason = "a command line program for people answers on standard output"
)]

mod bench;
mod demo;
mod etcds;
mod fuzz;
mod guests;
mod kubectls;
mod peers;
mod programs;
mod progress;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, shows and checks Outrigger.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Examples:
  cargo xtask demo                     show the main job, then serve until Ctrl-C
  cargo xtask demo --once              the same, and end
  cargo xtask test                     every check and every test there is
  cargo xtask test --only integration  one stage
  cargo xtask test --skip e2e,deny     all but two
  cargo xtask test --only kubectls     kubectl of the oldest and the newest release, at length
  cargo xtask bench                    what requests cost, beside yardsticks and peers
  cargo xtask fuzz schema              one fuzz target, for a minute
  cargo xtask peers                    find or build etcd, kube-apiserver and the rest"
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds host and examples, starts `outrigger dev` and walks through the main job with kubectl.
    Demo(demo::Args),
    /// Runs the checks and tests in stages; ends with `N passed, N failed, N skipped`.
    Test(test::Args),
    /// Measures a server built for release, beside yardsticks and where they are there its peers.
    Bench(bench::Args),
    /// Runs the fuzz targets, or one of them, for as long as is wanted.
    Fuzz(fuzz::Args),
    /// Finds the real peers of the end-to-end tests, or builds them, and prints their folder.
    Peers,
}

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Peers => peers::run(),
    };
    match outcome {
        Ok(code) => code,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}
