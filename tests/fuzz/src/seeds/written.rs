//! Seeds that no recording has.

use super::{chosen, joined};

const PATHS: [&str; 9] = [
    "GET /apis/example.com/v1/namespaces/default/anchors/a",
    "GET /apis/example.com/v1/watch/namespaces/default/anchors?watch=1&labelSelector=a%3Db",
    "DELETE /apis/example.com/v1/anchors?fieldSelector=metadata.name%3Da",
    "PATCH /apis/example.com/v1/namespaces/default/anchors/a/status",
    "GET /apis/example.com/v1/namespaces/a%2fb/anchors/%2e%2e",
    "GET /apis/example.com/v1/namespaces/default/anchors/a/proxy/x//y",
    "GET /api/v1/namespaces/default",
    "OPTIONS *",
    "GET https://example.com/apis//v1/%ff",
];

const ACCEPTS: [&str; 6] = [
    "application/json;as=Table;v=v1;g=meta.k8s.io, application/json",
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io;q=0.5,*/*;q=nan",
    "application/json;stream=watch;pretty=1",
    "*",
    ",;=/ ,,application/*;q=-1e99",
    "application/apply-patch+yaml; charset=utf-8",
];

const LABELS: [&str; 6] = [
    "a=b,c!=d,e==f",
    "a in (b, c),d notin (e),f,!g",
    "n>5,n<9",
    "a in (),b",
    "example.com/a=\u{e9}",
    " , ( ) in notin ! >< ",
];

const FIELDS: [&str; 4] = [
    "metadata.name=a,metadata.namespace!=b",
    "spec.color==r\\,e\\=d\\\\",
    "metadata.name=a,metadata.name=b",
    "=,!=,==",
];

/// The payloads are `{"v":"meta.k8s.io/v1","rv":5,"start":"a\u0000"}`, the same with `rv` -1 and a dot
/// segment, and `{}`.
const TOKENS: [&str; 5] = [
    "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NSwic3RhcnQiOiJhXHUwMDAwIn0",
    "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiLi4veCJ9",
    "e30",
    "====",
    "",
];

const PATCHES: [(u8, &str); 8] = [
    (
        0,
        r#"[{"op":"add","path":"/spec/list/-","value":1},{"op":"remove","path":"/spec/list/0"}]"#,
    ),
    (
        0,
        r#"[{"op":"copy","from":"/spec","path":"/spec/a"},{"op":"copy","from":"/spec","path":"/spec/a/a"}]"#,
    ),
    (
        0,
        r#"[{"op":"move","from":"/spec","path":"/status"},{"op":"test","path":"/metadata/name","value":"a"}]"#,
    ),
    (
        0,
        r#"[{"op":"replace","path":"","value":{}},{"op":"add","path":"/~1~0","value":null}]"#,
    ),
    (
        1,
        r#"{"metadata":{"labels":{"a":null,"b":"c"}},"spec":{"list":null,"x":{"y":null}}}"#,
    ),
    (
        2,
        r#"{"spec":{"$patch":"replace","a":1},"metadata":{"finalizers":["f"],"$deleteFromPrimitiveList/finalizers":["g"]}}"#,
    ),
    (
        2,
        r#"{"metadata":{"ownerReferences":[{"uid":"u","$patch":"delete"},{"$patch":"replace"}]}}"#,
    ),
    (
        2,
        r#"{"$retainKeys":["spec"],"$setElementOrder/list":[1],"spec":{"$patch":"delete"}}"#,
    ),
];

const OBJECT: &str = r#"{"apiVersion":"example.com/v1","kind":"Anchor","metadata":{"name":"a","labels":{"a":"b"},"finalizers":["g"],"ownerReferences":[{"apiVersion":"v1","kind":"K","name":"n","uid":"u"}]},"spec":{"list":[3,{"x":null}],"n":1.5}}"#;

const BODIES: [(u8, &[u8]); 8] = [
    (0, br#"{"a":1,"a":[{"b":-0.0,"b":1e300}],"\ud83d\ude00":"\u0000"}"#),
    (0, br#"[18446744073709551616,-9223372036854775809,0.1]"#),
    (1, b"a: &x {b: [1, 2.5, .nan, 0x1f, ~]}\nc: *x\n? d\n: !!str 5\n"),
    (1, b"- |\n  text\n- >-\n  folded\n- \"\\x41\"\n---\nb: 1\n"),
    (2, br#"{"metadata":{"name":"a","creationTimestamp":"2001-02-03T04:05:06.7+01:00","labels":{"a":null},"nope":1}}"#),
    (2, br#"{"metadata":{"managedFields":[{"manager":"m","time":"2001-02-03T04:05:06Z","fieldsV1":{"f:a":{}}}],"ownerReferences":[{"uid":"u"}],"generation":3}}"#),
    (3, b"k8s\0\x0a\x13\x0a\x02v1\x12\x0dDeleteOptions\x12\x11\x12\x03\x0a\x01u\x22\x0aBackground\x1a\x00\x22\x00"),
    (3, b"k8s\0"),
];

const SCHEMAS: [(&str, &str); 6] = [
    (
        r#"{"type":"object","properties":{"spec":{"type":"object","required":["a"],"properties":{"a":{"type":"integer","minimum":0,"default":3},"l":{"type":"array","maxItems":4,"items":{"type":"string","pattern":"^a+$","format":"date-time"},"x-kubernetes-list-type":"set"}}}}}"#,
        r#"{"spec":{"a":-1,"l":["aa","aa","b"],"u":1}}"#,
    ),
    (
        r#"{"type":"object","properties":{"s":{"type":"object","additionalProperties":{"x-kubernetes-int-or-string":true,"anyOf":[{"type":"integer"},{"type":"string"}]},"minProperties":1}}}"#,
        r#"{"s":{"a":"5%","b":6,"c":null}}"#,
    ),
    (
        r#"{"type":"object","x-kubernetes-preserve-unknown-fields":true,"properties":{"e":{"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true}}}"#,
        r#"{"e":{"apiVersion":"v1","kind":"","metadata":{}}}"#,
    ),
    (
        r#"{"type":"object","properties":{"m":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],"items":{"type":"object","required":["k"],"properties":{"k":{"type":"string","enum":["a","b"]},"v":{"type":"number","multipleOf":0.1,"exclusiveMaximum":true,"maximum":5}}}}},"x-kubernetes-validations":[{"rule":"true"}]}"#,
        r#"{"m":[{"k":"a","v":0.3},{"k":"a","v":5},{"v":1}]}"#,
    ),
    (
        r#"{"type":"object","properties":{"o":{"type":"object","properties":{"x":{"type":"string","nullable":true,"default":"d"}},"oneOf":[{"required":["x"]},{"not":{"required":["y"]}}],"allOf":[{"maxProperties":1}]}}}"#,
        r#"{"o":{"x":null,"y":{}}}"#,
    ),
    (
        r#"{"type":"object","properties":{"d":{"type":"array","default":[{}],"items":{"type":"object","properties":{"q":{"type":"boolean","default":true}}}}}}"#,
        "{}",
    ),
];

const FIELDS_V1: [&str; 6] = [
    r#"{"f:spec":{"f:replicas":{},"f:list":{".":{},"v:\"a\"":{},"v:1.50":{}}}}"#,
    r#"{"f:keyed":{"k:{\"name\":\"a\",\"port\":80}":{".":{},"f:name":{},"f:port":{},"f:text":{}}}}"#,
    r#"{"f:labels":{"f:a":{},"f:":{}},"i:0":{},"i:-1":{".":{}}}"#,
    r#"{"f:whole":{},"f:list":{},"f:number":{}}"#,
    r#"{"k:{}":{},"v:null":{},"v:{\"a\":[1]}":{},"f:\u00e9\ud83d\ude00":{}}"#,
    "null",
];

/// Live objects and configurations, for the schema of the target `apply`.
const APPLIES: [(&str, &str); 4] = [
    (
        r#"{"keyed":[{"name":"a","port":80,"text":"t"},{"name":"b","port":81}],"labels":{"a":"1"}}"#,
        r#"{"keyed":[{"name":"b","port":81,"text":"u"}],"labels":{"b":"2"}}"#,
    ),
    (
        r#"{"list":["a"],"whole":{"a":"1"},"number":null}"#,
        r#"{"list":["b","b"],"whole":{"a":"2"},"number":5}"#,
    ),
    (
        r#"{"keyed":[{"name":"a","set":["x","y"]},{"name":"a","set":["x","x"]}]}"#,
        r#"{"keyed":[{"name":"a","port":80,"set":["z"]}],"open":{"any":[{"b":null}]}}"#,
    ),
    (r#"{"labels":{"a":"1"},"open":{"a":{"b":1}}}"#, "{}"),
];

pub(super) fn seeds(target: &str) -> Vec<Vec<u8>> {
    let plain = |texts: &[&str]| texts.iter().map(|it| it.as_bytes().to_vec()).collect();
    match target {
        "path" => plain(&PATHS),
        "accept" => plain(&ACCEPTS),
        "continue_token" => plain(&TOKENS),
        "selectors" => {
            let labels = LABELS.iter().map(|it| chosen(0, it.as_bytes()));
            let fields = FIELDS.iter().enumerate();
            let fields = fields.map(|(at, it)| chosen(1 + u8::from(at % 2 == 1), it.as_bytes()));
            labels.chain(fields).collect()
        }
        "patch" => {
            let patches = PATCHES.iter();
            let seed = |(kind, patch): &(u8, &str)| {
                chosen(*kind, &joined(patch.as_bytes(), OBJECT.as_bytes()))
            };
            patches.map(seed).collect()
        }
        "fields_v1" => plain(&FIELDS_V1),
        "apply" => {
            let pairs = APPLIES.iter().enumerate();
            let seeds = pairs.flat_map(|(at, (live, config))| {
                let objects = joined(live.as_bytes(), config.as_bytes());
                let choice = u8::from(at % 2 == 1);
                FIELDS_V1.iter().flat_map(move |fields| {
                    let input = joined(&objects, fields.as_bytes());
                    [chosen(choice, &input), chosen(1 - choice, &input)]
                })
            });
            seeds.collect()
        }
        "decoder" => BODIES
            .iter()
            .map(|(form, body)| chosen(*form, body))
            .collect(),
        "schema" => {
            let pairs = SCHEMAS.iter();
            pairs
                .map(|(schema, object)| joined(schema.as_bytes(), object.as_bytes()))
                .collect()
        }
        _ => Vec::new(),
    }
}
