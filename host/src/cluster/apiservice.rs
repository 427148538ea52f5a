//! Keeps APIService objects equal to what is served: `<version>.<group>` for each, none else.
//!
//! Objects carry a label and an annotation as our mark; those without it are never touched, only reported.
//! Nothing is done before the first [`ApiServices::apply`]: what this server served before it restarted stays
//! registered until it knows better. The cluster is watched, and compared again at least each 30 s.
//!
//! Of several replicas only the one that leads changes anything ([`super::leadership`]). Each change carries what it
//! was decided upon (a resourceVersion, or that there is no such object), so that one who does not know yet that
//! another leads does nothing that the other would not see and mend.

mod plan;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use tokio::sync::{Notify, watch};

use super::follow::{BackOff, follow};
use super::leadership::Leadership;
use super::status::{ClusterStatus, Part};
use super::{code, explain};
use crate::api::GroupVersion;
use plan::Action;

pub use plan::Service;

const RESYNC: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const WITHDRAW_POLL: Duration = Duration::from_millis(200);

pub struct ApiServices {
    client: Client,
    api: Api<APIService>,
    service: Service,
    /// PEM that the serving certificate is verified against; nothing is registered while there is none.
    ca_bundle: watch::Receiver<Option<Arc<str>>>,
    leadership: Leadership,
    state: Mutex<State>,
    changed: Notify,
    part: Part,
}

#[derive(Default)]
struct State {
    served: Option<Vec<GroupVersion>>,
    /// By name, once they were listed.
    actual: Option<BTreeMap<String, APIService>>,
    listed: BTreeMap<String, APIService>,
    /// Whether `actual` is kept up to date just now.
    is_followed: bool,
}

struct Plan {
    actions: Vec<Action>,
    /// Group versions that somebody else has; empty if none.
    foreign: String,
    /// Of ours, those that kube-apiserver does not reach; empty if none.
    unavailable: String,
    is_followed: bool,
}

impl ApiServices {
    pub fn new(
        client: Client,
        service: Service,
        ca_bundle: watch::Receiver<Option<Arc<str>>>,
        leadership: Leadership,
        status: &ClusterStatus,
    ) -> Self {
        Self {
            api: Api::all(client.clone()),
            client,
            service,
            ca_bundle,
            leadership,
            state: Mutex::default(),
            changed: Notify::new(),
            part: status.optional("apiservices"),
        }
    }

    /// Registers these, all of which must be served already, and nothing else; where another replica leads, not
    /// before it does so no more.
    pub fn apply(&self, served: &[GroupVersion]) {
        self.with_state(|state| state.served = Some(served.to_vec()));
        self.changed.notify_one();
    }

    /// Why this server cannot have a group version: somebody else's APIService of the same name. One line.
    pub fn foreign(&self, group_version: &GroupVersion) -> Option<String> {
        let name = plan::name(group_version);
        self.with_state(|state| {
            let object = state.actual.as_ref()?.get(&name)?;
            plan::foreign(&name, object, &self.service)
        })
    }

    /// Whether kube-apiserver sends requests for the group version here, or to a replica; as far as is known.
    pub fn is_registered(&self, group_version: &GroupVersion) -> bool {
        let name = plan::name(group_version);
        self.with_state(|state| {
            let object = state.actual.as_ref().and_then(|it| it.get(&name));
            object.is_some_and(|it| plan::foreign(&name, it, &self.service).is_none())
        })
    }

    /// Unregisters these, or leaves that to the replica that leads, and waits until kube-apiserver sends no more
    /// requests for them, so that they can stop being served.
    ///
    /// # Errors
    /// They are still registered at the deadline, or it is not known yet what else is served; the text says
    /// which and why.
    pub async fn withdraw(
        &self,
        group_versions: &[GroupVersion],
        timeout: Duration,
    ) -> anyhow::Result<()> {
        let is_known = self.with_state(|state| {
            let served = state.served.as_mut()?;
            served.retain(|it| !group_versions.contains(it));
            Some(())
        });
        if is_known.is_none() {
            bail!("nothing can be unregistered before it is known what is served");
        }
        self.changed.notify_one();
        let mut last = "it was not asked".to_owned();
        let gone = tokio::time::timeout(timeout, async {
            loop {
                match self.still_registered(group_versions).await {
                    Ok(left) if left.is_empty() => return,
                    Ok(left) => last = format!("still registered: {}", left.join(", ")),
                    Err(err) => last = explain(&err),
                }
                tokio::time::sleep(WITHDRAW_POLL).await;
            }
        })
        .await;
        if gone.is_err() {
            bail!(
                "kube-apiserver did not let go of all group versions within {} s: {last}",
                timeout.as_secs()
            );
        }
        Ok(())
    }

