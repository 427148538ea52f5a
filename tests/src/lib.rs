//! The harness of the integration and end-to-end tests: real programs, real sockets, temporary folders.
//!
//! Everything that it starts ends with the value that owns it, by its process id. Nothing waits for a fixed
//! time: [`wait::until`] asks again until a deadline.

pub mod anchors;
pub mod artifacts;
pub mod certificates;
pub mod client;
pub mod cluster;
pub mod controller_manager;
pub mod host;
pub mod installed;
pub mod kubeconfig;
pub mod kubectl;
pub mod line;
pub mod linearizability;
pub mod load;
pub mod pod;
pub mod process;
pub mod random;
pub mod recording;
pub mod tally;
pub mod wait;

/// The plugin in README.md, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
