//! A schema and an object: the `openAPIV3Schema`, the separator, the object.

use outrigger::registry::schema::Schema;
use serde_json::{Map, Value};

/// A schema that compiles can be applied to any object; doing it again changes nothing.
pub fn run(data: &[u8]) {
    let Some((schema, object)) = crate::parts(data) else {
        return;
    };
    let Ok(document) = serde_json::from_slice::<Value>(schema) else {
        return;
    };
    let Ok(schema) = Schema::compile(&document) else {
        return;
    };
    let Ok(mut object) = serde_json::from_slice::<Map<String, Value>>(object) else {
        return;
    };
    let _ = schema.validate(&object);
    schema.prune(&mut object);
    let mut again = object.clone();
    assert!(
        schema.prune(&mut again).is_empty(),
        "something is left to prune"
    );
    assert_eq!(again, object, "pruned in secret");
    schema.default(&mut object);
    let mut again = object.clone();
    schema.default(&mut again);
    assert_eq!(again, object, "something is left to default");
    let mut errors = schema.validate(&object);
    schema.add_unchecked_rules(&mut errors);
    let _ = schema.type_error(&object);
}
