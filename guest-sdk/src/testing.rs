//! A host in memory, for tests of hooks with `cargo test`; not there in a component.
//!
//! Each thread has a host of its own, so each test begins with an empty one.
//!
//! ```
//! use outrigger_sdk::{json, kv, log, objects, request, testing};
//!
//! testing::add_object(json!({
//!     "apiVersion": "shop.example.com/v1", "kind": "Teapot", "metadata": {"name": "a"},
//! }).into(), "teapots");
//! testing::set_user("jane", &["system:authenticated"]);
//!
//! let teapots = objects::Resource { group: "shop.example.com", version: "v1", resource: "teapots" };
//! assert_eq!(objects::list(teapots, None, "").unwrap().len(), 1);
//! assert_eq!(request::user().username, "jane");
//! assert_eq!(kv::get("a").unwrap(), None);
//! log::info!("done");
//! assert_eq!(testing::logged(), ["info: done"]);
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::Object;

#[derive(Default)]
struct Host {
    entries: BTreeMap<String, (Vec<u8>, u64)>,
    /// The version of the last write.
    version: u64,
    /// By the resource's plural name.
    objects: Vec<(String, Object)>,
    user: Value,
    settings: Value,
    lines: Vec<String>,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

fn with_host<T>(work: impl FnOnce(&mut Host) -> T) -> T {
    HOST.with_borrow_mut(work)
}

/// Adds an object of the resource with that plural name, for [`objects`](crate::objects) to find.
pub fn add_object(object: Object, resource: &str) {
    with_host(|host| host.objects.push((resource.to_owned(), object)));
}

/// Sets who [`request::user`](crate::request::user) is.
pub fn set_user(username: &str, groups: &[&str]) {
    with_host(|host| host.user = json!({"username": username, "groups": groups}));
}

/// Sets what [`config::settings`](crate::config::settings) reads.
pub fn set_settings(settings: Value) {
    with_host(|host| host.settings = settings);
}

/// The lines that were logged, e.g. `warn: nobody has seen grue`.
pub fn logged() -> Vec<String> {
    with_host(|host| host.lines.clone())
}

pub(crate) mod kv {
    use super::{Host, with_host};
    use crate::Failure;
    use crate::bindings::outrigger::plugin::kv::{Entry, Operation};
    use crate::bindings::outrigger::plugin::types;

    pub(crate) fn get(key: &str) -> Result<Option<Entry>, types::Failure> {
        Ok(with_host(|host| {
            let (value, version) = host.entries.get(key)?;
            Some(Entry {
                key: key.to_owned(),
                value: value.clone(),
                version: *version,
            })
        }))
    }

    pub(crate) fn put(
        key: &str,
        value: &[u8],
        expect_version: Option<u64>,
    ) -> Result<u64, types::Failure> {
        batch(&[Operation {
            key: key.to_owned(),
            value: Some(value.to_vec()),
            expect_version,
        }])
    }

    pub(crate) fn delete(key: &str, expect_version: Option<u64>) -> Result<(), types::Failure> {
        batch(&[Operation {
            key: key.to_owned(),
            value: None,
            expect_version,
        }])
        .map(|_| ())
    }

    pub(crate) fn range(
        prefix: &str,
        start: &str,
        limit: u32,
    ) -> Result<Vec<Entry>, types::Failure> {
        let first = start.max(prefix).to_owned();
        Ok(with_host(|host| {
            host.entries
                .range(first..)
                .take_while(|(key, _)| key.starts_with(prefix))
                .take(limit as usize)
                .map(|(key, (value, version))| Entry {
                    key: key.clone(),
                    value: value.clone(),
                    version: *version,
                })
                .collect()
        }))
    }

    pub(crate) fn batch(operations: &[Operation]) -> Result<u64, types::Failure> {
        with_host(|host| {
            for operation in operations {
                check(host, operation)?;
            }
            host.version += 1;
            for operation in operations {
                match &operation.value {
                    Some(value) => {
                        host.entries
                            .insert(operation.key.clone(), (value.clone(), host.version));
                    }
                    None => {
                        host.entries.remove(&operation.key);
                    }
                }
            }
            Ok(host.version)
        })
    }

    fn check(host: &Host, operation: &Operation) -> Result<(), Failure> {
        let key = &operation.key;
        if key.is_empty()
            || key.len() > 512
            || key.contains(|character: char| character.is_control())
        {
            return Err(Failure::bad_request(&format!("{key:?} cannot be a key")));
        }
        let version = host.entries.get(key).map_or(0, |(_, version)| *version);
        match operation.expect_version {
            Some(expected) if expected != version => Err(Failure::conflict(&format!(
                "{key:?} is at version {version}, not at {expected}"
            ))),
            _ => Ok(()),
        }
    }
}

pub(crate) mod objects {
    use super::with_host;
    use crate::bindings::outrigger::plugin::types;
    use crate::{Failure, Object};

    pub(crate) fn get(
        group: &str,
        version: &str,
        resource: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<String>, types::Failure> {
        let found = select(group, version, resource, namespace, |object| {
            object.name() == name
        });
        Ok(found.into_iter().next())
    }

    pub(crate) fn list(
        group: &str,
        version: &str,
        resource: &str,
        namespace: Option<&str>,
        label_selector: &str,
    ) -> Result<Vec<String>, types::Failure> {
        let mut wanted = Vec::new();
        for requirement in label_selector.split(',').filter(|part| !part.is_empty()) {
            let Some((key, value)) = requirement
                .split_once('=')
                .filter(|(key, _)| !key.ends_with('!'))
            else {
                let message =
                    format!("{requirement:?}: the host for tests knows selectors a=b alone");
                return Err(Failure::bad_request(&message).into());
            };
            wanted.push((key, value.trim_start_matches('=')));
        }
        Ok(select(group, version, resource, namespace, |object| {
            wanted
                .iter()
                .all(|(key, value)| object["metadata"]["labels"][key] == *value)
        }))
    }

    fn select(
        group: &str,
        version: &str,
        resource: &str,
        namespace: Option<&str>,
        is_wanted: impl Fn(&Object) -> bool,
    ) -> Vec<String> {
        let api_version = format!("{group}/{version}");
        with_host(|host| {
            host.objects
                .iter()
                .filter(|(plural, object)| {
                    plural == resource && object["apiVersion"] == *api_version
                })
                .filter(|(_, object)| {
                    namespace.is_none_or(|namespace| object.namespace() == namespace)
                })
                .filter(|(_, object)| is_wanted(object))
                .map(|(_, object)| object.to_string())
                .collect()
        })
    }
}

pub(crate) mod request {
    use super::with_host;

    pub(crate) fn user() -> String {
        with_host(|host| host.user.to_string())
    }

    pub(crate) fn id() -> String {
        "00000000-0000-0000-0000-000000000000".to_owned()
    }

    pub(crate) fn remaining_ms() -> u32 {
        u32::MAX
    }
}

pub(crate) mod config {
    use super::with_host;

    pub(crate) fn settings() -> String {
        with_host(|host| {
            if host.settings.is_null() {
                "{}".to_owned()
            } else {
                host.settings.to_string()
            }
        })
    }
}

pub(crate) mod log {
    use super::with_host;

    pub(crate) fn emit(level: &str, message: &str, fields: &[(String, String)]) {
        let fields: String = fields
            .iter()
            .map(|(key, value)| format!(" {key}={value}"))
            .collect();
        with_host(|host| host.lines.push(format!("{level}: {message}{fields}")));
    }
}
