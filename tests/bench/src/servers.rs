//! The servers that are asked the same things: the product, and where they are there, its peers.

pub(crate) mod peers;
pub(crate) mod product;

use outrigger_tests::client::Client;
use rustix::process::Pid;

/// One of them, as its clients see it.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// Of an administrator with a certificate.
    pub(crate) client: Client,
    /// All processes that belong to it.
    pub(crate) pids: Vec<Pid>,
}
