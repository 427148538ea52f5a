//! The hooks of a plugin as a [`Strategy`].

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use super::failure::{Subject, failed, refused};
use super::imported::types::{Failure, Target as GuestTarget};
use super::output;
use crate::api::status::{self, Result};
use crate::api::{GroupVersion, Object, RequestContext, Status};
use crate::plugin::instance::{CallError, Class, Instance, PluginRuntime};
use crate::registry::strategy::{Operation, Target, WriteHooks};
use crate::registry::{ResourceDefinition, Strategy};

/// A batch of objects for one call: they and their answers fit into the bytes that a call may move.
const BATCH_MAX_OBJECTS: usize = 256;
const BATCH_MAX_BYTES: usize = 2 << 20;

type CallResult<T> = std::result::Result<T, CallError>;

pub(crate) struct PluginStrategy {
    runtime: Arc<PluginRuntime>,
    /// Without a name.
    subject: Arc<Subject>,
}

impl PluginStrategy {
    pub(crate) fn new(runtime: &Arc<PluginRuntime>, definition: &ResourceDefinition) -> Self {
        Self {
            runtime: Arc::clone(runtime),
            subject: Arc::new(Subject {
                resource: definition.group_resource(),
                kind: definition.names.kind.clone(),
                name: String::new(),
            }),
        }
    }

    fn failed(&self, error: &CallError) -> Box<Status> {
        failed(self.runtime.name(), error)
    }
}

/// An answer that breaks the contract counts as a failure of the plugin.
pub(super) fn checked<T>(runtime: &PluginRuntime, answer: CallResult<T>) -> Result<T> {
    answer.map_err(|error| {
        runtime.count(false);
        failed(runtime.name(), &error)
    })
}

/// What a call answered: its result, or the guest's refusal as a Status, which names the subject.
pub(super) fn answer<T>(
    runtime: &PluginRuntime,
    subject: impl FnOnce() -> Subject,
    result: CallResult<std::result::Result<T, Failure>>,
) -> Result<T> {
    match result {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(failure)) => {
            let failure = checked(runtime, output::refusal(failure))?;
            Err(refused(&subject(), failure))
        }
        Err(error) => Err(failed(runtime.name(), &error)),
    }
}

pub(super) fn json(object: &Object) -> String {
    serde_json::to_string(&object.0).expect("a map of JSON values is JSON")
}

fn guest_target(target: &Target, context: &RequestContext) -> GuestTarget {
    let operation = match target.operation {
        Operation::Create => "create",
        Operation::Update => "update",
    };
    GuestTarget {
        group: target.group.clone(),
        version: target.version.clone(),
        resource: target.resource.clone(),
        subresource: target.subresource.clone(),
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        verb: target.verb.clone(),
        operation: operation.into(),
        dry_run: context.dry_run,
    }
}

