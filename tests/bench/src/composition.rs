//! Objects of 10 KiB with lists of maps in lists of maps, as a Deployment has them, and who owns what of them.

use serde_json::{Value, json};

/// Entries of the list that a managed object has, and of them those that one manager applies.
const CONTAINERS: usize = 17;
const CONTAINERS_EACH: usize = 4;

/// What the manager of that number applies: some containers of the whole; the first one `notes` and `selector` too.
pub(crate) fn part(name: &str, round: u64, manager: usize) -> Value {
    let first = manager * (CONTAINERS - CONTAINERS_EACH) / 4;
    let containers: Vec<Value> = (first..first + CONTAINERS_EACH).map(container).collect();
    let mut object = json!({
        "apiVersion": "bench.example.com/v1", "kind": "Composition",
        "metadata": {"name": name, "labels": {"app": "thing", "tier": "backend"}},
        "spec": {"containers": containers},
    });
    if manager == 0 {
        object["spec"]["notes"] = format!("number-{round}").into();
        object["spec"]["selector"] = json!({"app": "thing"});
    }
    object
}

fn container(at: usize) -> Value {
    let env = (0..6)
        .map(|at| json!({"name": format!("VARIABLE_{at}"), "value": format!("value of {at}")}));
    json!({
        "name": format!("container-{at}"),
        "image": format!("registry.example.com/some/image-{at}:v1.2.3"),
        "args": ["--verbose", "--listen=0.0.0.0:8080", "--cache=/var/cache"],
        "ports": [{"containerPort": 8080 + at, "protocol": "TCP"}, {"containerPort": 9090}],
        "env": env.collect::<Vec<_>>(),
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}},
    })
}

pub(crate) fn schema() -> Value {
    let text = json!({"type": "string"});
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "notes": text,
        "selector": texts,
        "containers": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"], "properties": {
                "name": text,
                "image": text,
                "args": {"type": "array", "items": text},
                "ports": {
                    "type": "array", "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["containerPort", "protocol"],
                    "items": {"type": "object", "required": ["containerPort"], "properties": {
                        "containerPort": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"},
                    }},
                },
                "env": {
                    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "required": ["name"], "properties": {"name": text, "value": text}},
                },
                "resources": {"type": "object", "properties": {"limits": texts, "requests": texts}},
            }},
        },
    }}}})
}
