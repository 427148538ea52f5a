//! Bounds, factors and ranges of numbers.
//!
//! Whole numbers are compared as whole numbers, with the bound cut to one: that is what upstream does.

use super::super::Path;
use super::super::compile::{Bound, Checks, Node, Type};
use super::super::formats::Format;
use super::super::operand::{Operand, to_float, to_integer};
use super::Validator;

/// Largest whole number that every JSON library keeps exactly.
const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Maximum,
    Minimum,
}

impl Validator<'_> {
    pub(super) fn number(&mut self, node: &Node, value: Operand<'_>, path: Path<'_>) {
        let range = Range::of(node);
        self.within(range, value, "Checked", path);
        let Some(checks) = node.checks.as_deref().and_then(|it| it.number.as_ref()) else {
            return;
        };
        if let Some(factor) = checks.multiple_of {
            let is_native = self.within(range, Operand::Float(factor), "MultipleOf", path);
            self.multiple(value, factor, is_native, path);
        }
        for (bound, side, what) in [
            (checks.minimum, Side::Minimum, "Minimum boundary"),
            (checks.maximum, Side::Maximum, "Maximum boundary"),
        ] {
            if let Some(bound) = bound {
                let is_native = self.within(range, Operand::Float(bound.limit), what, path);
                self.bound(value, bound, side, is_native, path);
            }
        }
    }

    /// Whether a number fits into the type; if not, says so.
    fn within(&mut self, range: Range, number: Operand<'_>, what: &str, path: Path<'_>) -> bool {
        let fits = range.has(number);
        if !fits {
            self.composite(|| format!("{what} value must be of type {} in {path}", range.name()));
        }
        fits
    }

    fn multiple(&mut self, value: Operand<'_>, factor: f64, is_native: bool, path: Path<'_>) {
        let (shown, factor, is_positive, is_multiple) = match (value, is_native) {
            (Operand::Integer(integer), true) => {
                let whole = to_integer(factor);
                let is_multiple = integer.checked_rem(whole) == Some(0);
                (value, Operand::Integer(whole), whole > 0, is_multiple)
            }
            _ => {
                let float = float_of(value);
                let ratio = if factor < 1.0 {
                    1.0 / factor * float
                } else {
                    float / factor
                };
                let shown = Operand::Float(float);
                let is_multiple = is_json_integer(ratio);
                (shown, Operand::Float(factor), factor > 0.0, is_multiple)
            }
        };
        if !is_positive {
            self.fail(path, |field| crate::api::status::FieldError {
                reason: "FieldValueInvalid",
                field,
                message: format!(
                    "Invalid value: {0}: factor MultipleOf declared for {path} must be positive: {0}",
                    factor.show()
                ),
            });
        } else if !is_multiple {
            self.invalid(path, shown, || {
                format!("should be a multiple of {}", factor.show())
            });
        }
    }

    fn bound(
        &mut self,
        value: Operand<'_>,
        bound: Bound,
        side: Side,
        is_native: bool,
        path: Path<'_>,
    ) {
        let is_exclusive = bound.is_exclusive;
        let (shown, limit, is_within) = match (value, is_native) {
            (Operand::Integer(integer), true) => {
                let limit = to_integer(bound.limit);
                let is_within = match side {
                    Side::Maximum => integer < limit || !is_exclusive && integer == limit,
                    Side::Minimum => integer > limit || !is_exclusive && integer == limit,
                };
                (value, Operand::Integer(limit), is_within)
            }
            _ => {
                let (float, limit) = (float_of(value), bound.limit);
                let is_within = match side {
                    Side::Maximum => float < limit || !is_exclusive && float <= limit,
                    Side::Minimum => float > limit || !is_exclusive && float >= limit,
                };
                (Operand::Float(float), Operand::Float(limit), is_within)
            }
        };
        if !is_within {
            self.invalid(path, shown, || {
                let direction = match side {
                    Side::Maximum => "less",
                    Side::Minimum => "greater",
                };
                let or_equal = if is_exclusive { "" } else { " or equal to" };
                format!("should be {direction} than{or_equal} {}", limit.show())
            });
        }
    }
}

fn float_of(value: Operand<'_>) -> f64 {
    match value {
        Operand::Integer(integer) => to_float(integer),
        Operand::Float(float) => float,
        _ => 0.0,
    }
}

/// What a type and its format can hold.
#[derive(Clone, Copy)]
enum Range {
    Any,
    Int32,
    Int64 { is_named: bool },
    Float,
}

impl Range {
    fn of(node: &Node) -> Self {
        let format = |it: &Checks| it.format.as_ref().map(|(_, format)| *format);
        let format = node.checks.as_deref().and_then(format);
        match format {
            Some(Format::Int32) => Self::Int32,
            Some(Format::Int64) => Self::Int64 { is_named: true },
            Some(Format::Float) => Self::Float,
            _ if node.types.is_only(Type::Integer) => Self::Int64 { is_named: false },
            _ => Self::Any,
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "whether it overflows is the question"
    )]
    fn has(self, number: Operand<'_>) -> bool {
        match (self, number) {
            (Self::Int32, Operand::Integer(integer)) => i32::try_from(integer).is_ok(),
            (Self::Int32, Operand::Float(float)) => {
                float.fract() == 0.0 && (-2_147_483_648.0..=2_147_483_647.0).contains(&float)
            }
            (Self::Int64 { .. }, Operand::Float(float)) => {
                const LIMIT: f64 = 9_223_372_036_854_775_808.0;
                float.fract() == 0.0 && (-LIMIT..LIMIT).contains(&float)
            }
            (Self::Float, Operand::Float(float)) => (float as f32).is_finite(),
            _ => true,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Any => "number (default format)",
            Self::Int32 => "integer with format int32",
            Self::Int64 { is_named: true } => "integer with format int64",
            Self::Int64 { is_named: false } => "integer (default format)",
            Self::Float => "number with format float",
        }
    }
}

/// Whole, up to a relative error of 1e-9.
pub(super) fn is_json_integer(float: f64) -> bool {
    if !float.is_finite() || float.abs() > MAX_SAFE {
        return false;
    }
    let rounded = float.round();
    float == rounded || (rounded != 0.0 && (float - rounded).abs() < 1e-9 * rounded.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_whole_numbers_are_whole() {
        for (float, is_whole) in [
            (3.0, true),
            (-3.0, true),
            (3.000_000_000_1, true),
            (3.000_001, false),
            (0.000_000_000_1, false),
            (9.1e15, false),
            (f64::INFINITY, false),
        ] {
            assert_eq!(is_json_integer(float), is_whole, "{float}");
        }
    }
}
