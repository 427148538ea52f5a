//! A store that is still being opened, for what can begin before it is: who uses it waits.
//!
//! A process that takes a folder over from another loads its plugins meanwhile. What clients ask for does not come this
//! way: it goes to the opened store itself.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Item, Revision, Scope, Sink, Storage, StorageError, Write};
use crate::api::RequestContext;

/// See [`late`].
#[derive(Clone)]
pub struct LateStorage(watch::Receiver<State>);

/// Says how far the opening is. Where it is dropped before the store is open, there will be none.
pub struct Opening(watch::Sender<State>);

enum State {
    Opening { why: String },
    Open(Arc<dyn Storage>),
}

/// A store that is not open yet, and who says when it is.
pub fn late() -> (Opening, LateStorage) {
    let why = "it is being opened".to_owned();
    let (sender, receiver) = watch::channel(State::Opening { why });
    (Opening(sender), LateStorage(receiver))
}

impl Opening {
    /// Says what it takes so long for.
    pub fn waits(&self, why: String) {
        self.0.send_replace(State::Opening { why });
    }

    pub fn opened(&self, storage: Arc<dyn Storage>) {
        self.0.send_replace(State::Open(storage));
    }
}

impl LateStorage {
    /// The store itself, once it is open.
    ///
    /// # Errors
    /// It could not be opened.
    pub async fn opened(&self) -> Result<Arc<dyn Storage>, StorageError> {
        let mut state = self.0.clone();
        loop {
            if let Some(storage) = self.now() {
                return Ok(storage);
            }
            if state.changed().await.is_err() {
                return self.now().ok_or_else(|| {
                    StorageError::ReadOnly("it could not be opened, the server stops".into())
                });
            }
        }
    }

    fn now(&self) -> Option<Arc<dyn Storage>> {
        match &*self.0.borrow() {
            State::Open(storage) => Some(Arc::clone(storage)),
            State::Opening { .. } => None,
        }
    }
}

#[async_trait]
impl Storage for LateStorage {
    async fn attach(&self, prefix: &str, sink: Arc<dyn Sink>) -> Result<(), StorageError> {
        self.opened().await?.attach(prefix, sink).await
    }

    async fn refresh(
        &self,
        context: &RequestContext,
        scope: Scope<'_>,
    ) -> Result<Revision, StorageError> {
        self.opened().await?.refresh(context, scope).await
    }

    async fn commit(
        &self,
        context: &RequestContext,
        writes: Vec<Write>,
    ) -> Result<Revision, StorageError> {
        self.opened().await?.commit(context, writes).await
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, StorageError> {
        self.opened().await?.get(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        start: &str,
        limit: usize,
    ) -> Result<Vec<Item>, StorageError> {
        self.opened().await?.list(prefix, start, limit).await
    }

    fn current_revision(&self) -> Revision {
        self.now()
            .map_or_else(Revision::default, |it| it.current_revision())
    }

    fn is_shared(&self) -> bool {
        self.now().is_some_and(|it| it.is_shared())
    }

    fn trouble(&self) -> Option<String> {
        match &*self.0.borrow() {
            State::Open(storage) => storage.trouble(),
            State::Opening { why } => Some(why.clone()),
        }
    }

    fn is_dead(&self) -> bool {
        self.now().is_some_and(|it| it.is_dead())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Expected;
    use crate::storage::conformance::{Subject, conformance, context, put};
    use crate::storage::memory::MemoryStorage;

    fn subject() -> Subject {
        let (opening, storage) = late();
        opening.opened(Arc::new(MemoryStorage::new()));
        Subject::new(Arc::new(storage), ())
    }

    conformance!(subject());

    #[tokio::test]
    async fn waits_until_it_is_open() {
        let (opening, storage) = late();
        assert_eq!(storage.trouble().as_deref(), Some("it is being opened"));
        let write = vec![put("a/x", "1", Expected::Absent)];
        let context = context();
        let commit = storage.commit(&context, write);
        let open = async {
            opening.waits("process 7 uses it".into());
            assert_eq!(storage.trouble().as_deref(), Some("process 7 uses it"));
            opening.opened(Arc::new(MemoryStorage::new()));
        };
        let (committed, ()) = tokio::join!(commit, open);
        assert_eq!(committed.expect("it is open"), storage.current_revision());
        assert_eq!(storage.trouble(), None);
    }

    #[tokio::test]
    async fn fails_where_it_is_never_opened() {
        let (opening, storage) = late();
        drop(opening);
        assert!(storage.get("a").await.is_err());
    }
}
