//! One resource's field manager: what a write makes of `metadata.managedFields`.
//!
//! Follows the chain of managers in k8s.io/apimachinery, pkg/util/managedfields/internal/fieldmanager.go.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;
use structured_merge_diff::fieldpath::{ApiVersion, Filter, Path, Set, VersionedSet};
use structured_merge_diff::merge::{Conflicts, UpdateError, Updater};
use structured_merge_diff::schema::{Type, openapi};
use structured_merge_diff::typed::{Duplicates, TypedValue};

use super::managed_fields::{Managed, ManagerId, is_reset};
use super::versions::{Converting, Kind, Kinds, Versions};
use super::{Configuration, Writer, capping, conflict, last_applied};
use crate::ambient::rfc3339;
use crate::api::Object;
use crate::api::status::{self, Result};
use crate::registry::ResourceDefinition;
use crate::registry::definition::VersionDefinition;
use crate::registry::scale::{self, SCALE};

/// The owner of the fields of an object that nobody owned when something was first applied to it.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// The manager of the request at hand, until it is known whether it changed anything.
const CURRENT: &str = "current-operation";

/// What nobody ever owns: what tells one object from another, and what the system writes.
static STRIPPED: LazyLock<Set> = LazyLock::new(|| {
    let metadata = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ];
    let top = ["apiVersion", "kind", "metadata"].map(|it| Path::of_fields(&[it]));
    let metadata = metadata.map(|it| Path::of_fields(&["metadata", it]));
    top.into_iter().chain(metadata).collect()
});

/// The same of all resources.
static SCALE_TYPE: LazyLock<Type> =
    LazyLock::new(|| object_type(scale::API_VERSION, &scale::document()));

pub struct FieldManager {
    kinds: Kinds,
    scale: Kinds,
    /// What writes of the main resource leave as it is.
    reset: HashMap<ApiVersion, Filter>,
    /// What writes of the status subresource leave as it is.
    reset_by_status: HashMap<ApiVersion, Filter>,
}

impl FieldManager {
    pub fn new(definition: &ResourceDefinition) -> Self {
        let versions = definition.versions.iter().map(|version| {
            let api_version = definition.group_version(&version.name).to_string();
            let of = object_type(&api_version, version.schema.document());
            let empty = version.empty_object.clone();
            Kind::new(&api_version, &definition.names.kind, of, empty)
        });
        let scale = Kind::new(scale::API_VERSION, scale::KIND, SCALE_TYPE.clone(), None);
        let all = definition.versions.iter();
        let with_status = all.clone().filter(|it| it.has_status);
        let resetting = all.filter(|it| it.has_status || definition.update.reset_status);
        Self {
            kinds: Kinds::new(definition.object_model, versions.collect()),
            scale: Kinds::new(definition.object_model, vec![scale]),
            reset: excluding(definition, resetting, &["status"]),
            reset_by_status: excluding(definition, with_status, &["metadata", "spec"]),
        }
    }

    fn kinds(&self, writer: &Writer<'_>) -> (&Kinds, &Kind) {
        let kinds = match writer.subresource {
            SCALE => &self.scale,
            _ => &self.kinds,
        };
        (kinds, kinds.of_request(writer.version))
    }

    /// The managedFields of `new`, which a write that is no apply has made of `live`; both in the request's version.
    ///
    /// # Errors
    /// One line: why it cannot be told what the write has changed.
    pub(crate) async fn update(
        &self,
        writer: &Writer<'_>,
        live: &Object,
        new: &Object,
        versions: &dyn Versions,
    ) -> std::result::Result<Option<Value>, String> {
        let managed = live_or_new(writer, live, new);
        if managed.fields.is_empty() && !live.uid().is_empty() {
            return Ok(None);
        }
        let managed = self
            .updated(writer, live, new, managed, writer.manager, versions)
            .await?;
        Ok(managed.encode())
    }