    /// Does the work. Never returns.
    pub async fn run(&self) {
        tokio::join!(self.watch(), self.reconcile());
    }

    async fn watch(&self) {
        follow(
            self.api.clone(),
            watcher::Config::default(),
            |event| match event {
                Ok(event) => {
                    let is_complete = self.with_state(|state| {
                        state.apply(event);
                        state.actual.is_some()
                    });
                    if is_complete {
                        self.changed.notify_one();
                    }
                }
                Err(err) => {
                    self.with_state(|state| state.is_followed = false);
                    self.part.fails(problem("list and watch", &err));
                }
            },
        )
        .await;
    }

    async fn reconcile(&self) {
        let mut back_off = BackOff::for_ever();
        let mut ca_bundle = self.ca_bundle.clone();
        let mut leadership = self.leadership.clone();
        loop {
            if let Some(plan) = self.plan() {
                let left = plan::left_to(&leadership.leader(), &plan.actions);
                if left.is_none() && self.act(plan.actions).await {
                    tokio::time::sleep(back_off.next()).await;
                    continue;
                }
                if let Some(left) = left {
                    self.part.waits(left);
                } else if !plan.foreign.is_empty() {
                    self.part.fails(plan.foreign);
                } else if !plan.unavailable.is_empty() {
                    // For a moment after each registration that is as it should be.
                    self.part.waits(plan.unavailable);
                } else if plan.is_followed {
                    self.part.works();
                }
            }
            back_off.reset();
            tokio::select! {
                () = self.changed.notified() => {}
                Ok(()) = ca_bundle.changed() => {}
                () = leadership.changed() => {}
                () = tokio::time::sleep(RESYNC) => {}
            }
        }
    }

    /// `None` while it is not known what is served, what is registered, or by which certificate.
    fn plan(&self) -> Option<Plan> {
        let ca_bundle = self.ca_bundle.borrow().clone()?;
        self.with_state(|state| {
            let wanted = plan::wanted(state.served.as_ref()?, &self.service, &ca_bundle);
            let actual = state.actual.as_ref()?;
            let foreign: Vec<String> = wanted
                .keys()
                .filter_map(|name| plan::foreign(name, actual.get(name)?, &self.service))
                .collect();
            let unavailable: Vec<String> = wanted
                .keys()
                .filter_map(|name| plan::unavailable(name, actual.get(name)?))
                .collect();
            Some(Plan {
                unavailable: unavailable.join("; "),
                actions: plan::plan(&wanted, actual, &self.service),
                foreign: foreign.join("; "),
                is_followed: state.is_followed,
            })
        })
    }

    /// Whether something must be tried again.
    async fn act(&self, actions: Vec<Action>) -> bool {
        let mut failed = false;
        for action in actions {
            if !self.leadership.is_ours() {
                return failed;
            }
            let (verb, name) = action.shown();
            match tokio::time::timeout(REQUEST_TIMEOUT, self.act_once(action)).await {
                Ok(Ok(())) => tracing::info!(verb, "{verb} APIService {name}"),
                // Somebody was faster. The watch may have told so already: nobody may wait for it.
                Ok(Err(err)) if matches!(code(&err), Some(404 | 409)) => {
                    failed = true;
                    self.look_again(&name).await;
                }
                Ok(Err(err)) => {
                    failed = true;
                    self.part.fails(problem(verb, &err));
                }
                Err(_) => {
                    failed = true;
                    self.part
                        .fails(format!("kube-apiserver does not answer to {verb} {name}"));
                }
            }
        }
        failed
    }

    async fn act_once(&self, action: Action) -> Result<(), kube::Error> {
        let params = PostParams::default();
        match action {
            Action::Create(object) => {
                let made = self.api.create(&params, &object).await?;
                self.with_state(|state| state.remember(made));
            }
            Action::Replace(object) => {
                let made = self
                    .api
                    .replace(&object.name_any(), &params, &object)
                    .await?;
                self.with_state(|state| state.remember(made));
            }
            Action::Delete {
                name,
                uid,
                resource_version,
            } => {
                let params = DeleteParams::default().preconditions(Preconditions {
                    uid,
                    resource_version,
                });
                self.api.delete(&name, &params).await?;
            }
        }
        Ok(())
    }

