//! The servers that requests are sent to, filled with the same objects.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use outrigger_tests::cluster;

use crate::bench::Bench;
use crate::client::Connection;
use crate::loads;
use crate::parts::{self, Part};
use crate::report::server::{OUTRIGGER, SAMPLE};
use crate::resources::{LIST, LISTED, Resource, WATCHED};
use crate::servers::peers::{Kube, Sample};
use crate::servers::product::Product;
use crate::usage;
use crate::yardsticks::static_server::StaticServer;

const TEMPLATE: &str = "template";

pub(crate) struct Stage {
    pub(crate) product: Product,
    pub(crate) still: StaticServer,
    pub(crate) kube: Option<Kube>,
    pub(crate) sample: Option<Sample>,
}

impl Stage {
    pub(crate) async fn set(bench: &mut Bench) -> Result<Self> {
        bench
            .progress
            .say("starting outrigger, with 10,000 objects");
        let product = product(bench).await?;
        let connection = Connection::open(&product.server()?.client).await?;
        let mut user = connection.user();
        let object = user.get(&Resource::Hooks.listed()).await?;
        let list = user.get(&Resource::Hooks.collection(LIST)).await?;
        bench.value(
            parts::SERVERS,
            loads::OBJECT_BYTES,
            OUTRIGGER,
            (object.len() as f64, "bytes"),
        );
        let still = StaticServer::start(&object, &list).await?;
        let (kube, sample) = peers(bench).await?;
        Ok(Self {
            product,
            still,
            kube,
            sample,
        })
    }
}

async fn product(bench: &Bench) -> Result<Product> {
    let mut product = Product::new(&bench.settings.server)?;
    product
        .folders
        .drop_plugin(&bench.settings.plugin, "wardle")?;
    let resources = [Resource::Hooks, Resource::Schema, Resource::Managed];
    for resource in resources {
        if let Some(definition) = resource.definition() {
            let name = definition["spec"]["names"]["plural"].as_str();
            let name = format!("{}.json", name.context("it has a name")?);
            let file = product.folders.path("plugins").join(name);
            std::fs::write(file, serde_json::to_vec(&definition)?)?;
        }
    }
    product.start().await?;
    let connection = Connection::open(&product.server()?.client).await?;
    let mut user = connection.user();
    let filled = [Resource::Hooks, Resource::Schema];
    for resource in filled {
        resource.create(&mut user, "default", TEMPLATE).await?;
    }
    drop((user, connection));
    product.stop().await?;
    for resource in filled {
        let template = format!("default/{TEMPLATE}");
        product
            .fill(resource.prefix(), &template, LIST, 0..LISTED)
            .await?;
    }
    product.start().await?;
    Ok(product)
}

/// Those that are there; notes say which are not.
async fn peers(bench: &mut Bench) -> Result<(Option<Kube>, Option<Sample>)> {
    if bench.settings.without_peers {
        bench.note("The peers were left out, as asked.");
        return Ok((None, None));
    }
    if cluster::peers().is_none() {
        bench.note("kube-apiserver and etcd were not there: `cargo xtask peers` builds them.");
        return Ok((None, None));
    }
    bench.progress.say("starting kube-apiserver");
    let kube = Kube::start(&[LIST, WATCHED]).await?;
    for resource in [Resource::Schema, Resource::Managed] {
        let definition = resource.definition().context("it has one")?;
        kube.define(&definition, &resource.path()).await?;
    }
    let Some(program) = bench.settings.sample_apiserver.clone() else {
        bench.note("sample-apiserver was not there: it is built where Go is.");
        return fill(bench, kube, None).await;
    };
    bench.progress.say("starting sample-apiserver");
    let sample = Sample::start(&program, &kube).await?;
    tokio::time::sleep(parts::SETTLING).await;
    let memory = usage::memory(&sample.server().pids)?;
    let idle = (memory.resident, "MiB");
    bench.value(Part::Start.title(), loads::IDLE, SAMPLE, idle);
    fill(bench, kube, Some(sample)).await
}

/// With as many objects as the parts that are wanted need.
async fn fill(
    bench: &mut Bench,
    kube: Kube,
    sample: Option<Sample>,
) -> Result<(Option<Kube>, Option<Sample>)> {
    let lists = bench.settings.wants(Part::List) && !bench.settings.is_quick;
    let mut filled = vec![(kube.server()?, Resource::Schema)];
    if let Some(sample) = &sample {
        filled.push((sample.server(), Resource::Hooks));
    }
    for (server, resource) in filled {
        bench.progress.say(&format!("filling {}", server.name));
        // The one in the middle is read by itself.
        let count = if lists { LISTED } else { LISTED / 2 + 1 };
        if lists {
            resource.fill(&server, count).await?;
        } else {
            let connection = Connection::open(&server.client).await?;
            let name = crate::servers::product::name(LISTED / 2);
            resource.create(&mut connection.user(), LIST, &name).await?;
        }
    }
    Ok((Some(kube), sample))
}

/// The items of a list's answer, and what stands before and behind them.
pub(crate) struct Items<'a> {
    pub(crate) before: &'a [u8],
    pub(crate) items: Vec<&'a [u8]>,
    pub(crate) behind: &'a [u8],
}

impl<'a> Items<'a> {
    pub(crate) fn of(list: &'a Bytes) -> Result<Self> {
        #[derive(serde::Deserialize)]
        struct List<'a> {
            #[serde(borrow)]
            items: Vec<&'a serde_json::value::RawValue>,
        }
        let parsed: List<'a> = serde_json::from_slice(list)?;
        let place = |text: &str| text.as_ptr() as usize - list.as_ptr() as usize;
        let (first, last) = (
            parsed.items.first().context("an empty list")?.get(),
            parsed.items.last().context("an empty list")?.get(),
        );
        Ok(Self {
            before: &list[..place(first)],
            items: parsed.items.iter().map(|it| it.get().as_bytes()).collect(),
            behind: &list[place(last) + last.len()..],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_taken_apart_so_that_it_can_be_joined_again() {
        let list = Bytes::from_static(br#"{"kind":"L","items":[{"a":1},{"b":[2]}]}"#);
        let items = Items::of(&list).expect("it is a list");
        let joined = [items.before, &items.items.join(&b','), items.behind].concat();
        assert_eq!(joined, list);
        assert_eq!(items.items.len(), 2);
    }
}
