//! Reads: get, list and watch, all from the watch cache (KEP-2340).
//!
//! A consistent read asks the storage first what it must see ([`crate::storage::Storage::refresh`]); one with
//! `resourceVersion=0` sees what is there. A page of a list is read at the revision of its first page for as
//! long as the cache keeps that, at least 75 s; after that the client is told how to go on (C4).

mod page;
mod shared_frames;
mod versions;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use super::Store;
use crate::api::status::{self, Cause, Result};
use crate::api::{RequestContext, quote, strconv};
use crate::registry::selectors::{FieldSelector, LabelSelector};
use crate::storage::continue_token::ContinueToken;
use crate::storage::watch_cache::{CachedObject, Snapshot, Term};
use crate::storage::{Key, Revision, Scope};

pub use page::Objects;
pub use shared_frames::Frames;
pub(crate) use shared_frames::SharedFrames;
pub use versions::{ObjectAt, Shown};
pub use watching::{Change, ChangeKind, Step, Watch, WatchRefused, too_old};

/// How long a read waits for a revision that is not there yet (C1).
const FUTURE_REVISION_WAIT: Duration = Duration::from_secs(3);

/// Which objects a list or a watch is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Empty: all namespaces, or a cluster-scoped resource.
    pub namespace: String,
    /// Empty: any.
    pub name: String,
    pub labels: LabelSelector,
    pub fields: FieldSelector,
}

impl Selection {
    pub fn matches(&self, object: &CachedObject) -> bool {
        if self.is_everything() {
            return self.namespace.is_empty() || self.namespace == object.namespace();
        }
        let (namespace, name) = (object.namespace(), object.name());
        let attributes = &object.attributes;
        (self.namespace.is_empty() || self.namespace == namespace)
            && (self.name.is_empty() || self.name == name)
            && self.labels.matches(attributes.labels())
            && self.fields.matches(namespace, name, attributes.fields())
    }

    /// Whether it selects the object, or could if that could be read.
    fn may_match(&self, object: &CachedObject) -> bool {
        let is_meant = (self.namespace.is_empty() || self.namespace == object.namespace())
            && (self.name.is_empty() || self.name == object.name());
        match object.problem() {
            Some(_) => is_meant,
            None => self.matches(object),
        }
    }

    /// Whether it is all there is in its namespace.
    fn is_everything(&self) -> bool {
        self.name.is_empty() && self.labels.is_empty() && self.fields.is_empty()
    }

    /// What each selected object has for certain, and an index can be of.
    fn terms(&self) -> Vec<Term> {
        self.labels
            .exact()
            .chain(self.fields.exact_others())
            .collect()
    }

    /// The key of the one object that it can select, if there is only one.
    fn only_key(&self, store: &Store) -> Option<Key> {
        let is_one = !self.namespace.is_empty() || !store.definition().is_namespaced();
        (is_one && !self.name.is_empty()).then(|| store.key(&self.namespace, &self.name))
    }

    /// Key prefix of what it can select: ends in `/`.
    fn prefix(&self, store: &Store) -> String {
        if self.namespace.is_empty() {
            store.prefix().to_owned()
        } else {
            format!("{}{}/", store.prefix(), self.namespace)
        }
    }
}

/// `resourceVersionMatch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionMatch {
    NotOlderThan,
    Exact,
}

/// The options of a list or a watch, checked against each other.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    pub selection: Selection,
    /// As sent.
    pub resource_version: String,
    pub version_match: Option<VersionMatch>,
    /// 0: no limit.
    pub limit: usize,
    pub continue_token: String,
    /// Watches only. `None` is the old way: the state comes first where `resource_version` is none or 0, and
    /// nothing tells its end.
    pub send_initial_events: Option<bool>,
    pub allow_watch_bookmarks: bool,
}

/// Objects at one revision, in the order of their keys.
#[derive(Debug, Clone)]
pub struct List {
    pub revision: Revision,
    pub objects: Objects,
    /// Empty with the last page.
    pub continue_token: String,
    /// What is left behind this page; only known without selectors.
    pub remaining: Option<usize>,
}

impl Store {
    /// The object as it is now, or with a `resource_version` as it was at that revision or later.
    ///
    /// # Errors
    /// 404, 429 before the cache is loaded, 504 where the revision does not come.
    pub async fn get(
        &self,
        context: &RequestContext,
        namespace: &str,
        name: &str,
        resource_version: &str,
    ) -> Result<Arc<CachedObject>> {
        let found = match resource_version {
            "" => self.current(context, namespace, name).await?,
            _ => {
                let revision = parse_version(resource_version).map_err(status::unclassified)?;
                self.wait_for(revision).await?;
                self.readable(self.cache.get(&self.key(namespace, name)))?
            }
        };
        found.ok_or_else(|| status::not_found(&self.definition.group_resource(), name))
    }

