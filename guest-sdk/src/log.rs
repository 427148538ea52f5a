//! The plugin's log: lines of the host's own log, with the plugin's name and the request's id.
//!
//! ```
//! use outrigger_sdk::log;
//!
//! let color = "grue";
//! log::warn!("nobody has seen {color}");
//! ```

#[cfg(target_arch = "wasm32")]
use crate::bindings::outrigger::plugin::log as host;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::log as host;

pub use crate::{
    __log_debug as debug, __log_error as error, __log_info as info, __log_warn as warn,
};

/// Writes a line with fields. `level` is `error`, `warn`, `info`, `debug` or `trace`.
pub fn emit(level: &str, message: &str, fields: &[(&str, &str)]) {
    let fields: Vec<(String, String)> = fields
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    host::emit(level, message, &fields);
}

/// Writes a line for something that is broken; arguments as of `format!`.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_error { ($($text:tt)*) => { $crate::log::emit("error", &format!($($text)*), &[]) }; }

/// Writes a line for something that needs a look; arguments as of `format!`.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_warn { ($($text:tt)*) => { $crate::log::emit("warn", &format!($($text)*), &[]) }; }

/// Writes a line; arguments as of `format!`.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_info { ($($text:tt)*) => { $crate::log::emit("info", &format!($($text)*), &[]) }; }

/// Writes a line that only helps when something is searched for; arguments as of `format!`.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_debug { ($($text:tt)*) => { $crate::log::emit("debug", &format!($($text)*), &[]) }; }
