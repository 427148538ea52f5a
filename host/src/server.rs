//! Builds the parts, owns the order in which they start and stop. The only place that wires concrete parts.

mod admin;
mod assembly;
mod checks;
mod encryption;
mod identity;
mod lister;
mod opening;
mod store;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ambient::{RandomUids, SystemClock};
use crate::api::GroupVersion;
use crate::config::{Config, StoreConfig};
use crate::endpoints::discovery::Documents;
use crate::endpoints::health::Health;
use crate::endpoints::{Api, Served};
use crate::flow_control::FlowControl;
use crate::metrics::Metrics;
use crate::plugin::{Engine, Loader, LoaderConfig};
use crate::registry::Registry;
use crate::serving::{self, Bound};
use crate::shutdown::Shutdown;
use crate::storage::Storage;
use assembly::Assembly;
use checks::{Checks, EncryptionChecks};
use encryption::EncryptionKeys;
use identity::{Identity, Registration, Replicas};
use opening::Opening;
use store::OpenStore;
pub(crate) use store::etcd_options;

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
        shutdown_delay,
        encryption,
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
    let mut tasks = JoinSet::new();
    let keys = EncryptionKeys::open(encryption, &mut tasks).await?;
    let (mut opening, storage) = Opening::start(store, &data_dir, shutdown_delay, keys.current());
    let served = Arc::new(ArcSwap::from_pointee(Served {
        registry: Registry::default(),
        documents: Documents::build(Vec::new()),
        is_complete: false,
    }));
    let lister = Arc::new(lister::RegistryLister::new(Arc::clone(&served)));
    let loading = LoaderConfig {
        folder: plugins,
        data_dir: data_dir.clone(),
        compiler: std::env::current_exe().context("the path of this program")?,
    };
    let engine = Arc::new(Engine::new()?);
    // Before all that the processors would wait for.
    let loader = Loader::start(loading, engine, Arc::new(storage.clone()), lister)?;
    let opened = opening.begin().await?;
    let watched = storage.clone();
    let metrics = Metrics::default().with_store(move || watched.trouble().is_some());
    let metrics = Arc::new(metrics);

    let identity = Identity::establish(identity, replicas, &data_dir, address, &mut tasks).await?;
    let bound = serving::bind(address, Arc::clone(&identity.tls))?;
    let address = bound.address();

    let phases = Phases::default();
    let (problems, problems_seen) = watch::channel(Vec::new());
    let assembled = problems_seen.clone();
    let checks = Checks::new(
        Arc::new(storage.clone()),
        Arc::clone(&served),
        loader.loaded(),
        problems_seen,
        EncryptionChecks {
            storage: opening.encrypted(),
            keys: Arc::clone(&keys),
        },
        &identity,
        phases.stopping.subscribe(),
    );
    let health = Arc::new(Health::new(checks.into_source()));
    let parts = assembly::Parts {
        served: Arc::clone(&served),
        registration: identity.registration.clone(),
        clock: Arc::new(SystemClock),
        uids: Arc::new(RandomUids),
        metrics: Arc::clone(&metrics),
        problems,
    };
    let (loaded, keys) = (loader.loaded(), keys.current());
    tasks.spawn(async move {
        match storage.opened().await {
            Ok(storage) => Assembly::new(storage, parts).follow(loaded, keys).await,
            // The server stops, and says why.
            Err(_) => std::future::pending().await,
        }
    });
    if let Some(administrator) = identity.administrator {
        let (health, data_dir) = (Arc::clone(&health), data_dir.clone());
        tasks.spawn(async move {
            admin::announce(&administrator, &data_dir, address, &health, assembled).await;
        });
    }
    let registration = identity.registration.clone();
    let elsewhere =
        move |it: &GroupVersion| registration.as_ref().is_some_and(|by| by.is_elsewhere(it));
    let api = Arc::new(Api {
        served,
        authenticators: identity.authenticators,
        authorizer: identity.authorizer,
        namespaces: identity.namespaces,
        flow_control: FlowControl::default(),
        health,
        metrics,
        elsewhere: Arc::new(elsewhere),
        draining: phases.draining.subscribe(),
    });
    tracing::info!(%address, data_dir = %data_dir.display(), "serving");

    let running = Running {
        tasks,
        opening,
        opened,
        loader,
        registration: identity.registration,
        phases,
    };
    running
        .until_end(bound, api, shutdown, shutdown_delay)
        .await
}

