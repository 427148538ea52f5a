//! The file of `--encryption-provider-config`, and its reload.
//!
//! It is compared by content, each second where it is reloaded at all, so that a Secret's volume and the renames of
//! other tools are the same to it. A broken new file never takes the place of a good one.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config;
use crate::plugin::digest_of;
use crate::storage::encrypted::Encryption;

const POLL: Duration = Duration::from_secs(1);

/// Which keys there are now, and what is wrong with those that were to come.
pub(super) struct EncryptionKeys {
    current: watch::Sender<Arc<Encryption>>,
    /// The failure of the last reload, until one succeeds.
    trouble: Mutex<Option<String>>,
}

impl EncryptionKeys {
    /// Follows the file on `tasks`, where it is to be.
    ///
    /// # Errors
    /// The file cannot be read or is not as it must be: one line that names it.
    pub(super) async fn open(
        source: Option<config::Encryption>,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<Arc<Self>> {
        let new = |encryption: Encryption| {
            Arc::new(Self {
                current: watch::Sender::new(Arc::new(encryption)),
                trouble: Mutex::default(),
            })
        };
        let Some(config::Encryption { file, is_reloaded }) = source else {
            return Ok(new(Encryption::none()));
        };
        let shown = file.display();
        let text = tokio::fs::read(&file).await;
        let text = text.with_context(|| {
            format!("the encryption configuration {shown} cannot be read: make it, or leave --encryption-provider-config out")
        })?;
        let encryption = Encryption::parse(&text)
            .map_err(|err| anyhow::anyhow!("the encryption configuration {shown}: {err}"))?;
        let keys = new(encryption);
        if is_reloaded {
            let following = Arc::clone(&keys);
            let seen = digest_of(&text);
            tasks.spawn(async move { following.follow(file, seen).await });
        }
        Ok(keys)
    }

    pub(super) fn current(&self) -> watch::Receiver<Arc<Encryption>> {
        self.current.subscribe()
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Never returns.
    async fn follow(&self, file: PathBuf, seen: String) {
        // Of the content, which is not kept: it has secrets.
        let mut seen: Result<String, String> = Ok(seen);
        loop {
            tokio::time::sleep(POLL).await;
            let text = tokio::fs::read(&file).await.map_err(|it| it.to_string());
            let now = text.as_deref().map(digest_of).map_err(Clone::clone);
            if now == seen {
                continue;
            }
            let parsed = text.and_then(|it| Encryption::parse(&it));
            let trouble = match parsed {
                Ok(encryption) => {
                    tracing::info!(file = %file.display(), "the encryption configuration has changed");
                    self.current.send_replace(Arc::new(encryption));
                    None
                }
                Err(err) => {
                    let text = format!(
                        "keeping the old encryption configuration: {}: {err}",
                        file.display()
                    );
                    tracing::warn!("{text}");
                    Some(text)
                }
            };
            *self.lock() = trouble;
            seen = now;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
