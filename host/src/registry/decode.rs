//! A client's document as an object of its form: metadata, pruning, defaults, and what is unknown in it.

use super::definition::{Form, ObjectModel};
use super::object_meta;
use super::object_model::unknown_field;
use crate::api::Object;
use crate::api::options::FieldValidation;

impl Form<'_> {
    /// Decodes in place. Returns what the client is to be warned of: `complaints`, which are the parser's, and the
    /// fields that are unknown.
    ///
    /// # Errors
    /// Why the object cannot be taken, with `Strict` also for what is only a warning otherwise.
    pub fn decode(
        &self,
        object: &mut Object,
        complaints: impl Iterator<Item = String>,
        validation: FieldValidation,
    ) -> Result<Vec<String>, String> {
        let mut unknown = object_meta::decode(&mut object.0)?;
        let decoded = self.schema.decode(&mut object.0);
        unknown.extend(decoded.map_err(|error| format!("{}: {}", error.field, error.message))?);
        if self.object_model == ObjectModel::Typed
            && let Some(error) = self.schema.type_error(&object.0)
        {
            return Err(format!("json: {}: {}", error.field, error.message));
        }
        let unknown = unknown.iter().map(|it| unknown_field(it));
        let said: Vec<String> = complaints.chain(unknown).collect();
        match validation {
            FieldValidation::Ignore => Ok(Vec::new()),
            FieldValidation::Strict if !said.is_empty() => {
                Err(format!("strict decoding error: {}", said.join(", ")))
            }
            FieldValidation::Warn | FieldValidation::Strict => Ok(said),
        }
    }
}