    /// What there is of this name, where an action found something else than was known.
    async fn look_again(&self, name: &str) {
        let asked = tokio::time::timeout(REQUEST_TIMEOUT, self.api.get_opt(name)).await;
        match asked {
            Ok(Ok(Some(object))) => self.with_state(|state| state.remember(object)),
            Ok(Ok(None)) => self.with_state(|state| state.forget(name)),
            Ok(Err(err)) => self.part.fails(problem("get", &err)),
            Err(_) => self
                .part
                .fails(format!("kube-apiserver does not answer to get {name}")),
        }
    }

    async fn still_registered(
        &self,
        group_versions: &[GroupVersion],
    ) -> Result<Vec<String>, kube::Error> {
        let mut left = Vec::new();
        for it in group_versions {
            let name = plan::name(it);
            match self.api.get_opt(&name).await? {
                Some(object) if plan::foreign(&name, &object, &self.service).is_none() => {
                    left.push(name);
                }
                // Somebody else serves it from now on.
                Some(_) => {}
                None if self.is_listed(it).await? => left.push(name),
                None => {}
            }
        }
        Ok(left)
    }

    /// Whether kube-apiserver's own discovery has it: its aggregator follows the objects a moment later.
    async fn is_listed(&self, group_version: &GroupVersion) -> Result<bool, kube::Error> {
        let groups = self.client.list_api_groups().await?;
        let name = group_version.to_string();
        Ok(groups
            .groups
            .iter()
            .flat_map(|it| &it.versions)
            .any(|it| it.group_version == name))
    }

    fn with_state<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn apply(&mut self, event: watcher::Event<APIService>) {
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(object) => {
                self.listed.insert(object.name_any(), object);
            }
            watcher::Event::InitDone => {
                self.actual = Some(std::mem::take(&mut self.listed));
                self.is_followed = true;
            }
            watcher::Event::Apply(object) => {
                self.actual.get_or_insert_default();
                self.remember(object);
            }
            watcher::Event::Delete(object) => self.forget(&object.name_any()),
        }
    }

    /// Takes an object from whichever told of it first, the answer to a write or the watch: the older of two
    /// states must not replace the newer one, or every action on it fails for its resourceVersion.
    fn remember(&mut self, object: APIService) {
        let Some(actual) = &mut self.actual else {
            return;
        };
        let name = object.name_any();
        let is_older = actual
            .get(&name)
            .is_some_and(|known| revision(known) > revision(&object));
        if !is_older {
            actual.insert(name, object);
        }
    }

    fn forget(&mut self, name: &str) {
        if let Some(actual) = &mut self.actual {
            actual.remove(name);
        }
    }
}

/// resourceVersions are numbers that can be compared: KEP-5504.
fn revision(of: &APIService) -> Option<u64> {
    of.metadata.resource_version.as_deref()?.parse().ok()
}

fn problem(verb: &str, err: &kube::Error) -> String {
    let text = explain(err);
    if code(err) == Some(403) {
        format!(
            "API groups are not registered until this server may {verb} apiservices of apiregistration.k8s.io: {text}"
        )
    } else {
        format!("cannot {verb} APIService objects: {text}")
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    fn at(resource_version: &str) -> APIService {
        APIService {
            metadata: ObjectMeta {
                name: Some("v1.example.com".to_owned()),
                resource_version: Some(resource_version.to_owned()),
                ..ObjectMeta::default()
            },
            ..APIService::default()
        }
    }

    fn known(state: &State) -> Option<&str> {
        let object = state.actual.as_ref()?.get("v1.example.com")?;
        object.metadata.resource_version.as_deref()
    }

    #[test]
    fn the_answer_to_a_write_does_not_replace_what_the_watch_told_since() {
        let mut state = State::default();
        state.apply(watcher::Event::Init);
        state.apply(watcher::Event::InitDone);
        state.apply(watcher::Event::Apply(at("9")));
        state.apply(watcher::Event::Apply(at("10")));
        state.remember(at("9"));
        assert_eq!(known(&state), Some("10"));
        state.remember(at("11"));
        assert_eq!(known(&state), Some("11"));
        state.forget("v1.example.com");
        assert_eq!(known(&state), None);
    }
}
