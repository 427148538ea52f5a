//! Behaves: ships are alike in both versions, and crates are kept in the key-value space of the host.

use outrigger_sdk::kv;
use outrigger_sdk::{Backend, Convert, Failure, ListOptions, Object, Page, Plugin, Target, Value};

struct Ships;

outrigger_sdk::export!(Ships: Convert, Backend);

impl Plugin for Ships {
    fn manifest() -> String {
        guests::ships::manifest()
    }
}

impl Convert for Ships {
    fn convert(_: &mut Object, _: &str) -> Result<(), Failure> {
        Ok(())
    }
}

impl Backend for Ships {
    fn get(target: &Target, name: &str) -> Result<Object, Failure> {
        let key = key(target.namespace.as_deref().unwrap_or_default(), name);
        stored(&kv::get(&key)?.ok_or_else(|| target.not_found())?)
    }

    fn list(target: &Target, _: &ListOptions) -> Result<Page, Failure> {
        let prefix = match &target.namespace {
            Some(namespace) => key(namespace, ""),
            None => "crate/".to_owned(),
        };
        let items = kv::range(&prefix, "", u32::MAX)?;
        Ok(Page {
            items: items.iter().map(stored).collect::<Result<_, _>>()?,
            ..Page::default()
        })
    }

    fn create(target: &Target, object: Object) -> Result<Object, Failure> {
        if kv::get(&key(object.namespace(), object.name()))?.is_some() {
            return Err(target.already_exists());
        }
        store(object)
    }

    fn update(_: &Target, object: Object, _: Option<&str>) -> Result<Object, Failure> {
        store(object)
    }

    fn delete(target: &Target, name: &str, _: Option<&str>) -> Result<Option<Object>, Failure> {
        let key = key(target.namespace.as_deref().unwrap_or_default(), name);
        kv::get(&key)?.ok_or_else(|| target.not_found())?;
        kv::delete(&key, None)?;
        Ok(None)
    }
}

fn store(object: Object) -> Result<Object, Failure> {
    let key = key(object.namespace(), object.name());
    kv::put(&key, object.to_string().as_bytes(), None)?;
    Ok(object)
}

fn stored(entry: &kv::Entry) -> Result<Object, Failure> {
    let text = str::from_utf8(&entry.value).map_err(|it| Failure::internal(&it.to_string()))?;
    Ok(Object::from(text.parse::<Value>()?))
}

fn key(namespace: &str, name: &str) -> String {
    format!("crate/{namespace}/{name}")
}
