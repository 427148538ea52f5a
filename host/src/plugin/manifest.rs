//! What a plugin says it serves, checked: the words of CustomResourceDefinition, and a few of our own.
//!
//! Every mistake is one line that names the field and what to do. The rules for names are those of
//! apiextensions-apiserver, pkg/apis/apiextensions/validation.

mod fields;
mod version;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::fields::Fields;
pub(crate) use self::fields::Result;
use crate::registry::ResourceDefinition;
use crate::registry::definition::{
    BackendDefinition, NameRule, Names, ObjectModel, Scope, UpdateRules, VersionDefinition,
};
use crate::registry::object_meta::names::{dns_subdomain_errors, dns1035_label_errors};

/// The annotation that says that a group's owner agreed (KEP-1111).
const APPROVED: &str = "api-approved.kubernetes.io";
const RELIST_SECONDS: u32 = 60;
const RELIST_SECONDS_MIN: u64 = 5;
const RELIST_SECONDS_MAX: u64 = 86_400;

/// The only version of the definitions that are read.
const DEFINITIONS: &str = "apiextensions.k8s.io/v1";

/// Which interfaces the component exports, as far as its manifest depends on them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exports {
    pub(crate) columns: bool,
    pub(crate) backend: bool,
    pub(crate) changes: bool,
}

/// Reads `{"resources": […], "annotations": {…}}`.
///
/// # Errors
/// The first mistake, in one line.
pub(crate) fn parse(json: &str, exports: Exports) -> Result<Vec<ResourceDefinition>> {
    let document = serde_json::from_str(json)
        .map_err(|error| format!("the manifest is not JSON ({error}): return one JSON document"))?;
    let mut fields = Fields::new("", document)?;
    let approval = approval(&mut fields)?;
    let resources = fields.list("resources")?;
    if resources.is_empty() {
        return Err(fields.error("resources", "is empty: list at least one resource"));
    }
    fields.finish()?;

    let mut definitions: Vec<ResourceDefinition> = Vec::new();
    for (index, spec) in resources.into_iter().enumerate() {
        let path = format!("resources[{index}]");
        let definition = resource(&path, spec, approval, Source::Manifest(exports))?;
        if let Some(other) = definitions.iter().find(|it| is_taken(it, &definition)) {
            return Err(format!(
                "{path}.names: {} has the plural or kind of {} before it: rename one",
                definition.group_resource(),
                other.group_resource(),
            ));
        }
        definitions.push(definition);
    }
    Ok(definitions)
}

/// Where a resource is described: a manifest may leave out what there is one sensible value for, and has more
/// fields; a CustomResourceDefinition is what kube-apiserver takes.
#[derive(Debug, Clone, Copy)]
enum Source {
    Manifest(Exports),
    Definition,
}

impl Source {
    fn is_manifest(self) -> bool {
        matches!(self, Self::Manifest(_))
    }

    fn exports(self) -> Exports {
        match self {
            Self::Manifest(exports) => exports,
            Self::Definition => Exports::default(),
        }
    }
}

/// Reads a whole CustomResourceDefinition.
///
/// # Errors
/// The first mistake, in one line: what kube-apiserver would refuse, too, and what is not served here.
pub(crate) fn custom_resource_definition(document: Value) -> Result<ResourceDefinition> {
    let mut fields = Fields::new("", document)?;
    let _ = fields.text("kind")?;
    let api_version = fields.required_text("apiVersion")?;
    if api_version != DEFINITIONS {
        let problem = format!("must be {DEFINITIONS}, not {api_version}");
        return Err(fields.error("apiVersion", problem));
    }
    let mut metadata = match fields.object("metadata")? {
        Some(metadata) => metadata,
        None => return Err(fields.error("metadata", "is missing: add it with the name")),
    };
    let approval = approval(&mut metadata)?;
    let name = metadata.required_text("name")?;
    let definition = resource(
        "spec",
        fields.required("spec")?,
        approval,
        Source::Definition,
    )?;
    fields.finish()?;
    let expected = definition.group_resource().to_string();
    if name != expected {
        return Err(format!(
            "metadata.name: must be spec.names.plural+\".\"+spec.group, {expected:?}"
        ));
    }
    Ok(definition)
}

/// What the owner of a group of Kubernetes' own says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Approval {
    Missing,
    /// There is a URL, or a reason why there is none.
    Given,
    Unreadable,
}

