//! The annotation in which `kubectl apply` keeps what it applied, for those who go over to server-side apply
//! (k8s.io/apimachinery, pkg/util/managedfields/internal/lastapplied*.go).

use serde_json::Value;

use crate::api::Object;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The manager whose fields the annotation tells of.
pub(super) const MANAGER: &str = "kubectl";

/// Annotations' keys and values together.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// What was applied last by a client, as text.
pub(super) fn of(object: &Object) -> Option<&str> {
    let annotations = object.metadata().get("annotations")?;
    let text = annotations.get(ANNOTATION)?.as_str()?;
    (!text.is_empty()).then_some(text)
}

/// Writes down what was applied now, so that a client that still looks there goes on from it.
pub(super) fn set(object: &mut Object, configuration: &Object) {
    let mut applied = configuration.clone();
    let annotations = |object: &mut Object| match object.metadata_mut().get_mut("annotations") {
        Some(Value::Object(annotations)) => Some(annotations.clone()),
        _ => None,
    };
    if let Some(mut kept) = annotations(&mut applied) {
        kept.remove(ANNOTATION);
        let kept = (!kept.is_empty()).then_some(Value::Object(kept));
        applied.set_in_metadata("annotations", kept);
    }
    let Some(mut kept) = annotations(object) else {
        return;
    };
    let mut text = String::from_utf8_lossy(&applied.to_vec()).into_owned();
    // As Go's encoder ends what it writes.
    text.push('\n');
    kept.insert(ANNOTATION.into(), text.into());
    let length = |value: &Value| value.as_str().map_or(0, str::len);
    let total: usize = kept
        .iter()
        .map(|(key, value)| key.len() + length(value))
        .sum();
    if total > MAX_ANNOTATIONS {
        kept.remove(ANNOTATION);
    }
    object.set_in_metadata("annotations", Some(Value::Object(kept)));
}
