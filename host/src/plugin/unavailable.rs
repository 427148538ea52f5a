//! The strategy of a plugin that cannot be called: what it stores can be read and deleted, not written.

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use crate::api::status::{self, Result};
use crate::api::{Object, RequestContext, Status};
use crate::registry::Strategy;
use crate::registry::strategy::{Target, WriteHooks};
use crate::storage::mirror::{Backend, BackendChanges, BackendPage, BackendTarget};

const RETRY_AFTER_SECONDS: u32 = 5;

#[derive(Clone)]
pub(super) struct Unavailable {
    plugin: String,
}

impl Unavailable {
    pub(super) fn new(plugin: &str) -> Self {
        Self {
            plugin: plugin.to_owned(),
        }
    }

    fn refuse<T>(&self) -> Result<T> {
        let text = format!("the plugin {:?} could not be loaded", self.plugin);
        Err(status::unavailable(text, RETRY_AFTER_SECONDS))
    }
}

#[async_trait]
impl Strategy for Unavailable {
    fn begin(&self, _: &RequestContext) -> Box<dyn WriteHooks> {
        Box::new(self.clone())
    }

    async fn convert(&self, _: &RequestContext, _: &str, _: Vec<Bytes>) -> Result<Vec<Bytes>> {
        self.refuse()
    }

    async fn cells(&self, _: &RequestContext, _: &Target, _: Vec<Bytes>) -> Result<Vec<Value>> {
        self.refuse()
    }
}

#[async_trait]
impl WriteHooks for Unavailable {
    async fn default(&mut self, _: &Target, _: Object) -> Result<Object> {
        self.refuse()
    }

    async fn prepare(
        &mut self,
        _: &Target,
        _: Object,
        _: Option<&Object>,
        _: &mut Vec<String>,
    ) -> Result<Object> {
        self.refuse()
    }

    async fn validate(
        &mut self,
        _: &Target,
        _: &Object,
        _: Option<&Object>,
        _: &mut Vec<String>,
    ) -> Result<(), Box<Status>> {
        self.refuse()
    }
}

#[async_trait]
impl Backend for Unavailable {
    async fn get(&self, _: &RequestContext, _: BackendTarget<'_>) -> Result<Object> {
        self.refuse()
    }

    async fn list(
        &self,
        _: &RequestContext,
        _: Option<&str>,
        _: u32,
        _: Option<String>,
    ) -> Result<BackendPage> {
        self.refuse()
    }

    async fn create(&self, _: &RequestContext, _: BackendTarget<'_>, _: &Object) -> Result<Object> {
        self.refuse()
    }

    async fn update(
        &self,
        _: &RequestContext,
        _: BackendTarget<'_>,
        _: &Object,
        _: Option<&str>,
    ) -> Result<Object> {
        self.refuse()
    }

    async fn delete(
        &self,
        _: &RequestContext,
        _: BackendTarget<'_>,
        _: Option<&str>,
    ) -> Result<()> {
        self.refuse()
    }

    async fn poll(
        &self,
        _: &RequestContext,
        _: Option<String>,
        _: u32,
        _: u32,
    ) -> Result<BackendChanges> {
        self.refuse()
    }
}