fn approval(fields: &mut Fields) -> Result<Approval> {
    let annotations: serde_json::Map<String, Value> = fields.read("annotations")?;
    let text = annotations.get(APPROVED).and_then(Value::as_str);
    let is_url = |text: &str| {
        text.split_once("://")
            .is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty())
    };
    Ok(match text {
        None | Some("") => Approval::Missing,
        Some(text) if is_url(text) || text.starts_with("unapproved") => Approval::Given,
        Some(_) => Approval::Unreadable,
    })
}

fn is_taken(one: &ResourceDefinition, other: &ResourceDefinition) -> bool {
    one.group == other.group
        && (one.names.plural == other.names.plural || one.names.kind == other.names.kind)
}

/// Reads the spec of one resource; `path` is shown before the names of fields.
fn resource(
    path: &str,
    spec: Value,
    approval: Approval,
    source: Source,
) -> Result<ResourceDefinition> {
    let mut fields = Fields::new(path, spec)?;
    let group = group(&mut fields, approval, source)?;
    let names = names(&mut fields)?;
    if !source.is_manifest() {
        fields.require("scope")?;
    }
    let scope = fields.choice(
        "scope",
        &[
            ("Namespaced", Scope::Namespaced),
            ("Cluster", Scope::Cluster),
        ],
    )?;
    let own = if source.is_manifest() {
        OwnRules::read(&mut fields, source.exports())?
    } else {
        OwnRules::default()
    };
    preserve_unknown_fields(&mut fields)?;
    conversion(&mut fields)?;
    let versions = versions(&mut fields, &group, &names, source)?;
    fields.finish()?;
    Ok(ResourceDefinition {
        group,
        names,
        scope,
        versions,
        name_rule: own.name_rule,
        object_model: own.object_model,
        update: own.update,
        backend: own.backend,
    })
}

/// What manifests say that CustomResourceDefinitions have no words for.
#[derive(Default)]
struct OwnRules {
    name_rule: NameRule,
    object_model: ObjectModel,
    update: UpdateRules,
    backend: Option<BackendDefinition>,
}

impl OwnRules {
    fn read(fields: &mut Fields, exports: Exports) -> Result<Self> {
        Ok(Self {
            name_rule: fields.choice(
                "nameRule",
                &[
                    ("dnsSubdomain", NameRule::DnsSubdomain),
                    ("dnsLabel", NameRule::DnsLabel),
                    ("pathSegment", NameRule::PathSegment),
                ],
            )?,
            object_model: fields.choice(
                "objectModel",
                &[
                    ("custom", ObjectModel::Custom),
                    ("typed", ObjectModel::Typed),
                ],
            )?,
            update: fields.read("update")?,
            backend: backend(fields, exports)?,
        })
    }
}

fn group(fields: &mut Fields, approval: Approval, source: Source) -> Result<String> {
    let group = fields.required_text("group")?;
    if let Some(problem) = dns_subdomain_errors(&group).first() {
        return Err(fields.error("group", problem));
    }
    if !group.contains('.') && !source.is_manifest() {
        return Err(fields.error("group", "should be a domain with at least one dot"));
    }
    let is_protected = !group.contains('.')
        || ["k8s.io", "kubernetes.io"].iter().any(|suffix| {
            group
                .strip_suffix(suffix)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        });
    match approval {
        Approval::Given => Ok(group),
        _ if !is_protected => Ok(group),
        Approval::Missing => {
            let problem = format!(
                "{group:?} is a protected group: use a domain of your own, or add the annotation {APPROVED:?} \
                 with the URL of its approval"
            );
            Err(fields.error("group", problem))
        }
        Approval::Unreadable => {
            let problem = format!(
                "{group:?} is a protected group: its annotation {APPROVED:?} must be a URL, or a reason that \
                 begins with \"unapproved\""
            );
            Err(fields.error("group", problem))
        }
    }
}

fn names(fields: &mut Fields) -> Result<Names> {
    let Some(mut names) = fields.object("names")? else {
        return Err(fields.error("names", "is missing: add it with plural and kind"));
    };
    let kind = names.required_text("kind")?;
    let plural = names.required_text("plural")?;
    let singular = names.text("singular")?.filter(|it| !it.is_empty());
    let list_kind = names.text("listKind")?.filter(|it| !it.is_empty());
    let read = Names {
        singular: singular.unwrap_or_else(|| kind.to_ascii_lowercase()),
        list_kind: list_kind.unwrap_or_else(|| format!("{kind}List")),
        short_names: names.read("shortNames")?,
        categories: names.read("categories")?,
        plural,
        kind,
    };
    let lower_case = [
        ("plural", std::slice::from_ref(&read.plural)),
        ("singular", std::slice::from_ref(&read.singular)),
        ("shortNames", read.short_names.as_slice()),
        ("categories", read.categories.as_slice()),
    ];
    for (field, values) in lower_case {
        for value in values {
            check_label(value).map_err(|it| names.error(field, it))?;
        }
    }
    for (field, value) in [("kind", &read.kind), ("listKind", &read.list_kind)] {
        // Kinds are checked in lower case; `AnchorList` is a name for a type.
        check_label(&value.to_ascii_lowercase()).map_err(|it| names.error(field, it))?;
    }
    if read.kind == read.list_kind {
        return Err(names.error("listKind", "must differ from kind"));
    }
    names.finish()?;
    Ok(read)
}

