//! Which recordings are served by what.

use std::path::PathBuf;

use anyhow::Result;
use outrigger_tests::artifacts::{example, root};
use outrigger_tests::host::{Dev, DevFolders};
use outrigger_tests::recording::case::Case;

use crate::replay::Reach;

/// Recordings that one server answers.
pub(crate) struct Suite {
    folders: &'static [&'static str],
    /// A plugin of `examples/`.
    plugin: Option<&'static str>,
    /// Files beside the recordings.
    definitions: &'static [&'static str],
    /// Where kube-apiserver sends requests to an aggregated server.
    pub(crate) group_versions: &'static [&'static str],
}

pub(crate) const SUITES: [Suite; 2] = [
    Suite {
        folders: &["wardle", "wardle-server"],
        plugin: Some("wardle"),
        definitions: &[],
        group_versions: &[
            "/apis/wardle.example.com/v1alpha1",
            "/apis/wardle.example.com/v1beta1",
        ],
    },
    Suite {
        folders: &["crd", "crd-server"],
        plugin: None,
        definitions: &["crd-widgets.json", "crd-gadgets.json"],
        group_versions: &["/apis/oracle.example.com/v1", "/apis/oracle.example.com/v2"],
    },
];

/// Cases of creating in a namespace that is not there: only a cluster knows.
const OF_A_CLUSTER: &str = "-create-missing-namespace";

/// A running `outrigger dev`, with its folders.
pub(crate) struct Serving {
    pub(crate) dev: Dev,
    _folders: DevFolders,
}

impl Suite {
    /// Its cases of which one of the filters is a part of `folder/case`.
    pub(crate) fn cases(&self, filters: &[String]) -> Result<Vec<Case>> {
        let mut cases = Vec::new();
        for folder in self.folders {
            cases.extend(Case::read_all(&recordings().join(folder))?);
        }
        cases.retain(|it| {
            let name = full_name(it);
            filters.is_empty() || filters.iter().any(|filter| name.contains(filter))
        });
        Ok(cases)
    }

    /// The plugins' names, and the files of the definitions.
    pub(crate) fn plugins(&self) -> Vec<&'static str> {
        self.plugin.into_iter().collect()
    }

    pub(crate) fn definitions(&self) -> Vec<PathBuf> {
        let files = self.definitions.iter();
        files.map(|it| recordings().join(it)).collect()
    }

    /// What of it kube-apiserver sends to the host.
    pub(crate) fn behind(&self) -> Reach {
        Reach::Below(self.group_versions)
    }

    pub(crate) async fn start(&self) -> Result<Serving> {
        let folders = DevFolders::new()?;
        for name in self.plugins() {
            folders.drop_plugin(&example(name)?, name)?;
        }
        for file in self.definitions() {
            folders.drop_definition(&file)?;
        }
        let dev = folders.start().await?;
        Ok(Serving {
            dev,
            _folders: folders,
        })
    }
}

pub(crate) fn full_name(case: &Case) -> String {
    format!("{}/{}", case.suite, case.name)
}

pub(crate) fn needs_a_cluster(case: &Case) -> bool {
    case.name.ends_with(OF_A_CLUSTER)
}

fn recordings() -> PathBuf {
    root().join("tests/oracle/recordings")
}
