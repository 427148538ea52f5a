//! The request that is being served.

use std::collections::BTreeMap;

use serde::Deserialize;

#[cfg(target_arch = "wasm32")]
use crate::bindings::outrigger::plugin::request as host;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::request as host;

/// Who asks: UserInfo of authentication.k8s.io/v1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct User {
    /// The name, e.g. `system:serviceaccount:default:shop`.
    pub username: String,
    /// Its unique id, where the cluster knows one; else empty.
    pub uid: String,
    /// The groups that it is in, e.g. `system:authenticated`.
    pub groups: Vec<String>,
    /// What else the cluster knows about it.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Who asks.
pub fn user() -> User {
    serde_json::from_str(&host::user()).unwrap_or_default()
}

/// The request's Audit-Id.
pub fn id() -> String {
    host::id()
}

/// How long this call may still run, in milliseconds.
pub fn remaining_ms() -> u32 {
    host::remaining_ms()
}
