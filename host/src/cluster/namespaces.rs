//! Whether objects can be created in a namespace: it must exist and not be on its way out.
//!
//! The admission plugin NamespaceLifecycle of k8s.io/apiserver, pkg/admission/plugin/namespace/lifecycle, as
//! far as it concerns other resources than namespaces. Reads a metadata watch; what that does not know is
//! looked up live. Updates and deletes are never refused. Without the right to read namespaces the check is off.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};

use super::follow::follow;
use super::status::{ClusterStatus, Part};
use super::{code, explain};
use crate::admission::Namespaces;
use crate::api::GroupResource;
use crate::api::status::{self, Cause, Result};

const LIVE_TIMEOUT: Duration = Duration::from_secs(10);

pub struct ClusterNamespaces {
    api: Api<PartialObjectMeta<Namespace>>,
    known: Mutex<Known>,
    part: Part,
}

#[derive(Default)]
struct Known {
    /// Whether RBAC forbids to read namespaces.
    is_forbidden: bool,
    namespaces: HashMap<String, Phase>,
    /// Of a list under way, which replaces the others when it is complete.
    listed: HashMap<String, Phase>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Active,
    Terminating,
}

impl ClusterNamespaces {
    pub fn new(client: Client, status: &ClusterStatus) -> Self {
        Self {
            api: Api::all(client),
            known: Mutex::default(),
            part: status.optional("namespaces"),
        }
    }

    /// Keeps what is known up to date. Never returns.
    pub async fn run(&self) {
        follow(self.api.clone(), watcher::Config::default(), |event| {
            match &event {
                Ok(watcher::Event::InitDone) => self.part.works(),
                Ok(_) => {}
                Err(err) => self.part.fails(problem(err)),
            }
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            match event {
                Ok(event) => known.apply(event),
                Err(err) => known.is_forbidden = code(&err) == Some(403),
            }
        })
        .await;
    }

    async fn look_up(&self, namespace: &str) -> Result<Option<Phase>> {
        let answer = tokio::time::timeout(LIVE_TIMEOUT, self.api.get_opt(namespace)).await;
        match answer {
            Ok(Ok(found)) => Ok(found.as_ref().map(phase)),
            Ok(Err(err)) if code(&err) == Some(403) => {
                self.part.fails(problem(&err));
                Ok(Some(Phase::Active))
            }
            Ok(Err(err)) => {
                tracing::warn!(namespace, "cannot look a namespace up: {}", explain(&err));
                Err(status::internal("the namespace could not be looked up"))
            }
            Err(_) => {
                tracing::warn!(
                    namespace,
                    "cannot look a namespace up: kube-apiserver is silent"
                );
                Err(status::internal(
                    "the namespace could not be looked up in time",
                ))
            }
        }
    }
}

#[async_trait]
impl Namespaces for ClusterNamespaces {
    async fn check_create(
        &self,
        namespace: &str,
        resource: &GroupResource,
        name: &str,
    ) -> Result<()> {
        let known = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.is_forbidden {
                return Ok(());
            }
            known.namespaces.get(namespace).copied()
        };
        let phase = match known {
            Some(phase) => Some(phase),
            // Perhaps it was made a moment ago.
            None => self.look_up(namespace).await?,
        };
        match phase {
            Some(Phase::Active) => Ok(()),
            Some(Phase::Terminating) => Err(terminating(namespace, resource, name)),
            None => Err(missing(namespace)),
        }
    }

    fn is_terminating(&self, namespace: &str) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.namespaces.get(namespace) == Some(&Phase::Terminating)
    }
}

impl Known {
    fn apply(&mut self, event: watcher::Event<PartialObjectMeta<Namespace>>) {
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(namespace) => {
                self.listed.insert(namespace.name_any(), phase(&namespace));
            }
            watcher::Event::InitDone => {
                self.is_forbidden = false;
                self.namespaces = std::mem::take(&mut self.listed);
            }
            watcher::Event::Apply(namespace) => {
                self.namespaces
                    .insert(namespace.name_any(), phase(&namespace));
            }
            watcher::Event::Delete(namespace) => {
                self.namespaces.remove(&namespace.name_any());
            }
        }
    }
}

