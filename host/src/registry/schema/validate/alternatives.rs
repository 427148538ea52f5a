//! allOf, anyOf, oneOf and not.

use super::super::Path;
use super::super::compile::{Checks, Node};
use super::super::operand::Operand;
use super::Validator;
use crate::api::go_text;
use crate::api::status::FieldError;

/// What came of one alternative.
struct Attempt {
    errors: Vec<FieldError>,
    is_valid: bool,
    passed: u64,
}

impl Validator<'_> {
    /// Returns how many of upstream's checks passed.
    pub(super) fn alternatives(
        &mut self,
        checks: &Checks,
        value: Operand<'_>,
        path: Path<'_>,
    ) -> u64 {
        let mut passed = 1;
        if !checks.any_of.is_empty() {
            passed += self.any_of(&checks.any_of, value, path);
        }
        if !checks.one_of.is_empty() {
            passed += self.one_of(&checks.one_of, value, path);
        }
        if !checks.all_of.is_empty() {
            passed += self.all_of(&checks.all_of, value, path);
        }
        if let Some(not) = checks.not.as_deref() {
            let was_quiet = std::mem::replace(&mut self.is_quiet, true);
            let attempt = self.attempt(not, value, path);
            self.is_quiet = was_quiet;
            if attempt.is_valid {
                self.composite(|| format!("{} must not validate the schema (not)", quoted(path)));
            }
        }
        passed
    }

    fn any_of(&mut self, alternatives: &[Node], value: Operand<'_>, path: Path<'_>) -> u64 {
        let mut best: Option<Attempt> = None;
        for alternative in alternatives {
            let attempt = self.attempt(alternative, value, path);
            if attempt.is_valid {
                return attempt.passed;
            }
            keep_better(&mut best, attempt);
        }
        self.composite(|| format!("{} must validate at least one schema (anyOf)", quoted(path)));
        self.take_over(best)
    }

    fn one_of(&mut self, alternatives: &[Node], value: Operand<'_>, path: Path<'_>) -> u64 {
        let mut best: Option<Attempt> = None;
        let mut valid: Option<u64> = None;
        let mut count = 0;
        for alternative in alternatives {
            let attempt = self.attempt(alternative, value, path);
            if attempt.is_valid {
                count += 1;
                best = None;
                valid.get_or_insert(attempt.passed);
            } else if count == 0 {
                keep_better(&mut best, attempt);
            }
        }
        if let (1, Some(passed)) = (count, valid) {
            return passed;
        }
        self.composite(|| {
            let found = if count == 0 {
                "Found none valid".to_owned()
            } else {
                format!("Found {count} valid alternatives")
            };
            format!(
                "{} must validate one and only one schema (oneOf). {found}",
                quoted(path)
            )
        });
        self.take_over(best)
    }

    fn all_of(&mut self, parts: &[Node], value: Operand<'_>, path: Path<'_>) -> u64 {
        let mut passed = 0;
        let mut valid = 0;
        for part in parts {
            let attempt = self.attempt(part, value, path);
            valid += usize::from(attempt.is_valid);
            passed += self.take_over(Some(attempt));
        }
        if valid < parts.len() {
            self.composite(|| {
                let found = if valid == 0 { ". None validated" } else { "" };
                format!(
                    "{} must validate all the schemas (allOf){found}",
                    quoted(path)
                )
            });
        }
        passed
    }

    /// Alternatives are never compared with an old value: only the whole that they stand in is.
    fn attempt(&mut self, node: &Node, value: Operand<'_>, path: Path<'_>) -> Attempt {
        let failed_before = std::mem::take(&mut self.has_failed);
        let errors_before = self.errors.len();
        let was_alternative = std::mem::replace(&mut self.is_alternative, true);
        let passed = self.node(node, value, path, None);
        self.is_alternative = was_alternative;
        Attempt {
            errors: self.errors.split_off(errors_before),
            is_valid: !std::mem::replace(&mut self.has_failed, failed_before),
            passed,
        }
    }

    fn take_over(&mut self, attempt: Option<Attempt>) -> u64 {
        let Some(attempt) = attempt else { return 0 };
        self.has_failed |= !attempt.is_valid;
        self.errors.extend(attempt.errors);
        attempt.passed
    }
}

/// The one of which the most checks passed; the first of several.
fn keep_better(best: &mut Option<Attempt>, attempt: Attempt) {
    if best.as_ref().is_none_or(|it| attempt.passed > it.passed) {
        *best = Some(attempt);
    }
}

fn quoted(path: Path<'_>) -> String {
    go_text::quote(&path.to_string())
}
