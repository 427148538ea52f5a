//! Updates and applies.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use super::{Conflicts, ConvertError, Converter, UpdateError};
use crate::fieldpath::{ApiVersion, Filter, ManagedFields, Set, VersionedSet};
use crate::literal::equal;
use crate::typed::{Comparison, TypedValue};

/// Computes who owns what after a request, and the object after an apply.
#[derive(Debug, Clone)]
pub struct Updater<C> {
    pub(super) converter: C,
    ignored: HashMap<ApiVersion, Filter>,
    returns_input_on_noop: bool,
}

/// What an apply comes to.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The object. None: it is as it was.
    pub object: Option<TypedValue>,
    /// Who owns what.
    pub managers: ManagedFields,
}

impl<C: Converter> Updater<C> {
    /// An updater of objects which that converter converts.
    pub fn new(converter: C) -> Self {
        Self {
            converter,
            ignored: HashMap::new(),
            returns_input_on_noop: false,
        }
    }

    /// In each version, nobody gets to own what the filter takes out: fields that are reset in the request, as the
    /// status is outside its subresource.
    #[must_use]
    pub fn with_ignored(mut self, ignored: HashMap<ApiVersion, Filter>) -> Self {
        self.ignored = ignored;
        self
    }

    /// An apply that changes nothing gives the object all the same, which saves the comparison.
    #[must_use]
    pub fn returning_input_on_noop(mut self) -> Self {
        self.returns_input_on_noop = true;
        self
    }

    /// Who owns what after an object was written as a whole: by create, update, or a patch that is no apply.
    ///
    /// `live` is the object before (of a create, an empty one), `new` the one that will be stored; both are in
    /// `version`. What changed belongs to `manager`, and to nobody else.
    pub async fn update(
        &self,
        live: &TypedValue,
        new: &TypedValue,
        version: &ApiVersion,
        managers: ManagedFields,
        manager: &str,
    ) -> Result<ManagedFields, UpdateError> {
        let (managers, live_in) = self.reconcile(live, managers).await?;
        let (mut managers, changed) = self
            .take_ownership((live, &live_in), new, version, managers, manager, true)
            .await?;
        let before = managers.remove(manager).map(|it| it.set);
        let set = before
            .unwrap_or_default()
            .difference(&changed.removed)
            .union(&changed.modified)
            .union(&changed.added);
        let set = self.without_ignored(set, version);
        if !set.is_empty() {
            let owned = VersionedSet {
                set,
                api_version: version.clone(),
                applied: false,
            };
            managers.insert(manager.to_owned(), owned);
        }
        Ok(managers)
    }

    /// The object after `config` was applied to `live`, and who owns what then; both are in `version`.
    ///
    /// What `manager` applied before and leaves out now is removed, unless somebody else owns it. What others own and
    /// `config` changes is a conflict; with `force` it is taken from them.
    pub async fn apply(
        &self,
        live: &TypedValue,
        config: &TypedValue,
        version: &ApiVersion,
        managers: ManagedFields,
        manager: &str,
        force: bool,
    ) -> Result<Applied, UpdateError> {
        let (mut managers, live_in) = self.reconcile(live, managers).await?;
        let merged = live
            .merge(config)
            .map_err(|err| UpdateError::failed("merge config", err))?;
        let set = config
            .to_field_set()
            .map_err(|err| UpdateError::failed("get field set", err))?;
        let applied = VersionedSet {
            set: self.without_ignored(set, version),
            api_version: version.clone(),
            applied: true,
        };
        let last = managers.insert(manager.to_owned(), applied);
        let new = self
            .prune(merged, &managers, version, manager, last.as_ref())
            .await
            .map_err(|err| UpdateError::failed("prune fields", err))?;
        let (managers, _) = self
            .take_ownership((live, &live_in), &new, version, managers, manager, force)
            .await?;
        let is_noop = !self.returns_input_on_noop && equal(live.value(), new.value());
        Ok(Applied {
            object: (!is_noop).then_some(new),
            managers,
        })
    }

    fn without_ignored(&self, set: Set, version: &ApiVersion) -> Set {
        match self.ignored.get(version) {
            Some(filter) => filter.apply(&set),
            None => set,
        }
    }