    async fn updated(
        &self,
        writer: &Writer<'_>,
        live: &Object,
        new: &Object,
        managed: Managed,
        manager: &str,
        versions: &dyn Versions,
    ) -> std::result::Result<Managed, String> {
        let (kinds, kind) = self.kinds(writer);
        let live = kind.typed(live, Duplicates::Allowed)?;
        let new = kind.typed(new, Duplicates::Allowed)?;
        let Managed { fields, mut times } = managed;
        let mut fields = self
            .updater(writer, kinds, versions)
            .update(&live, &new, &kind.api_version, fields, CURRENT)
            .await
            .map_err(|it| it.to_string())?;
        if let Some(owned) = fields.remove(CURRENT)
            && let Some(mut owned) = stripped(owned)
        {
            let id = ManagerId::update(manager, kind.api_version.as_str(), writer.subresource);
            let id = id.to_text();
            if let Some(before) = fields.get(&id) {
                owned.set = owned.set.union(&before.set);
            }
            fields.insert(id.clone(), owned);
            times.insert(id, rfc3339(writer.now));
        }
        let mut managed = Managed { fields, times };
        capping::cap_update_managers(&mut managed);
        Ok(managed)
    }

    /// The object that `configuration` makes of `live`, with its managedFields.
    ///
    /// # Errors
    /// 400 for a configuration of another kind, 409 for conflicts, 500 as upstream for one that does not fit the
    /// schema.
    pub(crate) async fn apply(
        &self,
        writer: &Writer<'_>,
        live: &Object,
        configuration: &Configuration,
        force: bool,
        versions: &dyn Versions,
    ) -> Result<Object> {
        let (_, kind) = self.kinds(writer);
        let managed = Managed::decode(live.metadata().get("managedFields")).map_err(|why| {
            status::unclassified(format!("failed to decode managed fields: {why}"))
        })?;
        let wanted = &configuration.object;
        kind.check_type(wanted)?;
        let applying = Applying {
            writer,
            live,
            wanted,
            versions,
        };
        let applied = match self.merged(&applying, managed.clone(), force).await {
            Err(Refused::Conflicts(conflicts)) if writer.manager == last_applied::MANAGER => {
                match self.not_last_applied(&applying, conflicts) {
                    conflicts if conflicts.0.is_empty() => {
                        self.merged(&applying, managed, true).await
                    }
                    conflicts => Err(Refused::Conflicts(conflicts)),
                }
            }
            applied => applied,
        };
        let (mut object, managed) = applied.map_err(|refused| match refused {
            Refused::Conflicts(conflicts) => conflict::status(&conflicts.0),
            Refused::Status(status) => status,
        })?;
        if writer.manager == last_applied::MANAGER && last_applied::of(&object).is_some() {
            last_applied::set(&mut object, wanted);
        }
        object.set_in_metadata("managedFields", managed.encode());
        Ok(object)
    }

    async fn merged(
        &self,
        applying: &Applying<'_>,
        mut managed: Managed,
        force: bool,
    ) -> std::result::Result<(Object, Managed), Refused> {
        let Applying {
            writer,
            live,
            wanted,
            versions,
        } = *applying;
        let (kinds, kind) = self.kinds(writer);
        if managed.fields.is_empty() {
            let empty = kind.empty();
            managed = self
                .updated(writer, &empty, live, managed, BEFORE_FIRST_APPLY, versions)
                .await
                .map_err(|why| {
                    failed(format!(
                        "failed to create manager for existing fields: {why}"
                    ))
                })?;
        }
        if wanted
            .metadata()
            .get("managedFields")
            .is_some_and(Value::is_array)
        {
            return Err(Refused::Status(status::bad_request(
                "metadata.managedFields must be nil",
            )));
        }
        let config = kind.typed(wanted, Duplicates::Refused).map_err(|why| {
            let what = kind.shown(wanted);
            failed(format!(
                "failed to create typed patch object ({what}): {why}"
            ))
        })?;
        let current = kind.typed(live, Duplicates::Allowed).map_err(|why| {
            let what = kind.shown(live);
            failed(format!(
                "failed to create typed live object ({what}): {why}"
            ))
        })?;
        let id = ManagerId::apply(writer.manager, writer.subresource).to_text();
        let applied = self
            .updater(writer, kinds, versions)
            .apply(
                &current,
                &config,
                &kind.api_version,
                managed.fields,
                &id,
                force,
            )
            .await
            .map_err(|error| match error {
                UpdateError::Conflicts(conflicts) => Refused::Conflicts(conflicts),
                UpdateError::Failed(why) => failed(why),
            })?;
        let mut managed = Managed {
            fields: applied.managers,
            times: managed.times,
        };
        if let Some(owned) = managed.fields.remove(&id)
            && let Some(owned) = stripped(owned)
        {
            managed.fields.insert(id.clone(), owned);
        }
        let object = match applied.object {
            Some(object) => {
                managed.times.insert(id, rfc3339(writer.now));
                as_object(object)
            }
            None => live.clone(),
        };
        Ok((object, managed))
    }

