//! Outrigger: one extension API server for a Kubernetes cluster. Modules in reading order.

pub mod admission;
pub mod ambient;
pub mod api;
pub mod authentication;
pub mod authorization;
pub mod certificates;
pub mod cluster;
pub mod endpoints;
pub mod metrics;
pub mod plugin;
pub mod registry;
pub mod serving;
pub mod shutdown;
pub mod storage;
