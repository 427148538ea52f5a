//! What an apply costs that changes one field of an object of 10 KiB with five managers, beside a JSON merge patch of
//! the same field. Both parse what came in and what was stored, and write what will be stored.
//!
//! `cargo bench -p structured-merge-diff`

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use structured_merge_diff::fieldpath::{ApiVersion, ManagedFields, Set, VersionedSet};
use structured_merge_diff::merge::{OneVersion, Updater};
use structured_merge_diff::schema::{Type, openapi};
use structured_merge_diff::typed::Duplicates;

const ROUNDS: usize = 2_000;

fn main() {
    let of = openapi::object_type(&schema()).expect("it is structural");
    let stored = Stored::new(&of);
    println!(
        "object: {} bytes, managers: {} bytes",
        stored.object.len(),
        stored.fields_len()
    );

    let patch = r#"{"spec":{"replicas":7}}"#;
    let mut config = stored.config.clone();
    config["spec"]["replicas"] = 7.into();
    let same = config.to_string();
    config["spec"]["containers"]
        .as_array_mut()
        .expect("it is a list")
        .pop();
    let fewer = config.to_string();

    let baseline = time("merge patch", || {
        let mut object: Value = serde_json::from_str(&stored.document).expect("it was written");
        merge(
            &mut object,
            serde_json::from_str(patch).expect("it is JSON"),
        );
        object.to_string()
    });
    let measured = [
        (
            "managers, read and written",
            time("managers", || write(&stored.managers())),
        ),
        ("update", time("update", || stored.update(&of, patch))),
        ("apply", time("apply", || stored.apply(&of, &same))),
        (
            "apply, with removals",
            time("prune", || stored.apply(&of, &fewer)),
        ),
    ];
    baseline.print("merge patch", &baseline);
    for (name, cost) in measured {
        cost.print(name, &baseline);
    }
}

struct Stored {
    object: String,
    /// The object with its managed fields.
    document: String,
    /// What the first manager applied: a third of the object.
    config: Value,
    fields: Vec<(String, bool)>,
}