    /// One page of the objects that `options` selects (1.11 of the API's documentation: which revision is read
    /// depends on `resourceVersion`, `resourceVersionMatch`, `limit` and `continue`).
    ///
    /// # Errors
    /// 400, 410 for a revision that is no longer kept, 429 before the cache is loaded, 504 for one that does
    /// not come.
    pub async fn list(&self, context: &RequestContext, options: &ListOptions) -> Result<List> {
        let selection = &options.selection;
        // Whatever is there answers at once, so pages of it would be worth nothing.
        let limit = match options.resource_version.as_str() {
            "0" => 0,
            _ => options.limit,
        };
        if !options.continue_token.is_empty() {
            let (snapshot, start) = self.continued(context, options).await?;
            return self.page(snapshot, &start, limit, selection).await;
        }
        let snapshot = match options.resource_version.as_str() {
            "" => {
                self.refresh(context, selection).await?;
                self.cache.snapshot()
            }
            version => {
                let revision = parse_version(version)
                    .map_err(|it| status::bad_request(format!("invalid resource version: {it}")))?;
                self.wait_for(revision).await?;
                // A limit without a match means exactly this revision: so old clients ask for pages. One
                // object has no pages.
                let is_exact = revision > Revision(0)
                    && match options.version_match {
                        Some(version_match) => version_match == VersionMatch::Exact,
                        None => options.limit > 0 && selection.only_key(self).is_none(),
                    };
                if is_exact {
                    self.cache.snapshot_at(revision).map_err(|_| {
                        status::expired("The resourceVersion for the provided list is too old.")
                    })?
                } else {
                    self.cache.snapshot()
                }
            }
        };
        self.page(snapshot, "", limit, selection).await
    }

    async fn page(
        &self,
        mut snapshot: Snapshot,
        start: &str,
        limit: usize,
        selection: &Selection,
    ) -> Result<List> {
        let terms = selection.terms();
        self.cache.narrow(&mut snapshot, &terms);
        let is_walk = !snapshot.is_narrowed() && !terms.is_empty();
        let walk = is_walk.then(|| snapshot.clone());
        let (list, walked) = page::page(self, snapshot, start, limit, selection)?;
        if let Some(snapshot) = walk {
            self.index_if_wanted(&snapshot, &terms, &walked).await;
        }
        Ok(list)
    }

    /// Where a paged list goes on: what it reads, and the key of its next object.
    async fn continued(
        &self,
        context: &RequestContext,
        options: &ListOptions,
    ) -> Result<(Snapshot, String)> {
        let prefix = options.selection.prefix(self);
        let token = ContinueToken::decode(&options.continue_token, &prefix)
            .map_err(|it| status::bad_request(format!("invalid continue token: {it}")))?;
        if !matches!(options.resource_version.as_str(), "" | "0") {
            return Err(status::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let Some(revision) = token.revision else {
            self.refresh(context, &options.selection).await?;
            return Ok((self.cache.snapshot(), token.start));
        };
        self.wait_for(revision).await?;
        match self.cache.snapshot_at(revision) {
            Ok(snapshot) => Ok((snapshot, token.start)),
            Err(_) => {
                let mut expired = status::expired(INCONSISTENT_CONTINUE);
                let token = ContinueToken {
                    revision: None,
                    start: token.start,
                };
                expired.metadata.continue_token = token.encode(&prefix);
                Err(expired)
            }
        }
    }

    /// Brings the cache up to date with everything that was committed before this call.
    async fn refresh(&self, context: &RequestContext, selection: &Selection) -> Result<()> {
        self.check_loaded()?;
        let scope = Scope {
            prefix: self.prefix(),
            namespace: Some(selection.namespace.as_str()).filter(|it| !it.is_empty()),
            name: Some(selection.name.as_str()).filter(|it| !it.is_empty()),
        };
        match self.storage.refresh(context, scope).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.storage_status(error, &selection.name)),
        }
    }

    /// Waits a little for `revision`: another server may have answered with it just now.
    async fn wait_for(&self, revision: Revision) -> Result<()> {
        self.wait_within(FUTURE_REVISION_WAIT, revision).await
    }

    async fn wait_within(&self, limit: Duration, revision: Revision) -> Result<()> {
        self.check_loaded()?;
        if self.cache.revision() >= revision {
            return Ok(());
        }
        let waiting = self.cache.wait_for(revision);
        if tokio::time::timeout(limit, waiting).await.is_ok() {
            return Ok(());
        }
        let current = self.cache.revision();
        let text = format!("Too large resource version: {revision}, current: {current}");
        Err(status::timeout(text, 1).with_causes(vec![Cause {
            reason: "ResourceVersionTooLarge".into(),
            message: "Too large resource version".into(),
            field: String::new(),
        }]))
    }

    /// Reads before the cache is loaded would see nothing and be believed.
    fn check_loaded(&self) -> Result<()> {
        if self.cache.is_loaded() {
            Ok(())
        } else {
            Err(status::too_many_requests("storage is (re)initializing", 1))
        }
    }
}

const INCONSISTENT_CONTINUE: &str = "The provided continue parameter is too old to display a consistent list \
    result. You can start a new list without the continue parameter, or use the continue token in this response \
    to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list \
    - objects that were created, modified, or deleted between the time the first chunk was returned and now may \
    show up in the list.";

/// A resourceVersion as Go parses it; the error has Go's words.
fn parse_version(text: &str) -> Result<Revision, String> {
    strconv::parse_uint(text)
        .map(Revision)
        .map_err(|why| format!("resourceVersion: Invalid value: {}: {why}", quote(text)))
}

#[cfg(test)]
pub(crate) mod tests;
