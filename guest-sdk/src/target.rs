//! Which object a hook is asked about.

use crate::Failure;

/// Which object, and what is done to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The API group, e.g. `shop.example.com`.
    pub group: String,
    /// The version that the hook sees, e.g. `v1`.
    pub version: String,
    /// The plural name, e.g. `teapots`.
    pub resource: String,
    /// E.g. `status`; `None` for the object itself.
    pub subresource: Option<String>,
    /// `None` for cluster-scoped resources, and for lists of all namespaces.
    pub namespace: Option<String>,
    /// `None` for lists, and while a generated name is not known.
    pub name: Option<String>,
    /// The request's verb as authorization sees it: `create`, `update`, `patch`, `get`, `list`, `delete` ...
    pub verb: String,
    /// `create` or `update`: what a patch turns out to be.
    pub operation: String,
    /// Nothing will be stored.
    pub dry_run: bool,
}

impl Target {
    /// Whether an object is created, by whatever verb.
    pub fn is_create(&self) -> bool {
        self.operation == "create"
    }

    /// 403 `Forbidden` in Kubernetes' words: `teapots.shop.example.com "a" is forbidden: ` and why.
    pub fn forbidden(&self, why: &str) -> Failure {
        Failure::forbidden(&format!("{} is forbidden: {why}", self.named()))
    }

    /// 404 `NotFound` in Kubernetes' words: `teapots.shop.example.com "a" not found`.
    pub fn not_found(&self) -> Failure {
        Failure::not_found(&format!("{} not found", self.named()))
    }

    /// 409 `AlreadyExists` in Kubernetes' words: `teapots.shop.example.com "a" already exists`.
    pub fn already_exists(&self) -> Failure {
        Failure::new(
            409,
            "AlreadyExists",
            &format!("{} already exists", self.named()),
        )
    }

    /// 409 `Conflict` in Kubernetes' words: the object is not at the version that the client saw.
    pub fn conflict(&self) -> Failure {
        Failure::conflict(&format!(
            "Operation cannot be fulfilled on {}: the object has been modified; \
             please apply your changes to the latest version and try again",
            self.named()
        ))
    }

    fn named(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        format!("{}.{} {name:?}", self.resource, self.group)
    }
}
