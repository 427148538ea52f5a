//! Conflicts: fields that an apply would change and that others own.

use std::collections::BTreeMap;
use std::fmt;

use crate::fieldpath::{ManagedFields, Path, Set};
use crate::go_format::quote;

/// A field, and who owns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The identifier of the manager.
    pub manager: String,
    /// The field.
    pub path: Path,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conflict with {}: {}", quote(&self.manager), self.path)
    }
}

/// All conflicts of an apply: by manager, and for each in the order of its set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conflicts(pub Vec<Conflict>);

impl Conflicts {
    pub(super) fn of(managers: &ManagedFields) -> Self {
        let mut conflicts = Vec::new();
        for (manager, fields) in managers {
            fields.set.for_each(|path| {
                conflicts.push(Conflict {
                    manager: manager.clone(),
                    path: path.clone(),
                });
            });
        }
        Self(conflicts)
    }

    /// The fields, whoever owns them.
    #[must_use]
    pub fn to_set(&self) -> Set {
        self.0.iter().map(|it| it.path.clone()).collect()
    }
}

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = &self.0[..] {
            return write!(f, "{only}");
        }
        let mut by_manager: BTreeMap<&str, Vec<&Path>> = BTreeMap::new();
        for conflict in &self.0 {
            let paths = by_manager.entry(&conflict.manager).or_default();
            paths.push(&conflict.path);
        }
        let mut lines = Vec::new();
        for (manager, paths) in by_manager {
            lines.push(format!("conflicts with {}:", quote(manager)));
            lines.extend(paths.iter().map(|it| format!("- {it}")));
        }
        f.write_str(&lines.join("\n"))
    }
}
