//! Where things are, and how cargo is called.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// The repository's root folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the workspace")
}

/// Where cargo builds the workspace.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that started this program, in the root folder.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Builds the workspace's binaries. Always the whole workspace: a smaller selection has other features, and
/// cargo would build the dependencies once more.
pub(crate) fn build_binaries() -> Command {
    let mut command = cargo();
    command.args(["build", "--workspace", "--bins"]);
    command
}

/// `$XDG_CACHE_HOME/outrigger` or `~/.cache/outrigger`: what is costly to make and not the repository's.
pub(crate) fn cache_dir() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|it| !it.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => std::env::home_dir()
            .context("no home folder: set XDG_CACHE_HOME")?
            .join(".cache"),
    };
    Ok(base.join("outrigger"))
}

/// Whether a part that is skipped is a failure.
pub(crate) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|it| it == "true" || it == "1")
}

/// The program's file in a folder of `PATH`.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|it| it.join(program))
        .find(|it| it.is_file())
}
