//! What lies in the plugins' folder, and which of it has come to rest.
//!
//! The folder is polled: a mounted `ConfigMap` changes by swapping a symbolic link, which no notification of
//! a file tells. Links are followed; names that begin with a dot are left out.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A file that is older than this has come to rest also where it is seen for the first time.
const AT_REST: Duration = Duration::from_secs(2);

/// What tells one content of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint {
    bytes: u64,
    modified: SystemTime,
    inode: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) fingerprint: Fingerprint,
    pub(super) is_settled: bool,
}

impl File {
    /// Whether `bytes` can be all of it.
    pub(super) fn is_whole(&self, bytes: &[u8]) -> bool {
        self.fingerprint.bytes == bytes.len() as u64
    }
}

/// Remembers the scan before.
#[derive(Default)]
pub(super) struct Folder {
    seen: BTreeMap<PathBuf, Fingerprint>,
}

impl Folder {
    /// All files, in the order of paths.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(super) fn scan(&mut self, folder: &Path) -> std::io::Result<Vec<File>> {
        let mut seen = BTreeMap::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let is_hidden = path
                .file_name()
                .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
            // A file may go while the folder is read.
            let Ok(metadata) = std::fs::metadata(&path) else {
                continue;
            };
            if is_hidden || !metadata.is_file() {
                continue;
            }
            let fingerprint = Fingerprint {
                bytes: metadata.len(),
                modified: metadata.modified()?,
                inode: metadata.ino(),
            };
            seen.insert(path, fingerprint);
        }
        let now = SystemTime::now();
        let files = seen.iter().map(|(path, fingerprint)| {
            let age = now.duration_since(fingerprint.modified);
            let is_old = age.is_ok_and(|age| age >= AT_REST);
            let is_unchanged = self.seen.get(path) == Some(fingerprint);
            File {
                path: path.clone(),
                fingerprint: *fingerprint,
                is_settled: is_unchanged || (is_old && !self.seen.contains_key(path)),
            }
        });
        let files = files.collect();
        self.seen = seen;
        Ok(files)
    }
}

/// What a file is by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Component,
    Document,
}

pub(super) fn kind(path: &Path) -> Option<Kind> {
    match path.extension()?.to_str()? {
        "wasm" => Some(Kind::Component),
        "yaml" | "yml" | "json" => Some(Kind::Document),
        _ => None,
    }
}

pub(super) fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// The plugin's name of a file: its stem, `_` read as `-`.
///
/// # Errors
/// One line: it is no DNS label.
pub(super) fn plugin_name(path: &Path) -> Result<String, String> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = stem.replace('_', "-");
    match crate::registry::object_meta::names::dns_label_errors(&name).first() {
        None => Ok(name),
        Some(problem) => Err(format!(
            "the file's name is the plugin's, and {name:?} is none ({problem}): rename the file"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_a_file_that_is_being_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.wasm");
        let mut scans = Folder::default();
        let mut settled = || -> Vec<bool> {
            let files = scans.scan(folder.path()).expect("readable");
            files.iter().map(|it| it.is_settled).collect()
        };
        std::fs::write(&path, "1").expect("written");
        std::fs::write(folder.path().join(".a.wasm.part"), "1").expect("written");
        assert_eq!(settled(), [false]);
        std::fs::write(&path, "12").expect("written");
        assert_eq!(settled(), [false]);
        assert_eq!(settled(), [true]);
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(settled(), [false; 0]);
    }

    #[test]
    fn follows_the_swapped_links_of_a_mounted_config_map() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for (version, content) in [("..1", "one"), ("..2", "two two")] {
            std::fs::create_dir(at(version)).expect("made");
            std::fs::write(at(version).join("a.yaml"), content).expect("written");
        }
        std::os::unix::fs::symlink("..1", at("..data")).expect("linked");
        std::os::unix::fs::symlink("..data/a.yaml", at("a.yaml")).expect("linked");
        let mut scans = Folder::default();
        let before = scans.scan(folder.path()).expect("readable");
        std::os::unix::fs::symlink("..2", at("..data_tmp")).expect("linked");
        std::fs::rename(at("..data_tmp"), at("..data")).expect("swapped");
        let after = scans.scan(folder.path()).expect("readable");
        assert_eq!((before.len(), after.len()), (1, 1));
        assert_ne!(before[0].fingerprint, after[0].fingerprint);
    }

    #[test]
    fn names_plugins_by_their_files() {
        let name = |path: &str| plugin_name(Path::new(path));
        assert_eq!(name("/plugins/my_plugin.wasm"), Ok("my-plugin".into()));
        assert!(name("/plugins/Mine.wasm").is_err());
    }
}
