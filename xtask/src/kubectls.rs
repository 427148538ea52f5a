//! kubectl of other releases than the peers': `cargo xtask test --only kubectls`.
//!
//! The oldest supported one plays every scenario of `tests/transcript`. The one in Debian 12 is five years old and plays
//! the basic verbs; it is taken with `apt-get download`, from wherever this machine gets its packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::progress::Step;
use crate::{peers, workspace};

const PACKAGE: &str = "kubernetes-client";
/// The scenario of verbs that every kubectl has, by its name.
const BASIC: &str = "basic_verbs";

/// One kubectl and the scenarios that it plays.
pub(crate) struct Other {
    pub(crate) title: &'static str,
    /// `None` is the peers'.
    pub(crate) kubectl: Option<PathBuf>,
    /// Parts of names of scenarios; none are all.
    pub(crate) scenarios: &'static [&'static str],
}

/// Those that can be had here, and why not the others.
pub(crate) fn all() -> Result<(Vec<Other>, Vec<String>)> {
    let mut others = vec![Other {
        title: "kubectl 1.37",
        kubectl: None,
        scenarios: &[],
    }];
    let mut missing = Vec::new();
    match peers::oldest_kubectl()? {
        Some(kubectl) => others.push(Other {
            title: "kubectl 1.34",
            kubectl: Some(kubectl),
            scenarios: &[],
        }),
        None => missing.push("kubectl 1.34: there is no Go to build it with".to_owned()),
    }
    match of_debian() {
        Ok(kubectl) => others.push(Other {
            title: "kubectl of Debian",
            kubectl: Some(kubectl),
            scenarios: &[BASIC],
        }),
        Err(why) => missing.push(format!("kubectl of Debian: {why:#}")),
    }
    Ok((others, missing))
}

/// From the cache, or downloaded and unpacked, but not installed.
fn of_debian() -> Result<PathBuf> {
    let folder = workspace::cache_dir()?.join("kubectls/debian");
    let kubectl = folder.join("usr/bin/kubectl");
    if kubectl.is_file() {
        return Ok(kubectl);
    }
    let unfinished = folder.with_extension(format!("loading-{}", std::process::id()));
    std::fs::create_dir_all(&unfinished)?;
    let loaded = download(&unfinished);
    if loaded.is_ok() && !kubectl.is_file() {
        std::fs::rename(&unfinished, &folder)?;
    } else {
        let _ = std::fs::remove_dir_all(&unfinished);
    }
    loaded.map(|()| kubectl)
}

fn download(folder: &Path) -> Result<()> {
    let apt_get = workspace::on_path("apt-get").context("there is no apt-get")?;
    let mut command = Command::new(apt_get);
    command.current_dir(folder).args(["download", PACKAGE]);
    run(&format!("downloading {PACKAGE}"), &mut command)?;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "deb") {
            let mut command = Command::new("dpkg-deb");
            command.arg("--extract").arg(&path).arg(folder);
            run(&format!("unpacking {PACKAGE}"), &mut command)?;
            std::fs::remove_file(path)?;
        }
    }
    match folder.join("usr/bin/kubectl").is_file() {
        true => Ok(()),
        false => bail!("the package {PACKAGE} has no kubectl"),
    }
}

fn run(title: &str, command: &mut Command) -> Result<()> {
    let mut step = Step::start(title);
    let finished = step.run(command)?;
    match finished.status.success() {
        true => step.finish("done"),
        false => {
            step.finish("failed");
            bail!("{}", finished.lines.join("\n"));
        }
    }
    Ok(())
}
