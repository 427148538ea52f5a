//! `outrigger inspect FILE.wasm`: what a component serves and needs, without a server.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::plugin::{Inspection, inspect};
use crate::registry::ResourceDefinition;
use crate::registry::definition::{Scope, VersionDefinition};

/// Shows what a plugin serves, exports and imports.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The component, e.g. `target/wasm32-wasip2/release/hello.wasm`.
    file: PathBuf,
}

/// # Errors
/// The file cannot be read, or is no plugin.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let file = &args.file;
    let bytes =
        std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let inspection = inspect(&name, &bytes)
        .await
        .with_context(|| format!("{} is no plugin", file.display()))?;
    std::io::stdout().write_all(shown(&name, &inspection).as_bytes())?;
    Ok(())
}

fn shown(name: &str, inspection: &Inspection) -> String {
    let mut rows = Vec::new();
    for resource in &inspection.resources {
        for version in &resource.versions {
            rows.push(row(resource, version));
        }
    }
    let (ours, system): (Vec<&str>, Vec<&str>) = inspection
        .imports
        .iter()
        .map(String::as_str)
        .partition(|import| import.starts_with("outrigger:"));
    let short = |import: &&str| {
        let import = import.rsplit('/').next().unwrap_or(import);
        import.split('@').next().unwrap_or(import).to_owned()
    };
    // `types` is no function that could be called.
    let ours: Vec<String> = ours
        .iter()
        .map(short)
        .filter(|import| import != "types")
        .collect();
    let ours = if ours.is_empty() {
        "nothing".into()
    } else {
        ours.join(", ")
    };
    let system = match system.len() {
        0 => "nothing".to_owned(),
        number => format!("{number} interfaces of WASI: clocks, randomness, standard output"),
    };
    let mut out = String::new();
    let size = inspection.size_bytes.div_ceil(1024);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "Name:     {name}");
    let _ = writeln!(out, "Size:     {size} KiB");
    let _ = writeln!(out, "Digest:   sha256:{}", inspection.digest);
    let _ = writeln!(out, "Exports:  {}", inspection.hooks.join(", "));
    let _ = writeln!(out, "Imports:  {ours}");
    let _ = writeln!(out, "System:   {system}");
    let _ = writeln!(out);
    out + &table(&rows)
}

const COLUMNS: [&str; 6] = ["RESOURCE", "VERSION", "KIND", "SCOPE", "STORED BY", "NOTES"];

fn row(resource: &ResourceDefinition, version: &VersionDefinition) -> [String; 6] {
    let scope = match resource.scope {
        Scope::Namespaced => "Namespaced",
        Scope::Cluster => "Cluster",
    };
    let stored_by = if resource.backend.is_some() {
        "plugin"
    } else {
        "host"
    };
    let notes = [
        (version.storage, "storage"),
        (!version.served, "not served"),
        (version.deprecation_warning.is_some(), "deprecated"),
        (version.has_status, "status"),
        (version.scale.is_some(), "scale"),
    ];
    let notes: Vec<&str> = notes.iter().filter(|it| it.0).map(|it| it.1).collect();
    [
        resource.group_resource().to_string(),
        version.name.clone(),
        resource.names.kind.clone(),
        scope.to_owned(),
        stored_by.to_owned(),
        notes.join(", "),
    ]
}

fn table(rows: &[[String; 6]]) -> String {
    let mut widths = COLUMNS.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let mut out = String::new();
    let mut line = |cells: &[&str]| {
        let padded = cells.iter().zip(widths);
        let padded: Vec<String> = padded
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        out.push_str(padded.join("   ").trim_end());
        out.push('\n');
    };
    line(&COLUMNS);
    for row in rows {
        let cells: Vec<&str> = row.iter().map(String::as_str).collect();
        line(&cells);
    }
    out
}
