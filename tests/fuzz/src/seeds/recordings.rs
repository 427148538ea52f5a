//! Seeds out of recorded requests: JSON files with `steps`, and the definitions beside them.

use anyhow::Result;
use serde_json::Value;

use super::{chosen, files, joined, root};

/// Beyond this a seed slows down more than it helps.
const MAX_BYTES: usize = 8 * 1024;

pub(super) fn seeds(target: &str) -> Result<Vec<Vec<u8>>> {
    let mut seeds = Vec::new();
    let mut schema = None;
    for file in files(&root().join("tests/oracle"))? {
        if file.extension().is_none_or(|it| it != "json") {
            continue;
        }
        let Ok(case) = serde_json::from_slice::<Value>(&std::fs::read(file)?) else {
            continue;
        };
        let document = "/spec/versions/0/schema/openAPIV3Schema";
        if let Some(found) = case.pointer(document) {
            schema = Some(found.to_string());
        }
        // What patches are applied to: the object of the step before.
        let mut object = String::from("{}");
        for step in case["steps"].as_array().into_iter().flatten() {
            match target {
                "schema" => seeds.extend(schema.iter().filter_map(|schema| {
                    let body = step["body"].as_str()?;
                    Some(joined(schema.as_bytes(), body.as_bytes()))
                })),
                _ => seeds.extend(of_step(target, step, &object)),
            }
            let answered = &step["answer"]["body"]["json"];
            if answered["metadata"].is_object() {
                object = answered.to_string();
            }
        }
    }
    seeds.retain(|it| it.len() <= MAX_BYTES);
    Ok(seeds)
}

fn of_step(target: &str, step: &Value, object: &str) -> Vec<Vec<u8>> {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let (method, path, body) = (
        text(&step["method"]),
        text(&step["path"]),
        text(&step["body"]),
    );
    let media = text(&step["headers"]["Content-Type"]);
    match target {
        "path" => vec![format!("{method} {path}").into_bytes()],
        "accept" => vec![
            text(&step["headers"]["Accept"]).into_bytes(),
            media.into_bytes(),
        ],
        "selectors" => selectors(&path),
        "patch" => {
            let kinds = ["json-patch", "merge-patch", "strategic"];
            let kind = kinds.iter().position(|it| media.contains(it));
            let kind = kind.and_then(|it| u8::try_from(it).ok());
            kind.map(|kind| chosen(kind, &joined(body.as_bytes(), object.as_bytes())))
                .into_iter()
                .collect()
        }
        "decoder" if !body.is_empty() => {
            let form = u8::from(media.contains("yaml"));
            vec![chosen(form, body.as_bytes()), chosen(2, body.as_bytes())]
        }
        _ => Vec::new(),
    }
}

fn selectors(path: &str) -> Vec<Vec<u8>> {
    let query = path.split_once('?').map_or("", |it| it.1);
    form_urlencoded::parse(query.as_bytes())
        .filter_map(|(key, value)| match &*key {
            "labelSelector" => Some(chosen(0, value.as_bytes())),
            "fieldSelector" => Some(chosen(2, value.as_bytes())),
            _ => None,
        })
        .collect()
}
