//! Builds the parts, owns the order in which they start and stop. The only place that wires concrete parts.

mod admin;
mod assembly;
mod checks;
mod identity;
mod lister;
mod store;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ambient::{RandomUids, SystemClock};
use crate::config::{Config, StoreConfig};
use crate::endpoints::discovery::Documents;
use crate::endpoints::health::Health;
use crate::endpoints::{Api, Served};
use crate::flow_control::FlowControl;
use crate::metrics::Metrics;
use crate::plugin::{Engine, Loader, LoaderConfig};
use crate::registry::Registry;
use crate::serving;
use crate::shutdown::Shutdown;
use crate::storage::Storage;
use assembly::Assembly;
use checks::Checks;
use identity::{Identity, Replicas};
use store::OpenStore;

/// How long a ready check waits between two looks at the start.
const READY_POLL: Duration = Duration::from_millis(20);

/// Serves until a signal.
///
/// # Errors
/// What keeps the server from starting, in one line that says what to do.
pub fn run(config: Config) -> anyhow::Result<()> {
    block_on(serve(config))
}

/// Runs a command to its end.
///
/// # Errors
/// The command's own; no runtime can be had.
pub fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime")?;
    let ended = runtime.block_on(command);
    // What is left are tasks whose owner is gone and calls into plugins: nobody waits for them.
    runtime.shutdown_timeout(Duration::from_secs(2));
    ended
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let Config {
        plugins,
        data_dir,
        address,
        identity,
        store,
    } = config;
    let shutdown = Shutdown::on_signals()?;
    anyhow::ensure!(
        plugins.is_dir(),
        "the plugins folder {} does not exist: make it, or name another one with --plugins",
        plugins.display()
    );
    check_data_dir(&data_dir)?;
    let replicas = match &store {
        StoreConfig::Embedded => Replicas::One,
        StoreConfig::Etcd(_) => Replicas::Several,
    };
    let opened = OpenStore::open(store, &data_dir).await?;
    let store: Arc<dyn Storage> = opened.storage();
    let watched = Arc::clone(&store);
    let metrics = Metrics::default().with_store(move || watched.trouble().is_some());
    let metrics = Arc::new(metrics);

    let mut tasks = JoinSet::new();
    let identity = Identity::establish(identity, replicas, &data_dir, address, &mut tasks).await?;
    let bound = serving::bind(address, Arc::clone(&identity.tls))?;
    let address = bound.address();

    let served = Arc::new(ArcSwap::from_pointee(Served {
        registry: Registry::default(),
        documents: Documents::build(std::iter::empty()),
        is_complete: false,
    }));
    let lister = Arc::new(lister::RegistryLister::new(Arc::clone(&served)));
    let loading = LoaderConfig {
        folder: plugins,
        data_dir: data_dir.clone(),
        compiler: std::env::current_exe().context("the path of this program")?,
    };
    let engine = Arc::new(Engine::new()?);
    let loader = Loader::start(loading, engine, Arc::clone(&store), lister)?;
    let (drain, draining) = watch::channel(false);
    let (problems, problems_seen) = watch::channel(Vec::new());
    let checks = Checks::new(
        Arc::clone(&store),
        Arc::clone(&served),
        loader.loaded(),
        problems_seen,
        &identity,
        draining.clone(),
    );
    let health = Arc::new(Health::new(checks.into_source()));
    let assembly = Assembly::new(
        store,
        Arc::clone(&served),
        identity.registration.clone(),
        Arc::new(SystemClock),
        Arc::new(RandomUids),
        Arc::clone(&metrics),
        problems,
    );
    tasks.spawn(assembly.follow(loader.loaded()));
    if let Some(administrator) = identity.administrator {
        let (health, data_dir) = (Arc::clone(&health), data_dir.clone());
        tasks.spawn(
            async move { admin::announce(&administrator, &data_dir, address, &health).await },
        );
    }
    let api = Arc::new(Api {
        served,
        authenticators: identity.authenticators,
        authorizer: identity.authorizer,
        namespaces: identity.namespaces,
        flow_control: FlowControl::default(),
        health,
        metrics,
        draining,
    });
    tracing::info!(%address, data_dir = %data_dir.display(), "serving");

    let stop = shutdown.requested();
    let serving = bound.serve(api, stop.clone());
    tokio::pin!(serving);
    let mut is_serving = true;
    let ended = tokio::select! {
        () = &mut serving => {
            is_serving = false;
            Ok(())
        }
        Some(ended) = tasks.join_next() => Err(match ended {
            Ok(()) => anyhow::anyhow!("a task of the server ended before the server"),
            Err(error) => anyhow::anyhow!("a task of the server failed: {error}"),
        }),
        () = stop.cancelled() => Ok(()),
    };
    tracing::info!("draining");
    // Readiness fails at once and watches end, so that their clients go elsewhere; requests in flight finish.
    let _ = drain.send(true);
    stop.cancel();
    let hand_over = async {
        if let Some(registration) = &identity.registration {
            registration.hand_over().await;
        }
    };
    let finish = async {
        if is_serving {
            serving.await;
        }
    };
    tokio::join!(finish, hand_over);
    tasks.shutdown().await;
    drop(loader);
    opened.close().await;
    tracing::info!("stopped");
    ended
}

/// What this server keeps in its data folder.
const KEPT: [&str; 5] = ["store", "compiled", "pki", "admin.kubeconfig", "lost+found"];

/// A folder that holds something else is not ours to write into.
fn check_data_dir(data_dir: &Path) -> anyhow::Result<()> {
    let shown = data_dir.display();
    std::fs::create_dir_all(data_dir).with_context(|| {
        format!("the data folder {shown} cannot be made: choose one that can be written")
    })?;
    let entries = std::fs::read_dir(data_dir)
        .with_context(|| format!("the data folder {shown} cannot be read: grant the right to"))?;
    for entry in entries {
        let name = entry
            .with_context(|| format!("the data folder {shown} cannot be read"))?
            .file_name();
        let is_ours = KEPT
            .iter()
            .any(|kept| name.to_string_lossy().starts_with(kept));
        anyhow::ensure!(
            is_ours || data_dir.join("store").exists(),
            "the data folder {shown} holds {:?}, which is not of this server: choose an empty folder",
            name.to_string_lossy()
        );
    }
    Ok(())
}
