//! Writes the seeds of all targets into a folder, one below it for each: what libFuzzer begins with.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.context("usage: fuzz-seeds FOLDER")?;
    for (name, _) in outrigger_fuzz::TARGETS {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in outrigger_fuzz::seeds::of(name)?.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:04}")), seed)?;
        }
    }
    Ok(())
}
