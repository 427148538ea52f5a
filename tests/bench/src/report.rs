//! What was measured: as a table, as JSON, and beside what was measured before.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) date: String,
    pub(crate) machine: Machine,
    pub(crate) schema: Option<SchemaCost>,
    /// By resource, operation and number of clients.
    pub(crate) requests: BTreeMap<String, Cell>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) memory_gibibytes: u64,
}

/// Nanoseconds for one object.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SchemaCost {
    pub(crate) object_bytes: usize,
    pub(crate) fields: usize,
    /// serde_json alone.
    pub(crate) parse_ns: f64,
    /// As a body is read: with a look for fields that are there twice.
    pub(crate) decode_ns: f64,
    pub(crate) prune_default_validate_ns: f64,
}

/// One operation on one resource with so many clients.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cell {
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// User and system time of the server's process, per request.
    pub(crate) server_cpu_us: f64,
}

impl SchemaCost {
    pub(crate) fn ratio(&self) -> f64 {
        self.prune_default_validate_ns / self.parse_ns
    }
}

impl Machine {
    pub(crate) fn here() -> Self {
        let field = |file: &str, name: &str| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find_map(|it| it.strip_prefix(name));
            line.map_or_else(String::new, |it| {
                it.trim_matches([':', ' ', '\t']).to_owned()
            })
        };
        let memory = field("/proc/meminfo", "MemTotal");
        let kibibytes: u64 = memory.split(' ').next().unwrap_or("").parse().unwrap_or(0);
        Self {
            processor: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: field("/proc/sys/kernel/osrelease", ""),
            memory_gibibytes: kibibytes.div_ceil(1024 * 1024),
        }
    }
}

impl Report {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let read = || anyhow::Ok(serde_json::from_slice(&std::fs::read(path)?)?);
        read().with_context(|| format!("{} is no report of `cargo xtask bench`", path.display()))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// In Markdown, so that it can go into docs/benchmarks.md as it is.
    pub(crate) fn table(&self, before: Option<&Self>) -> String {
        let mut out = String::new();
        let Machine {
            processor,
            cores,
            kernel,
            memory_gibibytes,
        } = &self.machine;
        // Writing to a text cannot fail.
        let _ = writeln!(
            out,
            "{}, {processor}, {cores} cores, {memory_gibibytes} GiB, Linux {kernel}\n",
            self.date
        );
        if let Some(cost) = &self.schema {
            schema_table(&mut out, cost, before.and_then(|it| it.schema.as_ref()));
        }
        if !self.requests.is_empty() {
            self.request_table(&mut out, before);
        }
        out
    }

    fn request_table(&self, out: &mut String, before: Option<&Self>) {
        let head = "| operation | requests/s | p50 µs | p99 µs | server CPU µs/request |";
        let rule = "|---|---:|---:|---:|---:|";
        let (more_head, more_rule) = match before {
            Some(_) => (
                " requests/s before | × | CPU before | × |",
                "---:|---:|---:|---:|",
            ),
            None => ("", ""),
        };
        let _ = writeln!(out, "{head}{more_head}\n{rule}{more_rule}");
        for (title, cell) in &self.requests {
            let Cell {
                per_second,
                p50_us,
                p99_us,
                server_cpu_us,
            } = cell;
            let _ = write!(
                out,
                "| {title} | {per_second:.0} | {p50_us:.0} | {p99_us:.0} | {server_cpu_us:.0} |"
            );
            if let Some(before) = before {
                let _ = match before.requests.get(title) {
                    Some(old) => write!(
                        out,
                        " {:.0} | {:.2} | {:.0} | {:.2} |",
                        old.per_second,
                        per_second / old.per_second,
                        old.server_cpu_us,
                        server_cpu_us / old.server_cpu_us
                    ),
                    None => write!(out, " - | - | - | - |"),
                };
            }
            out.push('\n');
        }
    }
}

fn schema_table(out: &mut String, cost: &SchemaCost, before: Option<&SchemaCost>) {
    type Figure = fn(&SchemaCost) -> f64;

    let _ = writeln!(
        out,
        "An object of {} bytes with {} fields, µs for one:\n",
        cost.object_bytes, cost.fields
    );
    let head = ["", " before |"][usize::from(before.is_some())];
    let rule = ["", "---:|"][usize::from(before.is_some())];
    let _ = writeln!(out, "| step | now |{head}\n|---|---:|{rule}");
    let rows: [(&str, Figure); 4] = [
        ("JSON parsed", |it| it.parse_ns / 1000.0),
        ("JSON decoded as a body", |it| it.decode_ns / 1000.0),
        ("pruned, defaulted, validated", |it| {
            it.prune_default_validate_ns / 1000.0
        }),
        ("ratio of the last to the first", SchemaCost::ratio),
    ];
    for (title, value) in rows {
        let _ = write!(out, "| {title} | {:.2} |", value(cost));
        if let Some(before) = before {
            let _ = write!(out, " {:.2} |", value(before));
        }
        out.push('\n');
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(per_second: f64) -> Report {
        let cell = Cell {
            per_second,
            p50_us: 100.0,
            p99_us: 900.0,
            server_cpu_us: 50.0,
        };
        Report {
            date: "2026-01-02".into(),
            machine: Machine {
                processor: "P".into(),
                cores: 2,
                kernel: "6".into(),
                memory_gibibytes: 4,
            },
            schema: None,
            requests: [("GET".to_owned(), cell)].into(),
        }
    }

    #[test]
    fn shows_what_was_before_beside_what_is_now() {
        let table = report(3000.0).table(Some(&report(2000.0)));
        assert!(
            table.contains("| GET | 3000 | 100 | 900 | 50 | 2000 | 1.50 | 50 | 1.00 |"),
            "{table}"
        );
        let table = report(3000.0).table(None);
        assert!(
            table.ends_with("| GET | 3000 | 100 | 900 | 50 |\n"),
            "{table}"
        );
    }
}
