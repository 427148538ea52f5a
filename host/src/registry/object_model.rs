//! In what `typed` resources (k8s.io/apiserver) and `custom` ones (apiextensions-apiserver) differ.

use super::definition::ObjectModel;

impl ObjectModel {
    /// Whether `metadata.generation` begins at 1 and counts changes; typed resources leave it as the client sent
    /// it when the object was new.
    pub fn counts_generation(self) -> bool {
        self == Self::Custom
    }
}
