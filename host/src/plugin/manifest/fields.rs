//! Reading a JSON object field by field: what is left over, or of the wrong type, is an error that names it.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// One line: the field, and what to do.
pub(crate) type Result<T> = std::result::Result<T, String>;

pub(super) struct Fields {
    path: String,
    fields: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Fields {
    /// `path` is shown before the names of fields; empty at the top.
    pub(super) fn new(path: &str, value: Value) -> Result<Self> {
        let Value::Object(fields) = value else {
            return Err(format!("{}: must be an object", shown(path)));
        };
        Ok(Self {
            path: path.to_owned(),
            fields,
            known: Vec::new(),
        })
    }

    pub(super) fn path(&self, field: &str) -> String {
        if self.path.is_empty() {
            field.to_owned()
        } else {
            format!("{}.{field}", self.path)
        }
    }

    pub(super) fn error(&self, field: &str, problem: impl std::fmt::Display) -> String {
        format!("{}: {problem}", self.path(field))
    }

    /// A field that may be absent; null counts as absent.
    pub(super) fn value(&mut self, field: &'static str) -> Option<Value> {
        self.known.push(field);
        self.fields.remove(field).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|it| !it.is_null())
    }

    pub(super) fn required(&mut self, field: &'static str) -> Result<Value> {
        let value = self.value(field);
        value.ok_or_else(|| self.error(field, "is missing: add it"))
    }

    /// A field that must be there, whoever reads it.
    pub(super) fn require(&self, field: &'static str) -> Result<()> {
        if self.has(field) {
            Ok(())
        } else {
            Err(self.error(field, "is missing: add it"))
        }
    }

    pub(super) fn text(&mut self, field: &'static str) -> Result<Option<String>> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(field, "must be a string")),
        }
    }

    pub(super) fn required_text(&mut self, field: &'static str) -> Result<String> {
        let text = self.text(field)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| self.error(field, "is missing: add it"))
    }

    pub(super) fn flag(&mut self, field: &'static str) -> Result<Option<bool>> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.error(field, "must be true or false")),
        }
    }

    pub(super) fn list(&mut self, field: &'static str) -> Result<Vec<Value>> {
        match self.value(field) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(self.error(field, "must be a list")),
        }
    }

    pub(super) fn object(&mut self, field: &'static str) -> Result<Option<Self>> {
        let path = self.path(field);
        let value = self.value(field);
        value.map(|value| Self::new(&path, value)).transpose()
    }

    /// What serde reads; its errors name the field inside.
    pub(super) fn read<T: DeserializeOwned + Default>(&mut self, field: &'static str) -> Result<T> {
        match self.value(field) {
            None => Ok(T::default()),
            Some(value) => serde_json::from_value(value).map_err(|it| self.error(field, it)),
        }
    }

    /// One of a few words; the first is the default.
    pub(super) fn choice<T: Copy>(
        &mut self,
        field: &'static str,
        choices: &[(&str, T)],
    ) -> Result<T> {
        let Some(text) = self.text(field)? else {
            return Ok(choices[0].1);
        };
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let words = words.join(", ");
        Err(self.error(field, format!("must be one of {words}, not {text:?}")))
    }

    /// Refuses what nobody asked for.
    pub(super) fn finish(self) -> Result<()> {
        let Some(field) = self.fields.keys().next() else {
            return Ok(());
        };
        let known = self.known.join(", ");
        Err(self.error(
            field,
            format!("is not known: remove it; known here are {known}"),
        ))
    }
}

fn shown(path: &str) -> &str {
    if path.is_empty() {
        "the document"
    } else {
        path
    }
}
