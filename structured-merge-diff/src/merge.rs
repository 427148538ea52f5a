//! What an update or an apply makes of the owners of fields, and what an apply makes of the object.
//!
//! Managers may have written in other versions than the request's. Objects are converted for them by a [`Converter`],
//! which may take its time: that is why these functions are async. They wait for nothing else.

mod conflict;
mod covered;
mod prune;
mod updater;

#[cfg(test)]
mod tests;

use std::future::Future;

use thiserror::Error;

pub use conflict::{Conflict, Conflicts};
pub use updater::{Applied, Updater};

use crate::fieldpath::ApiVersion;
use crate::typed::TypedValue;

/// Converts objects between versions.
pub trait Converter: Sync {
    /// The object in that version. If it is in that version already: a copy of it, which is cheap.
    fn convert(
        &self,
        object: &TypedValue,
        version: &ApiVersion,
    ) -> impl Future<Output = Result<TypedValue, ConvertError>> + Send;
}

/// Why an object was not converted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConvertError {
    /// The version is no longer there. Its managers are forgotten.
    #[error("no version {0}")]
    MissingVersion(ApiVersion),
    /// The conversion failed, and with it the request.
    #[error("{0}")]
    Failed(String),
}

/// Why an update or an apply failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UpdateError {
    /// Others own what would be changed.
    #[error("{0}")]
    Conflicts(Conflicts),
    /// Something else, in the words of Go's library.
    #[error("{0}")]
    Failed(String),
}

impl UpdateError {
    fn failed(doing: &str, err: impl std::fmt::Display) -> Self {
        Self::Failed(format!("failed to {doing}: {err}"))
    }
}

/// The converter of objects that have one version: it converts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct OneVersion;

impl Converter for OneVersion {
    async fn convert(
        &self,
        object: &TypedValue,
        _version: &ApiVersion,
    ) -> Result<TypedValue, ConvertError> {
        Ok(object.clone())
    }
}
