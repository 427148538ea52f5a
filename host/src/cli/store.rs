//! `outrigger store check`, `outrigger store copy`, `outrigger backup` and `outrigger restore`: the store as a file, with
//! or without a server.

mod copy;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::progress::shown;
use crate::storage::sqlite::{self, Report};

/// Look after the store of a server.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Check(Check),
    Copy(copy::Args),
}

/// Read all of a store and say what is wrong with it; a server may use it meanwhile.
///
/// Checks the file's structure, and of each record its checksum, its revision and whether it decodes. Ends with 1
/// where something is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    outrigger store check --data-dir ./data\n  \
    kubectl exec deploy/outrigger -- outrigger store check --data-dir /data")]
struct Check {
    /// Data folder of the server.
    #[arg(long, value_name = "FOLDER")]
    data_dir: PathBuf,
}

/// Copy the store of a server into one file, while it runs.
///
/// The copy is the store at one moment. It is checked, and gets its name only when it is complete and on the disk.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    outrigger backup --data-dir ./data --to monday.sqlite3\n  \
    outrigger backup --data-dir /data --to /backups/$(date +%F).sqlite3")]
pub struct BackupArgs {
    /// Data folder of the server.
    #[arg(long, value_name = "FOLDER")]
    data_dir: PathBuf,
    /// The new file.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// Put a backup into a data folder; its server must be stopped.
///
/// The store goes on 1,000,000,000 revisions after the backup, and after the store that it replaces: no
/// resourceVersion is used twice, and watches from before are answered 410 and list again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    outrigger restore --from monday.sqlite3 --data-dir ./data\n  \
    outrigger restore --from monday.sqlite3 --data-dir ./data --replace")]
pub struct RestoreArgs {
    /// A file that `outrigger backup` made, or Litestream restored.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Data folder of the server.
    #[arg(long, value_name = "FOLDER")]
    data_dir: PathBuf,
    /// Replace the store that is there; its file is kept beside the new one, as store.sqlite3.replaced-REVISION.
    #[arg(long)]
    replace: bool,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Check { data_dir } = match self.command {
            Command::Check(check) => check,
            Command::Copy(copy) => return copy.run().map(|()| ExitCode::SUCCESS),
        };
        let report = shown(|progress| sqlite::check(&data_dir.join("store"), progress))?;
        say(&report)?;
        Ok(match report.problems.len() {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }
}

impl BackupArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { data_dir, to } = self;
        let folder = data_dir.join("store");
        let report = shown(|progress| sqlite::backup(&folder, &to, progress))?;
        say(&report)
    }
}

impl RestoreArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self {
            from,
            data_dir,
            replace,
        } = self;
        let folder = data_dir.join("store");
        let report =
            shown(|progress| sqlite::restore(&from, &folder, replace, Duration::ZERO, progress))?;
        say(&report)
    }
}

fn say(report: &Report) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", report.file.display())?;
    writeln!(out, "Format:     {}", report.format)?;
    writeln!(out, "Revision:   {}", report.revision)?;
    writeln!(out, "Records:    {}", report.records)?;
    writeln!(
        out,
        "History:    {} versions, complete after revision {}",
        report.superseded, report.compacted
    )?;
    if report.problems.is_empty() {
        writeln!(out, "Problems:   none")?;
        return Ok(());
    }
    writeln!(out, "Problems:")?;
    for problem in &report.problems {
        writeln!(out, "  {problem}")?;
    }
    writeln!(out, "Restore a backup: outrigger restore --help")?;
    Ok(())
}
