//! Many plugins: copies of examples/wardle whose groups have other names of the same length.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use outrigger_tests::wait;

use super::starts::thousands;
use super::{Part, SETTLING};
use crate::bench::Bench;
use crate::load;
use crate::report::server::{BARE, OUTRIGGER};
use crate::resources::{Operation, Resource};
use crate::servers::product::Product;
use crate::usage;
use crate::yardsticks::engine;

const PLUGINS: usize = 500;
const QUICK_PLUGINS: usize = 20;
const GROUP: &[u8] = b"wardle.example.com";
const CLIENTS: usize = 64;
/// For compiling them all.
const DEADLINE: Duration = Duration::from_secs(600);

pub(super) async fn run(bench: &mut Bench) -> Result<()> {
    let number = match bench.settings.is_quick {
        true => QUICK_PLUGINS,
        false => PLUGINS,
    };
    let component = std::fs::read(&bench.settings.plugin)?;
    let title = Part::Plugins.title();
    let mut product = Product::new(&bench.settings.server)?;
    // The one that is asked.
    product.folders.drop_bytes(&component, "wardle")?;
    product.start().await?;
    product.stop().await?;
    product.start().await?;
    let one = resident(&product).await?;
    requests(bench, &product, "1 plugin").await?;
    product.stop().await?;

    let shown = thousands(number);
    bench
        .progress
        .say(&format!("compiling {shown} plugins, one after another"));
    for at in 1..number {
        let copy = with_group(&component, at)?;
        product.folders.drop_bytes(&copy, &format!("copy-{at}"))?;
    }
    let first = start(&mut product, number).await?;
    let what = format!("{shown} plugins, compiled for the first time, to ready");
    bench.value(title, &what, OUTRIGGER, (first, "s"));
    product.stop().await?;

    let what = format!("{shown} precompiled plugins to ready");
    bench.step(&what, 1, OUTRIGGER);
    let ready = start(&mut product, number).await?;
    bench.value(title, &what, OUTRIGGER, (ready, "s"));
    let all = resident(&product).await?;
    let what = format!("memory for each of {shown} plugins");
    let each = (all - one) / (number - 1) as f64;
    bench.value(title, &what, OUTRIGGER, (each, "MiB"));
    requests(bench, &product, &format!("{shown} plugins")).await?;
    product.stop().await?;

    let what = format!("{shown} compiled components mapped and linked");
    bench.step(&what, 1, BARE);
    let folder = product.folders.data().join("compiled");
    let (linked, took) =
        tokio::task::spawn_blocking(move || engine::map_and_link(&folder)).await??;
    ensure!(linked == number, "{linked} components are in the cache");
    bench.value(title, &what, BARE, (took.as_secs_f64(), "s"));
    Ok(())
}

/// Seconds until it is ready and serves all of them.
async fn start(product: &mut Product, number: usize) -> Result<f64> {
    let began = Instant::now();
    product.start().await?;
    let client = product.server()?.client;
    wait::until("all plugins to be served", DEADLINE, || async {
        let groups = client.get("/apis").await?.ok()?;
        let served = groups["groups"].as_array().map_or(0, Vec::len);
        ensure!(served >= number, "{served} of {number} groups are served");
        Ok(())
    })
    .await?;
    Ok(began.elapsed().as_secs_f64())
}

/// In MiB, when what starts has settled.
async fn resident(product: &Product) -> Result<f64> {
    tokio::time::sleep(SETTLING).await;
    Ok(usage::memory(&product.server()?.pids)?.resident)
}

/// What they cost on one of the plugins.
async fn requests(bench: &mut Bench, product: &Product, shown: &str) -> Result<()> {
    let server = product.server()?;
    let duration = bench.settings.duration();
    let resource = Resource::Hooks;
    let load = format!("create, {shown}");
    bench.step(&load, CLIENTS, OUTRIGGER);
    let cost = load::writes(&server, resource, Operation::Create, CLIENTS, duration).await?;
    bench.row(Part::Plugins, &load, CLIENTS, OUTRIGGER, cost);

    let load = format!("get, {shown}");
    bench.step(&load, CLIENTS, OUTRIGGER);
    let name = shown.replace(' ', "-");
    let connection = crate::client::Connection::open(&server.client).await?;
    resource
        .create(&mut connection.user(), "default", &name)
        .await?;
    let path = format!("{}/{name}", resource.path());
    let headers = [("accept", "application/json")];
    let cost = load::reads(&server, &path, &headers, CLIENTS, duration).await?;
    bench.row(Part::Plugins, &load, CLIENTS, OUTRIGGER, cost);
    Ok(())
}

/// The component with another group.
fn with_group(component: &[u8], number: usize) -> Result<Vec<u8>> {
    let group = format!("w{number:05}.example.com");
    ensure!(group.len() == GROUP.len(), "{number} has too many digits");
    let mut copy = component.to_vec();
    let mut from = 0;
    while let Some(found) = find(&copy[from..]) {
        let at = from + found;
        copy[at..at + group.len()].copy_from_slice(group.as_bytes());
        from = at + group.len();
    }
    (from > 0)
        .then_some(copy)
        .context("the component does not name its group")
}

fn find(bytes: &[u8]) -> Option<usize> {
    bytes.windows(GROUP.len()).position(|it| it == GROUP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loads;

    #[test]
    fn a_copy_has_another_group_everywhere() {
        let copy = with_group(b"a wardle.example.com b wardle.example.com", 12);
        assert_eq!(
            copy.expect("it names its group"),
            b"a w00012.example.com b w00012.example.com"
        );
        assert!(with_group(b"another", 12).is_err());
    }

    #[test]
    fn figures_have_the_names_that_goals_look_for() {
        let shown = thousands(PLUGINS);
        assert_eq!(
            format!("{shown} precompiled plugins to ready"),
            loads::PLUGINS_READY
        );
        assert_eq!(
            format!("{shown} compiled components mapped and linked"),
            loads::PLUGINS_BARE
        );
        assert_eq!(
            format!("memory for each of {shown} plugins"),
            loads::PLUGIN_MEMORY
        );
    }
}
