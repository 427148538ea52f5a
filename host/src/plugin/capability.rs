//! What a guest may import, each granted by itself. A function that is not granted is a typed denial: 403.

mod config;
pub(crate) mod kv;
pub(crate) mod log;
mod objects;
mod request;
pub(crate) mod wasi;

use std::sync::Arc;

use self::kv::KeyValue;
use self::log::PluginLog;
use super::Lister;
use super::contract::v1::imported::types::{self, Failure};
use super::instance::CallState;
use crate::api::{RequestContext, Status};

/// What one plugin was granted.
#[derive(Clone)]
pub(crate) struct Capabilities {
    pub(crate) plugin: Arc<str>,
    /// JSON.
    pub(crate) settings: Arc<str>,
    pub(crate) log: Arc<PluginLog>,
    /// `None`: not granted.
    pub(crate) kv: Option<Arc<KeyValue>>,
    /// `None`: not granted.
    pub(crate) lister: Option<Arc<dyn Lister>>,
}

/// What one call may do with the grants.
pub(crate) enum Access {
    /// While it is asked for its manifest.
    Nothing,
    /// In `convert`, whose answer depends on its arguments alone.
    Deterministic,
    Granted {
        context: RequestContext,
        /// Those that the plugin serves.
        groups: Arc<[String]>,
    },
}

impl Access {
    /// # Errors
    /// Why this call may not use `interface`.
    fn granted(&self, interface: &str) -> Result<(&RequestContext, &[String]), Failure> {
        match self {
            Self::Granted { context, groups } => Ok((context, groups)),
            Self::Nothing => Err(denied(&format!(
                "`{interface}` cannot be used in `manifest.describe`"
            ))),
            Self::Deterministic => Err(denied(&format!(
                "`{interface}` cannot be used in `convert`"
            ))),
        }
    }
}

fn denied(message: &str) -> Failure {
    failure(403, "Forbidden", message)
}

fn failure(code: u16, reason: &str, message: impl Into<String>) -> Failure {
    Failure {
        code,
        reason: reason.into(),
        message: message.into(),
        causes: Vec::new(),
        retry_after_seconds: None,
    }
}

/// What a host function was answered, handed on to the guest.
fn refused(status: &Status) -> Failure {
    let details = status.details.clone().unwrap_or_default();
    Failure {
        code: status.code,
        reason: status.reason.clone(),
        message: status.message.clone(),
        causes: details
            .causes
            .into_iter()
            .map(|cause| types::Cause {
                reason: cause.reason,
                field: cause.field,
                message: cause.message,
            })
            .collect(),
        retry_after_seconds: (details.retry_after_seconds > 0)
            .then_some(details.retry_after_seconds),
    }
}

impl types::Host for CallState {}
