//! `request`: who asks, and how long there is.

use serde_json::json;
use tokio::time::Instant;

use super::super::contract::v1::imported::request::Host;
use super::super::instance::CallState;
use super::Access;

impl Host for CallState {
    async fn user(&mut self) -> wasmtime::Result<String> {
        let Access::Granted { context, .. } = &self.access else {
            return Ok("{}".into());
        };
        let user = &context.user;
        let info = json!({
            "username": user.name, "uid": user.uid, "groups": user.groups, "extra": user.extra,
        });
        Ok(info.to_string())
    }

    async fn id(&mut self) -> wasmtime::Result<String> {
        let Access::Granted { context, .. } = &self.access else {
            return Ok(String::new());
        };
        Ok(context.id.to_string())
    }

    async fn remaining_ms(&mut self) -> wasmtime::Result<u32> {
        let remaining = self.deadline.saturating_duration_since(Instant::now());
        Ok(u32::try_from(remaining.as_millis()).unwrap_or(u32::MAX))
    }
}
