//! The program in Go that `structured-merge-diff` is compared with. Go keeps what it has built; a second build is quick.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::progress::Step;
use crate::workspace;

const MODULE: &str = "tests/smd-diff";

/// Builds the program with the versions that its `go.mod` and `go.sum` pin.
pub(crate) fn build(go: &Path) -> Result<PathBuf> {
    let program = workspace::target_dir().join("smd-diff");
    let mut step = Step::start(&format!("building {MODULE}"));
    let mut build = Command::new(go);
    build
        .current_dir(workspace::root().join(MODULE))
        .env("CGO_ENABLED", "0")
        .args(["build", "-trimpath", "-o"])
        .arg(&program)
        .arg(".");
    let finished = step.run(&mut build)?;
    if !finished.status.success() {
        step.finish("failed");
        bail!(
            "{MODULE} could not be built:\n{}",
            finished.lines.join("\n")
        );
    }
    step.finish("built");
    Ok(program)
}