    /// The conflicts that are none with what the same client applied before, by the annotation that it left.
    fn not_last_applied(&self, applying: &Applying<'_>, conflicts: Conflicts) -> Conflicts {
        let (_, kind) = self.kinds(applying.writer);
        let Some(allowed) = allowed_by_last_applied(kind, applying.live) else {
            return conflicts;
        };
        let kept = conflicts.0.into_iter().filter(|it| !allowed.has(&it.path));
        Conflicts(kept.collect())
    }

    fn updater<'a>(
        &self,
        writer: &Writer<'_>,
        kinds: &'a Kinds,
        versions: &'a dyn Versions,
    ) -> Updater<Converting<'a>> {
        let ignored = match writer.subresource {
            // The endpoint of a version knows of its own status only.
            "" => {
                let version = &kinds.of_request(writer.version).api_version;
                let filter = self.reset.get_key_value(version).into_iter();
                filter
                    .map(|(it, filter)| (it.clone(), filter.clone()))
                    .collect()
            }
            "status" => self.reset_by_status.clone(),
            _ => HashMap::new(),
        };
        Updater::new(kinds.converting(versions)).with_ignored(ignored)
    }
}

/// The parts of an apply.
#[derive(Clone, Copy)]
struct Applying<'a> {
    writer: &'a Writer<'a>,
    live: &'a Object,
    wanted: &'a Object,
    versions: &'a dyn Versions,
}

enum Refused {
    Conflicts(Conflicts),
    Status(Box<status::Status>),
}

fn failed(why: String) -> Refused {
    Refused::Status(status::unclassified(why))
}

/// The managers that a write begins with: those that it says itself, if it says any that can be read, else those
/// that there were. Through a subresource nothing can be said of them.
fn live_or_new(writer: &Writer<'_>, live: &Object, new: &Object) -> Managed {
    let live = live.metadata().get("managedFields");
    if !writer.subresource.is_empty() {
        return Managed::decode_or_nothing(live);
    }
    let new = new.metadata().get("managedFields");
    if is_reset(new) {
        return Managed::default();
    }
    match Managed::decode(new) {
        Ok(managed) if !managed.fields.is_empty() => managed,
        _ => Managed::decode_or_nothing(live),
    }
}

fn stripped(owned: VersionedSet) -> Option<VersionedSet> {
    let set = owned.set.difference(&STRIPPED);
    (!set.is_empty()).then_some(VersionedSet { set, ..owned })
}

fn allowed_by_last_applied(kind: &Kind, live: &Object) -> Option<Set> {
    let last: Value = serde_json::from_str(last_applied::of(live)?).ok()?;
    let Value::Object(last) = last else {
        return None;
    };
    let last = Object(last);
    if last.api_version() != kind.api_version.as_str() {
        return None;
    }
    let live = kind.typed(live, Duplicates::Refused).ok()?;
    let last = kind.typed(&last, Duplicates::Refused).ok()?;
    let differs = last.compare(&live).ok()?;
    let applied = last.to_field_set().ok()?;
    let kept = applied
        .difference(&differs.modified)
        .difference(&differs.added)
        .difference(&differs.removed);
    Some(kept)
}

fn as_object(typed: TypedValue) -> Object {
    match typed.into_value() {
        Value::Object(map) => Object(map),
        _ => Object(serde_json::Map::new()),
    }
}

fn object_type(api_version: &str, document: &Value) -> Type {
    openapi::object_type(document).unwrap_or_else(|error| {
        tracing::warn!(
            api_version,
            %error,
            "the schema does not tell who can own what; the fields of its objects are told apart by their names alone"
        );
        Type::deduced()
    })
}

/// Filters that keep fields from being owned, in some versions.
fn excluding<'a>(
    definition: &ResourceDefinition,
    versions: impl Iterator<Item = &'a VersionDefinition>,
    fields: &[&str],
) -> HashMap<ApiVersion, Filter> {
    let fields: Set = fields.iter().map(|it| Path::of_fields(&[it])).collect();
    let filters = versions.map(|version| {
        let api_version = definition.group_version(&version.name).to_string();
        let filter = Filter::Exclude(fields.clone());
        (ApiVersion::from(api_version.as_str()), filter)
    });
    filters.collect()
}
