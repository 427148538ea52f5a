//! Who does what only one replica may do: register and unregister APIService objects.
//!
//! An embedded store has one owner, which leads without asking anybody. Replicas that share an etcd elect one of them
//! by a [`Lease`](super::lease). The leader registers what it serves itself, and nothing else; the others touch no
//! APIService. So what a rolling update adds is registered, and what it removes is unregistered, once a new replica
//! leads: at the latest when the last old one has ended.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// Who leads, as far as is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leader {
    Ourselves,
    /// Its identity: `HOST_UUID`.
    Other(Arc<str>),
    Unknown,
}

impl fmt::Display for Leader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ourselves => f.write_str("this replica"),
            Self::Other(identity) => write!(f, "replica {identity}"),
            Self::Unknown => f.write_str("no replica"),
        }
    }
}

/// Follows who leads. Nothing is fenced by it: what a leader does must do no harm where another has just taken over.
#[derive(Clone)]
pub struct Leadership(watch::Receiver<Leader>);

impl Leadership {
    /// Of the one process that there can be.
    pub fn alone() -> Self {
        Self(watch::Sender::new(Leader::Ourselves).subscribe())
    }

    pub(super) fn followed(leader: watch::Receiver<Leader>) -> Self {
        Self(leader)
    }

    pub fn is_ours(&self) -> bool {
        *self.0.borrow() == Leader::Ourselves
    }

    pub fn leader(&self) -> Leader {
        self.0.borrow().clone()
    }

    /// Returns when another leads than at the last call.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody is elected any more.
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_alone_leads() {
        let leadership = Leadership::alone();
        assert!(leadership.is_ours());
        assert_eq!(leadership.leader().to_string(), "this replica");
    }
}
