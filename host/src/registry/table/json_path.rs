//! kubectl's JSONPath (k8s.io/client-go, util/jsonpath): fields, indexes, slices, wildcards, unions, filters,
//! recursive descent.
//!
//! A path has at most 4 KiB, and may come across at most 10,000 values. Where upstream's order is that of a Go map,
//! it is the order of names here.

mod parse;

use std::cmp::Ordering;

use serde_json::{Map, Value};

const MAX_BYTES: usize = 4 * 1024;
const MAX_VALUES: usize = 10_000;

/// `.a.b`, `['a']`, `[0]`, `[-1]`, `[1:3]`, `[*]`, `[0,2]`, `..a`, `[?(@.type=="Ready")]`; a dot in a name is
/// written `\.`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Slice(Slice),
    All,
    Descend,
    Union(Vec<Vec<Step>>),
    Filter {
        left: Vec<Step>,
        /// `None`: the path must find something.
        test: Option<(Operator, Vec<Step>)>,
    },
    Literal(Value),
}

/// `[from:to:step]`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slice {
    from: Option<i64>,
    to: Option<i64>,
    step: Option<i64>,
    /// `[from]`: there is no end to it.
    is_index: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Something in the object, the object itself, or a literal of the path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Found<'a> {
    Map(&'a Map<String, Value>),
    Value(&'a Value),
}

impl<'a> Found<'a> {
    fn map(self) -> Option<&'a Map<String, Value>> {
        match self {
            Self::Map(map) => Some(map),
            Self::Value(value) => value.as_object(),
        }
    }

    fn value(self) -> Option<&'a Value> {
        match self {
            Self::Map(_) => None,
            Self::Value(value) => Some(value),
        }
    }

    fn is_null(self) -> bool {
        self == Self::Value(&Value::Null)
    }
}

/// The path goes into a value that has no such things in it, or comes across too many.
struct Lost;

type Result<T> = std::result::Result<T, Lost>;

impl JsonPath {
    /// # Errors
    /// One line about what cannot be read.
    pub(super) fn parse(text: &str) -> std::result::Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("it is longer than {MAX_BYTES} bytes"));
        }
        if text.trim().is_empty() {
            return Err("it is empty".into());
        }
        let steps = parse::steps(text)?;
        Ok(Self { steps })
    }

    /// The first value that it finds.
    pub(super) fn first<'a>(&'a self, object: &'a Map<String, Value>) -> Option<Found<'a>> {
        // Most paths are names, one behind the other.
        if let Some(found) = self.plain(object) {
            return found;
        }
        let mut search = Search { left: MAX_VALUES };
        let found = search.walk(vec![Found::Map(object)], &self.steps);
        found.ok()?.into_iter().next()
    }

    fn plain<'a>(&'a self, object: &'a Map<String, Value>) -> Option<Option<Found<'a>>> {
        let mut here = Found::Map(object);
        for step in &self.steps {
            let Step::Field(name) = step else {
                return None;
            };
            match here.map().and_then(|it| it.get(name)) {
                Some(value) => here = Found::Value(value),
                None => return Some(None),
            }
        }
        Some(Some(here))
    }
}

struct Search {
    /// How many more values it may come across.
    left: usize,
}

impl Search {
    fn walk<'a>(&mut self, from: Vec<Found<'a>>, steps: &'a [Step]) -> Result<Vec<Found<'a>>> {
        let mut here = from;
        for step in steps {
            here = self.step(&here, step)?;
            self.spend(here.len())?;
        }
        Ok(here)
    }

    fn spend(&mut self, count: usize) -> Result<()> {
        self.left = self.left.checked_sub(count.max(1)).ok_or(Lost)?;
        Ok(())
    }