    /// Fits the sets to the schemas of now, and forgets the managers of versions that are gone. Returns the live
    /// object in the versions of the others, too.
    async fn reconcile(
        &self,
        live: &TypedValue,
        managers: ManagedFields,
    ) -> Result<(ManagedFields, Converted), UpdateError> {
        let mut converted = Converted::new();
        let mut reconciled = ManagedFields::new();
        for (manager, mut owned) in managers {
            let object = match converted.entry(owned.api_version.clone()) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    match self.converter.convert(live, &owned.api_version).await {
                        Ok(it) => entry.insert(it),
                        Err(ConvertError::MissingVersion(_)) => continue,
                        Err(err) => return Err(UpdateError::Failed(err.to_string())),
                    }
                }
            };
            match object.type_of().reconcile(&owned.set) {
                Ok(Some(set)) => owned.set = set,
                Ok(None) => {}
                Err(errors) => {
                    let doing = format!("errors reconciling field set with schema: {errors}");
                    return Err(UpdateError::Failed(doing));
                }
            }
            reconciled.insert(manager, owned);
        }
        Ok((reconciled, converted))
    }

    /// Takes from all but `manager` what changes from `old` to `new`, if they own it; without `force`, that is refused.
    /// `old_in` has the old one in all versions of the others. Returns what changes in `version`.
    async fn take_ownership(
        &self,
        (old, old_in): (&TypedValue, &Converted),
        new: &TypedValue,
        version: &ApiVersion,
        mut managers: ManagedFields,
        manager: &str,
        force: bool,
    ) -> Result<(ManagedFields, Comparison), UpdateError> {
        let change = self.change(old, new, version)?;
        let mut changes = BTreeMap::from([(version.clone(), Some(change))]);
        let mut conflicts = ManagedFields::new();
        let mut gone = Vec::new();
        for (other, owned) in &managers {
            if other == manager {
                continue;
            }
            if !changes.contains_key(&owned.api_version) {
                let change = match old_in.get(&owned.api_version) {
                    Some(old) => self.converted_change(old, new, &owned.api_version).await?,
                    None => None,
                };
                changes.insert(owned.api_version.clone(), change);
            }
            let Some(Some(change)) = changes.get(&owned.api_version) else {
                gone.push(other.clone());
                continue;
            };
            let set = owned.set.intersection(&change.written);
            if !set.is_empty() {
                conflicts.insert(other.clone(), owned.with(set));
            }
        }
        if !force && !conflicts.is_empty() {
            return Err(UpdateError::Conflicts(Conflicts::of(&conflicts)));
        }
        for other in gone {
            managers.remove(&other);
        }
        for (other, owned) in &mut managers {
            if let Some(lost) = conflicts.get(other) {
                owned.set = owned.set.difference(&lost.set);
            }
            let change = changes.get(&owned.api_version).and_then(Option::as_ref);
            if let Some(change) =
                change.filter(|it| other != manager && !it.comparison.removed.is_empty())
            {
                owned.set = owned.set.difference(&change.comparison.removed);
            }
        }
        managers.retain(|_, it| !it.set.is_empty());
        let change = changes.remove(version).flatten();
        Ok((managers, change.map(|it| it.comparison).unwrap_or_default()))
    }

    fn change(
        &self,
        old: &TypedValue,
        new: &TypedValue,
        version: &ApiVersion,
    ) -> Result<Change, UpdateError> {
        let comparison = old
            .compare(new)
            .map_err(|err| UpdateError::failed("compare objects", err))?;
        let comparison = match self.ignored.get(version) {
            Some(filter) => comparison.filtered(filter),
            None => comparison,
        };
        Ok(Change {
            written: comparison.modified.union(&comparison.added),
            comparison,
        })
    }

    /// From `old`, which is in `version`. None: the version is gone.
    async fn converted_change(
        &self,
        old: &TypedValue,
        new: &TypedValue,
        version: &ApiVersion,
    ) -> Result<Option<Change>, UpdateError> {
        let new = match self.converter.convert(new, version).await {
            Ok(it) => it,
            Err(ConvertError::MissingVersion(_)) => return Ok(None),
            Err(err) => return Err(UpdateError::failed("convert new object", err)),
        };
        self.change(old, &new, version).map(Some)
    }
}

/// An object in several versions.
type Converted = BTreeMap<ApiVersion, TypedValue>;

/// What a request changes, in one version.
struct Change {
    comparison: Comparison,
    /// What it sets: added or modified.
    written: Set,
}
