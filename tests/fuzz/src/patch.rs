//! Patches of all kinds: a byte that chooses the kind, the patch, the separator, the object.

use outrigger::api::Object;
use outrigger::registry::patch::{Patch, PatchKind};
use outrigger::registry::schema::PatchMeta;
use serde_json::Value;

/// The longest that a patch of a few KiB can make of a document of a few KiB: copies are limited to 3 MiB.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A patch that applies makes something that can be written and read again.
pub fn run(data: &[u8]) {
    let Some((choice, rest)) = crate::choice(data) else {
        return;
    };
    let Some((patch, object)) = crate::parts(rest) else {
        return;
    };
    let kind = [PatchKind::Json, PatchKind::Merge, PatchKind::Strategic][choice % 3];
    let (Ok(patch), Some(object)) = (Patch::parse(kind, patch), Object::from_slice(object)) else {
        return;
    };
    let _ = (
        patch.touches_only_ownership(),
        patch.names_resource_version(),
    );
    let Ok(patched) = patch.apply(&object, PatchMeta::PLAIN) else {
        return;
    };
    assert_eq!(
        patch.apply(&object, PatchMeta::PLAIN).as_ref(),
        Ok(&patched),
        "not the same twice"
    );
    let bytes = patched.to_vec();
    assert!(bytes.len() <= MAX_BYTES, "{} bytes", bytes.len());
    if kind == PatchKind::Merge {
        assert!(
            !has_null_from(&patched, &object),
            "a null of a patch is stored"
        );
    }
    // Floats aside, which are not always written as they were.
    assert!(
        serde_json::from_slice::<Value>(&bytes).is_ok(),
        "it cannot be read again"
    );
}

/// Whether there is a null that the object did not have.
fn has_null_from(patched: &Object, object: &Object) -> bool {
    let count = |it: &Object| it.0.values().filter(|value| value.is_null()).count();
    count(patched) > count(object)
}
