//! What was measured: kept as JSON, shown as Markdown, also beside what was measured before.

mod goals;
mod markdown;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// Names of servers: rows and goals find each other by them.
pub(crate) mod server {
    pub(crate) const OUTRIGGER: &str = "outrigger";
    /// hyper with the same TLS, which answers with bytes that it has.
    pub(crate) const STATIC: &str = "static server";
    pub(crate) const SAMPLE: &str = "sample-apiserver + etcd";
    /// A CustomResourceDefinition in it.
    pub(crate) const KUBE: &str = "kube-apiserver + etcd";
    /// A library without what is ours.
    pub(crate) const BARE: &str = "bare";
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Report {
    pub(crate) date: String,
    pub(crate) machine: Machine,
    /// Programs and libraries by name.
    pub(crate) versions: BTreeMap<String, String>,
    /// Whether the goals may be judged by it: a whole run, not a quick one.
    pub(crate) is_full: bool,
    pub(crate) seconds_each: u64,
    /// What a reader must know, e.g. what could not be measured and why.
    pub(crate) notes: Vec<String>,
    pub(crate) schema: Option<SchemaCost>,
    /// In the order in which they were measured.
    pub(crate) rows: Vec<Row>,
    pub(crate) values: Vec<Value>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
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

/// One load on one server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Row {
    pub(crate) part: String,
    pub(crate) load: String,
    /// Each with one request at a time.
    pub(crate) clients: usize,
    pub(crate) server: String,
    #[serde(flatten)]
    pub(crate) cost: Cost,
}

/// What one kind of request costs. Requests are events where events are delivered.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Cost {
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// User and system time per request, of all processes that belong to the server.
    pub(crate) server_cpu_us: f64,
    /// The same of the program that asks.
    pub(crate) client_cpu_us: f64,
}

/// A single figure.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Value {
    pub(crate) part: String,
    pub(crate) what: String,
    pub(crate) server: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
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

    pub(crate) fn cost(&self, load: &str, clients: usize, server: &str) -> Option<&Cost> {
        let is_it = |it: &&Row| it.load == load && it.clients == clients && it.server == server;
        self.rows.iter().find(is_it).map(|it| &it.cost)
    }

    pub(crate) fn value(&self, what: &str, server: &str) -> Option<f64> {
        let is_it = |it: &&Value| it.what == what && it.server == server;
        self.values.iter().find(is_it).map(|it| it.value)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    pub(crate) fn row(load: &str, clients: usize, server: &str, cost: Cost) -> Row {
        Row {
            part: "part".into(),
            load: load.into(),
            clients,
            server: server.into(),
            cost,
        }
    }

    pub(crate) fn value(what: &str, server: &str, value: f64) -> Value {
        Value {
            part: "part".into(),
            what: what.into(),
            server: server.into(),
            value,
            unit: "MiB".into(),
        }
    }
}