/// kube-apiserver sets the time of deletion and the phase in one write, and never takes them back.
fn phase(namespace: &PartialObjectMeta<Namespace>) -> Phase {
    if namespace.metadata.deletion_timestamp.is_some() {
        Phase::Terminating
    } else {
        Phase::Active
    }
}

fn problem(err: &kube::Error) -> String {
    let text = explain(err);
    if code(err) == Some(403) {
        format!(
            "objects are also created in namespaces that do not exist or are being deleted, until this server may get, list and watch namespaces: {text}"
        )
    } else {
        format!("namespaces cannot be watched, what is known of them may be old: {text}")
    }
}

fn missing(namespace: &str) -> Box<status::Status> {
    let namespaces = GroupResource {
        group: String::new(),
        resource: "namespaces".into(),
    };
    status::not_found(&namespaces, namespace)
}

fn terminating(namespace: &str, resource: &GroupResource, name: &str) -> Box<status::Status> {
    let why = format!(
        "unable to create new content in namespace {namespace} because it is being terminated"
    );
    let name = if name.is_empty() { "Unknown" } else { name };
    status::forbidden(resource, name, &why).with_causes(vec![Cause {
        reason: "NamespaceTerminating".into(),
        message: format!("namespace {namespace} is being terminated"),
        field: "metadata.namespace".into(),
    }])
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn namespace(name: &str, is_deleted: bool) -> PartialObjectMeta<Namespace> {
        let mut namespace = PartialObjectMeta::<Namespace>::default();
        namespace.metadata.name = Some(name.into());
        namespace.metadata.deletion_timestamp = is_deleted.then_some(Time(Timestamp::UNIX_EPOCH));
        namespace
    }

    #[test]
    fn follows_a_namespace_to_its_end() {
        let mut known = Known::default();
        known.apply(watcher::Event::Init);
        known.apply(watcher::Event::InitApply(namespace("a", false)));
        assert!(known.namespaces.is_empty());
        known.apply(watcher::Event::InitDone);
        assert_eq!(known.namespaces.get("a"), Some(&Phase::Active));
        known.apply(watcher::Event::Apply(namespace("a", true)));
        assert_eq!(known.namespaces.get("a"), Some(&Phase::Terminating));
        known.apply(watcher::Event::Delete(namespace("a", true)));
        assert_eq!(known.namespaces.get("a"), None);
    }

    #[test]
    fn forgets_in_a_new_list_what_was_deleted_meanwhile() {
        let mut known = Known {
            is_forbidden: true,
            ..Known::default()
        };
        known.apply(watcher::Event::Apply(namespace("a", false)));
        known.apply(watcher::Event::Init);
        known.apply(watcher::Event::InitApply(namespace("b", false)));
        known.apply(watcher::Event::InitDone);
        let names: Vec<_> = known.namespaces.keys().collect();
        assert_eq!(names, ["b"]);
        assert!(!known.is_forbidden);
    }

    #[test]
    fn refuses_in_the_words_of_kubernetes() {
        let anchors = GroupResource {
            group: "g.example.com".into(),
            resource: "anchors".into(),
        };
        expect![[r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"anchors.g.example.com \"w\" is forbidden: unable to create new content in namespace a because it is being terminated","reason":"Forbidden","details":{"name":"w","group":"g.example.com","kind":"anchors","causes":[{"reason":"NamespaceTerminating","message":"namespace a is being terminated","field":"metadata.namespace"}]},"code":403}"#]]
            .assert_eq(&serde_json::to_string(&terminating("a", &anchors, "w")).unwrap_or_default());
        expect![[r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"namespaces \"a\" not found","reason":"NotFound","details":{"name":"a","kind":"namespaces"},"code":404}"#]]
            .assert_eq(&serde_json::to_string(&missing("a")).unwrap_or_default());
    }
}
