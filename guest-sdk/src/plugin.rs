//! The traits that a plugin implements: [`Plugin`] always, the hooks as it wants them.

use serde_json::Value;

use crate::{Failure, Object, Target};

/// Texts for the person who made the request: each becomes a Warning header, which kubectl prints.
pub type Warnings = Vec<String>;

/// What every plugin has.
pub trait Plugin {
    /// The manifest: a JSON document that says what is served. It is asked for with no grants, and while clocks
    /// and randomness stand still: the host keeps it for the component and its settings.
    ///
    /// `{"resources": [...]}`, each of them the `spec` of a CustomResourceDefinition (`group`, `names`, `scope`,
    /// `versions` with `schema.openAPIV3Schema`, `additionalPrinterColumns`, `selectableFields` and
    /// `subresources`), where only `group`, `names.kind`, `names.plural` and a version's `name` must be given.
    /// Fields that are not known are refused by name.
    ///
    /// `include_str!("manifest.json").into()` takes it out of a file.
    fn manifest() -> String;
}

/// Fills in what the client left out.
pub trait Defaults {
    /// Called after the schema's defaults and before field ownership is computed, in the request's version.
    /// The object need not be valid yet.
    ///
    /// # Errors
    /// The answer for the client, who made the request in vain.
    fn defaults(target: &Target, object: &mut Object) -> Result<(), Failure>;
}

/// Changes objects before they are validated.
pub trait Mutate {
    /// Called for each create (`old` is `None`) and each update, in the storage version; upstream this is
    /// `PrepareForCreate` and `PrepareForUpdate`. It may run again, with another `old`, where writes collide.
    /// Name, namespace, uid and resourceVersion must stay as they are.
    ///
    /// # Errors
    /// The answer for the client; nothing is stored.
    fn mutate(
        target: &Target,
        object: &mut Object,
        old: Option<&Object>,
    ) -> Result<Warnings, Failure>;
}

/// Refuses objects, or lets them pass with warnings.
pub trait Validate {
    /// Called for each create (`old` is `None`) and each update after the schema has been checked, in the
    /// storage version; never for deletes. It may run again, with another `old`, where writes collide.
    ///
    /// # Errors
    /// The answer for the client, mostly [`Failure::invalid`]; nothing is stored.
    fn validate(target: &Target, new: &Object, old: Option<&Object>) -> Result<Warnings, Failure>;
}

/// Converts objects between the versions of their kind.
pub trait Convert {
    /// Turns `object`, which is in another version of the same kind, into `to_version`. `apiVersion` is set
    /// afterwards; name, namespace, uid and the like must stay as they are. Its result may depend on nothing
    /// but the object: clocks and randomness are fixed here.
    ///
    /// # Errors
    /// The request fails with it. An object that is stored must always convert.
    fn convert(object: &mut Object, to_version: &str) -> Result<(), Failure>;
}

/// Computes the cells of tables, as `kubectl get` shows them.
pub trait Columns {
    /// The cells of one row in the order of the manifest's `additionalPrinterColumns`, in the request's
    /// version: texts, numbers, booleans or `null`. They may depend on nothing but the object: the host keeps
    /// them until it changes.
    ///
    /// # Errors
    /// With any failure the host computes the cells by the manifest's JSON paths instead.
    fn cells(target: &Target, object: &Object) -> Result<Vec<Value>, Failure>;
}

/// Keeps the objects of its resources itself. The manifest says so with `"backend": {"watch": ...}`.
///
/// `metadata.resourceVersion` of the objects that it answers is the backend's own version of each, an opaque
/// text; clients never see it. The host applies label and field selectors.
pub trait Backend {
    /// The object of that name in `target.namespace`.
    ///
    /// # Errors
    /// [`Target::not_found`] where there is none.
    fn get(target: &Target, name: &str) -> Result<Object, Failure>;

    /// A page of the objects in `target.namespace`, of all namespaces where that is `None`, in an order
    /// that stays.
    ///
    /// # Errors
    /// The answer for the client.
    fn list(target: &Target, options: &ListOptions) -> Result<Page, Failure>;

    /// Keeps a new object, and returns it with its version.
    ///
    /// # Errors
    /// [`Target::already_exists`] where the name is taken.
    fn create(target: &Target, object: Object) -> Result<Object, Failure>;

    /// Replaces an object, and returns it with its new version. Where `expect_version` is given, only if it is
    /// at that version.
    ///
    /// # Errors
    /// [`Target::not_found`]; [`Target::conflict`] where it is at another version.
    fn update(
        target: &Target,
        object: Object,
        expect_version: Option<&str>,
    ) -> Result<Object, Failure>;

    /// Removes the object of that name, and returns its last state where that is at hand. Where
    /// `expect_version` is given, only if it is at that version.
    ///
    /// # Errors
    /// [`Target::not_found`]; [`Target::conflict`] where it is at another version.
    fn delete(
        target: &Target,
        name: &str,
        expect_version: Option<&str>,
    ) -> Result<Option<Object>, Failure>;
}

/// Which part of a backend's list is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// How many objects the page may have, at least 1.
    pub limit: u32,
    /// [`Page::next`] of the page before; `None` for the first.
    pub next: Option<String>,
}

/// A page of a backend's list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The objects, at most [`ListOptions::limit`].
    pub items: Vec<Object>,
    /// Where the next page begins, a text that only the plugin reads; `None` on the last page.
    pub next: Option<String>,
    /// How many objects follow, where that is known.
    pub remaining: Option<u64>,
}

/// Tells what changed in a backend, so that its resources can be watched (`"watch": "poll"`).
pub trait Changes {
    /// What has changed since `cursor`, which is [`Poll::cursor`] of an earlier poll, perhaps made before a
    /// restart. `None` begins: the answer says where changes are now, and [`Poll::resync`]. Where there is
    /// nothing to tell, a plugin may wait for it, up to `max_wait_ms`. At most `limit` changes.
    ///
    /// # Errors
    /// The host logs the failure and polls again, later and later.
    fn poll(
        target: &Target,
        cursor: Option<&str>,
        max_wait_ms: u32,
        limit: u32,
    ) -> Result<Poll, Failure>;
}

/// The answer to a poll for changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Poll {
    /// In the order in which they happened.
    pub changes: Vec<Change>,
    /// Where the next poll begins, a text that only the plugin reads. It must stay valid after a restart.
    pub cursor: String,
    /// What changed is not known (any more): the host lists everything, then polls from `cursor` on.
    pub resync: bool,
}

/// One change in a backend.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// An object as it is now, whole: new or changed.
    Changed(Object),
    /// An object that is gone: at least its name, namespace and uid.
    Deleted(Object),
}
