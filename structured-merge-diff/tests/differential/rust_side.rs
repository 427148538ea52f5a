//! Runs a case with this crate, and answers it in the form in which the program in Go does.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use serde_json::{Map, Value, json};
use structured_merge_diff::fieldpath::{
    ApiVersion, ElementMatcher, Filter, ManagedFields, PathElement, Set, SetMatcher, VersionedSet,
};
use structured_merge_diff::merge::{ConvertError, Converter, UpdateError, Updater};
use structured_merge_diff::schema::{Schema, Type};
use structured_merge_diff::typed::{Duplicates, TypedValue};

/// Types of the versions. Empty: all are deduced.
#[derive(Clone, Default)]
pub(crate) struct Versions(BTreeMap<String, Type>);

impl Versions {
    fn read(schema: &Value, versions: &Value) -> Result<Self, String> {
        let Some(versions) = versions.as_object().filter(|it| !it.is_empty()) else {
            return Ok(Self::default());
        };
        let schema = Schema::from_value(schema).map_err(|err| err.to_string())?;
        let mut types = BTreeMap::new();
        for (version, name) in versions {
            let of = name.as_str().and_then(|it| schema.named(it));
            let of = of.ok_or_else(|| format!("no type of {version}"))?;
            types.insert(version.clone(), of);
        }
        Ok(Self(types))
    }

    fn of(&self, version: &str) -> Type {
        self.0.get(version).cloned().unwrap_or_else(Type::deduced)
    }
}

/// As the program in Go converts.
impl Converter for Versions {
    async fn convert(
        &self,
        object: &TypedValue,
        version: &ApiVersion,
    ) -> Result<TypedValue, ConvertError> {
        if self.0.is_empty() {
            return Ok(object.clone());
        }
        let Some(of) = self.0.get(version.as_str()) else {
            return Err(ConvertError::MissingVersion(version.clone()));
        };
        if object.type_of().is(of) {
            return Ok(object.clone());
        }
        let renamed = rename(object.value(), version.as_str() == "v2")?;
        of.typed(renamed, Duplicates::Allowed)
            .map_err(|err| ConvertError::Failed(err.to_string()))
    }
}

fn rename(object: &Value, is_v2: bool) -> Result<Value, ConvertError> {
    let Some(fields) = object.as_object() else {
        return Ok(object.clone());
    };
    let mut renamed = Map::new();
    for (name, value) in fields {
        let name = name.strip_suffix("V2").unwrap_or(name);
        match name {
            "failing" => return Err(ConvertError::Failed("conversion failed".to_owned())),
            "lossy" => {}
            _ if is_v2 => {
                renamed.insert(format!("{name}V2"), value.clone());
            }
            _ => {
                renamed.insert(name.to_owned(), value.clone());
            }
        }
    }
    Ok(Value::Object(renamed))
}

/// An object with its owners, and the types of its versions.
pub(crate) struct State {
    versions: Versions,
    ignored: HashMap<ApiVersion, Filter>,
    live: Option<TypedValue>,
    version: String,
    pub(crate) managers: ManagedFields,
}

/// Answers all operations of a case.
pub(crate) fn run(case: &Value) -> Value {
    let mut state = match State::new(case) {
        Ok(it) => it,
        Err(err) => return json!([{"error": err}]),
    };
    let operations = case["ops"].as_array();
    operations
        .into_iter()
        .flatten()
        .map(|it| state.answer(it))
        .collect()
}

impl State {
    pub(crate) fn new(case: &Value) -> Result<Self, String> {
        let mut ignored = HashMap::new();
        for (version, filter) in case["ignored"].as_object().into_iter().flatten() {
            ignored.insert(ApiVersion::from(version.as_str()), read_filter(filter)?);
        }
        Ok(Self {
            versions: Versions::read(&case["schema"], &case["versions"])?,
            ignored,
            live: None,
            version: String::new(),
            managers: ManagedFields::new(),
        })
    }

    /// The object, if there is one, and its version.
    pub(crate) fn live(&self) -> Option<(&Value, &str)> {
        let live = self.live.as_ref()?;
        Some((live.value(), &self.version))
    }

    pub(crate) fn answer(&mut self, operation: &Value) -> Value {
        self.try_answer(operation).unwrap_or_else(|err| err)
    }

    fn try_answer(&mut self, operation: &Value) -> Result<Value, Value> {
        let version = text(operation, "version");
        match text(operation, "op") {
            "parse" => {
                let set = set_of(operation, "fields")?;
                Ok(json!({
                    "text": set.to_string(), "size": set.len(), "set": set.to_json(), "leaves": set.leaves().to_json(),
                }))
            }
            "sets" => {
                let (left, right) = (set_of(operation, "fields")?, set_of(operation, "others")?);
                Ok(json!({
                    "equal": left == right,
                    "union": left.union(&right).to_json(),
                    "intersection": left.intersection(&right).to_json(),
                    "difference": left.difference(&right).to_json(),
                    "recursive": left.recursive_difference(&right).to_json(),
                }))
            }
            "validate" => {
                let value = self.typed(operation, "left", duplicates(operation))?;
                let set = value.to_field_set().map_err(failed)?;
                Ok(json!({"set": set.to_json()}))
            }
            "compare" => {
                let left = self.typed(operation, "left", Duplicates::Allowed)?;
                let right = self.typed(operation, "right", duplicates(operation))?;
                let comparison = left.compare(&right).map_err(failed)?;
                Ok(json!({
                    "removed": comparison.removed.to_json(),
                    "modified": comparison.modified.to_json(),
                    "added": comparison.added.to_json(),
                }))
            }
            "merge" => {
                let left = self.typed(operation, "left", Duplicates::Allowed)?;
                let right = self.typed(operation, "right", duplicates(operation))?;
                let merged = left.merge(&right).map_err(failed)?;
                Ok(json!({"value": merged.value()}))
            }
            "remove" | "extract" | "extractWithKeys" => {
                let value = self.typed(operation, "left", Duplicates::Allowed)?;
                let fields = set_of(operation, "fields")?;
                let part = match text(operation, "op") {
                    "remove" => value.remove_items(&fields),
                    "extract" => value.extract_items(&fields),
                    _ => value.extract_items_with_keys(&fields),
                };
                Ok(json!({"value": part.value()}))
            }
            "managers" => {
                let owned = VersionedSet {
                    set: set_of(operation, "fields")?,
                    api_version: ApiVersion::from(version),
                    applied: operation["force"] == true,
                };
                self.managers
                    .insert(text(operation, "manager").to_owned(), owned);
                Ok(self.answer_state(false))
            }
            "schema" => self.change_schema(operation),
            _ => self.write(operation),
        }
    }

