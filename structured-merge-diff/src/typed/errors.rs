//! What is wrong with a value, in the words of Go's library: clients see them.

use std::fmt;

use crate::fieldpath::PathElement;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidationError {
    /// Where, as paths are printed. Empty: at the top.
    pub path: String,
    /// What.
    pub message: String,
}

impl fmt::Display for ValidationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_empty() {
            true => f.write_str(&self.message),
            false => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

/// All that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValidationErrors(pub Vec<ValidationError>);

impl ValidationErrors {
    pub(super) fn of(message: &str) -> Self {
        let mut errors = Self::default();
        errors.push(message);
        errors
    }

    pub(super) fn push(&mut self, message: impl Into<String>) {
        self.0.push(ValidationError {
            path: String::new(),
            message: message.into(),
        });
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The errors from that one on happened below this element.
    pub(super) fn prefix_from(&mut self, from: usize, element: &PathElement) {
        let below = &mut self.0[from..];
        if below.is_empty() {
            return;
        }
        let prefix = element.to_string();
        for error in below {
            error.path.insert_str(0, &prefix);
        }
    }

    /// The errors from that one on happened twice.
    pub(super) fn repeat_from(&mut self, from: usize) {
        self.0.extend_from_within(from..);
    }

    pub(super) fn into_result<T>(self, value: T) -> Result<T, Self> {
        match self.0.is_empty() {
            true => Ok(value),
            false => Err(self),
        }
    }
}

impl fmt::Display for ValidationErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = &self.0[..] {
            return write!(f, "{only}");
        }
        f.write_str("errors:")?;
        self.0.iter().try_for_each(|it| write!(f, "\n  {it}"))
    }
}

impl std::error::Error for ValidationErrors {}