fn check_label(value: &str) -> Result<()> {
    match dns1035_label_errors(value).into_iter().next() {
        Some(problem) => Err(format!("{value:?} is no name: {problem}")),
        None => Ok(()),
    }
}

#[derive(Clone, Copy)]
enum Watch {
    Unsaid,
    Poll,
    Relist,
    None,
}

fn backend(fields: &mut Fields, exports: Exports) -> Result<Option<BackendDefinition>> {
    let Some(mut backend) = fields.object("backend")? else {
        return Ok(None);
    };
    if !exports.backend {
        let problem = "the component exports no `backend`: export it, or remove this field";
        return Err(fields.error("backend", problem));
    }
    let words = [
        ("", Watch::Unsaid),
        ("poll", Watch::Poll),
        ("relist", Watch::Relist),
        ("none", Watch::None),
    ];
    let watch = backend.choice("watch", &words)?;
    let seconds = match backend.value("relistSeconds") {
        None => RELIST_SECONDS,
        Some(value) => value
            .as_u64()
            .filter(|it| (RELIST_SECONDS_MIN..=RELIST_SECONDS_MAX).contains(it))
            .and_then(|it| u32::try_from(it).ok())
            .ok_or_else(|| {
                let range = format!("{RELIST_SECONDS_MIN} to {RELIST_SECONDS_MAX}");
                backend.error("relistSeconds", format!("must be {range}"))
            })?,
    };
    let definition = match watch {
        Watch::Poll if !exports.changes => {
            let problem = "the component exports no `changes`: export it, or say relist or none";
            return Err(backend.error("watch", problem));
        }
        Watch::Poll => BackendDefinition::Poll,
        Watch::Unsaid if exports.changes => BackendDefinition::Poll,
        Watch::Unsaid | Watch::Relist => BackendDefinition::Relist { seconds },
        Watch::None => BackendDefinition::Unwatched,
    };
    backend.finish()?;
    Ok(Some(definition))
}

fn preserve_unknown_fields(fields: &mut Fields) -> Result<()> {
    if fields.flag("preserveUnknownFields")? == Some(true) {
        let problem = "must be false: use x-kubernetes-preserve-unknown-fields in the schema";
        return Err(fields.error("preserveUnknownFields", problem));
    }
    Ok(())
}

/// A webhook for conversion is what the `convert` export replaces.
fn conversion(fields: &mut Fields) -> Result<()> {
    let Some(mut conversion) = fields.object("conversion")? else {
        return Ok(());
    };
    match conversion.required_text("strategy")?.as_str() {
        "None" => conversion.finish(),
        _ => Err(conversion.error(
            "strategy",
            "only None is known: export `convert` from a plugin instead",
        )),
    }
}

/// What a version is told of its resource.
#[derive(Clone, Copy)]
struct About<'a> {
    group: &'a str,
    names: &'a Names,
    source: Source,
    is_only_one: bool,
}

fn versions(
    fields: &mut Fields,
    group: &str,
    names: &Names,
    source: Source,
) -> Result<Vec<VersionDefinition>> {
    let list = fields.list("versions")?;
    if list.is_empty() {
        return Err(fields.error("versions", "is empty: add at least one version"));
    }
    let is_only_one = list.len() == 1;
    let mut versions: Vec<VersionDefinition> = Vec::with_capacity(list.len());
    for (index, value) in list.into_iter().enumerate() {
        let path = fields.path(&format!("versions[{index}]"));
        let about = About {
            group,
            names,
            source,
            is_only_one,
        };
        let version = version::read(&path, value, about)?;
        if versions.iter().any(|it| it.name == version.name) {
            return Err(format!(
                "{path}.name: {:?} is there twice: remove one",
                version.name
            ));
        }
        versions.push(version);
    }
    if versions.iter().filter(|it| it.storage).count() != 1 {
        return Err(fields.error("versions", "exactly one has `\"storage\": true`"));
    }
    if !versions.iter().any(|it| it.served) {
        return Err(fields.error("versions", "at least one must be served"));
    }
    Ok(versions)
}

#[cfg(test)]
mod tests;
