//! What the tests run: the host's program and the plugins, built by cargo when they are asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// The repository's root folder.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the workspace")
}

/// The `outrigger` program of this workspace, in the profile that the tests are built in.
pub fn outrigger() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || {
        let mut cargo = cargo(root());
        // The whole workspace, as everywhere: another selection would build other features.
        cargo.args(["build", "--workspace", "--bins"]);
        artifact(&mut cargo, "bin", "outrigger").map_err(|err| format!("{err:#}"))
    };
    BUILT.get_or_init(build).clone().map_err(anyhow::Error::msg)
}

/// The clock that a test sets, to be preloaded into a server: see tests/clock.
pub fn clock() -> Result<PathBuf> {
    once("tests/clock", || {
        let mut cargo = cargo(root());
        cargo.args(["build", "--workspace", "--lib"]);
        artifact(&mut cargo, "cdylib", "outrigger_tests_clock")
    })
}

/// The component of `examples/<name>`.
pub fn example(name: &str) -> Result<PathBuf> {
    let project = format!("examples/{name}");
    once(&project, || {
        artifact(&mut plugin_build(&project), "cdylib", "")
    })
}

/// The component of `tests/guests/examples/<name>.rs`.
pub fn guest(name: &str) -> Result<PathBuf> {
    once(&format!("tests/guests/{name}"), || {
        let mut build = plugin_build("tests/guests");
        artifact(build.arg("--examples"), "example", name)
    })
}

/// What a plugin's author runs, into one folder for all plugins.
fn plugin_build(project: &str) -> Command {
    let mut cargo = cargo(&root().join(project));
    cargo
        .args(["build", "--release", "--target", "wasm32-wasip2"])
        .env("CARGO_TARGET_DIR", target_dir().join("guests"));
    cargo
}

fn once(key: &str, build: impl FnOnce() -> Result<PathBuf>) -> Result<PathBuf> {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT
        .lock()
        .map_err(|_| anyhow::anyhow!("another build panicked"))?;
    if let Some(path) = built.get(key) {
        return Ok(path.clone());
    }
    let path = build()?;
    built.insert(key.to_owned(), path.clone());
    Ok(path)
}

fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder);
    // Cargo tells a test about its own package; a cargo that the test starts must not believe it.
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a build and finds the file of the target `name` (any name if empty) in what cargo says about it.
fn artifact(build: &mut Command, kind: &str, name: &str) -> Result<PathBuf> {
    build.arg("--message-format=json-render-diagnostics");
    let output = build
        .output()
        .with_context(|| format!("cannot run {build:?}"))?;
    if !output.status.success() {
        bail!(
            "{build:?} failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|it| it["reason"] == "compiler-artifact" && it["target"]["kind"][0] == kind)
        .filter(|it| name.is_empty() || it["target"]["name"] == name)
        .filter_map(|it| file(&it, kind))
        .next_back()
        .with_context(|| format!("{build:?} made no {kind} {name}"))
}

fn file(artifact: &Value, kind: &str) -> Option<PathBuf> {
    if kind == "bin" {
        return artifact["executable"].as_str().map(PathBuf::from);
    }
    let files = artifact["filenames"].as_array()?.iter();
    files
        .filter_map(Value::as_str)
        .find(|it| it.ends_with(".wasm") || it.ends_with(".so"))
        .map(PathBuf::from)
}
