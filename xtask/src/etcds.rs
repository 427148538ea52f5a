//! etcd of other releases than the peers': `cargo xtask test --only etcds`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::peers;

/// Each is pinned by a module of its own, `tests/peers/etcd-<release>`.
pub(crate) const RELEASES: [&str; 2] = ["3.5", "3.6"];

/// The folder with the program, built if it is not there; `None` where there is no Go to build it with.
pub(crate) fn folder(release: &str) -> Result<Option<PathBuf>> {
    let program = peers::etcd(&format!("tests/peers/etcd-{release}"))?;
    let folder = program.map(|it| it.parent().map(PathBuf::from).context("it has a folder"));
    folder.transpose()
}
