//! Tests of updates and applies, told as stories: who writes what, and who owns what then.

mod lists;
mod ownership;
mod schemas;
mod versions;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde_json::{Value, json};

use super::*;
use crate::fieldpath::{Filter, ManagedFields, Set, VersionedSet};
use crate::schema::{Schema, Type};
use crate::typed::Duplicates;

/// An object and its owners, over a row of writes.
struct Story<C = OneVersion> {
    of: Type,
    updater: Updater<C>,
    live: TypedValue,
    managers: ManagedFields,
}

fn story(of: Type) -> Story {
    Story::with(of, OneVersion)
}

/// The type that is named `object` in a schema in the library's own form.
fn object_of(types: Value) -> Type {
    let schema = Schema::from_value(&json!({"types": types})).unwrap();
    schema.named("object").unwrap()
}

/// An object with these fields.
fn object(fields: Value) -> Type {
    object_of(json!([{"name": "object", "map": {"fields": fields}}]))
}

impl<C: Converter> Story<C> {
    fn with(of: Type, converter: C) -> Self {
        let live = of.typed(Value::Null, Duplicates::Allowed).unwrap();
        Self {
            of,
            updater: Updater::new(converter),
            live,
            managers: ManagedFields::new(),
        }
    }

    fn ignoring(mut self, version: &str, fields: &str) -> Self {
        let set = Set::from_json(fields.as_bytes()).unwrap();
        let ignored = HashMap::from([(version.into(), Filter::Exclude(set))]);
        self.updater = self.updater.with_ignored(ignored);
        self
    }

    fn try_apply(
        &mut self,
        manager: &str,
        config: Value,
        force: bool,
    ) -> Result<bool, UpdateError> {
        let version = ApiVersion::from("v1");
        let config = self.of.typed(config, Duplicates::Refused).unwrap();
        let managers = self.managers.clone();
        let apply = self
            .updater
            .apply(&self.live, &config, &version, managers, manager, force);
        let applied = now(apply)?;
        self.managers = applied.managers;
        let has_changed = applied.object.is_some();
        if let Some(object) = applied.object {
            self.live = object;
        }
        Ok(has_changed)
    }

    fn apply(&mut self, manager: &str, config: Value) -> &mut Self {
        self.try_apply(manager, config, false).unwrap();
        self
    }

    fn force(&mut self, manager: &str, config: Value) -> &mut Self {
        self.try_apply(manager, config, true).unwrap();
        self
    }

    /// The conflicts of an apply.
    fn conflicts(&mut self, manager: &str, config: Value) -> String {
        let result = self.try_apply(manager, config, false);
        result.expect_err("others own it").to_string()
    }

    fn update(&mut self, manager: &str, object: Value) -> &mut Self {
        let version = ApiVersion::from("v1");
        let object = self.of.typed(object, Duplicates::Allowed).unwrap();
        let managers = self.managers.clone();
        let update = self
            .updater
            .update(&self.live, &object, &version, managers, manager);
        self.managers = now(update).unwrap();
        self.live = object;
        self
    }

    fn owns(&mut self, manager: &str, version: &str, fields: &str) -> &mut Self {
        let owned = VersionedSet {
            set: Set::from_json(fields.as_bytes()).unwrap(),
            api_version: version.into(),
            applied: true,
        };
        self.managers.insert(manager.to_owned(), owned);
        self
    }

    /// The object on a line, then a line for each manager.
    fn told(&self) -> String {
        let mut told = format!("{}\n", self.live.value());
        for (manager, owned) in &self.managers {
            let operation = if owned.applied { "applied" } else { "updated" };
            let (version, set) = (&owned.api_version, owned.set.to_json());
            writeln!(told, "{manager} {operation} in {version}: {set}").unwrap();
        }
        told
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(it) => it,
        Poll::Pending => panic!("the converters of these tests never wait"),
    }
}

/// Updates and applies are awaited in tasks that move between threads.
#[test]
fn the_futures_can_be_sent() {
    fn check<T: Send>(_: T) {}
    let story = story(Type::deduced());
    let version = ApiVersion::from("v1");
    let (live, managers) = (&story.live, ManagedFields::new());
    check(
        story
            .updater
            .update(live, live, &version, managers.clone(), "a"),
    );
    check(
        story
            .updater
            .apply(live, live, &version, managers, "a", false),
    );
}
