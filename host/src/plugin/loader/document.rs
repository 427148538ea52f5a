//! The operator's documents: `apiVersion: outrigger.dev/v1alpha1`, `kind: Plugin`, in YAML or JSON.
//!
//! ```yaml
//! apiVersion: outrigger.dev/v1alpha1
//! kind: Plugin
//! metadata:
//!   name: yard            # of yard.wasm
//! spec:
//!   settings: {color: blue} # any object; the plugin reads it as JSON
//!   limits:
//!     memoryMebibytes: 128
//!     concurrentHooks: 32
//!   grants:
//!     kv: false
//! ```

use std::time::Duration;

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::plugin::declarative::Declarative;
use crate::plugin::limits::Limits;
use crate::plugin::load::digest_of;
use crate::plugin::manifest::custom_resource_definition;
use crate::plugin::{Plugin, PluginResource};

const API_VERSION: &str = "outrigger.dev/v1alpha1";

/// What the limits may be raised to.
const MEMORY_MAX_MEBIBYTES: u32 = 512;
const CPU_MAX_MILLISECONDS: u32 = 10_000;
const TIMEOUT_MAX_MILLISECONDS: u32 = 30_000;
const CONCURRENT_MAX: u32 = 128;

/// What one file says.
#[derive(Clone)]
pub(super) struct Document {
    /// Of the plugin with this name.
    pub(super) spec: Option<(String, PluginSpec)>,
    /// What a CustomResourceDefinition serves.
    pub(super) plugin: Option<Arc<Plugin>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PluginDocument {
    api_version: String,
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    spec: PluginSpec,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Metadata {
    name: String,
    /// Allowed for people and tools; not read.
    #[serde(default)]
    labels: Map<String, Value>,
    #[serde(default)]
    annotations: Map<String, Value>,
}

/// What the operator says of one plugin.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct PluginSpec {
    pub(super) settings: Map<String, Value>,
    limits: LimitsSpec,
    pub(super) grants: Grants,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Grants {
    pub(super) kv: bool,
    pub(super) objects: bool,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            kv: true,
            objects: true,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct LimitsSpec {
    memory_mebibytes: Option<u32>,
    hook_cpu_milliseconds: Option<u32>,
    hook_timeout_milliseconds: Option<u32>,
    backend_cpu_milliseconds: Option<u32>,
    backend_timeout_milliseconds: Option<u32>,
    concurrent_hooks: Option<u32>,
    concurrent_backend: Option<u32>,
}

impl Document {
    /// # Errors
    /// One line: the field that is wrong.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Type {
            #[serde(default)]
            kind: String,
        }
        let of: Type = yaml(text)?;
        match of.kind.as_str() {
            "Plugin" => Ok(Self {
                spec: Some(plugin(text)?),
                plugin: None,
            }),
            "CustomResourceDefinition" => Ok(Self {
                spec: None,
                plugin: Some(Arc::new(definition(text)?)),
            }),
            kind => Err(format!(
                "kind: must be Plugin or CustomResourceDefinition, not {kind:?}: remove the file"
            )),
        }
    }
}

fn yaml<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_saphyr::from_str(text).map_err(|error| {
        let error = crate::plugin::compile::one_line(&error.to_string());
        format!("is not as it must be: {error}")
    })
}

fn plugin(text: &str) -> Result<(String, PluginSpec), String> {
    let document: PluginDocument = yaml(text)?;
    if document.api_version != API_VERSION || document.kind != "Plugin" {
        return Err(format!("apiVersion: must be {API_VERSION}"));
    }
    document.spec.limits.check()?;
    Ok((document.metadata.name, document.spec))
}

fn definition(text: &str) -> Result<Plugin, String> {
    let mut document: Value = yaml(text)?;
    // What kubectl shows of a live one.
    if let Some(fields) = document.as_object_mut() {
        fields.remove("status");
    }
    let definition = custom_resource_definition(document)?;
    let strategy = Declarative::new(&definition.group);
    Ok(Plugin {
        name: definition.group_resource().to_string(),
        digest: digest_of(text.as_bytes()),
        resources: vec![PluginResource {
            definition: Arc::new(definition),
            strategy: Arc::new(strategy),
            backend: None,
        }],
        trouble: None,
    })
}

