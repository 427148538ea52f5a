//! The repository's own text, for the tests that read it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use outrigger_tests::artifacts::root;

/// One Rust file.
pub(crate) struct Source {
    name: String,
    pub(crate) text: String,
    code: String,
}

impl Source {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)?;
        Ok(Self {
            name: name(path),
            code: without_tests_and_comments(&text),
            text,
        })
    }

    /// The path below the root.
    pub(crate) fn name(&self) -> String {
        self.name.clone()
    }

    /// Without comments and without the tests, which stand at the end.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }
}

/// A path below the root, with `/`.
pub(crate) fn name(path: &Path) -> String {
    let inside = path.strip_prefix(root()).unwrap_or(path);
    inside.display().to_string()
}

/// All Rust files below a folder, but build outputs and files of tests (`tests.rs`, `tests/`).
pub(crate) fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let is_wanted = |it: &PathBuf| {
        let is_test =
            it.file_stem().is_some_and(|it| it == "tests") || name(it).contains("/tests/");
        it.extension().is_some_and(|it| it == "rs") && !is_test
    };
    Ok(files(folder)?.into_iter().filter(is_wanted).collect())
}

/// All files below a folder, but build outputs.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let is_hidden = path
                .file_name()
                .is_some_and(|it| it.to_string_lossy().starts_with('.'));
            if path.is_dir() && !is_hidden && !path.ends_with("target") {
                folders.push(path);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn without_tests_and_comments(text: &str) -> String {
    let tests = text.find("\n#[cfg(test)]\nmod ").unwrap_or(text.len());
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let lines: Vec<_> = text[..tests].lines().filter(is_code).collect();
    lines.join("\n")
}
