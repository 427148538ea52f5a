//! What a schema costs: an object of 2 KiB with 40 fields is parsed, and then pruned, defaulted and validated.
//!
//! In this process, without a server. What counts is the ratio: both halves see the same memory and processor.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use outrigger::api::document::{self, Twice};
use outrigger::registry::schema::Schema;
use serde_json::{Map, Value, json};

use crate::report::SchemaCost;

/// Objects between two looks at the clock.
const BATCH: usize = 200;

/// Nanoseconds for one object, each the median of many batches.
pub(crate) fn measure(duration: Duration) -> Result<SchemaCost> {
    let schema = Schema::compile(&definition()).map_err(anyhow::Error::msg)?;
    let text = object().to_string();
    let Value::Object(parsed) = serde_json::from_str(&text)? else {
        bail!("the object is none");
    };
    let mut complete = parsed.clone();
    ensure!(
        schema.prune(&mut complete).is_empty(),
        "something is unknown"
    );
    schema.default(&mut complete);
    ensure!(complete != parsed, "nothing is defaulted");
    let errors = schema.validate(&complete);
    ensure!(errors.is_empty(), "it is not valid: {errors:?}");

    let share = duration / 3;
    let parse = median(share, Vec::new, |_: &mut ()| {
        let value: Value = serde_json::from_str(black_box(&text)).expect("it is JSON");
        black_box(value);
    });
    let decode = median(share, Vec::new, |_: &mut ()| {
        let document =
            document::parse_json(black_box(text.as_bytes()), Twice::Replaces).expect("it is JSON");
        black_box(document);
    });
    // A fresh object each time: the second time there is nothing left to fill in.
    let fresh = || vec![parsed.clone(); BATCH];
    let check = median(share, fresh, |object: &mut Map<String, Value>| {
        black_box(schema.prune(object));
        schema.default(object);
        black_box(schema.validate(object));
    });
    Ok(SchemaCost {
        object_bytes: text.len(),
        fields: fields(&Value::Object(parsed)),
        parse_ns: parse.context("no time")?,
        decode_ns: decode.context("no time")?,
        prune_default_validate_ns: check.context("no time")?,
    })
}

/// Of one run, in nanoseconds; what `prepare` makes is handed to the runs of one batch, one by one.
fn median<T>(
    duration: Duration,
    prepare: impl Fn() -> Vec<T>,
    mut run: impl FnMut(&mut T),
) -> Option<f64>
where
    T: Default,
{
    let end = Instant::now() + duration;
    let mut samples = Vec::new();
    while Instant::now() < end {
        let mut prepared = prepare();
        prepared.resize_with(BATCH, T::default);
        let started = Instant::now();
        for item in &mut prepared {
            run(item);
        }
        samples.push(started.elapsed().as_secs_f64() * 1e9 / BATCH as f64);
    }
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied()
}

/// Values that are no objects and no lists.
fn fields(value: &Value) -> usize {
    match value {
        Value::Object(map) => map.values().map(fields).sum(),
        Value::Array(list) => list.iter().map(fields).sum(),
        _ => 1,
    }
}

/// As of a Deployment's size: texts with patterns and formats, numbers with bounds, enums, lists, maps, defaults.
pub(crate) fn definition() -> Value {
    let text = json!({"type": "string", "maxLength": 253});
    let label =
        json!({"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63});
    let port = json!({"type": "integer", "minimum": 1, "maximum": 65535});
    let quantity = json!({"x-kubernetes-int-or-string": true});
    let container = json!({
        "type": "object",
        "required": ["name", "image"],
        "properties": {
            "name": label, "image": text, "pullPolicy": {"type": "string", "enum": ["Always", "Never", "IfNotPresent"], "default": "IfNotPresent"},
            "args": {"type": "array", "items": {"type": "string"}, "maxItems": 64, "x-kubernetes-list-type": "atomic"},
            "port": port, "protocol": {"type": "string", "enum": ["TCP", "UDP"], "default": "TCP"},
            "limits": {"type": "object", "additionalProperties": quantity},
        },
    });
    json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["replicas", "owner"],
                "properties": {
                    "replicas": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 1000},
                    "paused": {"type": "boolean", "default": false},
                    "owner": label,
                    "team": label,
                    "region": {"type": "string", "enum": ["north", "south", "east", "west"]},
                    "started": {"type": "string", "format": "date-time"},
                    "id": {"type": "string", "format": "uuid"},
                    "homepage": {"type": "string", "format": "uri"},
                    "ratio": {"type": "number", "minimum": 0, "maximum": 1},
                    "notes": {"type": "string", "maxLength": 4096},
                    "timeoutSeconds": {"type": "integer", "default": 30, "minimum": 1},
                    "strategy": {
                        "type": "object",
                        "default": {},
                        "properties": {
                            "kind": {"type": "string", "enum": ["Rolling", "Recreate"], "default": "Rolling"},
                            "maxSurge": quantity,
                        },
                    },
                    "nodeSelector": {"type": "object", "additionalProperties": text},
                    "zones": {"type": "array", "items": label, "x-kubernetes-list-type": "set"},
                    "containers": {
                        "type": "array", "minItems": 1, "maxItems": 16, "items": container,
                        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    },
                },
            },
            "status": {
                "type": "object",
                "properties": {
                    "phase": {"type": "string"}, "readyReplicas": {"type": "integer"}, "message": text,
                    "observedGeneration": {"type": "integer", "format": "int64"},
                },
            },
        },
    })
}

/// 2 KiB with 40 fields.
pub(crate) fn object() -> Value {
    json!({
        "apiVersion": "bench.example.com/v1",
        "kind": "Workload",
        "metadata": {
            "name": "workload-0001", "namespace": "default",
            "labels": {"app.kubernetes.io/name": "workload"},
        },
        "spec": {
            "replicas": 3,
            "owner": "platform-engineering", "team": "storage-and-scheduling", "region": "north",
            "started": "2026-01-02T03:04:05Z",
            "id": "7a1f1c7e-3c1b-4b0e-9a53-1f4cb7a7a001",
            "homepage": "https://workloads.bench.example.com/north/workload-0001",
            "ratio": 0.75, "timeoutSeconds": 45, "paused": true,
            "notes": "This workload moves what came in during the night to where it is wanted in the morning. ".repeat(11).trim_end(),
            "strategy": {"maxSurge": "25%"},
            "nodeSelector": {"kubernetes.io/os": "linux", "topology.kubernetes.io/zone": "north-1"},
            "zones": ["north-1", "north-2", "north-3"],
            "containers": [
                {
                    "name": "mover", "image": "registry.bench.example.com/platform/mover:1.27.3",
                    "args": ["--verbose=2", "--source=/var/lib/mover/incoming", "--batch=500"],
                    "port": 8443, "limits": {"cpu": "500m", "memory": "512Mi"},
                },
                {
                    "name": "sidecar", "image": "registry.bench.example.com/platform/sidecar:0.9.14",
                    "args": ["--listen=127.0.0.1:9090"],
                    "port": 9090, "protocol": "TCP", "limits": {"cpu": 1, "memory": "128Mi"},
                },
            ],
        },
        "status": {"phase": "Running", "readyReplicas": 3, "observedGeneration": 12},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_object_is_of_the_size_that_is_told() {
        let object = object();
        let length = object.to_string().len();
        assert!((1948..=2148).contains(&length), "{length} bytes");
        assert_eq!(fields(&object), 40);
    }
}
