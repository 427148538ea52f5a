//! The messages of openapiv3/OpenAPIv3.proto.

use serde_json::Value;

use super::Kind::{Flag, Integer, Many, Number, One, Text, Texts, Yaml, Yamls};
use super::Message::{self, Around, Entries, Fields, OneOf};
use super::is_reference;

pub(super) static DOCUMENT: Message = Fields(
    &[
        ("openapi", 1, Text),
        ("info", 2, One(&INFO)),
        ("paths", 4, One(&PATHS)),
        ("components", 5, One(&COMPONENTS)),
    ],
    9,
);

static INFO: Message = Fields(
    &[
        ("title", 1, Text),
        ("description", 2, Text),
        ("version", 6, Text),
    ],
    7,
);
static PATHS: Message = Entries(1, &PATH_ITEM, 2);
static COMPONENTS: Message = Fields(&[("schemas", 1, One(&SCHEMAS))], 10);
static SCHEMAS: Message = Entries(1, &SCHEMA_OR_REFERENCE, 0);

static PATH_ITEM: Message = Fields(
    &[
        ("$ref", 1, Text),
        ("summary", 2, Text),
        ("description", 3, Text),
        ("get", 4, One(&OPERATION)),
        ("put", 5, One(&OPERATION)),
        ("post", 6, One(&OPERATION)),
        ("delete", 7, One(&OPERATION)),
        ("options", 8, One(&OPERATION)),
        ("head", 9, One(&OPERATION)),
        ("patch", 10, One(&OPERATION)),
        ("parameters", 13, Many(&PARAMETER_OR_REFERENCE)),
    ],
    14,
);

static OPERATION: Message = Fields(
    &[
        ("tags", 1, Texts),
        ("summary", 2, Text),
        ("description", 3, Text),
        ("operationId", 5, Text),
        ("parameters", 6, Many(&PARAMETER_OR_REFERENCE)),
        ("requestBody", 7, One(&BODY_OR_REFERENCE)),
        ("responses", 8, One(&RESPONSES)),
        ("deprecated", 10, Flag),
    ],
    13,
);

static REFERENCE: Message = Fields(
    &[
        ("$ref", 1, Text),
        ("summary", 2, Text),
        ("description", 3, Text),
    ],
    0,
);

static PARAMETER_OR_REFERENCE: Message = OneOf(|value| {
    Some(if is_reference(value) {
        (2, One(&REFERENCE))
    } else {
        (1, One(&PARAMETER))
    })
});
static PARAMETER: Message = Fields(
    &[
        ("name", 1, Text),
        ("in", 2, Text),
        ("description", 3, Text),
        ("required", 4, Flag),
        ("deprecated", 5, Flag),
        ("schema", 10, One(&SCHEMA_OR_REFERENCE)),
    ],
    14,
);

static BODY_OR_REFERENCE: Message = OneOf(|value| {
    Some(if is_reference(value) {
        (2, One(&REFERENCE))
    } else {
        (1, One(&BODY))
    })
});
static BODY: Message = Fields(
    &[
        ("description", 1, Text),
        ("content", 2, One(&MEDIA_TYPES)),
        ("required", 3, Flag),
    ],
    4,
);
static MEDIA_TYPES: Message = Entries(1, &MEDIA_TYPE, 0);
static MEDIA_TYPE: Message = Fields(&[("schema", 1, One(&SCHEMA_OR_REFERENCE))], 5);

static RESPONSES: Message = Entries(2, &RESPONSE_OR_REFERENCE, 3);
static RESPONSE_OR_REFERENCE: Message = OneOf(|value| {
    Some(if is_reference(value) {
        (2, One(&REFERENCE))
    } else {
        (1, One(&RESPONSE))
    })
});
static RESPONSE: Message = Fields(
    &[("description", 1, Text), ("content", 3, One(&MEDIA_TYPES))],
    5,
);

static SCHEMA_OR_REFERENCE: Message = OneOf(|value| {
    Some(if is_reference(value) {
        (2, One(&REFERENCE))
    } else {
        (1, One(&SCHEMA))
    })
});
static SCHEMA: Message = Fields(
    &[
        ("nullable", 1, Flag),
        ("readOnly", 3, Flag),
        ("writeOnly", 4, Flag),
        ("example", 7, Yaml),
        ("deprecated", 8, Flag),
        ("title", 9, Text),
        ("multipleOf", 10, Number),
        ("maximum", 11, Number),
        ("exclusiveMaximum", 12, Flag),
        ("minimum", 13, Number),
        ("exclusiveMinimum", 14, Flag),
        ("maxLength", 15, Integer),
        ("minLength", 16, Integer),
        ("pattern", 17, Text),
        ("maxItems", 18, Integer),
        ("minItems", 19, Integer),
        ("uniqueItems", 20, Flag),
        ("maxProperties", 21, Integer),
        ("minProperties", 22, Integer),
        ("required", 23, Texts),
        ("enum", 24, Yamls),
        ("type", 25, Text),
        ("allOf", 26, Many(&SCHEMA_OR_REFERENCE)),
        ("oneOf", 27, Many(&SCHEMA_OR_REFERENCE)),
        ("anyOf", 28, Many(&SCHEMA_OR_REFERENCE)),
        ("not", 29, One(&SCHEMA)),
        ("items", 30, One(&ITEMS)),
        ("properties", 31, One(&SCHEMAS)),
        ("additionalProperties", 32, One(&SCHEMA_OR_FLAG)),
        ("default", 33, One(&DEFAULT)),
        ("description", 34, Text),
        ("format", 35, Text),
    ],
    36,
);
static SCHEMA_OR_FLAG: Message = OneOf(|value| {
    Some(if value.is_boolean() {
        (2, Flag)
    } else {
        (1, One(&SCHEMA_OR_REFERENCE))
    })
});
static ITEMS: Message = Around(1, Many(&SCHEMA_OR_REFERENCE));
/// The form has no place for defaults that are objects or lists.
static DEFAULT: Message = OneOf(|value| match value {
    Value::Number(_) => Some((1, Number)),
    Value::Bool(_) => Some((2, Flag)),
    Value::String(_) => Some((3, Text)),
    _ => None,
});
