//! Columns of `kubectl get`, and the cells of an object's row (additionalPrinterColumns).
//!
//! Follows k8s.io/apiextensions-apiserver, pkg/registry/customresource/tableconvertor.

mod duration;
mod json_path;
mod row;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::definition::{ColumnDefinition, ObjectModel};
use super::object_meta::decode::parse_time;
use crate::api::go_text;

use json_path::{Found, JsonPath};

pub use row::{Cell, Row};

const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// The columns of one version of a resource, ready to make rows. The first is always the name.
#[derive(Debug)]
pub struct Columns {
    header: Vec<Value>,
    cells: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    path: JsonPath,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Integer,
    Number,
    Text,
    Boolean,
    /// How long ago.
    Age,
    /// A text that is shown only if it is one.
    Verbatim,
}

/// Whether a column's path can be read.
///
/// # Errors
/// One line about what cannot.
pub fn check_path(path: &str) -> Result<(), String> {
    JsonPath::parse(path).map(|_| ())
}

impl Columns {
    /// `declared` by the version; where it is empty the object model's default.
    ///
    /// # Errors
    /// One line about a path that cannot be read or a type that there is not.
    pub fn new(model: ObjectModel, declared: &[ColumnDefinition]) -> Result<Self, String> {
        let default = [model.default_column()];
        let is_default = declared.is_empty();
        let declared = if is_default { &default } else { declared };
        let mut columns = Self {
            header: vec![json!({
                "name": "Name", "type": "string", "format": "name", "description": NAME, "priority": 0,
            })],
            cells: Vec::with_capacity(declared.len()),
        };
        for column in declared {
            let name = &column.name;
            let path = JsonPath::parse(&column.json_path)
                .map_err(|it| format!("column {name:?}: jsonPath {:?}: {it}", column.json_path))?;
            let kind = match column.column_type.as_str() {
                "integer" => Kind::Integer,
                "number" => Kind::Number,
                "string" => Kind::Text,
                "boolean" => Kind::Boolean,
                "date" if is_default && !model.shows_ages() => Kind::Verbatim,
                "date" => Kind::Age,
                other => {
                    return Err(format!(
                        "column {name:?}: type {other:?} is none of integer, number, string, boolean, date"
                    ));
                }
            };
            let description = if column.description.is_empty() {
                format!(
                    "Custom resource definition column (in JSONPath format): {}",
                    column.json_path
                )
            } else {
                column.description.clone()
            };
            columns.header.push(json!({
                "name": column.name, "type": column.column_type, "format": column.format,
                "description": description, "priority": column.priority,
            }));
            columns.cells.push(Column { path, kind });
        }
        Ok(columns)
    }

    /// `columnDefinitions` of a metav1.Table.
    pub fn header(&self) -> &[Value] {
        &self.header
    }

    /// An object's row: one cell for each column.
    pub fn cells(&self, object: &Map<String, Value>) -> Vec<Cell> {
        let name = object.get("metadata").and_then(|it| it.get("name"));
        let name = name.and_then(Value::as_str).unwrap_or_default();
        let rest = self.cells.iter().map(|cell| {
            let value = cell.path.first(object);
            value.map_or(Cell::Value(Value::Null), |it| cell.kind.show_found(it))
        });
        let name = Cell::Value(name.into());
        std::iter::once(name).chain(rest).collect()
    }

    /// As [`Columns::cells`], of an object's JSON. `None` where it is no JSON object.
    pub fn cells_of(&self, json: &[u8], now: Timestamp) -> Option<Vec<Value>> {
        let object: Map<String, Value> = serde_json::from_slice(json).ok()?;
        let cells = self.cells(&object).into_iter();
        Some(cells.map(|it| it.at(now)).collect())
    }
}

impl Kind {
    fn show_found(self, found: Found<'_>) -> Cell {
        match (self, found) {
            (Self::Age, Found::Value(Value::String(text))) => age(text),
            (_, Found::Value(value)) => Cell::Value(self.show(value)),
            (Self::Text, Found::Map(map)) => Cell::Value(go_text::json_map(map).into()),
            (_, Found::Map(_)) => Cell::Value(Value::Null),
        }
    }

