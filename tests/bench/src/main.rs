//! The benchmark: `cargo xtask bench` builds it and the server for release and starts it.
//!
//! It starts `outrigger dev` with a plugin and a CustomResourceDefinition, and asks it the same thing again and
//! again over loopback. Client and server share the machine: absolute figures say little, ratios of two runs on
//! the same machine say something.

#![expect(clippy::print_stdout, reason = "a benchmark is what it prints")]

mod composition;
mod load;
mod report;
mod resources;
mod schema;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser as _, ValueEnum as _};
use indicatif::{ProgressBar, ProgressStyle};
use outrigger_tests::host::{DevFolders, free_port};

use load::Connection;
use report::{Machine, Report};
use resources::{Operation, Resource};

/// Measures what requests cost.
#[derive(clap::Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Args {
    /// The server's program.
    #[arg(long, hide = true)]
    server: PathBuf,
    /// The component of examples/wardle.
    #[arg(long, hide = true)]
    plugin: PathBuf,
    #[command(flatten)]
    wanted: Wanted,
}

#[derive(clap::Args)]
struct Wanted {
    /// Measure these operations only.
    #[arg(long, value_name = "OPERATION", value_delimiter = ',')]
    only: Vec<Operation>,
    /// Measure what the schema costs, and no requests.
    #[arg(long)]
    schema: bool,
    /// How many clients at once.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 16])]
    clients: Vec<usize>,
    /// How long each figure is measured.
    #[arg(long, value_name = "N", default_value_t = 3)]
    seconds: u64,
    /// Write the figures into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Show the figures in this file, of a run before, beside these.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<()> {
    let wanted = &args.wanted;
    let before = wanted.compare.as_deref().map(Report::read).transpose()?;
    let is_whole = wanted.only.is_empty();
    let schema = if wanted.schema || is_whole {
        eprintln!("what a schema costs ...");
        Some(schema::measure(Duration::from_secs(wanted.seconds * 2))?)
    } else {
        None
    };
    let requests = if wanted.schema {
        BTreeMap::new()
    } else {
        measure_requests(args).await?
    };
    let report = Report {
        date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        machine: Machine::here(),
        schema,
        requests,
    };
    println!("{}", report.table(before.as_ref()));
    match &wanted.json {
        Some(path) => report.write(path),
        None => Ok(()),
    }
}

async fn measure_requests(args: &Args) -> Result<BTreeMap<String, report::Cell>> {
    let wanted = &args.wanted;
    let folders = DevFolders::new()?;
    folders.drop_plugin(&args.plugin, "wardle")?;
    for (kind, plural, schema) in [
        ("Workload", "workloads", schema::definition()),
        ("Composition", "compositions", composition::schema()),
    ] {
        let definition = serde_json::to_vec(&definition(kind, plural, &schema))?;
        let file = folders.path("plugins").join(format!("{plural}.json"));
        std::fs::write(file, definition)?;
    }
    let port = free_port()?;
    let mut command = folders.command_of(&args.server, port);
    let dev = folders.start_with(&mut command, port).await?;
    for resource in Resource::ALL {
        dev.wait_served(&resource.path()).await?;
    }
    let connection = Connection::open(&dev.client()?).await?;

    let operations: Vec<Operation> = Operation::value_variants()
        .iter()
        .filter(|it| wanted.only.is_empty() || wanted.only.contains(it))
        .copied()
        .collect();
    let combinations = Resource::ALL
        .iter()
        .flat_map(|resource| operations.iter().filter(|it| resource.takes(**it)));
    let figures = combinations.count() * wanted.clients.len();
    let bar = progress(figures)?;
    let mut cells = BTreeMap::new();
    for resource in Resource::ALL {
        bar.set_message(format!(
            "{}: {} objects to list",
            resource.title(),
            resources::LISTED
        ));
        resource.fill(&mut connection.user()).await?;
        for &operation in operations.iter().filter(|it| resource.takes(**it)) {
            for &clients in &wanted.clients {
                let title = format!(
                    "{}, {}, {clients:>2} clients",
                    resource.title(),
                    operation.title()
                );
                bar.set_message(title.clone());
                let duration = Duration::from_secs(wanted.seconds);
                let cell = load::measure(
                    &connection,
                    &dev.process,
                    resource,
                    operation,
                    clients,
                    duration,
                )
                .await
                .with_context(|| title.clone())?;
                cells.insert(title, cell);
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    drop(connection);
    dev.stop().await?;
    Ok(cells)
}

fn progress(figures: usize) -> Result<ProgressBar> {
    let bar = ProgressBar::new(figures as u64);
    let style = "{bar:30} {pos}/{len} [{elapsed}, {eta} left] {msg}";
    bar.set_style(ProgressStyle::with_template(style)?);
    bar.enable_steady_tick(Duration::from_millis(250));
    Ok(bar)
}

fn definition(kind: &str, plural: &str, schema: &serde_json::Value) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.bench.example.com")},
        "spec": {
            "group": "bench.example.com",
            "scope": "Namespaced",
            "names": {
                "plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List"),
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    })
}
