//! What was measured, and with what.

use std::collections::BTreeMap;
use std::process::Command;

use outrigger_tests::cluster;

/// Programs and libraries by name; what is not there is left out.
pub(crate) fn all(commit: Option<&str>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut note = |name: &str, version: Option<String>| {
        if let Some(version) = version {
            all.insert(name.to_owned(), version);
        }
    };
    note("Outrigger", commit.map(str::to_owned));
    note("SQLite", Some(rusqlite::version().to_owned()));
    note("rustc", said("rustc", &["--version"], 1));
    if let Some(peers) = cluster::peers() {
        let program = |name: &str| peers.join(name).display().to_string();
        let kube = said(&program("kube-apiserver"), &["--version"], 1);
        note("Kubernetes", kube);
        note("etcd", said(&program("etcd"), &["--version"], 2));
    }
    all
}

/// A word of what a program says first.
fn said(program: &str, args: &[&str], word: usize) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().nth(word).map(str::to_owned)
}
