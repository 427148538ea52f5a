//! EncryptionConfiguration of apiserver.config.k8s.io/v1: which resources are encrypted, and by which keys.
//!
//! Read and checked as k8s.io/apiserver does (pkg/apis/apiserver/validation/validation_encryption.go), with two
//! differences: `aesgcm` and `identity` are all the providers there are, and no error shows anything of the file but
//! names of fields, since what stands in the wrong place may be a secret. Where several rules are for a resource, the
//! first one counts, as there.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::transformer::{Key, Transformer, Transformers};
use crate::api::document::{Twice, parse_yaml};
use crate::api::status::FieldError;

const API_VERSION: &str = "apiserver.config.k8s.io/v1";
const KIND: &str = "EncryptionConfiguration";

/// AES-128, AES-192 and AES-256.
const KEY_BYTES: [usize; 3] = [16, 24, 32];

/// Which keys are for which resources.
#[derive(Debug)]
pub struct Encryption {
    rules: Vec<Rule>,
    /// Of what no rule is for: nothing is encrypted, and what is encrypted is not readable.
    plain: Arc<Transformers>,
}

#[derive(Debug)]
struct Rule {
    /// `*` is any.
    group: String,
    resource: String,
    transformers: Arc<Transformers>,
}

impl Encryption {
    /// Nothing is encrypted.
    pub fn none() -> Self {
        Self {
            rules: Vec::new(),
            plain: Arc::new(Transformers::new(vec![Transformer::Identity])),
        }
    }

    /// # Errors
    /// All that is wrong, with paths, in one line; no secrets.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        if text.iter().all(u8::is_ascii_whitespace) {
            return Err("it is empty".into());
        }
        let document = parse_yaml(text, Twice::Replaces).map_err(|err| first_line(&err))?;
        if let Some(twice) = document.duplicates.first() {
            return Err(format!("{twice}: is there twice"));
        }
        let mut reader = Reader::default();
        let encryption = reader.document(&document.value);
        match reader.errors.as_slice() {
            [] => Ok(encryption),
            [error] => Err(shown(error)),
            errors => {
                let all: Vec<String> = errors.iter().map(shown).collect();
                Err(format!("[{}]", all.join(", ")))
            }
        }
    }

    /// What the record under `key` is read and written by; `None` for what is no object of a resource.
    pub(super) fn of(&self, key: &str) -> Option<&Transformers> {
        let mut segments = key.split('/');
        // A mirror's side records tell of objects, too.
        if !matches!(segments.next(), Some("objects" | "mirror")) {
            return None;
        }
        let (group, resource) = (segments.next()?, segments.next()?);
        let rule = self.rules.iter().find(|it| {
            (it.group == group || it.group == "*")
                && (it.resource == resource || it.resource == "*")
        });
        Some(rule.map_or(&self.plain, |it| &it.transformers))
    }

    /// A rule for the same resource as one before adds to it.
    fn add(&mut self, rule: Rule) {
        let same = self
            .rules
            .iter_mut()
            .find(|it| it.group == rule.group && it.resource == rule.resource);
        match same {
            Some(same) => {
                same.transformers = Arc::new(same.transformers.followed_by(&rule.transformers));
            }
            None => self.rules.push(rule),
        }
    }
}

fn shown(error: &FieldError) -> String {
    match error.field.as_str() {
        "" => error.message.clone(),
        field => format!("{field}: {}", error.message),
    }
}

/// What follows may quote the file.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Collects what is wrong.
#[derive(Default)]
struct Reader {
    errors: Vec<FieldError>,
}

impl Reader {
    fn document(&mut self, value: &Value) -> Encryption {
        let mut encryption = Encryption::none();
        let known = ["apiVersion", "kind", "resources"];
        let Some(fields) = self.fields("", value, &known) else {
            return encryption;
        };
        for (field, wanted) in [("apiVersion", API_VERSION), ("kind", KIND)] {
            if fields.get(field).and_then(Value::as_str) != Some(wanted) {
                let message = format!("must be {wanted}");
                self.errors.push(error("FieldValueInvalid", field, message));
            }
        }
        let items = self.items("resources", fields.get("resources"));
        if items.is_empty() && self.errors.is_empty() {
            self.require("resources", "at least one resources is required");
        }
        for (index, item) in items.iter().enumerate() {
            let rules = self.resource(&format!("resources[{index}]"), item);
            for rule in rules {
                encryption.add(rule);
            }
        }
        encryption
    }

