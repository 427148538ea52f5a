//! Versions of the contract with plugins, each by itself; grants are enforced below them, never in them.

pub(crate) mod v1;
