//! Between the traits that authors implement and those that wit-bindgen makes.

use std::marker::PhantomData;

use crate::bindings::outrigger::plugin::types;
use crate::bindings::{backend, changes, columns, convert, defaults, manifest, mutate, validate};
use crate::{
    Backend, Cause, Change, Changes, Columns, Convert, Defaults, Failure, ListOptions, Mutate,
    Object, Plugin, Target, Validate,
};

/// Exports what `T` implements.
#[derive(Debug)]
pub struct Adapter<T>(PhantomData<T>);

impl<T: Plugin> manifest::exports::outrigger::plugin::manifest::Guest for Adapter<T> {
    fn describe() -> String {
        T::manifest()
    }
}

impl<T: Defaults> defaults::exports::outrigger::plugin::defaults::Guest for Adapter<T> {
    fn apply(target: types::Target, object: String) -> Result<Option<String>, types::Failure> {
        let mut object = Object::parse(&object)?;
        T::defaults(&target.into(), &mut object)?;
        Ok(changed(&object))
    }
}

impl<T: Mutate> mutate::exports::outrigger::plugin::mutate::Guest for Adapter<T> {
    fn prepare(
        target: types::Target,
        new: String,
        old: Option<String>,
    ) -> Result<mutate::exports::outrigger::plugin::mutate::Outcome, types::Failure> {
        let mut new = Object::parse(&new)?;
        let old = old.as_deref().map(Object::parse).transpose()?;
        let warnings = T::mutate(&target.into(), &mut new, old.as_ref())?;
        Ok(mutate::exports::outrigger::plugin::mutate::Outcome {
            object: changed(&new),
            warnings,
        })
    }
}

impl<T: Validate> validate::exports::outrigger::plugin::validate::Guest for Adapter<T> {
    fn check(
        target: types::Target,
        new: String,
        old: Option<String>,
    ) -> Result<Vec<String>, types::Failure> {
        let new = Object::parse(&new)?;
        let old = old.as_deref().map(Object::parse).transpose()?;
        Ok(T::validate(&target.into(), &new, old.as_ref())?)
    }
}

impl<T: Convert> convert::exports::outrigger::plugin::convert::Guest for Adapter<T> {
    fn objects(to_version: String, items: Vec<String>) -> Result<Vec<String>, types::Failure> {
        items
            .into_iter()
            .map(|item| converted::<T>(item, &to_version))
            .collect()
    }
}

fn converted<T: Convert>(item: String, to_version: &str) -> Result<String, types::Failure> {
    let mut object = Object::parse(&item)?;
    if object.version() == to_version {
        return Ok(item);
    }
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let api_version = match api_version.rsplit_once('/') {
        Some((group, _)) => format!("{group}/{to_version}"),
        None => to_version.to_owned(),
    };
    T::convert(&mut object, to_version)?;
    object["apiVersion"] = api_version.into();
    Ok(object.to_string())
}

impl<T: Columns> columns::exports::outrigger::plugin::columns::Guest for Adapter<T> {
    fn cells(target: types::Target, items: Vec<String>) -> Result<Vec<String>, types::Failure> {
        let target = target.into();
        let row = |item: String| {
            let cells = T::cells(&target, &Object::parse(&item)?)?;
            Ok(serde_json::Value::Array(cells).to_string())
        };
        items.into_iter().map(row).collect()
    }
}

impl<T: Backend> backend::exports::outrigger::plugin::backend::Guest for Adapter<T> {
    fn get(target: types::Target) -> Result<String, types::Failure> {
        let target = Target::from(target);
        Ok(T::get(&target, named(&target)?)?.to_string())
    }

    fn list(
        target: types::Target,
        _label_selector: String,
        _field_selector: String,
        limit: u32,
        next: Option<String>,
    ) -> Result<backend::exports::outrigger::plugin::backend::Page, types::Failure> {
        let page = T::list(
            &target.into(),
            &ListOptions {
                limit: limit.max(1),
                next,
            },
        )?;
        Ok(backend::exports::outrigger::plugin::backend::Page {
            items: page.items.iter().map(|item| item.to_string()).collect(),
            next: page.next,
            remaining: page.remaining,
        })
    }

    fn create(target: types::Target, object: String) -> Result<String, types::Failure> {
        Ok(T::create(&target.into(), Object::parse(&object)?)?.to_string())
    }

    fn update(
        target: types::Target,
        object: String,
        expect_version: Option<String>,
    ) -> Result<String, types::Failure> {
        let object = Object::parse(&object)?;
        Ok(T::update(&target.into(), object, expect_version.as_deref())?.to_string())
    }

    fn delete(
        target: types::Target,
        expect_version: Option<String>,
    ) -> Result<Option<String>, types::Failure> {
        let target = Target::from(target);
        let last = T::delete(&target, named(&target)?, expect_version.as_deref())?;
        Ok(last.map(|object| object.to_string()))
    }
}

fn named(target: &Target) -> Result<&str, Failure> {
    target
        .name
        .as_deref()
        .ok_or_else(|| Failure::internal("the backend was asked for an object without a name"))
}

impl<T: Changes> changes::exports::outrigger::plugin::changes::Guest for Adapter<T> {
    fn poll(
        target: types::Target,
        cursor: Option<String>,
        max_wait_ms: u32,
        limit: u32,
    ) -> Result<changes::exports::outrigger::plugin::changes::Batch, types::Failure> {
        use changes::exports::outrigger::plugin::changes::{Batch, Change as Exported};

        let poll = T::poll(&target.into(), cursor.as_deref(), max_wait_ms, limit.max(1))?;
        let exported = |change: Change| {
            let (kind, object) = match change {
                Change::Changed(object) => ("changed", object),
                Change::Deleted(object) => ("deleted", object),
            };
            Exported {
                kind: kind.to_owned(),
                object: object.to_string(),
            }
        };
        Ok(Batch {
            changes: poll.changes.into_iter().map(exported).collect(),
            cursor: poll.cursor,
            resync: poll.resync,
        })
    }
}

/// What goes back to the host: nothing where nothing was changed.
fn changed(object: &Object) -> Option<String> {
    object.is_touched().then(|| object.to_string())
}

impl From<types::Target> for Target {
    fn from(target: types::Target) -> Self {
        Self {
            group: target.group,
            version: target.version,
            resource: target.resource,
            subresource: target.subresource,
            namespace: target.namespace,
            name: target.name,
            verb: target.verb,
            operation: target.operation,
            dry_run: target.dry_run,
        }
    }
}

impl From<Failure> for types::Failure {
    fn from(failure: Failure) -> Self {
        let cause = |cause: Cause| types::Cause {
            reason: cause.reason,
            field: cause.field,
            message: cause.message,
        };
        Self {
            code: failure.code,
            reason: failure.reason,
            message: failure.message,
            causes: failure.causes.into_iter().map(cause).collect(),
            retry_after_seconds: failure.retry_after_seconds,
        }
    }
}

impl From<types::Failure> for Failure {
    fn from(failure: types::Failure) -> Self {
        let cause = |cause: types::Cause| Cause {
            reason: cause.reason,
            field: cause.field,
            message: cause.message,
        };
        Self {
            code: failure.code,
            reason: failure.reason,
            message: failure.message,
            causes: failure.causes.into_iter().map(cause).collect(),
            retry_after_seconds: failure.retry_after_seconds,
        }
    }
}