/// Splits objects so that each part fits into one call.
fn batches(items: &[String]) -> Vec<&[String]> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, item) in items.iter().enumerate() {
        let is_full = index - start >= BATCH_MAX_OBJECTS || bytes + item.len() > BATCH_MAX_BYTES;
        if is_full && index > start {
            batches.push(&items[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += item.len();
    }
    if start < items.len() {
        batches.push(&items[start..]);
    }
    batches
}

fn texts(items: Vec<Bytes>) -> Result<Vec<String>> {
    let texts = items.into_iter().map(|item| String::from_utf8(item.into()));
    texts
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| status::internal("a stored object is not UTF-8"))
}

#[async_trait]
impl Strategy for PluginStrategy {
    fn begin(&self, context: &RequestContext) -> Box<dyn WriteHooks> {
        Box::new(PluginWrite {
            runtime: Arc::clone(&self.runtime),
            subject: Arc::clone(&self.subject),
            context: context.clone(),
            instance: None,
        })
    }

    async fn convert(
        &self,
        context: &RequestContext,
        to_version: &str,
        items: Vec<Bytes>,
    ) -> Result<Vec<Bytes>> {
        let group = &self.subject.resource.group;
        let api_version = GroupVersion::new(group, to_version).to_string();
        let Some(convert) = &self.runtime.hooks.convert else {
            return relabel(&api_version, items);
        };
        if items.is_empty() {
            return Ok(items);
        }
        let items = texts(items)?;
        let instance = self.runtime.instance(context, Class::Convert).await;
        let mut instance = instance.map_err(|error| self.failed(&error))?;
        let limits = self.runtime.limits(Class::Convert);
        let mut converted = Vec::with_capacity(items.len());
        for batch in batches(&items) {
            let result = call!(
                &mut instance,
                convert,
                limits,
                context.deadline,
                |guest, store| guest.call_objects(store, to_version, batch)
            );
            let answers = answer(&self.runtime, || (*self.subject).clone(), result)?;
            checked(&self.runtime, check_batch(&answers, batch, &api_version))?;
            converted.extend(answers.into_iter().map(Bytes::from));
        }
        Ok(converted)
    }

    async fn cells(
        &self,
        context: &RequestContext,
        target: &Target,
        items: Vec<Bytes>,
    ) -> Result<Vec<Value>> {
        let Some(columns) = &self.runtime.hooks.columns else {
            return Err(status::internal("the plugin exports no columns"));
        };
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let items = texts(items)?;
        let instance = self.runtime.instance(context, Class::Columns).await;
        let mut instance = instance.map_err(|error| self.failed(&error))?;
        let limits = self.runtime.limits(Class::Columns);
        let target = guest_target(target, context);
        let mut rows = Vec::with_capacity(items.len());
        for batch in batches(&items) {
            let result = call!(
                &mut instance,
                columns,
                limits,
                context.deadline,
                |guest, store| guest.call_cells(store, &target, batch)
            );
            let answers = answer(&self.runtime, || (*self.subject).clone(), result)?;
            let cells = output::number(answers.len(), batch.len(), "rows of cells")
                .and_then(|()| answers.iter().map(|row| output::cells(row)).collect());
            let cells: Vec<Value> = checked(&self.runtime, cells)?;
            rows.extend(cells);
        }
        Ok(rows)
    }
}

fn check_batch(answers: &[String], batch: &[String], api_version: &str) -> CallResult<()> {
    output::number(answers.len(), batch.len(), "conversions")?;
    for (after, before) in answers.iter().zip(batch) {
        output::converted(after, before, api_version)?;
    }
    Ok(())
}

/// Conversion without a hook: versions differ in their name only.
pub(crate) fn relabel(api_version: &str, items: Vec<Bytes>) -> Result<Vec<Bytes>> {
    let relabelled = items.into_iter().map(|item| {
        let Some(mut object) = Object::from_slice(&item) else {
            return Err(status::internal("a stored object is no JSON object"));
        };
        if object.api_version() == api_version {
            return Ok(item);
        }
        let kind = object.kind().to_owned();
        object.set_type(api_version, &kind);
        Ok(Bytes::from(json(&object)))
    });
    relabelled.collect()
}

/// The hooks of one write, in one instance, which is made when the first hook is called and gone after the last.
struct PluginWrite {
    runtime: Arc<PluginRuntime>,
    /// Without a name.
    subject: Arc<Subject>,
    context: RequestContext,
    instance: Option<Instance>,
}

impl PluginWrite {
    /// The instance of this write, or a fresh one where that has failed.
    async fn instance(&mut self) -> Result<&mut Instance> {
        if self.instance.as_ref().is_none_or(|it| !it.is_usable()) {
            self.instance = None;
            let instance = self.runtime.instance(&self.context, Class::Hooks).await;
            self.instance = Some(instance.map_err(|it| failed(self.runtime.name(), &it))?);
        }
        Ok(self.instance.as_mut().expect("made above"))
    }

    fn subject(&self, target: &Target, object: &Object) -> Subject {
        let name = target.name.as_deref().unwrap_or_else(|| object.name());
        Subject {
            name: name.to_owned(),
            ..(*self.subject).clone()
        }
    }
}

#[async_trait]
impl WriteHooks for PluginWrite {
    async fn default(&mut self, target: &Target, object: Object) -> Result<Object> {
        let runtime = Arc::clone(&self.runtime);
        let Some(defaults) = &runtime.hooks.defaults else {
            return Ok(object);
        };
        let (asked, new) = (guest_target(target, &self.context), json(&object));
        let (limits, deadline) = (runtime.limits(Class::Hooks), self.context.deadline);
        let instance = self.instance().await?;
        let result = call!(instance, defaults, limits, deadline, |guest, store| guest
            .call_apply(store, &asked, &new));
        match answer(&runtime, || self.subject(target, &object), result)? {
            Some(changed) => checked(&runtime, output::changed(&changed, &object)),
            None => Ok(object),
        }
    }

    async fn prepare(
        &mut self,
        target: &Target,
        new: Object,
        old: Option<&Object>,
        warnings: &mut Vec<String>,
    ) -> Result<Object> {
        let runtime = Arc::clone(&self.runtime);
        let Some(mutate) = &runtime.hooks.mutate else {
            return Ok(new);
        };
        let asked = guest_target(target, &self.context);
        let (after, before) = (json(&new), old.map(json));
        let (limits, deadline) = (runtime.limits(Class::Hooks), self.context.deadline);
        let instance = self.instance().await?;
        let result = call!(instance, mutate, limits, deadline, |guest, store| guest
            .call_prepare(store, &asked, &after, before.as_ref()));
        let outcome = answer(&runtime, || self.subject(target, &new), result)?;
        warnings.extend(outcome.warnings);
        match outcome.object {
            Some(changed) => checked(&runtime, output::changed(&changed, &new)),
            None => Ok(new),
        }
    }

    async fn validate(
        &mut self,
        target: &Target,
        new: &Object,
        old: Option<&Object>,
        warnings: &mut Vec<String>,
    ) -> Result<()> {
        let runtime = Arc::clone(&self.runtime);
        let Some(validate) = &runtime.hooks.validate else {
            self.instance = None;
            return Ok(());
        };
        let asked = guest_target(target, &self.context);
        let (after, before) = (json(new), old.map(json));
        let (limits, deadline) = (runtime.limits(Class::Hooks), self.context.deadline);
        let instance = self.instance().await?;
        let result = call!(instance, validate, limits, deadline, |guest, store| guest
            .call_check(store, &asked, &after, before.as_ref()));
        // The disk comes next. One that waited for it would keep its room from others, whose instances would lie in
        // memory that no cache has.
        self.instance = None;
        let told = answer(&runtime, || self.subject(target, new), result)?;
        warnings.extend(told);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_fit_into_one_call() {
        let sizes =
            |items: &[String]| -> Vec<usize> { batches(items).iter().map(|it| it.len()).collect() };
        assert_eq!(sizes(&[]), Vec::<usize>::new());
        assert_eq!(sizes(&vec!["{}".to_owned(); 600]), [256, 256, 88]);
        let large = "x".repeat(BATCH_MAX_BYTES - 1);
        let items = [large.clone(), "ab".into(), "{}".into(), large];
        assert_eq!(sizes(&items), [1, 2, 1]);
    }

    #[test]
    fn relabels_without_a_convert_hook() {
        let item = |version: &str| {
            Bytes::from(format!(
                r#"{{"apiVersion":"g.example.com/{version}","kind":"K","x":1}}"#
            ))
        };
        let items = relabel("g.example.com/v2", vec![item("v1"), item("v2")]);
        assert_eq!(items.expect("JSON"), [item("v2"), item("v2")]);
    }
}
