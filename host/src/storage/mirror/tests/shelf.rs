//! A backend for tests: it has a life of its own, and can be held, broken and asked what it was called for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::Notify;

use crate::api::status::{self, Result};
use crate::api::{GroupResource, Object, RequestContext};
use crate::storage::mirror::{Backend, BackendChanges, BackendPage, BackendTarget};

/// Somebody's system, which others than the host change too.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) state: Mutex<ShelfState>,
    /// A poll waits for it.
    pub(super) changed: Notify,
    /// While set, a list waits with its answer in hand, having told that it has one.
    pub(super) hold_lists: Option<(Notify, Notify)>,
    pub(super) has_no_versions: bool,
}

#[derive(Default)]
pub(super) struct ShelfState {
    pub(super) objects: BTreeMap<(String, String), Object>,
    version: u64,
    log: Vec<(bool, Object)>,
    calls: Vec<String>,
    pub(super) resync: bool,
    pub(super) is_broken: bool,
}

impl Shelf {
    /// Somebody puts an object there.
    pub(super) fn put(&self, name: &str, color: &str) {
        self.put_object(name, json!({"color": color}), "");
    }

    pub(super) fn put_object(&self, name: &str, spec: serde_json::Value, uid: &str) -> Object {
        let (namespace, name) = name.split_once('/').unwrap();
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        let mut object = Object(json!({"spec": spec}).as_object().unwrap().clone());
        object.set_meta("name", name);
        object.set_meta("namespace", namespace);
        object.set_meta("uid", uid);
        if !self.has_no_versions {
            object.set_meta("resourceVersion", &format!("v{}", state.version));
        }
        let at = (namespace.to_owned(), name.to_owned());
        state.objects.insert(at, object.clone());
        state.log.push((true, object.clone()));
        self.changed.notify_waiters();
        object
    }

    /// Somebody takes an object away.
    pub(super) fn take(&self, name: &str) {
        let (namespace, name) = name.split_once('/').unwrap();
        let mut state = self.state.lock().unwrap();
        let gone = state
            .objects
            .remove(&(namespace.to_owned(), name.to_owned()));
        state.log.push((false, gone.unwrap()));
        self.changed.notify_waiters();
    }

    /// The calls since the last look.
    pub(super) fn calls(&self) -> String {
        std::mem::take(&mut self.state.lock().unwrap().calls).join(", ")
    }

    fn begin(&self, call: &str, target: BackendTarget<'_>, version: Option<&str>) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        let name = target.name.unwrap_or("*");
        let version = version.map(|it| format!("@{it}")).unwrap_or_default();
        state.calls.push(format!("{call} {name}{version}"));
        if state.is_broken {
            return Err(status::unavailable("the shelf fell", 7));
        }
        Ok(())
    }

    /// The object, as expected.
    fn find(&self, target: BackendTarget<'_>, version: Option<&str>) -> Result<Object> {
        let (namespace, name) = (target.namespace.unwrap(), target.name.unwrap());
        let state = self.state.lock().unwrap();
        let found = state.objects.get(&(namespace.to_owned(), name.to_owned()));
        let found = found.ok_or_else(|| status::not_found(&anchors(), name))?;
        if version.is_some_and(|it| it != found.resource_version()) {
            return Err(status::modified(&anchors(), name));
        }
        Ok(found.clone())
    }
}

fn anchors() -> GroupResource {
    GroupResource {
        group: "g".into(),
        resource: "anchors".into(),
    }
}

#[async_trait]
impl Backend for Shelf {
    async fn get(&self, _: &RequestContext, target: BackendTarget<'_>) -> Result<Object> {
        self.begin("get", target, None)?;
        self.find(target, None)
    }

    async fn list(
        &self,
        _: &RequestContext,
        namespace: Option<&str>,
        _limit: u32,
        next: Option<String>,
    ) -> Result<BackendPage> {
        let target = BackendTarget {
            namespace,
            name: None,
        };
        self.begin("list", target, None)?;
        let all: Vec<Object> = {
            let state = self.state.lock().unwrap();
            let objects = state.objects.values();
            let wanted = objects.filter(|it| namespace.is_none_or(|ns| it.namespace() == ns));
            wanted.cloned().collect()
        };
        if let Some((reached, go_on)) = &self.hold_lists {
            reached.notify_one();
            go_on.notified().await;
        }
        // Pages of two.
        let from: usize = next.map_or(0, |it| it.parse().unwrap());
        let items: Vec<Object> = all.iter().skip(from).take(2).cloned().collect();
        let to = from + items.len();
        let next = (to < all.len()).then(|| to.to_string());
        Ok(BackendPage { items, next })
    }

    async fn create(
        &self,
        _: &RequestContext,
        target: BackendTarget<'_>,
        object: &Object,
    ) -> Result<Object> {
        self.begin("create", target, None)?;
        if self.find(target, None).is_ok() {
            return Err(status::already_exists(&anchors(), target.name.unwrap()));
        }
        assert!(object.metadata().get("managedFields").is_none());
        let name = format!("{}/{}", object.namespace(), object.name());
        // It adds something of its own.
        let mut spec = object.0["spec"].clone();
        spec["shelf"] = "top".into();
        Ok(self.put_object(&name, spec, ""))
    }

    async fn update(
        &self,
        _: &RequestContext,
        target: BackendTarget<'_>,
        object: &Object,
        expect_version: Option<&str>,
    ) -> Result<Object> {
        self.begin("update", target, expect_version)?;
        self.find(target, expect_version)?;
        let name = format!("{}/{}", object.namespace(), object.name());
        Ok(self.put_object(&name, object.0["spec"].clone(), ""))
    }

    async fn delete(
        &self,
        _: &RequestContext,
        target: BackendTarget<'_>,
        expect_version: Option<&str>,
    ) -> Result<()> {
        self.begin("delete", target, expect_version)?;
        self.find(target, expect_version)?;
        self.take(&format!(
            "{}/{}",
            target.namespace.unwrap(),
            target.name.unwrap()
        ));
        Ok(())
    }

    async fn poll(
        &self,
        _: &RequestContext,
        cursor: Option<String>,
        max_wait_ms: u32,
        _limit: u32,
    ) -> Result<BackendChanges> {
        let from: usize = cursor.map_or(0, |it| it.parse().unwrap());
        let wait = Duration::from_millis(max_wait_ms.into());
        let _ = tokio::time::timeout(wait, async {
            loop {
                let changed = self.changed.notified();
                if self.state.lock().unwrap().log.len() > from {
                    break;
                }
                changed.await;
            }
        })
        .await;
        let mut state = self.state.lock().unwrap();
        let (changed, deleted): (Vec<_>, Vec<_>) = state.log[from..]
            .iter()
            .cloned()
            .partition(|(is_there, _)| *is_there);
        Ok(BackendChanges {
            changed: changed.into_iter().map(|(_, it)| it).collect(),
            deleted: deleted.into_iter().map(|(_, it)| it).collect(),
            cursor: state.log.len().to_string(),
            resync: std::mem::take(&mut state.resync),
        })
    }
}
