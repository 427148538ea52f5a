//! Programs in other languages that tests run: those in Go, built from the modules in `tests`, and a Python with the
//! packages of a `requirements.txt`. Go keeps what it has built; a second build is quick.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::progress::Step;
use crate::workspace;

/// Go's library that `structured-merge-diff` is compared with.
pub(crate) const SMD_DIFF: &str = "tests/smd-diff";
/// client-go and controller-runtime.
pub(crate) const CLIENTS: &str = "tests/clients/go";

const REQUIREMENTS: &str = "tests/clients/python/requirements.txt";

/// Builds the program of a module with the versions that its `go.mod` and `go.sum` pin.
pub(crate) fn build(go: &Path, module: &str) -> Result<PathBuf> {
    let program = workspace::target_dir().join(module.replace('/', "-"));
    let mut build = command(go, module);
    build
        .args(["build", "-trimpath", "-o"])
        .arg(&program)
        .arg(".");
    run(&format!("building {module}"), &mut build)?;
    Ok(program)
}

/// `go vet` of a module.
pub(crate) fn vet(go: &Path, module: &str) -> Command {
    let mut vet = command(go, module);
    vet.args(["vet", "-trimpath", "./..."]);
    vet
}

/// Prints the files of all modules that gofmt would write in another way.
pub(crate) fn gofmt(go: &Path) -> Command {
    let mut gofmt = Command::new(go.with_file_name("gofmt"));
    gofmt
        .current_dir(workspace::root())
        .args(["-l", SMD_DIFF, CLIENTS]);
    gofmt
}

fn command(go: &Path, module: &str) -> Command {
    let mut command = Command::new(go);
    command
        .current_dir(workspace::root().join(module))
        .env("CGO_ENABLED", "0");
    command
}

/// A Python of its own with what `requirements.txt` pins, made once for each set of pins.
pub(crate) fn python(python: &Path) -> Result<PathBuf> {
    let requirements = workspace::root().join(REQUIREMENTS);
    let mut hasher = DefaultHasher::new();
    (std::fs::read(&requirements)?, python).hash(&mut hasher);
    let folder = workspace::cache_dir()?.join(format!("python/{:016x}", hasher.finish()));
    let program = folder.join("bin/python");
    if program.is_file() {
        return Ok(program);
    }
    let unfinished = folder.with_extension(format!("building-{}", std::process::id()));
    let mut make = Command::new(python);
    make.args(["-m", "venv"]).arg(&unfinished);
    run("making a virtual environment of Python", &mut make)?;
    let mut install = Command::new(unfinished.join("bin/python"));
    install
        .args(["-m", "pip", "install", "--no-input", "--requirement"])
        .arg(&requirements);
    run(&format!("installing {REQUIREMENTS}"), &mut install)?;
    match std::fs::rename(&unfinished, &folder) {
        Err(_) if program.is_file() => std::fs::remove_dir_all(&unfinished)?,
        renamed => renamed.with_context(|| format!("cannot make {}", folder.display()))?,
    }
    Ok(program)
}

fn run(title: &str, command: &mut Command) -> Result<()> {
    let mut step = Step::start(title);
    let finished = step.run(command)?;
    if !finished.status.success() {
        step.finish("failed");
        bail!("{title} failed:\n{}", finished.lines.join("\n"));
    }
    step.finish("done");
    Ok(())
}
