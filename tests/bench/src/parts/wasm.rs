//! Calls of a plugin's hooks, each write in a fresh instance: as the product makes them, and with wasmtime alone.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use outrigger::api::{Object, RequestContext};
use outrigger::plugin::Plugin;
use outrigger::registry::strategy::{Operation, Target};
use serde_json::Value;

use super::Part;
use crate::bench::Bench;
use crate::load::in_process;
use crate::loads;
use crate::report::Cost;
use crate::report::server::{BARE, OUTRIGGER};
use crate::resources::Resource;
use crate::yardsticks::engine::{BareEngine, Hooks, plugin};
use crate::yardsticks::scan;

pub(super) async fn run(bench: &mut Bench) -> Result<()> {
    let mut object = Resource::Hooks.object("a", 0);
    object["metadata"]["namespace"] = "default".into();
    let Value::Object(map) = object else {
        return Err(anyhow!("it is no object"));
    };
    let object = Object(map);
    let json = object.to_vec();
    let duration = bench.settings.duration();

    bench.step(loads::METADATA_PARSE, 1, BARE);
    let cost = scan::parse_metadata(&json, duration)?;
    bench.row(Part::Wasm, loads::METADATA_PARSE, 1, BARE, cost);

    let bare = Arc::new(Bare {
        engine: BareEngine::compile(&bench.settings.plugin)?,
        json: String::from_utf8(json)?,
    });
    // Guests of one plugin are on half of the cores at once: each thread has a plugin of its own.
    let mut ours = Vec::new();
    for _ in 0..2 {
        ours.push(Arc::new(Ours {
            plugin: plugin(&bench.settings).await?,
            object: object.clone(),
        }));
    }
    for (load, hooks) in [
        (loads::WASM_VALIDATE, Hooks::Validate),
        (loads::WASM_WRITE, Hooks::DefaultAndValidate),
    ] {
        for threads in [1, 2] {
            bench.step(load, threads, BARE);
            let calls = vec![Arc::clone(&bare); threads];
            let cost = measure(&calls, hooks, duration).await?;
            bench.row(Part::Wasm, load, threads, BARE, cost);

            bench.step(load, threads, OUTRIGGER);
            let cost = measure(&ours[..threads], hooks, duration).await?;
            bench.row(Part::Wasm, load, threads, OUTRIGGER, cost);
        }
    }
    Ok(())
}

trait Calls: Send + Sync + 'static {
    fn call(&self, hooks: Hooks) -> impl Future<Output = Result<()>> + Send;
}

struct Bare {
    engine: BareEngine,
    json: String,
}

impl Calls for Bare {
    async fn call(&self, hooks: Hooks) -> Result<()> {
        self.engine.call(hooks, &self.json).await
    }
}

struct Ours {
    plugin: Arc<Plugin>,
    object: Object,
}

impl Calls for Ours {
    async fn call(&self, hooks: Hooks) -> Result<()> {
        let refused =
            |status: Box<outrigger::api::Status>| anyhow!("it is refused: {}", status.message);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        let context = RequestContext::background("bench", deadline);
        let mut write = self.plugin.resources[0].strategy.begin(&context);
        let target = target();
        if hooks == Hooks::DefaultAndValidate {
            let object = write.default(&target, self.object.clone()).await;
            object.map_err(refused)?;
        }
        let mut warnings = Vec::new();
        write
            .validate(&target, &self.object, None, &mut warnings)
            .await
            .map_err(refused)
    }
}

fn target() -> Target {
    Target {
        group: "wardle.example.com".into(),
        version: "v1beta1".into(),
        resource: "flunders".into(),
        subresource: None,
        namespace: Some("default".into()),
        name: Some("a".into()),
        verb: "create".into(),
        operation: Operation::Create,
    }
}

async fn measure<C: Calls>(callers: &[Arc<C>], hooks: Hooks, duration: Duration) -> Result<Cost> {
    let threads = callers.len();
    let callers = callers.to_vec();
    let call = move |caller: usize, _| {
        let caller = Arc::clone(&callers[caller]);
        async move { caller.call(hooks).await }
    };
    in_process(threads, duration, call).await
}
