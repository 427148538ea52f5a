//! The command line: one subcommand a file.

pub mod compile;
pub mod dev;
pub mod inspect;
mod progress;
pub mod serve;
pub mod store;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// One extension API server for a Kubernetes cluster; an API group is one .wasm file.
#[derive(Debug, Parser)]
#[command(
    name = "outrigger",
    version,
    after_help = "Examples:\n  \
        outrigger dev --plugins ./plugins --data-dir ./data --secure-port 6444\n  \
        kubectl --kubeconfig ./data/admin.kubeconfig api-resources\n  \
        outrigger inspect ./plugins/hello.wasm\n  \
        outrigger backup --data-dir ./data --to monday.sqlite3"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Args>),
    Dev(dev::Args),
    Inspect(inspect::Args),
    Store(store::Args),
    Backup(store::BackupArgs),
    Restore(store::RestoreArgs),
    /// Compiles one component; the server runs this for each new plugin, in a process with limits.
    #[command(hide = true)]
    Compile(compile::Args),
}

impl Args {
    /// Runs the command to its end.
    ///
    /// # Errors
    /// One line, with its causes, that says what to do.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(args) => args.run()?,
            Command::Dev(args) => args.run()?,
            Command::Inspect(args) => crate::server::block_on(inspect::run(args))?,
            Command::Store(args) => return args.run(),
            Command::Backup(args) => args.run()?,
            Command::Restore(args) => args.run()?,
            Command::Compile(args) => return compile::run(&args),
        }
        Ok(ExitCode::SUCCESS)
    }
}
