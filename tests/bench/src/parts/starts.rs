//! Start and memory of a server with one plugin, with no objects and with up to a million, and what requests cost then.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Part, SETTLING};
use crate::bench::Bench;
use crate::client::Connection;
use crate::report::server::{BARE, OUTRIGGER};
use crate::resources::{LIST, Operation, Resource};
use crate::servers::product::Product;
use crate::statistics::median;
use crate::yardsticks::scan;
use crate::{load, loads, usage};

const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];
const QUICK_SIZES: [usize; 2] = [1_000, 100_000];
const STARTS: usize = 3;
const TEMPLATE: &str = "template";
const CLIENTS: usize = 64;

pub(super) async fn run(bench: &mut Bench) -> Result<()> {
    let mut product = Product::new(&bench.settings.server)?;
    product
        .folders
        .drop_plugin(&bench.settings.plugin, "wardle")?;
    bench.progress.say("compiling the plugin");
    product.start().await?;
    let idle = empty(bench, &mut product).await?;

    let sizes = match bench.settings.is_quick {
        true => &QUICK_SIZES[..],
        false => &SIZES[..],
    };
    let mut stored = 0;
    for &size in sizes {
        filled(bench, &mut product, stored..size, idle).await?;
        stored = size;
    }
    Ok(())
}

/// Three starts without objects; the memory after the last one.
async fn empty(bench: &mut Bench, product: &mut Product) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        bench.step(loads::START, 1, OUTRIGGER);
        product.stop().await?;
        times.push(product.start().await?.as_secs_f64());
    }
    let title = Part::Start.title();
    let ready = (median(times), "s");
    bench.value(title, loads::START, OUTRIGGER, ready);
    let idle = resident(product).await?;
    bench.value(title, loads::IDLE, OUTRIGGER, (idle, "MiB"));
    let connection = Connection::open(&product.server()?.client).await?;
    let mut user = connection.user();
    Resource::Hooks
        .create(&mut user, "default", TEMPLATE)
        .await?;
    Ok(idle)
}

/// In MiB, when what starts has settled.
async fn resident(product: &Product) -> Result<f64> {
    tokio::time::sleep(SETTLING).await;
    Ok(usage::memory(&product.server()?.pids)?.resident)
}

async fn filled(
    bench: &mut Bench,
    product: &mut Product,
    numbers: Range<usize>,
    idle: f64,
) -> Result<()> {
    let size = numbers.end;
    let shown = thousands(size);
    bench
        .progress
        .say(&format!("filling the store up to {shown}"));
    product.stop().await?;
    let template = format!("default/{TEMPLATE}");
    product
        .fill(Resource::Hooks.prefix(), &template, LIST, numbers)
        .await?;

    let title = Part::Start.title();
    let file = product.folders.data().join("store/store.sqlite3");
    let what = format!("scan and metadata parse, {shown} objects");
    bench.step(&what, 1, BARE);
    let (objects, took) = tokio::task::spawn_blocking(move || scan::scan(&file)).await??;
    ensure!(objects > size, "{objects} objects are in the store");
    bench.value(title, &what, BARE, (took.as_secs_f64(), "s"));

    let what = format!("start to ready, {shown} objects");
    bench.step(&what, 1, OUTRIGGER);
    let ready: Duration = product.start().await?;
    bench.value(title, &what, OUTRIGGER, (ready.as_secs_f64(), "s"));

    let full = resident(product).await?;
    let what = format!("memory with {shown} objects");
    bench.value(title, &what, OUTRIGGER, (full, "MiB"));
    let each = (full - idle) * 1024.0 * 1024.0 / size as f64;
    let what = format!("memory for each of {shown} objects");
    bench.value(title, &what, OUTRIGGER, (each, "bytes"));

    let server = product.server()?;
    let duration = bench.settings.duration();
    let load = format!("get, {shown} objects");
    bench.step(&load, CLIENTS, OUTRIGGER);
    let name = crate::servers::product::name(size / 2);
    let path = format!("{}/{name}", Resource::Hooks.collection(LIST));
    let headers = [("accept", "application/json")];
    let cost = load::reads(&server, &path, &headers, CLIENTS, duration).await?;
    bench.row(Part::Start, &load, CLIENTS, OUTRIGGER, cost);
    let load = format!("create, {shown} objects");
    bench.step(&load, CLIENTS, OUTRIGGER);
    let (resource, operation) = (Resource::Hooks, Operation::Create);
    let cost = load::writes(&server, resource, operation, CLIENTS, duration).await?;
    bench.row(Part::Start, &load, CLIENTS, OUTRIGGER, cost);
    Ok(())
}

/// `1,000,000`
pub(super) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_names_that_goals_look_for() {
        let million = thousands(1_000_000);
        assert_eq!(
            format!("start to ready, {million} objects"),
            loads::START_MANY
        );
        assert_eq!(
            format!("scan and metadata parse, {million} objects"),
            loads::SCAN
        );
        assert_eq!(
            format!("memory for each of {million} objects"),
            loads::OBJECT_MEMORY
        );
        assert_eq!(thousands(12), "12");
    }
}
