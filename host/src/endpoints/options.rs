//! The options of writes, from the query and, for deletes, from the body
//! (CreateOptions, UpdateOptions, PatchOptions, DeleteOptions of meta.k8s.io/v1).

use serde::Deserialize;
use serde_json::Value;

use super::request::ResourceRequest;
use crate::api::options::FieldValidation;
use crate::api::status::{self, FieldError, Result};
use crate::api::strconv;
use crate::registry::object_meta::{Preconditions, PropagationPolicy, is_printable};
use crate::registry::store::DeleteOptions;

#[derive(Debug, Clone)]
pub struct WriteOptions {
    pub dry_run: bool,
    pub field_validation: FieldValidation,
    /// Who the fields of this write are noted as belonging to: as the client said, else what its user agent
    /// begins with.
    pub field_manager: String,
    /// Whether an apply takes over what others own.
    pub force: bool,
}

/// Which options a write is sent with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    Create,
    Update,
    Patch,
    Apply,
}

impl WriteKind {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "CreateOptions",
            Self::Update => "UpdateOptions",
            Self::Patch | Self::Apply => "PatchOptions",
        }
    }
}

/// Longest name of a field manager, in bytes.
const FIELD_MANAGER_MAX: usize = 128;

impl WriteOptions {
    /// # Errors
    /// 422 with all that is wrong.
    pub fn parse(request: &ResourceRequest, kind: WriteKind) -> Result<Self> {
        let mut errors = Vec::new();
        let force = flag(request, "force");
        let field_manager = request.query("fieldManager");
        match kind {
            WriteKind::Apply if field_manager.is_empty() => errors.push(FieldError::required(
                "fieldManager",
                "is required for apply patch",
            )),
            WriteKind::Patch if force.is_some() => errors.push(FieldError::forbidden(
                "force",
                "may not be specified for non-apply patch",
            )),
            _ => {}
        }
        errors.extend(field_manager_error(field_manager));
        let dry_run = dry_run(request, &mut errors);
        let field_validation = match request.query("fieldValidation") {
            "Ignore" => FieldValidation::Ignore,
            "" | "Warn" => FieldValidation::Warn,
            "Strict" => FieldValidation::Strict,
            other => {
                let supported = ["", "Ignore", "Strict", "Warn"].map(str::to_owned);
                errors.push(FieldError::not_supported(
                    "fieldValidation",
                    &other.into(),
                    &supported,
                ));
                FieldValidation::Strict
            }
        };
        if !errors.is_empty() {
            return Err(status::invalid("meta.k8s.io", kind.name(), "", errors));
        }
        let field_manager = match field_manager {
            "" => manager_of(request.header(http::header::USER_AGENT)),
            manager => manager.to_owned(),
        };
        Ok(Self {
            dry_run,
            field_validation,
            field_manager,
            force: force.unwrap_or(false),
        })
    }
}

fn field_manager_error(manager: &str) -> Option<FieldError> {
    if manager.len() > FIELD_MANAGER_MAX {
        let max = FIELD_MANAGER_MAX as u64;
        return Some(FieldError::too_long("fieldManager", max));
    }
    let is_printable = manager.chars().all(is_printable);
    (!is_printable).then(|| {
        let detail = "should only contain printable characters";
        FieldError::invalid("fieldManager", &manager.into(), detail)
    })
}

/// What a user agent says before its first slash, without what cannot be printed.
fn manager_of(user_agent: &str) -> String {
    let product = user_agent.split('/').next().unwrap_or_default();
    let mut manager = String::new();
    for character in product.chars().filter(|it| is_printable(*it)) {
        if manager.len() + character.len_utf8() > FIELD_MANAGER_MAX {
            break;
        }
        manager.push(character);
    }
    manager
}

/// A boolean parameter, where it is given: anything but `0` and `false` is a yes.
fn flag(request: &ResourceRequest, name: &str) -> Option<bool> {
    let value = request.query(name);
    request
        .has_query(name)
        .then(|| value != "0" && !value.eq_ignore_ascii_case("false"))
}

fn dry_run(request: &ResourceRequest, errors: &mut Vec<FieldError>) -> bool {
    let given: Vec<&str> = request
        .query
        .iter()
        .filter(|it| it.0 == "dryRun")
        .map(|it| it.1.as_str())
        .collect();
    check_dry_run(&given, errors)
}

fn check_dry_run(given: &[&str], errors: &mut Vec<FieldError>) -> bool {
    if given.iter().any(|it| *it != "All") {
        errors.push(FieldError::not_supported(
            "dryRun",
            &given.into(),
            &["All".to_owned()],
        ));
    }
    !given.is_empty()
}

/// DeleteOptions as JSON; also of a body in YAML.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeleteBody {
    api_version: String,
    kind: String,
    /// Nothing here is deleted gracefully.
    grace_period_seconds: Option<i64>,
    preconditions: Option<BodyPreconditions>,
    orphan_dependents: Option<bool>,
    propagation_policy: Option<String>,
    dry_run: Vec<String>,
    ignore_store_read_error_with_cluster_breaking_potential: Option<bool>,
}

/// The option that removes an object which cannot be read (KEP-3926).
const IGNORE_READ_ERROR: &str = "ignoreStoreReadErrorWithClusterBreakingPotential";