    /// Null for a value of another type.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float in an integer column is cut, as upstream does"
    )]
    fn show(self, value: &Value) -> Value {
        match (self, value) {
            (Self::Integer, Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => integer.into(),
                (None, Some(float)) => (float as i64).into(),
                (None, None) => Value::Null,
            },
            (Self::Number, Value::Number(_))
            | (Self::Boolean, Value::Bool(_))
            | (Self::Text | Self::Verbatim, Value::String(_)) => value.clone(),
            // As the library of kubectl prints what is not there.
            (Self::Text, Value::Null) => "<no value>".into(),
            (Self::Text, other @ (Value::Array(_) | Value::Object(_))) => {
                go_text::json(other).into()
            }
            (Self::Text, scalar) => go_text::plain(scalar).into(),
            _ => Value::Null,
        }
    }
}

/// How long ago a time was, in human words: `5m`, `<unknown>`, `<invalid>`.
fn age(text: &str) -> Cell {
    if text.is_empty() || text == "null" {
        return Cell::Value("<unknown>".into());
    }
    match parse_time(text) {
        Some(time) => Cell::Since(time),
        None => Cell::Value("<invalid>".into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    fn column(column_type: &str, json_path: &str) -> ColumnDefinition {
        ColumnDefinition {
            name: "X".into(),
            column_type: column_type.into(),
            format: String::new(),
            description: String::new(),
            priority: 1,
            json_path: json_path.into(),
        }
    }

    fn now() -> Timestamp {
        "2026-01-01T00:05:00Z".parse().unwrap()
    }

    const OBJECT: &str = r#"{"metadata":{"name":"a","creationTimestamp":"2026-01-01T00:00:00Z"},
        "spec":{"size":3,"ratio":1.5,"on":true,"text":"x","list":[1,2],"when":"yesterday","none":null}}"#;

    #[test]
    fn cells_have_the_types_of_their_columns() {
        let cell = |column_type: &str, path: &str| {
            let columns = Columns::new(ObjectModel::Typed, &[column(column_type, path)]).unwrap();
            columns.cells_of(OBJECT.as_bytes(), now()).unwrap()[1].clone()
        };
        assert_eq!(cell("integer", ".spec.size"), json!(3));
        assert_eq!(cell("integer", ".spec.ratio"), json!(1));
        assert_eq!(cell("integer", ".spec.text"), Value::Null);
        assert_eq!(cell("number", ".spec.ratio"), json!(1.5));
        assert_eq!(cell("boolean", ".spec.on"), json!(true));
        assert_eq!(cell("string", ".spec.size"), json!("3"));
        assert_eq!(cell("string", ".spec.list"), json!("[1,2]"));
        assert_eq!(cell("string", ".spec.none"), json!("<no value>"));
        assert_eq!(cell("integer", ".spec.none"), Value::Null);
        assert_eq!(cell("string", ".spec.missing.deep"), Value::Null);
        assert_eq!(cell("date", ".metadata.creationTimestamp"), json!("5m"));
        assert_eq!(cell("date", ".spec.when"), json!("<invalid>"));
        assert_eq!(cell("date", ".spec.missing"), Value::Null);
        assert_eq!(cell("date", ".spec.size"), Value::Null);
    }

    #[test]
    fn without_columns_the_object_model_decides() {
        let typed = Columns::new(ObjectModel::Typed, &[]).unwrap();
        assert_eq!(
            typed.cells_of(OBJECT.as_bytes(), now()).unwrap(),
            [json!("a"), json!("2026-01-01T00:00:00Z")]
        );
        assert_eq!(typed.header()[1]["name"], "Created At");
        let custom = Columns::new(ObjectModel::Custom, &[]).unwrap();
        assert_eq!(
            custom.cells_of(OBJECT.as_bytes(), now()).unwrap(),
            [json!("a"), json!("5m")]
        );
        assert_eq!(custom.header()[1]["name"], "Age");
        assert_eq!(custom.cells_of(b"[]", now()), None);
    }

    #[test]
    fn headers_say_where_cells_come_from() {
        let columns = Columns::new(ObjectModel::Custom, &[column("string", ".spec.text")]).unwrap();
        assert_eq!(columns.header()[0]["format"], "name");
        assert_eq!(
            columns.header()[1],
            json!({"name": "X", "type": "string", "format": "", "priority": 1,
                "description": "Custom resource definition column (in JSONPath format): .spec.text"})
        );
    }

    #[test]
    fn bad_columns_are_refused() {
        let error = |column_type: &str, path: &str| {
            Columns::new(ObjectModel::Custom, &[column(column_type, path)]).unwrap_err()
        };
        assert!(error("text", ".a").contains("is none of"));
        assert!(error("string", "a[").starts_with("column \"X\": jsonPath \"a[\": "));
    }
}
