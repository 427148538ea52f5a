//! `objects`: host-stored objects of the groups that the plugin serves, and of no others.

use std::sync::Arc;

use bytes::Bytes;

use super::super::Lister;
use super::super::contract::v1::imported::objects::Host;
use super::super::contract::v1::imported::types::Failure;
use super::super::instance::CallState;
use super::{denied, failure, refused};
use crate::api::{GroupVersionResource, RequestContext};

impl CallState {
    fn readable(
        &self,
        group: String,
        version: String,
        resource: String,
    ) -> Result<(Arc<dyn Lister>, RequestContext, GroupVersionResource), Failure> {
        let (context, groups) = self.access.granted("objects")?;
        let Some(lister) = &self.capabilities.lister else {
            return Err(denied(
                "the plugin was not granted `objects`: see `spec.grants.objects` of its Plugin document",
            ));
        };
        if !groups.contains(&group) {
            return Err(denied(&format!(
                "the group {group:?} is not one that this plugin serves"
            )));
        }
        let resource = GroupVersionResource {
            group,
            version,
            resource,
        };
        let mut context = context.clone();
        context.deadline = context.deadline.min(self.deadline);
        Ok((Arc::clone(lister), context, resource))
    }
}

fn text(json: Bytes) -> Result<String, Failure> {
    String::from_utf8(json.into())
        .map_err(|_| failure(500, "InternalError", "a stored object is not UTF-8"))
}

impl Host for CallState {
    async fn get(
        &mut self,
        group: String,
        version: String,
        resource: String,
        namespace: Option<String>,
        name: String,
    ) -> wasmtime::Result<Result<Option<String>, Failure>> {
        let (lister, context, resource) = match self.readable(group, version, resource) {
            Ok(readable) => readable,
            Err(denied) => return Ok(Err(denied)),
        };
        let found = lister
            .get(&context, &resource, namespace.as_deref(), &name)
            .await;
        Ok(match found {
            Ok(object) => object.map(text).transpose(),
            Err(status) => Err(refused(&status)),
        })
    }

    async fn list(
        &mut self,
        group: String,
        version: String,
        resource: String,
        namespace: Option<String>,
        label_selector: String,
    ) -> wasmtime::Result<Result<Vec<String>, Failure>> {
        let (lister, context, resource) = match self.readable(group, version, resource) {
            Ok(readable) => readable,
            Err(denied) => return Ok(Err(denied)),
        };
        let found = lister
            .list(&context, &resource, namespace.as_deref(), &label_selector)
            .await;
        Ok(match found {
            Ok(objects) => objects.into_iter().map(text).collect(),
            Err(status) => Err(refused(&status)),
        })
    }
}