    fn step<'a>(&mut self, from: &[Found<'a>], step: &'a Step) -> Result<Vec<Found<'a>>> {
        let mut found = Vec::new();
        match step {
            Step::Field(name) => {
                let fields = from.iter().filter_map(|it| it.map()?.get(name));
                found.extend(fields.map(Found::Value));
            }
            Step::All => from.iter().for_each(|it| push_all(*it, &mut found)),
            Step::Descend => {
                for value in from {
                    self.descend(*value, &mut found)?;
                }
            }
            Step::Slice(slice) => {
                for value in from.iter().filter(|it| !it.is_null()) {
                    let list = value.value().and_then(Value::as_array).ok_or(Lost)?;
                    slice.take(list, &mut found)?;
                }
            }
            Step::Union(parts) => {
                for part in parts {
                    found.extend(self.walk(from.to_vec(), part)?);
                }
            }
            Step::Filter { left, test } => {
                for value in from {
                    let list = value.value().and_then(Value::as_array).ok_or(Lost)?;
                    for item in list.iter().map(Found::Value) {
                        self.spend(1)?;
                        if self.holds(item, left, test.as_ref())? {
                            found.push(item);
                        }
                    }
                }
            }
            // A text is there even if nothing was found before it.
            Step::Literal(value @ Value::String(_)) => found.push(Found::Value(value)),
            Step::Literal(value) => found.extend(from.iter().map(|_| Found::Value(value))),
        }
        Ok(found)
    }

    /// The value, and everything below it that has something in it.
    fn descend<'a>(&mut self, value: Found<'a>, found: &mut Vec<Found<'a>>) -> Result<()> {
        let mut inner = Vec::new();
        push_all(value, &mut inner);
        if inner.is_empty() {
            return Ok(());
        }
        self.spend(inner.len())?;
        found.push(value);
        inner.into_iter().try_for_each(|it| self.descend(it, found))
    }

    fn holds<'a>(
        &mut self,
        item: Found<'a>,
        left: &'a [Step],
        test: Option<&'a (Operator, Vec<Step>)>,
    ) -> Result<bool> {
        let lefts = self.walk(vec![item], left);
        let Some((operator, right)) = test else {
            return Ok(lefts.is_ok_and(|it| !it.is_empty()));
        };
        let Some(left) = single(lefts?)? else {
            return Ok(false);
        };
        let Some(right) = single(self.walk(vec![item], right)?)? else {
            return Ok(false);
        };
        operator.holds(left, right)
    }
}

fn push_all<'a>(value: Found<'a>, found: &mut Vec<Found<'a>>) {
    if let Some(map) = value.map() {
        found.extend(map.values().map(Found::Value));
    } else if let Some(Value::Array(list)) = value.value() {
        found.extend(list.iter().map(Found::Value));
    }
}

/// One value at most can be compared.
fn single(found: Vec<Found<'_>>) -> Result<Option<Found<'_>>> {
    match found.len() {
        0 | 1 => Ok(found.into_iter().next()),
        _ => Err(Lost),
    }
}

impl Slice {
    fn take<'a>(self, list: &'a [Value], found: &mut Vec<Found<'a>>) -> Result<()> {
        let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
        let from_end = |at: i64| if at < 0 { at + length } else { at };
        let from = from_end(self.from.unwrap_or(0));
        let to = if self.is_index {
            // Behind the last one is the end, not the beginning.
            let behind = self.from.unwrap_or(0) + 1;
            if behind <= 0 { behind + length } else { behind }
        } else {
            self.to.map_or(length, from_end)
        };
        if from == to {
            return Ok(());
        }
        if !(0..length).contains(&from) || !(0..=length).contains(&to) || from > to {
            return Err(Lost);
        }
        let step = match self.step {
            None => 1,
            Some(step) => usize::try_from(step)
                .ok()
                .filter(|it| *it > 0)
                .ok_or(Lost)?,
        };
        let (from, to) = (usize::try_from(from), usize::try_from(to));
        let (Ok(from), Ok(to)) = (from, to) else {
            return Err(Lost);
        };
        let items = list.get(from..to).unwrap_or_default();
        found.extend(items.iter().step_by(step).map(Found::Value));
        Ok(())
    }
}

impl Operator {
    fn holds(self, left: Found<'_>, right: Found<'_>) -> Result<bool> {
        let (Some(left), Some(right)) = (left.value(), right.value()) else {
            return Err(Lost);
        };
        let order = match (left, right) {
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                // Whole numbers are not compared with others.
                (None, None) => a.as_f64().partial_cmp(&b.as_f64()),
                _ => return Err(Lost),
            },
            (Value::Bool(a), Value::Bool(b)) => match self {
                Self::Equal | Self::NotEqual => Some(a.cmp(b)),
                _ => return Err(Lost),
            },
            _ => return Err(Lost),
        };
        Ok(match (self, order) {
            (Self::NotEqual, order) => order != Some(Ordering::Equal),
            (_, None) => false,
            (Self::Equal, Some(order)) => order.is_eq(),
            (Self::Less, Some(order)) => order.is_lt(),
            (Self::LessOrEqual, Some(order)) => order.is_le(),
            (Self::Greater, Some(order)) => order.is_gt(),
            (Self::GreaterOrEqual, Some(order)) => order.is_ge(),
        })
    }
}

#[cfg(test)]
mod tests;
