//! kube-rs: a reconciler with a finalizer and a status, through its cache, which begins with a WatchList.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{
    Api, ApiResource, DeleteParams, GroupVersionKind, ListParams, ObjectMeta, Patch, PatchParams,
    PostParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Object;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::finalizer::{self, Event, finalizer};
use kube::runtime::reflector::Store;
use kube::runtime::watcher;
use kube::{Client, Config, Resource as _, ResourceExt as _};
use outrigger_tests::wait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::Clients;

const NAMESPACE: &str = "reconciled-by-kube-rs";
const FINALIZER: &str = "tickets.example.com/reservation";
const TICKETS: usize = 20;
const DEADLINE: Duration = Duration::from_secs(60);

type Ticket = Object<Spec, Status>;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Spec {
    seats: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    reserved: i64,
    observed_generation: i64,
}

#[derive(Clone)]
struct Apis {
    tickets: Api<Ticket>,
    reservations: Api<ConfigMap>,
}

/// Ends when dropped.
struct Reconciler {
    task: JoinHandle<()>,
    cache: Store<Ticket>,
}

pub(crate) async fn reconciles(it: &mut Clients) -> Result<()> {
    it.namespace(NAMESPACE).await?;
    let apis = Apis::new(it).await?;
    let reconciler = Reconciler::start(&apis);
    for number in 0..TICKETS {
        let ticket = Ticket::new(&name(number), &resource(), Spec { seats: 1 });
        apis.tickets.create(&PostParams::default(), &ticket).await?;
    }
    apis.wait_reconciled(1, 1).await?;

    it.crash().await?;
    let wanted = Patch::Merge(json!({"spec": {"seats": 2}}));
    for number in 0..TICKETS {
        let name = name(number);
        // kube-apiserver may still hold what it knew of the dead server.
        wait::until("a patch after the crash", DEADLINE, || async {
            apis.tickets
                .patch(&name, &PatchParams::default(), &wanted)
                .await
        })
        .await?;
    }
    apis.wait_reconciled(2, 2).await?;
    reconciler.wait_equal(&apis).await?;

    for number in 0..TICKETS {
        apis.tickets
            .delete(&name(number), &DeleteParams::default())
            .await?;
    }
    wait::until("all to be gone", DEADLINE, || async {
        let tickets = apis.tickets.list(&ListParams::default()).await?;
        ensure!(tickets.items.is_empty(), "{} are left", tickets.items.len());
        Ok(())
    })
    .await?;
    for number in 0..TICKETS {
        let reservation = apis.reservations.get_opt(&name(number)).await?;
        ensure!(reservation.is_none(), "{reservation:?} outlives its ticket");
    }
    reconciler.wait_equal(&apis).await
}

fn name(number: usize) -> String {
    format!("ticket-{number:02}")
}

fn resource() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(
        "tickets.example.com",
        "v1",
        "Ticket",
    ))
}

impl Apis {
    async fn new(it: &Clients) -> Result<Self> {
        let kubeconfig = Kubeconfig::read_from(&it.aggregated)?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        let client = Client::try_from(config)?;
        Ok(Self {
            tickets: Api::namespaced_with(client.clone(), NAMESPACE, &resource()),
            reservations: Api::namespaced(client, NAMESPACE),
        })
    }

    /// Waits until each status says what its spec does, and each ConfigMap too.
    async fn wait_reconciled(&self, seats: i64, generation: i64) -> Result<()> {
        let wanted = Status {
            reserved: seats,
            observed_generation: generation,
        };
        wait::until("the tickets to be reconciled", DEADLINE, || async {
            let tickets = self.tickets.list(&ListParams::default()).await?;
            ensure!(tickets.items.len() == TICKETS, "{}", tickets.items.len());
            for ticket in tickets {
                ensure!(ticket.status.as_ref() == Some(&wanted), "{ticket:?}");
                ensure!(ticket.finalizers() == [FINALIZER], "{ticket:?}");
                let reservation = self.reservations.get(&ticket.name_any()).await?;
                let data = reservation.data.unwrap_or_default();
                ensure!(data["seats"] == seats.to_string(), "{data:?}");
            }
            Ok(())
        })
        .await
    }

    /// One Ticket, as it is in the cache.
    async fn reconcile(
        &self,
        ticket: Arc<Ticket>,
    ) -> Result<Action, finalizer::Error<kube::Error>> {
        finalizer(&self.tickets, FINALIZER, ticket, |event| async {
            match event {
                Event::Apply(ticket) => self.reserve(&ticket).await?,
                Event::Cleanup(ticket) => {
                    let params = DeleteParams::default();
                    match self.reservations.delete(&ticket.name_any(), &params).await {
                        Err(kube::Error::Api(status)) if status.code == 404 => {}
                        other => drop(other?),
                    }
                }
            }
            Ok(Action::await_change())
        })
        .await
    }

    async fn reserve(&self, ticket: &Ticket) -> Result<(), kube::Error> {
        let params = PatchParams::apply("reconciler").force();
        let reservation = ConfigMap {
            metadata: ObjectMeta {
                name: Some(ticket.name_any()),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(
                "seats".to_owned(),
                ticket.spec.seats.to_string(),
            )])),
            ..ConfigMap::default()
        };
        let name = ticket.name_any();
        self.reservations
            .patch(&name, &params, &Patch::Apply(reservation))
            .await?;
        let status = Status {
            reserved: ticket.spec.seats,
            observed_generation: ticket.meta().generation.unwrap_or_default(),
        };
        if ticket.status.as_ref() != Some(&status) {
            let patch = Patch::Merge(json!({"status": status}));
            self.tickets
                .patch_status(&name, &PatchParams::default(), &patch)
                .await?;
        }
        Ok(())
    }
}

impl Reconciler {
    fn start(apis: &Apis) -> Self {
        let config = watcher::Config::default().streaming_lists();
        let controller = Controller::new_with(apis.tickets.clone(), config, resource());
        let cache = controller.store();
        let again = |_: Arc<Ticket>, _: &finalizer::Error<kube::Error>, _: Arc<Apis>| {
            Action::requeue(Duration::from_millis(200))
        };
        let reconcile = |ticket, apis: Arc<Apis>| async move { apis.reconcile(ticket).await };
        let reconciling = controller
            .run(reconcile, again, Arc::new(apis.clone()))
            // Errors are requeued above.
            .for_each(|it| async move {
                if let Err(err) = it {
                    eprintln!("kube-rs: {err}");
                }
            });
        Self {
            task: tokio::spawn(reconciling),
            cache,
        }
    }

    /// Waits until the cache equals a list.
    async fn wait_equal(&self, apis: &Apis) -> Result<()> {
        wait::until("the cache to equal a list", DEADLINE, || async {
            let listed = apis.tickets.list(&ListParams::default()).await?;
            let listed = by_name(listed.items.into_iter().map(Arc::new))?;
            let cached = by_name(self.cache.state().into_iter())?;
            ensure!(cached == listed, "{cached:?}\nis not\n{listed:?}");
            Ok(())
        })
        .await
    }
}

fn by_name(tickets: impl Iterator<Item = Arc<Ticket>>) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for ticket in tickets {
        let mut content = serde_json::to_value(&*ticket)?;
        let fields = content.as_object_mut().context("no object")?;
        // Lists leave them away.
        fields.remove("kind");
        fields.remove("apiVersion");
        all.insert(ticket.name_any(), content.to_string());
    }
    Ok(all)
}

impl Drop for Reconciler {
    fn drop(&mut self) {
        self.task.abort();
    }
}
