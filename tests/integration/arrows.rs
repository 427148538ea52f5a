//! Which module of the host may use which: the arrows of ARCHITECTURE.md.
//!
//! Read from the text: every `crate::module` in a file, its tests left out, must be in its module's row.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use outrigger_tests::artifacts::root;

use crate::sources::{Source, rust_files};

/// A module, and what it may use. `server` wires the parts and may use all of them.
const ARROWS: &[(&str, &[&str])] = &[
    ("main", &["cli", "telemetry"]),
    (
        "cli",
        &[
            "ambient",
            "config",
            "plugin",
            "registry",
            "server",
            "shutdown",
            "storage",
            "telemetry",
        ],
    ),
    ("config", &["api", "plugin", "serving"]),
    (
        "endpoints",
        &[
            "admission",
            "ambient",
            "api",
            "authentication",
            "authorization",
            "flow_control",
            "metrics",
            "registry",
            "serving",
            "storage",
        ],
    ),
    ("authentication", &["ambient", "api", "metrics", "serving"]),
    ("authorization", &["ambient", "api", "metrics"]),
    ("admission", &["api"]),
    ("flow_control", &["api", "metrics"]),
    ("registry", &["ambient", "api", "metrics", "storage"]),
    ("storage", &["ambient", "api", "metrics"]),
    (
        "plugin",
        &["ambient", "api", "metrics", "registry", "storage"],
    ),
    // Fills the ports of the others with requests to kube-apiserver.
    (
        "cluster",
        &[
            "admission",
            "ambient",
            "api",
            "authentication",
            "authorization",
            "certificates",
            "metrics",
        ],
    ),
    ("serving", &["certificates", "metrics"]),
    ("certificates", &["ambient"]),
    ("api", &[]),
    ("ambient", &[]),
    ("metrics", &["api"]),
    ("shutdown", &[]),
    ("telemetry", &[]),
];

#[test]
fn modules_use_only_what_the_arrows_allow() -> Result<()> {
    let mut violations = BTreeSet::new();
    for file in rust_files(&root().join("host/src"))? {
        let source = Source::read(&file)?;
        let module = top_module(&file);
        if module == "lib" || module == "server" {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(it, _)| *it == module) else {
            violations.insert(format!("{module}: give this module a row in ARROWS"));
            continue;
        };
        for used in used_modules(source.code()) {
            if used != module && !allowed.contains(&used.as_str()) {
                violations.insert(format!("{module} -> {used} in {}", source.name()));
            }
        }
    }
    let listed: Vec<_> = violations.into_iter().collect();
    assert!(
        listed.is_empty(),
        "arrows that must not be:\n{}",
        listed.join("\n")
    );
    Ok(())
}

#[test]
fn only_endpoints_and_serving_know_hyper() -> Result<()> {
    let mut violations = Vec::new();
    for file in rust_files(&root().join("host/src"))? {
        let module = top_module(&file);
        let source = Source::read(&file)?;
        let may_know = ["endpoints", "serving", "server"].contains(&module.as_str());
        if !may_know && source.code().contains("hyper::") {
            violations.push(source.name());
        }
    }
    assert!(violations.is_empty(), "hyper is named in {violations:?}");
    Ok(())
}

#[test]
fn only_the_server_names_concrete_engines() -> Result<()> {
    let mut violations = Vec::new();
    for file in rust_files(&root().join("host/src"))? {
        let module = top_module(&file);
        let source = Source::read(&file)?;
        let may_name = ["storage", "server", "cli"].contains(&module.as_str());
        let names = ["storage::sqlite", "storage::etcd", "storage::memory"];
        if !may_name && names.iter().any(|it| source.code().contains(it)) {
            violations.push(source.name());
        }
    }
    assert!(
        violations.is_empty(),
        "an engine is named in {violations:?}"
    );
    Ok(())
}

/// `host/src/storage/sqlite.rs` -> `storage`
fn top_module(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("host/src")).unwrap_or(file);
    let first = inside.components().next();
    let name = first.map_or_else(String::new, |it| {
        it.as_os_str().to_string_lossy().into_owned()
    });
    name.trim_end_matches(".rs").to_owned()
}

/// The modules in `crate::a::…` and `crate::{a::…, b::…}`.
fn used_modules(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let is_other_crate = code[..at].ends_with(|it: char| it.is_alphanumeric() || it == '_');
        if is_other_crate {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => used.extend(group_heads(group)),
            None => used.extend(identifier(rest)),
        }
    }
    used
}

/// The first identifiers of the parts of `a::b, c::{d, e}}`.
fn group_heads(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 0;
    let mut is_start = true;
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => is_start = true,
            it if is_start && !it.is_whitespace() => {
                heads.extend(identifier(&group[at..]));
                is_start = false;
            }
            _ => {}
        }
    }
    heads
}

/// A module's name; types and macros of the crate's root are none.
fn identifier(text: &str) -> Option<String> {
    let end = text
        .find(|it: char| !(it.is_ascii_lowercase() || it == '_'))
        .unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

#[test]
fn reads_the_modules_that_a_file_uses() {
    let code = "use crate::api::Status;\nuse crate::{storage::{Key, Revision}, registry};\nlet x = crate::metrics::Y; other_crate::z";
    let used: Vec<_> = used_modules(code).into_iter().collect();
    assert_eq!(used, ["api", "metrics", "registry", "storage"]);
}