    fn resource(&mut self, path: &str, value: &Value) -> Vec<Rule> {
        let Some(fields) = self.fields(path, value, &["resources", "providers"]) else {
            return Vec::new();
        };
        let of = format!("{path}.resources");
        let mut names = Vec::new();
        for (index, name) in self.items(&of, fields.get("resources")).iter().enumerate() {
            names.extend(self.text(&format!("{of}[{index}]"), Some(name)));
        }
        if names.is_empty() {
            self.require(&of, &format!("at least one {of} is required"));
        }
        self.check_overlap(&of, &names);
        for (index, name) in names.iter().enumerate() {
            self.check_name(&format!("{of}[{index}]"), name);
        }
        let of = format!("{path}.providers");
        let providers = self.items(&of, fields.get("providers"));
        if providers.is_empty() {
            self.require(&of, &format!("at least one {of} is required"));
        }
        let mut transformers = Vec::new();
        for (index, provider) in providers.iter().enumerate() {
            transformers.extend(self.provider(&format!("{of}[{index}]"), provider));
        }
        let transformers = Arc::new(Transformers::new(transformers));
        let rules = names.iter().map(|name| {
            let (group, resource) = group_resource(name);
            Rule {
                group: group.into(),
                resource: resource.into(),
                transformers: Arc::clone(&transformers),
            }
        });
        rules.collect()
    }

    fn check_overlap(&mut self, path: &str, names: &[&str]) {
        let mut sorted = names.to_vec();
        sorted.sort_unstable();
        let mut invalid = |detail: &str| {
            let value = Value::from(names);
            self.errors.push(FieldError::invalid(path, &value, detail));
        };
        if sorted.windows(2).any(|it| it[0] == it[1]) {
            invalid("the same resource cannot be specified multiple times");
        }
        sorted.dedup();
        let of: Vec<_> = sorted.iter().map(|it| group_resource(it)).collect();
        let masks = |a: &(&str, &str), b: &(&str, &str)| {
            *a == ("*", "*") || (a.0 == b.0 && (a.1 == "*" || b.1 == "*"))
        };
        if of.iter().any(|a| of.iter().any(|b| a != b && masks(a, b))) {
            invalid(
                "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as \
                 they will be masked",
            );
        }
    }

    fn check_name(&mut self, path: &str, name: &str) {
        let (group, resource) = group_resource(name);
        let detail = if name.to_lowercase() != name {
            "resource name should not contain capital letters"
        } else if name == "*" {
            "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources"
        } else if group == "*" && resource != "*" {
            "encrypting the same resource across groups is not supported"
        } else {
            return;
        };
        self.errors
            .push(FieldError::invalid(path, &name.into(), detail));
    }

    fn provider(&mut self, path: &str, value: &Value) -> Vec<Transformer> {
        const KNOWN: [&str; 5] = ["aesgcm", "identity", "aescbc", "kms", "secretbox"];
        let Some(fields) = self.fields(path, value, &KNOWN) else {
            return Vec::new();
        };
        let mut given = fields.iter().filter(|it| !it.1.is_null());
        let (Some((name, settings)), None) = (given.next(), given.next()) else {
            let message = match fields.len() {
                0 => "provider does not contain any of the expected providers: AESGCM, Identity",
                _ => {
                    "more than one provider specified in a single element, should split into different list elements"
                }
            };
            self.errors
                .push(error("FieldValueInvalid", path, message.to_owned()));
            return Vec::new();
        };
        let path = format!("{path}.{name}");
        match name.as_str() {
            "identity" => {
                self.fields(&path, settings, &[]);
                vec![Transformer::Identity]
            }
            "aesgcm" => self.aesgcm(&path, settings),
            _ => {
                let detail =
                    "this server has the providers aesgcm and identity alone: give aesgcm a key";
                self.errors.push(FieldError::forbidden(path, detail));
                Vec::new()
            }
        }
    }