impl DeleteBody {
    fn ignores_read_error(&self) -> bool {
        self.ignore_store_read_error_with_cluster_breaking_potential == Some(true)
    }

    /// An object that cannot be read can be nothing but removed (k8s.io/apimachinery, pkg/apis/meta/v1/validation).
    fn check_alone(&self, errors: &mut Vec<FieldError>) {
        let others = [
            (!self.dry_run.is_empty(), ".dryRun"),
            (self.propagation_policy.is_some(), ".propagationPolicy"),
            (self.orphan_dependents.is_some(), ".orphanDependents"),
            (self.grace_period_seconds.is_some(), ".gracePeriodSeconds"),
            (self.preconditions.is_some(), ".preconditions"),
        ];
        for (_, field) in others.iter().filter(|it| self.ignores_read_error() && it.0) {
            let detail = format!("cannot be set together with {field}");
            errors.push(FieldError::invalid(
                IGNORE_READ_ERROR,
                &true.into(),
                &detail,
            ));
        }
    }
}

/// 422: what removes one object that cannot be read removes no collection.
pub(super) fn check_collection(options: &DeleteOptions) -> Result<()> {
    if !options.ignore_store_read_error {
        return Ok(());
    }
    let detail = "is not allowed with DELETECOLLECTION, try again after removing the option";
    let errors = vec![FieldError::invalid(IGNORE_READ_ERROR, &true.into(), detail)];
    Err(status::invalid("meta.k8s.io", "DeleteOptions", "", errors))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BodyPreconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

/// Reads DeleteOptions: those of the body where there is one, else those of the query (V10).
pub fn delete_options(request: &ResourceRequest, body: Option<Value>) -> Result<DeleteOptions> {
    let given = match body {
        Some(body) => from_body(request, body)?,
        None => from_query(request)?,
    };
    let mut errors = Vec::new();
    let dry_run: Vec<&str> = given.dry_run.iter().map(String::as_str).collect();
    let dry_run = check_dry_run(&dry_run, &mut errors);
    if let Some(policy) = &given.propagation_policy {
        if given.orphan_dependents.is_some() {
            let value = Value::from(policy.as_str());
            let detail = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(FieldError::invalid("propagationPolicy", &value, detail));
        } else if !matches!(policy.as_str(), "Foreground" | "Background" | "Orphan") {
            let supported = ["Foreground", "Background", "Orphan", "nil"].map(str::to_owned);
            errors.push(FieldError::not_supported(
                "propagationPolicy",
                &policy.as_str().into(),
                &supported,
            ));
        }
    }
    given.check_alone(&mut errors);
    if !errors.is_empty() {
        return Err(status::invalid("meta.k8s.io", "DeleteOptions", "", errors));
    }
    let ignore_store_read_error = given.ignores_read_error();
    let preconditions = given.preconditions.unwrap_or_default();
    Ok(DeleteOptions {
        dry_run,
        orphan_dependents: given.orphan_dependents,
        propagation_policy: given
            .propagation_policy
            .as_deref()
            .and_then(PropagationPolicy::parse),
        preconditions: Preconditions {
            uid: preconditions.uid,
            resource_version: preconditions.resource_version,
        },
        ignore_store_read_error,
    })
}

fn from_body(request: &ResourceRequest, body: Value) -> Result<DeleteBody> {
    let given: DeleteBody = serde_json::from_value(body)
        .map_err(|error| status::bad_request(format!("DeleteOptions: {error}")))?;
    let group = &request.info.group;
    let known = matches!(given.api_version.as_str(), "" | "v1" | "meta.k8s.io/v1")
        || given
            .api_version
            .split_once('/')
            .is_some_and(|(it, _)| it == group);
    if !known || !matches!(given.kind.as_str(), "" | "DeleteOptions") {
        let text = format!(
            "no kind \"{}\" is registered for version \"{}\" in scheme \"pkg/runtime/scheme.go:111\"",
            given.kind, given.api_version
        );
        return Err(status::bad_request(text));
    }
    Ok(given)
}

fn from_query(request: &ResourceRequest) -> Result<DeleteBody> {
    let optional = |name: &str| {
        Some(request.query(name))
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
    };
    let grace_period = optional("gracePeriodSeconds");
    let grace_period = grace_period.map(|it| strconv::parse_int(&it).map_err(status::bad_request));
    let preconditions = BodyPreconditions {
        uid: optional("preconditions.uid"),
        resource_version: optional("preconditions.resourceVersion"),
    };
    let has_preconditions = preconditions.uid.is_some() || preconditions.resource_version.is_some();
    Ok(DeleteBody {
        grace_period_seconds: grace_period.transpose()?,
        preconditions: has_preconditions.then_some(preconditions),
        ignore_store_read_error_with_cluster_breaking_potential: flag(request, IGNORE_READ_ERROR),
        orphan_dependents: flag(request, "orphanDependents"),
        propagation_policy: optional("propagationPolicy"),
        dry_run: request
            .query
            .iter()
            .filter(|it| it.0 == "dryRun")
            .map(|it| it.1.clone())
            .collect(),
        ..DeleteBody::default()
    })
}
