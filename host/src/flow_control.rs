//! Caps on requests in flight (F2): so many reads, so many writes; watches and administrators are exempt.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::{RequestInfo, UserInfo};

/// `--max-requests-inflight` and `--max-mutating-requests-inflight` of the Go library.
const READS: usize = 400;
const WRITES: usize = 200;

pub struct FlowControl {
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
}

/// All seats are taken: 429, in text and with Retry-After, as upstream's filter answers.
#[derive(Debug)]
pub struct TooManyRequests;

impl Default for FlowControl {
    fn default() -> Self {
        Self::with_seats(READS, WRITES)
    }
}

impl FlowControl {
    pub fn with_seats(reads: usize, writes: usize) -> Self {
        Self {
            reads: Arc::new(Semaphore::new(reads)),
            writes: Arc::new(Semaphore::new(writes)),
        }
    }

    /// A seat for as long as the permit lives; `None` for what needs no seat.
    ///
    /// # Errors
    /// No seat is free: nobody waits, since kube-apiserver has queued the request already.
    pub fn acquire(
        &self,
        info: &RequestInfo,
        user: &UserInfo,
    ) -> Result<Option<OwnedSemaphorePermit>, TooManyRequests> {
        if info.is_long_running() || user.is_in_group("system:masters") {
            return Ok(None);
        }
        let is_read = matches!(info.verb.as_str(), "get" | "list" | "head" | "options");
        let seats = if is_read { &self.reads } else { &self.writes };
        Arc::clone(seats)
            .try_acquire_owned()
            .map(Some)
            .map_err(|_| TooManyRequests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_writes_beyond_the_cap_and_still_reads() {
        let flow_control = FlowControl::default();
        let request = |verb: &str| RequestInfo {
            verb: verb.into(),
            ..RequestInfo::default()
        };
        let joe = UserInfo::default();
        let held: Vec<_> = (0..WRITES)
            .map(|_| {
                flow_control
                    .acquire(&request("create"), &joe)
                    .expect("a seat")
            })
            .collect();
        assert!(flow_control.acquire(&request("update"), &joe).is_err());
        assert!(flow_control.acquire(&request("get"), &joe).is_ok());
        assert!(flow_control.acquire(&request("watch"), &joe).is_ok());
        let admin = UserInfo {
            groups: vec!["system:masters".into()],
            ..UserInfo::default()
        };
        assert!(flow_control.acquire(&request("update"), &admin).is_ok());
        drop(held);
        assert!(flow_control.acquire(&request("update"), &joe).is_ok());
    }
}