    fn aesgcm(&mut self, path: &str, value: &Value) -> Vec<Transformer> {
        let Some(fields) = self.fields(path, value, &["keys"]) else {
            return Vec::new();
        };
        let path = format!("{path}.keys");
        let keys = self.items(&path, fields.get("keys"));
        if keys.is_empty() {
            self.require(&path, "at least one keys is required");
        }
        let mut transformers = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            transformers.extend(self.key(&format!("{path}[{index}]"), key));
        }
        transformers
    }

    fn key(&mut self, path: &str, value: &Value) -> Option<Transformer> {
        let fields = self.fields(path, value, &["name", "secret"])?;
        let (of_name, of_secret) = (format!("{path}.name"), format!("{path}.secret"));
        let name = self.text(&of_name, fields.get("name"));
        if name == Some("") {
            self.require(&of_name, "name is a mandatory field for a key");
        }
        let secret = self.text(&of_secret, fields.get("secret"))?;
        if secret.is_empty() {
            self.require(&of_secret, "secret is a mandatory field for a key");
            return None;
        }
        let mut invalid = |detail: &str| {
            let error = FieldError::invalid(of_secret.clone(), &"REDACTED".into(), detail);
            self.errors.push(error);
        };
        let Ok(secret) = STANDARD.decode(secret) else {
            invalid("secrets must be base64 encoded");
            return None;
        };
        if !KEY_BYTES.contains(&secret.len()) {
            let length = secret.len();
            invalid(&format!(
                "secret is not of the expected length, got {length}, expected one of [16 24 32]"
            ));
            return None;
        }
        Key::new(name?, &secret).map(Transformer::Key)
    }

    /// The fields of an object, of which there are none but `known`.
    fn fields<'a>(
        &mut self,
        path: &str,
        value: &'a Value,
        known: &[&str],
    ) -> Option<&'a Map<String, Value>> {
        let Some(fields) = value.as_object() else {
            let message = "must be an object".to_owned();
            self.errors
                .push(error("FieldValueTypeInvalid", path, message));
            return None;
        };
        for field in fields.keys().filter(|it| !known.contains(&it.as_str())) {
            let path = match path {
                "" => field.clone(),
                path => format!("{path}.{field}"),
            };
            let message = "unknown field".to_owned();
            self.errors
                .push(error("FieldValueForbidden", &path, message));
        }
        Some(fields)
    }

    fn items<'a>(&mut self, path: &str, value: Option<&'a Value>) -> &'a [Value] {
        match value {
            None | Some(Value::Null) => &[],
            Some(Value::Array(items)) => items,
            Some(_) => {
                let message = "must be a list".to_owned();
                self.errors
                    .push(error("FieldValueTypeInvalid", path, message));
                &[]
            }
        }
    }

    /// Empty where it is not there, `None` where it is no text.
    fn text<'a>(&mut self, path: &str, value: Option<&'a Value>) -> Option<&'a str> {
        match value {
            None | Some(Value::Null) => Some(""),
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                let message = "must be a text: put it into quotes".to_owned();
                self.errors
                    .push(error("FieldValueTypeInvalid", path, message));
                None
            }
        }
    }

    fn require(&mut self, path: &str, detail: &str) {
        self.errors.push(FieldError::required(path, detail));
    }
}

fn error(reason: &'static str, field: &str, message: String) -> FieldError {
    FieldError {
        reason,
        field: field.to_owned(),
        message,
    }
}

/// `secrets` is of the core group, whose name is empty; so is `*.`.
fn group_resource(name: &str) -> (&str, &str) {
    let (resource, group) = name.split_once('.').unwrap_or((name, ""));
    (group, resource)
}

#[cfg(test)]
mod tests;
