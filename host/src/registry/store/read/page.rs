//! The objects of a list: found once, walked as often as it takes to write them down.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{List, Selection};
use crate::api::status::Result;
use crate::registry::Store;
use crate::storage::continue_token::ContinueToken;
use crate::storage::watch_cache::{Attribute, CachedObject, Snapshot, Term, is_long_walk};

/// How many objects are looked at to see which of several terms selects the fewest.
const SAMPLE: usize = 1024;

/// Objects in the order of their keys. Where nothing selects among them they are not even counted: a list of a
/// million costs a snapshot.
#[derive(Debug, Clone)]
pub struct Objects(Source);

#[derive(Debug, Clone)]
enum Source {
    Found {
        objects: Vec<Arc<CachedObject>>,
        next: usize,
    },
    All {
        snapshot: Snapshot,
        prefix: String,
        /// The first key that was not visited yet.
        next: String,
    },
}

impl Objects {
    fn found(objects: Vec<Arc<CachedObject>>) -> Self {
        Self(Source::Found { objects, next: 0 })
    }

    /// Goes through what is left for as long as `visit` wants more; a later call goes on behind that.
    pub fn visit(&mut self, mut visit: impl FnMut(&Arc<CachedObject>) -> ControlFlow<()>) {
        match &mut self.0 {
            Source::Found { objects, next } => {
                for object in &objects[*next..] {
                    *next += 1;
                    if visit(object).is_break() {
                        return;
                    }
                }
            }
            Source::All {
                snapshot,
                prefix,
                next,
            } => {
                let mut last = None;
                for object in snapshot.range(prefix, next) {
                    last = Some(&object.key);
                    if visit(object).is_break() {
                        break;
                    }
                }
                if let Some(key) = last {
                    next.clear();
                    next.push_str(key);
                    // The key behind it.
                    next.push('\0');
                }
            }
        }
    }

    /// All that is left, at most `most`.
    pub fn take(&mut self, most: usize) -> Vec<Arc<CachedObject>> {
        let mut taken = Vec::new();
        if most > 0 {
            self.visit(|object| {
                taken.push(Arc::clone(object));
                match taken.len() < most {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            });
        }
        taken
    }
}

impl List {
    pub fn items(&self) -> Vec<Arc<CachedObject>> {
        self.objects.clone().take(usize::MAX)
    }
}

/// What looking for a selection's objects has cost.
pub(super) struct Walked {
    objects: usize,
    found: usize,
}

/// Up to `limit` selected objects, from the key `start` on.
///
/// # Errors
/// 500: some of them are there and cannot be read.
pub(super) fn page(
    store: &Store,
    snapshot: Snapshot,
    start: &str,
    limit: usize,
    selection: &Selection,
) -> Result<(List, Walked)> {
    let mut list = List {
        revision: snapshot.revision,
        objects: Objects::found(Vec::new()),
        continue_token: String::new(),
        remaining: None,
    };
    let mut walked = Walked {
        objects: 0,
        found: 0,
    };
    // One key at most: no walk through all the others.
    if let Some(key) = selection.only_key(store) {
        let found = snapshot.get(&key);
        let found = found.filter(|it| *it.key >= *start && selection.may_match(it));
        let found = store.readable(found.cloned())?;
        list.objects = Objects::found(found.into_iter().collect());
        return Ok((list, walked));
    }
    let prefix = selection.prefix(store);
    if limit == 0 && selection.is_everything() && !snapshot.may_be_unreadable() {
        list.objects = Objects(Source::All {
            snapshot,
            prefix,
            next: start.to_owned(),
        });
        return Ok((list, walked));
    }
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    let mut objects = snapshot.range(&prefix, start);
    while let Some(object) = objects.next() {
        walked.objects += 1;
        if object.problem().is_some() {
            let is_meant = selection.may_match(object);
            unreadable.extend(is_meant.then(|| Arc::clone(object)));
            continue;
        }
        if !selection.matches(object) {
            continue;
        }
        found.push(Arc::clone(object));
        if limit == 0 || found.len() < limit {
            continue;
        }
        // Whether there is an index must not show: without one, all that is left counts.
        let rest = match snapshot.is_narrowed() {
            true => usize::from(snapshot.has_more(&prefix, &object.key)),
            false => objects.count(),
        };
        if rest > 0 {
            let token = ContinueToken::after(&object.key, Some(snapshot.revision));
            list.continue_token = token.encode(&prefix);
            list.remaining = selection.is_everything().then_some(rest);
        }
        break;
    }
    if !unreadable.is_empty() {
        return Err(store.unreadable_status(&unreadable));
    }
    walked.found = found.len();
    list.objects = Objects::found(found);
    Ok((list, walked))
}

impl Store {
    /// Has the cache make an index where walks through all objects have found few of them.
    pub(super) async fn index_if_wanted(
        &self,
        snapshot: &Snapshot,
        terms: &[Term],
        walked: &Walked,
    ) {
        if !is_long_walk(walked.objects, walked.found) {
            return;
        }
        let Some(rarest) = rarest(snapshot, self.prefix(), terms) else {
            return;
        };
        if !self.cache.wants_index(rarest, walked.objects, walked.found) {
            return;
        }
        let (cache, attribute) = (Arc::clone(&self.cache), rarest.clone());
        let made = tokio::task::spawn_blocking(move || cache.index(attribute)).await;
        if let Err(error) = made {
            tracing::error!(resource = %self.definition.group_resource(), %error, "an index was not made: this is a bug");
        }
    }
}

/// The attribute whose value the fewest of some objects have.
fn rarest<'a>(snapshot: &Snapshot, prefix: &str, terms: &'a [Term]) -> Option<&'a Attribute> {
    let rarest = match terms {
        [] => None,
        [only] => Some(only),
        several => several.iter().min_by_key(|term| {
            let sample = snapshot.range(prefix, "").take(SAMPLE);
            sample.filter(|it| term.selects(it)).count()
        }),
    };
    rarest.map(|it| &it.attribute)
}