impl LimitsSpec {
    fn check(&self) -> Result<(), String> {
        let limits = [
            (
                "memoryMebibytes",
                self.memory_mebibytes,
                MEMORY_MAX_MEBIBYTES,
            ),
            (
                "hookCpuMilliseconds",
                self.hook_cpu_milliseconds,
                CPU_MAX_MILLISECONDS,
            ),
            (
                "hookTimeoutMilliseconds",
                self.hook_timeout_milliseconds,
                TIMEOUT_MAX_MILLISECONDS,
            ),
            (
                "backendCpuMilliseconds",
                self.backend_cpu_milliseconds,
                CPU_MAX_MILLISECONDS,
            ),
            (
                "backendTimeoutMilliseconds",
                self.backend_timeout_milliseconds,
                TIMEOUT_MAX_MILLISECONDS,
            ),
            ("concurrentHooks", self.concurrent_hooks, CONCURRENT_MAX),
            ("concurrentBackend", self.concurrent_backend, CONCURRENT_MAX),
        ];
        for (field, value, max) in limits {
            if value.is_some_and(|it| it == 0 || it > max) {
                return Err(format!("spec.limits.{field}: must be 1 to {max}"));
            }
        }
        Ok(())
    }
}

impl PluginSpec {
    pub(super) fn limits(&self) -> Limits {
        let (spec, mut limits) = (&self.limits, Limits::default());
        let milliseconds = |value: u32| Duration::from_millis(value.into());
        let number = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        if let Some(mebibytes) = spec.memory_mebibytes {
            limits.memory_bytes = number(mebibytes) << 20;
        }
        if let Some(ticks) = spec.hook_cpu_milliseconds {
            limits.hooks.cpu_ticks = ticks;
        }
        if let Some(timeout) = spec.hook_timeout_milliseconds {
            limits.hooks.wall = milliseconds(timeout);
        }
        if let Some(ticks) = spec.backend_cpu_milliseconds {
            limits.backend.cpu_ticks = ticks;
        }
        if let Some(timeout) = spec.backend_timeout_milliseconds {
            limits.backend.wall = milliseconds(timeout);
        }
        if let Some(calls) = spec.concurrent_hooks {
            limits.concurrent_hooks = number(calls);
        }
        if let Some(calls) = spec.concurrent_backend {
            limits.concurrent_backend = number(calls);
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(spec: &str) -> String {
        format!("apiVersion: {API_VERSION}\nkind: Plugin\nmetadata: {{name: a}}\nspec: {spec}\n")
    }

    #[test]
    fn reads_settings_limits_and_grants() {
        let text = document(
            "{settings: {color: blue}, limits: {memoryMebibytes: 128}, grants: {kv: false}}",
        );
        let (name, spec) = plugin(&text).expect("a document");
        assert_eq!(name, "a");
        assert_eq!(spec.settings["color"], "blue");
        assert_eq!(spec.limits().memory_bytes, 128 << 20);
        assert!(!spec.grants.kv && spec.grants.objects);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let error = plugin(&document("{limit: {}}")).expect_err("unknown");
        assert!(error.contains("unknown field `limit`"), "{error}");
        let error = plugin(&document("{limits: {memoryMebibytes: 4096}}")).expect_err("too much");
        assert_eq!(error, "spec.limits.memoryMebibytes: must be 1 to 512");
    }

    #[test]
    fn serves_a_definition_by_its_name() {
        let text = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
            metadata: {name: anchors.example.com}\n\
            spec: {group: example.com, scope: Cluster, names: {plural: anchors, kind: Anchor}, \
            versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}\n";
        let document = Document::read(text).expect("a definition");
        let plugin = document.plugin.expect("it serves");
        assert_eq!(plugin.name, "anchors.example.com");
        assert!(!plugin.resources[0].definition.is_namespaced());
    }

    #[test]
    fn refuses_documents_of_other_kinds() {
        let error = Document::read("kind: ConfigMap\n").err().expect("refused");
        assert_eq!(
            error,
            "kind: must be Plugin or CustomResourceDefinition, not \"ConfigMap\": remove the file"
        );
    }
}
