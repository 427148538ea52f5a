//! What could be reached: libraries and the machine, without what is ours.

pub(crate) mod engine;
pub(crate) mod scan;
pub(crate) mod static_server;
pub(crate) mod store;
