//! What a reader may rely on in every file of this repository.

use anyhow::Result;
use outrigger_tests::artifacts::root;

use crate::sources::{Source, files, name, rust_files};

/// A longer file may hold two things.
const LINES_MAX: usize = 600;
/// Files that are longer for a reason: path, and the reason.
const LONGER: &[(&str, &str)] = &[];

/// The examples that the host must not know: it serves whatever a plugin says it serves.
const NAMES_OF_EXAMPLES: &[&str] = &["wardle", "flunder", "fischer"];

const FOLDERS: &[&str] = &[
    "host",
    "guest-sdk",
    "structured-merge-diff",
    "tests",
    "xtask",
    "examples",
];

#[test]
fn files_are_short_enough_to_be_read() -> Result<()> {
    let mut long = Vec::new();
    for folder in FOLDERS {
        for path in files(&root().join(folder))? {
            let is_allowed = LONGER.iter().any(|(it, _)| *it == name(&path));
            if path.extension().is_some_and(|it| it == "rs") && !is_allowed {
                let lines = std::fs::read_to_string(&path)?.lines().count();
                if lines > LINES_MAX {
                    long.push(format!("{}: {lines} lines", name(&path)));
                }
            }
        }
    }
    assert!(long.is_empty(), "split by thing:\n{}", long.join("\n"));
    Ok(())
}

#[test]
fn every_file_says_first_what_it_is() -> Result<()> {
    let mut silent = Vec::new();
    for folder in [
        "host/src",
        "guest-sdk/src",
        "structured-merge-diff/src",
        "tests",
        "xtask/src",
    ] {
        for path in rust_files(&root().join(folder))? {
            if !std::fs::read_to_string(&path)?.starts_with("//!") {
                silent.push(name(&path));
            }
        }
    }
    assert!(silent.is_empty(), "no module doc: {silent:#?}");
    Ok(())
}

#[test]
fn no_module_hides_in_a_mod_rs() -> Result<()> {
    for folder in FOLDERS {
        let found = files(&root().join(folder))?;
        let hidden: Vec<_> = found.iter().filter(|it| it.ends_with("mod.rs")).collect();
        assert!(hidden.is_empty(), "name it after its thing: {hidden:?}");
    }
    Ok(())
}

#[test]
fn nothing_is_left_to_do_in_the_code() -> Result<()> {
    let marks = ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!("];
    let mut found = Vec::new();
    for folder in [
        "host/src",
        "guest-sdk/src",
        "structured-merge-diff/src",
        "xtask/src",
        "tests/src",
        "examples",
    ] {
        for path in rust_files(&root().join(folder))? {
            let source = Source::read(&path)?;
            for (number, line) in source.text.lines().enumerate() {
                if marks.iter().any(|it| line.contains(it)) {
                    found.push(format!("{}:{}: {line}", source.name(), number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "finish or remove:\n{}", found.join("\n"));
    Ok(())
}

#[test]
fn the_host_knows_no_example() -> Result<()> {
    let mut found = Vec::new();
    for folder in ["host", "guest-sdk"] {
        for path in files(&root().join(folder))? {
            let text = String::from_utf8_lossy(&std::fs::read(&path)?).to_lowercase();
            for word in NAMES_OF_EXAMPLES {
                if text.contains(word) {
                    found.push(format!("{}: {word}", name(&path)));
                }
            }
        }
    }
    assert!(
        found.is_empty(),
        "names of an example:\n{}",
        found.join("\n")
    );
    Ok(())
}

#[test]
fn every_link_in_the_documents_leads_somewhere() -> Result<()> {
    let mut broken = Vec::new();
    let mut documents = vec![
        root().join("README.md"),
        root().join("ARCHITECTURE.md"),
        root().join("CONTRIBUTING.md"),
        root().join("CHANGELOG.md"),
    ];
    for folder in ["docs", "examples"] {
        let found = files(&root().join(folder))?;
        documents.extend(
            found
                .into_iter()
                .filter(|it| it.extension().is_some_and(|it| it == "md")),
        );
    }
    for document in documents {
        let text = std::fs::read_to_string(&document)?;
        for (_, rest) in text
            .match_indices("](")
            .map(|(at, _)| text.split_at(at + 2))
        {
            let target = rest.split([')', '#']).next().unwrap_or("");
            let is_local = !target.is_empty() && !target.contains("://");
            let folder = document.parent().unwrap_or(root());
            if is_local && !folder.join(target).exists() {
                broken.push(format!("{} -> {target}", name(&document)));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
    Ok(())
}
