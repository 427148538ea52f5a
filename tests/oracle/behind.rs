//! The host behind a real kube-apiserver, as `deploy/base` installs it, serving every suite at once.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use outrigger_tests::artifacts::example;
use outrigger_tests::installed::Installed;

use crate::suite::Suite;

pub(crate) async fn install<'a>(suites: impl Iterator<Item = &'a Suite>) -> Result<Installed> {
    let mut plugins = Vec::new();
    let mut definitions: Vec<PathBuf> = Vec::new();
    let mut services = Vec::new();
    for suite in suites {
        for name in suite.plugins() {
            plugins.push((name, example(name)?));
        }
        definitions.extend(suite.definitions());
        for path in suite.group_versions {
            let (group, version) = path
                .trim_start_matches("/apis/")
                .split_once('/')
                .context("a group and a version")?;
            services.push(format!("{version}.{group}"));
        }
    }
    Installed::start(&plugins, &definitions, &services).await
}
