//! Who serves what: no two files have one plugin's name, and no two plugins serve one resource or one kind. The first
//! one that served keeps it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::plugin::{LoadError, Plugin};
use crate::registry::ResourceDefinition;

/// What is served, and by which file.
#[derive(Default)]
pub(super) struct Claims {
    by_name: HashMap<String, PathBuf>,
    by_word: HashMap<Word, Claim>,
}

/// What only one resource of a group can have.
#[derive(PartialEq, Eq, Hash)]
enum Word {
    Plural { group: String, plural: String },
    Kind { group: String, kind: String },
}

struct Claim {
    file: PathBuf,
    plugin: String,
    /// Of which resource, to be shown.
    resource: String,
}

impl Claims {
    /// For the file that serves `plugin`.
    pub(super) fn claim(&mut self, file: &Path, plugin: &Plugin) {
        self.by_name.insert(plugin.name.clone(), file.to_owned());
        for definition in definitions(plugin) {
            for word in words(definition) {
                let claim = Claim {
                    file: file.to_owned(),
                    plugin: plugin.name.clone(),
                    resource: definition.group_resource().to_string(),
                };
                self.by_word.insert(word, claim);
            }
        }
    }

    /// For the file that serves `plugin` no more.
    pub(super) fn give_up(&mut self, plugin: &Plugin) {
        self.by_name.remove(&plugin.name);
        for word in definitions(plugin).flat_map(words) {
            self.by_word.remove(&word);
        }
    }

    /// Two files may have one name: `a_b.wasm` and `a-b.wasm`.
    ///
    /// # Errors
    /// Another file has it.
    pub(super) fn check_name(&self, file: &Path, name: &str) -> Result<(), LoadError> {
        match self.by_name.get(name).filter(|it| *it != file) {
            None => Ok(()),
            Some(other) => Err(LoadError::blocked(format!(
                "has the name of {}, which is served: rename one of them",
                other.display()
            ))),
        }
    }

    /// # Errors
    /// Another file serves some of it.
    pub(super) fn check(&self, file: &Path, plugin: &Plugin) -> Result<(), LoadError> {
        let claims = definitions(plugin).flat_map(words);
        let mut others = claims.filter_map(|it| self.by_word.get(&it));
        match others.find(|it| it.file != file) {
            None => Ok(()),
            Some(other) => Err(LoadError::blocked(format!(
                "serves {}, which {:?} serves already: remove one of them",
                other.resource, other.plugin
            ))),
        }
    }
}

fn definitions(plugin: &Plugin) -> impl Iterator<Item = &ResourceDefinition> {
    plugin.resources.iter().map(|it| &*it.definition)
}

fn words(definition: &ResourceDefinition) -> [Word; 2] {
    let (group, names) = (&definition.group, &definition.names);
    [
        Word::Plural {
            group: group.clone(),
            plural: names.plural.clone(),
        },
        Word::Kind {
            group: group.clone(),
            kind: names.kind.clone(),
        },
    ]
}
