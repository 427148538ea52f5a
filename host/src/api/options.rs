//! Options that requests carry in their query.

/// What is done about unknown and duplicate fields of a body (`fieldValidation`, V2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}
