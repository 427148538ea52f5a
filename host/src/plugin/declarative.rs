//! The strategy of a CustomResourceDefinition: its schema is all of its rules, and its versions differ in
//! their name only.

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use super::contract::v1::relabel;
use crate::api::status::{self, Result};
use crate::api::{GroupVersion, Object, RequestContext};
use crate::registry::Strategy;
use crate::registry::strategy::{Target, WriteHooks};

pub(super) struct Declarative {
    group: String,
}

impl Declarative {
    pub(super) fn new(group: &str) -> Self {
        Self {
            group: group.to_owned(),
        }
    }
}

#[async_trait]
impl Strategy for Declarative {
    fn begin(&self, _: &RequestContext) -> Box<dyn WriteHooks> {
        Box::new(NoHooks)
    }

    async fn convert(
        &self,
        _: &RequestContext,
        to_version: &str,
        items: Vec<Bytes>,
    ) -> Result<Vec<Bytes>> {
        let api_version = GroupVersion::new(&self.group, to_version).to_string();
        relabel(&api_version, items)
    }

    fn only_relabels(&self) -> bool {
        true
    }

    async fn cells(&self, _: &RequestContext, _: &Target, _: Vec<Bytes>) -> Result<Vec<Value>> {
        Err(status::internal("a definition computes no columns"))
    }
}

struct NoHooks;

#[async_trait]
impl WriteHooks for NoHooks {
    async fn default(&mut self, _: &Target, object: Object) -> Result<Object> {
        Ok(object)
    }

    async fn prepare(
        &mut self,
        _: &Target,
        new: Object,
        _: Option<&Object>,
        _: &mut Vec<String>,
    ) -> Result<Object> {
        Ok(new)
    }

    async fn validate(
        &mut self,
        _: &Target,
        _: &Object,
        _: Option<&Object>,
        _: &mut Vec<String>,
    ) -> Result<()> {
        Ok(())
    }
}
