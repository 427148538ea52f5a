//! Tools that are no part of the toolchain: found on `PATH`, else installed into the cache.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::progress::Step;
use crate::workspace;

const CARGO_DENY: &str = "0.20.2";

/// The cargo-deny program.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    if let Some(found) = workspace::on_path("cargo-deny") {
        return Ok(found);
    }
    let root = workspace::cache_dir()?.join(format!("tools/cargo-deny-{CARGO_DENY}"));
    let program = root.join("bin/cargo-deny");
    if program.is_file() {
        return Ok(program);
    }
    let mut step = Step::start("installing cargo-deny into the cache (some minutes, once)");
    let mut install = workspace::cargo();
    install
        .args(["install", "cargo-deny", "--locked", "--version", CARGO_DENY])
        .arg("--root")
        .arg(&root)
        .env_remove("CARGO_TARGET_DIR");
    let finished = step.run(&mut install)?;
    step.finish(if finished.status.success() {
        "installed"
    } else {
        "failed"
    });
    if !finished.status.success() {
        bail!(
            "cargo-deny could not be installed:\n{}",
            finished.lines.join("\n")
        );
    }
    Ok(program)
}
