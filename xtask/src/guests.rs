//! The plugins of this repository: the examples, and the guests of the tests. Each is a project of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::workspace;

/// The folders of all plugins, in the order of their paths.
pub(crate) fn all() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for parent in ["examples", "tests/guests"] {
        let parent = workspace::root().join(parent);
        if is_project(&parent) {
            found.push(parent);
            continue;
        }
        let Ok(entries) = std::fs::read_dir(&parent) else {
            continue;
        };
        for entry in entries {
            let folder = entry?.path();
            if is_project(&folder) {
                found.push(folder);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A path as seen from the repository's root.
pub(crate) fn name(folder: &Path) -> String {
    let inside = folder.strip_prefix(workspace::root()).unwrap_or(folder);
    inside.display().to_string()
}

/// A cargo command in a plugin's folder. They share one folder of build outputs, apart from the host's.
pub(crate) fn cargo(folder: &Path, command: &[&str]) -> Command {
    let mut cargo = workspace::cargo();
    cargo
        .current_dir(folder)
        .args(command)
        .env("CARGO_TARGET_DIR", workspace::target_dir().join("guests"));
    cargo
}

/// What a plugin's author runs.
pub(crate) fn build(folder: &Path) -> Command {
    cargo(folder, &["build", "--release", "--target", "wasm32-wasip2"])
}

fn is_project(folder: &Path) -> bool {
    folder.join("Cargo.toml").is_file()
}

/// The example `name`, which must be there.
pub(crate) fn example(name: &str) -> Result<PathBuf> {
    let folder = workspace::root().join("examples").join(name);
    is_project(&folder)
        .then_some(folder)
        .with_context(|| format!("examples/{name} is not there: run this in a whole checkout"))
}

/// The file that [`build`] makes of the example `name`.
pub(crate) fn component(name: &str) -> PathBuf {
    let folder = workspace::target_dir().join("guests/wasm32-wasip2/release");
    folder.join(format!("{name}.wasm"))
}