    fn typed(
        &self,
        operation: &Value,
        name: &str,
        duplicates: Duplicates,
    ) -> Result<TypedValue, Value> {
        let of = self.versions.of(text(operation, "version"));
        of.typed(operation[name].clone(), duplicates)
            .map_err(failed)
    }

    fn change_schema(&mut self, operation: &Value) -> Result<Value, Value> {
        let versions =
            Versions::read(&operation["schema"], &operation["versions"]).map_err(failed)?;
        if let Some(live) = &self.live {
            let of = versions.of(&self.version);
            let live = of
                .typed(live.shared_value(), Duplicates::Allowed)
                .map_err(failed)?;
            self.live = Some(live);
        }
        self.versions = versions;
        Ok(json!({}))
    }

    fn write(&mut self, operation: &Value) -> Result<Value, Value> {
        let is_update = text(operation, "op") == "update";
        let duplicates = match is_update {
            true => Duplicates::Allowed,
            false => Duplicates::Refused,
        };
        let object = self.typed(operation, "left", duplicates)?;
        let version = ApiVersion::from(text(operation, "version"));
        let live = match &self.live {
            None => {
                let of = self.versions.of(version.as_str());
                of.typed(Arc::new(Value::Null), Duplicates::Allowed)
                    .map_err(failed)?
            }
            Some(live) => now(self.versions.convert(live, &version)).map_err(failed)?,
        };
        let updater = Updater::new(self.versions.clone()).with_ignored(self.ignored.clone());
        let managers = self.managers.clone();
        let manager = text(operation, "manager");
        let mut is_noop = false;
        if is_update {
            let update = updater.update(&live, &object, &version, managers, manager);
            self.managers = now(update).map_err(update_failed)?;
            self.live = Some(object);
        } else {
            let is_forced = operation["force"] == true;
            let apply = updater.apply(&live, &object, &version, managers, manager, is_forced);
            let applied = now(apply).map_err(update_failed)?;
            self.managers = applied.managers;
            is_noop = applied.object.is_none();
            self.live = Some(applied.object.unwrap_or(live));
        }
        self.version = version.as_str().to_owned();
        Ok(self.answer_state(is_noop))
    }

    fn answer_state(&self, is_noop: bool) -> Value {
        let managers: Map<String, Value> = self
            .managers
            .iter()
            .map(|(manager, owned)| {
                let owned = json!({
                    "version": owned.api_version.as_str(), "applied": owned.applied, "set": owned.set.to_json(),
                });
                (manager.clone(), owned)
            })
            .collect();
        let value = self.live.as_ref().map_or(&Value::Null, TypedValue::value);
        json!({"noop": is_noop, "managers": managers, "value": value})
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn duplicates(operation: &Value) -> Duplicates {
    match operation["duplicates"] == true {
        true => Duplicates::Allowed,
        false => Duplicates::Refused,
    }
}

fn set_of(operation: &Value, name: &str) -> Result<Set, Value> {
    let fields = text(operation, name);
    let set = Set::from_json(fields.as_bytes()).map_err(|_| json!({"error": "fields"}))?;
    let written = serde_json::from_str::<Value>(&set.to_json()).map_err(failed)?;
    assert_eq!(Set::from_value(&written).as_ref(), Ok(&set), "{fields}");
    assert_eq!(set.to_value(), written, "{fields}");
    Ok(set)
}

fn read_filter(filter: &Value) -> Result<Filter, String> {
    let Some(paths) = filter["include"].as_array() else {
        let excluded = Set::from_json(text(filter, "exclude").as_bytes());
        return excluded.map(Filter::Exclude).map_err(|err| err.to_string());
    };
    let mut merged: Option<SetMatcher> = None;
    for path in paths {
        let steps = path
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| match it.as_str() {
                Some("*") => ElementMatcher::Any,
                name => ElementMatcher::Is(PathElement::field(name.unwrap_or_default())),
            });
        let matcher = SetMatcher::prefix(steps);
        merged = Some(match merged {
            Some(it) => it.merge(&matcher),
            None => matcher,
        });
    }
    Ok(Filter::Include(merged.unwrap_or(SetMatcher::Any)))
}

fn failed(err: impl std::fmt::Display) -> Value {
    json!({"error": err.to_string()})
}

fn update_failed(err: UpdateError) -> Value {
    let mut answer = failed(&err);
    if let UpdateError::Conflicts(conflicts) = &err {
        let list = conflicts
            .0
            .iter()
            .map(|it| json!([it.manager, it.path.to_string()]));
        answer["conflicts"] = list.collect();
    }
    answer
}

/// The converter here never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(it) => it,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}
