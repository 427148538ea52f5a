//! The messages of openapiv2/OpenAPIv2.proto.

use serde_json::Value;

use super::Kind::{Flag, Integer, Many, Number, One, Text, Texts, Yaml, Yamls};
use super::Message::{self, Around, Entries, Fields, OneOf};
use super::is_reference;

pub(super) static DOCUMENT: Message = Fields(
    &[
        ("swagger", 1, Text),
        ("info", 2, One(&INFO)),
        ("consumes", 6, Texts),
        ("produces", 7, Texts),
        ("paths", 8, One(&PATHS)),
        ("definitions", 9, One(&SCHEMAS)),
        ("parameters", 10, One(&PARAMETERS)),
        ("security", 12, Many(&SECURITY)),
        ("securityDefinitions", 13, One(&SECURITY_DEFINITIONS)),
    ],
    16,
);

static INFO: Message = Fields(
    &[
        ("title", 1, Text),
        ("version", 2, Text),
        ("description", 3, Text),
    ],
    7,
);
static PATHS: Message = Entries(2, &PATH_ITEM, 1);
static SCHEMAS: Message = Entries(1, &SCHEMA, 0);
static PARAMETERS: Message = Entries(1, &PARAMETER, 0);
static SECURITY: Message = Entries(1, &TEXTS, 0);
static TEXTS: Message = Around(1, Texts);
static SECURITY_DEFINITIONS: Message = Entries(1, &SECURITY_DEFINITION, 0);
static SECURITY_DEFINITION: Message = Around(2, One(&API_KEY));
static API_KEY: Message = Fields(
    &[
        ("type", 1, Text),
        ("name", 2, Text),
        ("in", 3, Text),
        ("description", 4, Text),
    ],
    5,
);

static PATH_ITEM: Message = Fields(
    &[
        ("$ref", 1, Text),
        ("get", 2, One(&OPERATION)),
        ("put", 3, One(&OPERATION)),
        ("post", 4, One(&OPERATION)),
        ("delete", 5, One(&OPERATION)),
        ("options", 6, One(&OPERATION)),
        ("head", 7, One(&OPERATION)),
        ("patch", 8, One(&OPERATION)),
        ("parameters", 9, Many(&PARAMETER_OR_REFERENCE)),
    ],
    10,
);

static OPERATION: Message = Fields(
    &[
        ("tags", 1, Texts),
        ("summary", 2, Text),
        ("description", 3, Text),
        ("operationId", 5, Text),
        ("produces", 6, Texts),
        ("consumes", 7, Texts),
        ("parameters", 8, Many(&PARAMETER_OR_REFERENCE)),
        ("responses", 9, One(&RESPONSES)),
        ("schemes", 10, Texts),
        ("deprecated", 11, Flag),
    ],
    13,
);

static PARAMETER_OR_REFERENCE: Message = OneOf(|value| {
    Some(if is_reference(value) {
        (2, One(&REFERENCE))
    } else {
        (1, One(&PARAMETER))
    })
});
static REFERENCE: Message = Fields(&[("$ref", 1, Text), ("description", 2, Text)], 0);
static PARAMETER: Message = OneOf(|value| {
    Some(if is_in(value, "body") {
        (1, One(&BODY_PARAMETER))
    } else {
        (2, One(&OTHER_PARAMETER))
    })
});
static OTHER_PARAMETER: Message = OneOf(|value| match () {
    () if is_in(value, "query") => Some((3, One(&QUERY_PARAMETER))),
    () if is_in(value, "path") => Some((4, One(&PATH_PARAMETER))),
    () => None,
});

fn is_in(parameter: &Value, place: &str) -> bool {
    parameter.get("in").and_then(Value::as_str) == Some(place)
}

static BODY_PARAMETER: Message = Fields(
    &[
        ("description", 1, Text),
        ("name", 2, Text),
        ("in", 3, Text),
        ("required", 4, Flag),
        ("schema", 5, One(&SCHEMA)),
    ],
    6,
);
static QUERY_PARAMETER: Message = Fields(
    &[
        ("required", 1, Flag),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 6, Text),
        ("format", 7, Text),
        ("uniqueItems", 20, Flag),
    ],
    23,
);
static PATH_PARAMETER: Message = Fields(
    &[
        ("required", 1, Flag),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 5, Text),
        ("format", 6, Text),
        ("uniqueItems", 19, Flag),
    ],
    22,
);

static RESPONSES: Message = Entries(1, &RESPONSE_OR_REFERENCE, 2);
static RESPONSE_OR_REFERENCE: Message = OneOf(|value| {
    Some(if is_reference(value) {
        (2, One(&REFERENCE))
    } else {
        (1, One(&RESPONSE))
    })
});
static RESPONSE: Message = Fields(
    &[("description", 1, Text), ("schema", 2, One(&SCHEMA_ITEM))],
    5,
);
static SCHEMA_ITEM: Message = Around(1, One(&SCHEMA));

static SCHEMA: Message = Fields(
    &[
        ("$ref", 1, Text),
        ("format", 2, Text),
        ("title", 3, Text),
        ("description", 4, Text),
        ("default", 5, Yaml),
        ("multipleOf", 6, Number),
        ("maximum", 7, Number),
        ("exclusiveMaximum", 8, Flag),
        ("minimum", 9, Number),
        ("exclusiveMinimum", 10, Flag),
        ("maxLength", 11, Integer),
        ("minLength", 12, Integer),
        ("pattern", 13, Text),
        ("maxItems", 14, Integer),
        ("minItems", 15, Integer),
        ("uniqueItems", 16, Flag),
        ("maxProperties", 17, Integer),
        ("minProperties", 18, Integer),
        ("required", 19, Texts),
        ("enum", 20, Yamls),
        ("additionalProperties", 21, One(&SCHEMA_OR_FLAG)),
        ("type", 22, One(&TEXTS)),
        ("items", 23, One(&ITEMS)),
        ("allOf", 24, Many(&SCHEMA)),
        ("properties", 25, One(&SCHEMAS)),
        ("readOnly", 27, Flag),
        ("example", 30, Yaml),
    ],
    31,
);
static SCHEMA_OR_FLAG: Message = OneOf(|value| {
    Some(if value.is_boolean() {
        (2, Flag)
    } else {
        (1, One(&SCHEMA))
    })
});
static ITEMS: Message = Around(1, Many(&SCHEMA));