impl Stored {
    fn new(of: &Type) -> Self {
        let object = object(0..17);
        let mut config = Value::Null;
        let mut fields = Vec::new();
        for at in 0..5 {
            let mut part = object.clone();
            part["spec"]["containers"] = object["spec"]["containers"]
                .as_array()
                .map(|it| it.iter().skip(at * 3).take(4).cloned().collect())
                .unwrap_or_default();
            let typed = of
                .typed(part.clone(), Duplicates::Allowed)
                .expect("it is valid");
            fields.push((typed.to_field_set().expect("it is valid").to_json(), at < 3));
            if at == 0 {
                config = part;
            }
        }
        // The others own nothing of what will change.
        let replicas = Set::from_json(br#"{"f:spec":{"f:replicas":{}}}"#).expect("it is a set");
        for (text, _) in fields.iter_mut().skip(1) {
            let set = Set::from_json(text.as_bytes()).expect("it was written");
            *text = set.difference(&replicas).to_json();
        }
        let mut document = object.clone();
        let managed = fields.iter().map(|(text, _)| {
            let fields: Value = serde_json::from_str(text).expect("it was written");
            json!({"manager": "m", "operation": "Apply", "apiVersion": "example.com/v1", "fieldsV1": fields})
        });
        document["metadata"]["managedFields"] = managed.collect();
        Self {
            object: object.to_string(),
            document: document.to_string(),
            config,
            fields,
        }
    }

    fn fields_len(&self) -> usize {
        self.fields.iter().map(|(text, _)| text.len()).sum()
    }

    fn managers(&self) -> ManagedFields {
        let mut managers = ManagedFields::new();
        for (at, (text, applied)) in self.fields.iter().enumerate() {
            let owned = VersionedSet {
                set: Set::from_json(text.as_bytes()).expect("it was written"),
                api_version: ApiVersion::from("v1"),
                applied: *applied,
            };
            managers.insert(format!("m{at}"), owned);
        }
        managers
    }

    fn update(&self, of: &Type, patch: &str) -> (String, Vec<String>) {
        let live: Value = serde_json::from_str(&self.object).expect("it was written");
        let mut object = live.clone();
        merge(
            &mut object,
            serde_json::from_str(patch).expect("it is JSON"),
        );
        let written = object.to_string();
        let live = of.typed(live, Duplicates::Allowed).expect("it is valid");
        let object = of.typed(object, Duplicates::Allowed).expect("it is valid");
        let version = ApiVersion::from("v1");
        let updater = Updater::new(OneVersion);
        let update = updater.update(&live, &object, &version, self.managers(), "m0");
        (written, write(&now(update).expect("it is an update")))
    }

    fn apply(&self, of: &Type, config: &str) -> (String, Vec<String>) {
        let live: Value = serde_json::from_str(&self.object).expect("it was written");
        let config: Value = serde_json::from_str(config).expect("it is JSON");
        let live = of.typed(live, Duplicates::Allowed).expect("it is valid");
        let config = of.typed(config, Duplicates::Refused).expect("it is valid");
        let version = ApiVersion::from("v1");
        let updater = Updater::new(OneVersion);
        let apply = updater.apply(&live, &config, &version, self.managers(), "m0", false);
        let applied = now(apply).expect("nothing conflicts");
        let object = applied.object.expect("something changes");
        (object.value().to_string(), write(&applied.managers))
    }
}

fn write(managers: &ManagedFields) -> Vec<String> {
    managers.values().map(|it| it.set.to_json()).collect()
}

fn object(containers: std::ops::Range<usize>) -> Value {
    let containers: Vec<Value> = containers
        .map(|at| {
            let env = (0..6).map(
                |at| json!({"name": format!("VARIABLE_{at}"), "value": format!("value of {at}")}),
            );
            json!({
                "name": format!("container-{at}"),
                "image": format!("registry.example.com/some/image-{at}:v1.2.3"),
                "args": ["--verbose", "--listen=0.0.0.0:8080", "--cache=/var/cache"],
                "ports": [{"containerPort": 8080 + at, "protocol": "TCP"}, {"containerPort": 9090}],
                "env": env.collect::<Vec<_>>(),
                "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}},
            })
        })
        .collect();
    json!({
        "apiVersion": "example.com/v1",
        "kind": "Thing",
        "metadata": {"name": "thing", "namespace": "default", "labels": {"app": "thing", "tier": "backend"}},
        "spec": {"replicas": 3, "selector": {"app": "thing"}, "containers": containers},
    })
}

fn schema() -> Value {
    let text = json!({"type": "string"});
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "replicas": {"type": "integer"},
        "selector": texts,
        "containers": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "properties": {
                "name": text,
                "image": text,
                "args": {"type": "array", "items": text},
                "ports": {
                    "type": "array", "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["containerPort", "protocol"],
                    "items": {"type": "object", "properties": {
                        "containerPort": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"},
                    }},
                },
                "env": {
                    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "properties": {"name": text, "value": text}},
                },
                "resources": {"type": "object", "properties": {"limits": texts, "requests": texts}},
            }},
        },
    }}}})
}

/// JSON merge patch, RFC 7396.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let fields = target.as_object_mut().expect("it is one now");
    for (name, value) in patch {
        match value {
            Value::Null => drop(fields.remove(&name)),
            value => merge(fields.entry(name).or_insert(Value::Null), value),
        }
    }
}

/// What it takes when little else is going on. `BENCH_ONLY` names the one that is to be run.
fn time<T>(name: &str, mut run: impl FnMut() -> T) -> Cost {
    if std::env::var("BENCH_ONLY").is_ok_and(|it| it != name) {
        return Cost::default();
    }
    let allocations = allocation_counter::measure(|| {
        black_box(run());
    });
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        black_box(run());
        rounds.push(started.elapsed());
    }
    rounds.sort_unstable();
    Cost {
        took: rounds[ROUNDS / 20],
        allocations: allocations.count_total,
        bytes: allocations.bytes_total,
    }
}

/// Of one run.
#[derive(Default)]
struct Cost {
    took: Duration,
    allocations: u64,
    bytes: u64,
}

impl Cost {
    fn print(&self, name: &str, baseline: &Self) {
        let Self {
            took,
            allocations,
            bytes,
        } = self;
        let factor = took.as_secs_f64() / baseline.took.as_secs_f64();
        let kibibytes = bytes / 1024;
        println!(
            "{name:<28} {took:>10.1?} {factor:>5.2} {allocations:>8} allocations {kibibytes:>6} KiB"
        );
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(it) => it,
        Poll::Pending => unreachable!("one version is never waited for"),
    }
}
