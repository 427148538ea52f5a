//! Outrigger: one extension API server for a Kubernetes cluster.
//!
//! [`server`] wires the parts: [`serving`] turns sockets into requests, [`endpoints`] answers them from the
//! [`registry`], whose stores stand on [`storage`] and on the strategies of [`plugin`]s. ARCHITECTURE.md walks
//! through all of it.

pub mod cli;
pub mod config;
pub mod server;

pub mod serving;

pub mod endpoints;

pub mod admission;
pub mod authentication;
pub mod authorization;
pub mod flow_control;

pub mod registry;

pub mod storage;

pub mod plugin;

pub mod cluster;

pub mod api;

pub mod ambient;
pub mod certificates;
pub mod metrics;
pub mod shutdown;
pub mod telemetry;
