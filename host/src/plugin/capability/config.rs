//! `config`: the settings that the operator gave the plugin.

use super::super::contract::v1::imported::config::Host;
use super::super::instance::CallState;

impl Host for CallState {
    async fn settings(&mut self) -> wasmtime::Result<String> {
        Ok(self.capabilities.settings.to_string())
    }
}