/// What lives for as long as the server serves, and ends in this order.
struct Running {
    tasks: JoinSet<()>,
    loader: Loader,
    registration: Option<Arc<dyn Registration>>,
    phases: Phases,
    opening: Opening,
    /// `None` while another process has the store.
    opened: Option<OpenStore>,
}

impl Running {
    /// Serves until a signal, and drains.
    async fn until_end(
        mut self,
        bound: Bound,
        api: Arc<Api>,
        shutdown: Shutdown,
        shutdown_delay: Duration,
    ) -> anyhow::Result<()> {
        let stop = CancellationToken::new();
        let mut serving = std::pin::pin!(bound.serve(api, stop.clone()));
        let mut is_serving = true;
        let requested = shutdown.requested();
        let mut delay = std::pin::pin!(self.phases.delay(requested, shutdown_delay));
        let ended = loop {
            tokio::select! {
                () = &mut serving => {
                    is_serving = false;
                    break Ok(());
                }
                Some(ended) = self.tasks.join_next() => break Err(match ended {
                    Ok(()) => anyhow::anyhow!("a task of the server ended before the server"),
                    Err(error) => anyhow::anyhow!("a task of the server failed: {error}"),
                }),
                done = self.opening.finish(), if self.opened.is_none() => match done {
                    Ok(storage) => self.opened = Some(storage),
                    Err(error) => break Err(error),
                },
                () = &mut delay => break Ok(()),
            }
        };
        tracing::info!("draining");
        // Readiness fails and watches end, so that their clients go elsewhere; requests in flight finish.
        self.phases.drain();
        stop.cancel();
        let hand_over = async {
            if let Some(registration) = &self.registration {
                registration.hand_over().await;
            }
        };
        let finish = async {
            if is_serving {
                serving.await;
            }
        };
        tokio::join!(finish, hand_over);
        self.tasks.shutdown().await;
        drop(self.loader);
        if let Some(storage) = self.opened {
            storage.close().await;
        }
        tracing::info!("stopped");
        ended
    }
}

/// How far the end of the server is.
struct Phases {
    /// It is not ready any more, but serves on.
    stopping: watch::Sender<bool>,
    /// Watches end.
    draining: watch::Sender<bool>,
}

impl Default for Phases {
    fn default() -> Self {
        Self {
            stopping: watch::Sender::new(false),
            draining: watch::Sender::new(false),
        }
    }
}

impl Phases {
    /// Ends `delay` after the request to stop. Meanwhile whoever sends requests here may learn that it is to end.
    async fn delay(&self, requested: CancellationToken, delay: Duration) {
        requested.cancelled().await;
        self.stopping.send_replace(true);
        if !delay.is_zero() {
            tracing::info!(
                seconds = delay.as_secs_f64(),
                "not ready any more, serving on"
            );
            tokio::time::sleep(delay).await;
        }
    }

    fn drain(&self) {
        self.stopping.send_replace(true);
        self.draining.send_replace(true);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn is_not_ready_at_once_and_drains_after_the_delay() {
        let phases = Phases::default();
        let (stopping, draining) = (phases.stopping.subscribe(), phases.draining.subscribe());
        let requested = CancellationToken::new();
        let started = tokio::time::Instant::now();
        let asks = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert!(!*stopping.borrow());
            requested.cancel();
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(*stopping.borrow() && !*draining.borrow());
        };
        let delay = phases.delay(requested.clone(), Duration::from_secs(5));
        tokio::join!(delay, asks);
        assert_eq!(started.elapsed(), Duration::from_secs(65));
        phases.drain();
        assert!(*draining.borrow());
    }
}
