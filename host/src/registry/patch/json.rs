//! JSON patches: operations one after another, with bounds on what they can make of a small body.

use json_patch::PatchOperation;
use serde_json::Value;

use crate::api::Status;
use crate::api::status::{self, Details, Result};

const MAX_OPERATIONS: usize = 10_000;
const MAX_COPIED_BYTES: usize = 3 * 1024 * 1024;
/// Elements behind an inserted or removed one, over all operations.
const MAX_MOVED_ELEMENTS: usize = 50_000_000;
const MAX_DEPTH: usize = 128;

/// The operations of a body, still unread: a bad one fails only when its turn comes, as upstream.
pub(super) fn operations(value: Value) -> Result<Vec<Value>> {
    let list = match value {
        Value::Array(list) => list,
        Value::Null => Vec::new(),
        other => {
            return Err(status::bad_request(format!(
                "error decoding patch: json: cannot unmarshal {} into Go value of type []handlers.jsonPatchOp",
                go_kind(&other)
            )));
        }
    };
    if list.len() > MAX_OPERATIONS {
        return Err(Status::failure(
            413,
            "RequestEntityTooLarge",
            format!(
                "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
                list.len()
            ),
        ));
    }
    if let Some(bad) = list.iter().find(|it| !it.is_object()) {
        return Err(status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type handlers.jsonPatchOp",
            go_kind(bad)
        )));
    }
    Ok(list)
}

/// What operations have beside their known fields: ignored, and told to clients that want to know.
pub(super) fn unknown_fields(operations: &Value) -> Vec<String> {
    const KNOWN: [&str; 4] = ["from", "op", "path", "value"];
    let operations = operations.as_array().into_iter().flatten().enumerate();
    let unknown = operations.flat_map(|(index, operation)| {
        let fields = operation.as_object().into_iter().flatten();
        let unknown = fields.filter(|(name, _)| !KNOWN.contains(&name.as_str()));
        unknown.map(move |(name, _)| format!("json patch unknown field \"[{index}].{name}\""))
    });
    unknown.collect()
}

/// What Go's decoder calls a value.
pub(super) fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// 422 of a patch whose operations cannot be applied.
pub(super) fn rejected() -> Box<Status> {
    let mut status = Status::failure(
        422,
        "Invalid",
        "the server rejected our request due to an error in our request",
    );
    status.details = Some(Details::default());
    status
}

/// Each operation's name with every path that it names.
pub(super) fn paths(operations: &[Value]) -> impl Iterator<Item = (&str, &str)> {
    operations.iter().flat_map(|it| {
        let text = |field| it.get(field).and_then(Value::as_str);
        let op = text("op").unwrap_or_default();
        let from = text("from").filter(|_| matches!(op, "move" | "copy"));
        [Some(text("path").unwrap_or_default()), from]
            .into_iter()
            .flatten()
            .map(move |path| (op, path))
    })
}

pub(super) fn apply(document: &mut Value, operations: &[Value]) -> Result<()> {
    let mut work = Work::default();
    for operation in operations {
        let operation: PatchOperation =
            serde_json::from_value(operation.clone()).map_err(|_| rejected())?;
        if !work.is_bounded(document, &operation) {
            return Err(rejected());
        }
        if is_test_for_nothing(document, &operation) {
            continue;
        }
        json_patch::patch_unsafe(document, std::slice::from_ref(&operation))
            .map_err(|_| rejected())?;
    }
    Ok(())
}

/// Whether a null is asked for where an object has no such member: to upstream that is the same, and clients
/// (kube-rs, with the first finalizer of an object) ask for it to learn that there is none.
fn is_test_for_nothing(document: &Value, operation: &PatchOperation) -> bool {
    let PatchOperation::Test(test) = operation else {
        return false;
    };
    let path = test.path.as_str();
    let parent = path.rsplit_once('/').map(|(parent, _)| parent);
    test.value.is_null()
        && parent
            .and_then(|it| document.pointer(it))
            .is_some_and(Value::is_object)
        && document.pointer(path).is_none()
}

/// What all operations together have cost so far.
#[derive(Default)]
struct Work {
    copied: usize,
    moved: usize,
}

impl Work {
    fn is_bounded(&mut self, document: &Value, operation: &PatchOperation) -> bool {
        let path = operation.path();
        let mut moved = elements_around(document, path.as_str());
        let value = match operation {
            PatchOperation::Add(add) => Some(&add.value),
            PatchOperation::Replace(replace) => Some(&replace.value),
            PatchOperation::Copy(copy) => {
                let value = document.pointer(copy.from.as_str());
                self.copied += value.map_or(0, |it| it.to_string().len());
                value
            }
            PatchOperation::Move(from) => {
                moved += elements_around(document, from.from.as_str());
                document.pointer(from.from.as_str())
            }
            PatchOperation::Remove(_) => None,
            PatchOperation::Test(_) => {
                moved = 0;
                None
            }
        };
        self.moved += moved;
        let depth = path.count() + value.map_or(0, depth);
        depth <= MAX_DEPTH && self.copied <= MAX_COPIED_BYTES && self.moved <= MAX_MOVED_ELEMENTS
    }
}

/// The length of the list that a pointer's last step goes into.
fn elements_around(document: &Value, pointer: &str) -> usize {
    let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
    document
        .pointer(parent)
        .and_then(Value::as_array)
        .map_or(0, Vec::len)
}

fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(list) => list.iter().map(depth).max(),
        Value::Object(map) => map.values().map(depth).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or(0)
}
