//! What the operator has set for the plugin.

use serde::de::DeserializeOwned;

use crate::Failure;
#[cfg(target_arch = "wasm32")]
use crate::bindings::outrigger::plugin::config as host;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::config as host;

/// The plugin's settings, a JSON object; `{}` where there are none.
///
/// # Errors
/// 500 `InternalError` where they do not fit the type.
pub fn settings<T: DeserializeOwned>() -> Result<T, Failure> {
    serde_json::from_str(&host::settings()).map_err(|error| {
        Failure::internal(&format!("the plugin's settings cannot be read: {error}"))
    })
}
