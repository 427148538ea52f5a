//! Makes odd requests: good ones, and good ones in which something is wrong: the method, the path, the query,
//! the headers, the body, or what is said about its length.

use std::fmt;

use base64::Engine as _;
use outrigger_tests::random::Random;
use serde_json::{Value, json};

use super::vocabulary::POINTERS;

/// How the body's end is made known. HTTP/2 has an own way, and takes only some of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Exact,
    Chunked,
    /// More comes than was said: what is left is no request.
    LengthTooSmall,
    /// Less comes than was said, then the end.
    LengthTooLarge,
    /// Chunked, and half of it never comes.
    Truncated,
    TwoLengths,
    LengthAndChunked,
    NoLength,
    NoNumber,
    NoChunk,
    /// The body is all that is sent, and no HTTP.
    Garbage,
}

/// One request.
#[derive(Clone)]
pub(crate) struct Odd {
    pub(crate) is_http2: bool,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(super) version: &'static str,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) framing: Framing,
}

/// A resource, in the version in which it is sent.
struct Kind {
    api_version: &'static str,
    kind: &'static str,
    /// `$NS` is the namespace.
    path: &'static str,
}

const KINDS: [Kind; 4] = [
    Kind {
        api_version: "wardle.example.com/v1beta1",
        kind: "Flunder",
        path: "/apis/wardle.example.com/v1beta1/namespaces/$NS/flunders",
    },
    Kind {
        api_version: "wardle.example.com/v1alpha1",
        kind: "Flunder",
        path: "/apis/wardle.example.com/v1alpha1/namespaces/$NS/flunders",
    },
    Kind {
        api_version: "wardle.example.com/v1alpha1",
        kind: "Fischer",
        path: "/apis/wardle.example.com/v1alpha1/fischers",
    },
    Kind {
        api_version: "odd.example.com/v1",
        kind: "Anchor",
        path: "/apis/odd.example.com/v1/namespaces/$NS/anchors",
    },
];

/// Few, so that requests meet objects of others.
const NAMES: [&str; 6] = ["a", "b", "c", "d.e", "f-0", "g"];
const NAMESPACES: [&str; 2] = ["default", "other"];

/// Bodies beyond the server's limit are rare: they cost more than all others.
pub(super) const LIMIT_BYTES: usize = 3 * 1024 * 1024;

/// A server has so much of a body, or more, with the headers.
const READ_AT_ONCE: usize = 4096;

impl Odd {
    pub(crate) fn generate(random: &mut Random) -> Self {
        let mut odd = good(random);
        // Two of five are as they should be, so that there is something to spoil.
        if random.chance(60) {
            for _ in 0..=random.below(2) {
                odd.spoil(random);
            }
        }
        odd
    }

    /// Nothing odd.
    pub(crate) fn get(path: &str) -> Self {
        Self {
            is_http2: true,
            method: "GET".to_owned(),
            target: path.to_owned(),
            version: "HTTP/1.1",
            headers: Vec::new(),
            body: Vec::new(),
            framing: Framing::Exact,
        }
    }

    /// Whether an answer may go on for ever.
    pub(crate) fn may_stream(&self) -> bool {
        self.target.contains("watch")
    }

    /// Whether the connection can be used again: what is said about the body's end is true.
    pub(crate) fn is_framed(&self) -> bool {
        let is_plain = matches!(self.framing, Framing::Exact | Framing::Chunked);
        is_plain && !self.has_header("content-length") && !self.has_header("transfer-encoding")
    }

    /// Whether the server may answer and close before it has read all: TCP may take back what it had sent then.
    pub(crate) fn may_be_cut_off(&self) -> bool {
        !self.is_framed() || self.body.len() > READ_AT_ONCE
    }

    /// Whether the server may wait for more than comes. Nothing of this kind is a whole request: its sender may
    /// hang up, and nothing may come of it.
    pub(crate) fn is_cut(&self) -> bool {
        match self.framing {
            Framing::LengthTooLarge | Framing::Truncated | Framing::Garbage => true,
            Framing::NoLength => self.has_header("content-length"),
            Framing::Chunked | Framing::LengthAndChunked => false,
            _ => self.has_header("transfer-encoding"),
        }
    }

    fn has_header(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|it| it.0.eq_ignore_ascii_case(name))
    }

    pub(crate) fn closes_connection(&self) -> bool {
        self.version != "HTTP/1.1" || self.has_header("connection")
    }

    pub(crate) fn wrong_length(&self) -> usize {
        match self.framing {
            Framing::LengthTooSmall => self.body.len() / 2,
            _ => self.body.len() + 7,
        }
    }

    /// The bytes of HTTP/1.1.
    pub(crate) fn to_http1(&self, authority: &str) -> Vec<u8> {
        if self.framing == Framing::Garbage {
            return self.body.clone();
        }
        let mut out = format!("{} {} {}\r\n", self.method, self.target, self.version).into_bytes();
        if !self.headers.iter().any(|it| it.0 == "Host") {
            out.extend_from_slice(format!("Host: {authority}\r\n").as_bytes());
        }
        for (name, value) in &self.headers {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        let length = self.body.len();
        let said = match self.framing {
            Framing::Exact => format!("Content-Length: {length}\r\n"),
            Framing::LengthTooSmall | Framing::LengthTooLarge => {
                format!("Content-Length: {}\r\n", self.wrong_length())
            }
            Framing::Chunked | Framing::Truncated | Framing::NoChunk => {
                "Transfer-Encoding: chunked\r\n".to_owned()
            }
            Framing::TwoLengths => {
                format!(
                    "Content-Length: {length}\r\nContent-Length: {}\r\n",
                    length + 1
                )
            }
            Framing::LengthAndChunked => {
                format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n")
            }
            Framing::NoNumber => "Content-Length: -5\r\n".to_owned(),
            Framing::NoLength | Framing::Garbage => String::new(),
        };
        out.extend_from_slice(said.as_bytes());
        out.extend_from_slice(b"\r\n");
        match self.framing {
            Framing::Chunked | Framing::LengthAndChunked => {
                for chunk in self.body.chunks(4096) {
                    out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    out.extend_from_slice(chunk);
                    out.extend_from_slice(b"\r\n");
                }
                out.extend_from_slice(b"0\r\n\r\n");
            }
            Framing::Truncated => {
                out.extend_from_slice(format!("{length:x}\r\n").as_bytes());
                out.extend_from_slice(&self.body[..length / 2]);
            }
            Framing::NoChunk => {
                out.extend_from_slice(b"ffffffffffffffffff\r\n");
                out.extend_from_slice(&self.body);
            }
            _ => out.extend_from_slice(&self.body),
        }
        out
    }
}

/// A request as clients send it.
fn good(random: &mut Random) -> Odd {
    let kind = &KINDS[random.below(KINDS.len())];
    let namespace = random.one_of(&NAMESPACES);
    let name = random.one_of(&NAMES);
    let collection = kind.path.replace("$NS", namespace);
    let item = format!("{collection}/{name}");
    let status = format!("{item}/status");
    let json = "application/json";
    let object = || object(kind, name, &mut Random::new(name.len() as u64));
    let (method, target, media, body) = match random.below(20) {
        0..6 => ("POST", collection, json, vary(object(), random)),
        6 | 7 => ("PUT", item, json, vary(object(), random)),
        8 => ("PUT", status, json, vary(object(), random)),
        9..12 => {
            let (media, patch) = patch(random);
            let target = if random.chance(20) { status } else { item };
            ("PATCH", target, media, patch)
        }
        12 | 13 => {
            let (media, options) = delete_options(random);
            ("DELETE", item, media, options)
        }
        14 => (
            "DELETE",
            format!("{collection}?labelSelector=odd"),
            "",
            Vec::new(),
        ),
        15 | 16 => ("GET", item, "", Vec::new()),
        17 | 18 => ("GET", format!("{collection}?limit=2"), "", Vec::new()),
        _ => {
            let all = collection.replace(&format!("namespaces/{namespace}/"), "");
            ("GET", all, "", Vec::new())
        }
    };
    let mut odd = Odd {
        is_http2: random.chance(50),
        method: method.to_owned(),
        target,
        version: "HTTP/1.1",
        headers: vec![("Accept".to_owned(), b"application/json".to_vec())],
        framing: if body.is_empty() || random.chance(70) {
            Framing::Exact
        } else {
            Framing::Chunked
        },
        body,
    };
    if !media.is_empty() {
        odd.set_header("Content-Type", media);
    }
    odd
}

fn object(kind: &Kind, name: &str, random: &mut Random) -> Value {
    let spec = match kind.kind {
        "Flunder" if kind.api_version.ends_with("v1beta1") => {
            json!({"fischerReference": "a-fischer", "referenceType": "Fischer"})
        }
        "Flunder" => json!({"reference": "a-fischer", "referenceType": "Fischer"}),
        "Anchor" => json!({
            "depth": random.below(100), "chain": "ABC", "ratio": 1.5,
            "links": [{"name": "one", "length": 1}, {"name": "two"}], "marks": ["x", "y"],
        }),
        _ => Value::Null,
    };
    let mut object = json!({
        "apiVersion": kind.api_version, "kind": kind.kind,
        "metadata": {"name": name, "labels": {"odd": "yes"}},
    });
    if !spec.is_null() {
        object["spec"] = spec;
    }
    object
}

/// Other values of the same form.
fn vary(mut object: Value, random: &mut Random) -> Vec<u8> {
    let number = random.below(100);
    object["metadata"]["annotations"] = json!({"odd.example.com/number": number.to_string()});
    if random.chance(10) {
        object["metadata"]["finalizers"] = json!(["odd.example.com/hold"]);
    }
    if object["kind"] == "Fischer" {
        object["disallowedFlunders"] = json!(["banned"]);
    }
    object.to_string().into_bytes()
}

fn patch(random: &mut Random) -> (&'static str, Vec<u8>) {
    let mut operation = || {
        let op = random.one_of(&["add", "remove", "replace", "move", "copy", "test", "nope"]);
        let path = random.one_of(&POINTERS).to_owned();
        let path = path
            + random.one_of(&[
                "",
                "",
                "",
                "/-",
                "/0",
                "/99999999999999999999",
                "/~1",
                "/~2",
            ]);
        let mut operation = json!({"op": op, "path": path});
        if random.chance(80) {
            operation["value"] = odd_value(random);
        }
        if random.chance(40) {
            operation["from"] = random.one_of(&POINTERS).into();
        }
        operation
    };
    let operations = vec![operation(), operation()];
    let number = random.below(100);
    let mut merge =
        json!({"metadata": {"annotations": {"odd.example.com/number": number.to_string()}}});
    match random.below(7) {
        0 => (
            "application/json-patch+json",
            json!(operations).to_string().into_bytes(),
        ),
        1 => {
            let fine =
                json!([{"op": "add", "path": "/metadata/labels", "value": {"odd": "patched"}}]);
            ("application/json-patch+json", fine.to_string().into_bytes())
        }
        2 => {
            merge["spec"] = odd_value(random);
            (
                "application/merge-patch+json",
                merge.to_string().into_bytes(),
            )
        }
        3 => {
            merge["metadata"]["finalizers"] = Value::Null;
            (
                "application/merge-patch+json",
                merge.to_string().into_bytes(),
            )
        }
        4 => (
            "application/merge-patch+json",
            merge.to_string().into_bytes(),
        ),
        5 => {
            let directive = random.one_of(&["replace", "delete", "merge", "nope"]);
            merge["spec"] = json!({"$patch": directive, "referenceType": "Flunder"});
            merge["metadata"]["$retainKeys"] = odd_value(random);
            (
                "application/strategic-merge-patch+json",
                merge.to_string().into_bytes(),
            )
        }
        _ => {
            merge["apiVersion"] = "odd.example.com/v1".into();
            merge["kind"] = "Anchor".into();
            merge["spec"] =
                json!({"depth": number, "links": [{"name": "one", "length": odd_value(random)}]});
            (
                "application/apply-patch+yaml",
                merge.to_string().into_bytes(),
            )
        }
    }
}

fn delete_options(random: &mut Random) -> (&'static str, Vec<u8>) {
    // An envelope as controllers send it, around propagationPolicy Background.
    const PROTOBUF: &[u8] =
        b"k8s\0\x0a\x13\x0a\x02v1\x12\x0dDeleteOptions\x12\x0c\x22\x0aBackground";
    match random.below(4) {
        0 => ("application/vnd.kubernetes.protobuf", PROTOBUF.to_vec()),
        1 => {
            let policy = random.one_of(&["Foreground", "Background", "Orphan", "Nope"]);
            let mut options =
                json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy});
            if random.chance(30) {
                options["preconditions"] = json!({"uid": odd_value(random)});
            }
            ("application/json", options.to_string().into_bytes())
        }
        _ => ("", Vec::new()),
    }
}

pub(super) fn odd_value(random: &mut Random) -> Value {
    match random.below(16) {
        0 => Value::Null,
        1 => true.into(),
        2 => (-1).into(),
        3 => u64::MAX.into(),
        4 => 1e300.into(),
        5 => "".into(),
        6 => "2001-02-03T04:05:06Z".into(),
        7 => "\u{0}\u{7f}\u{202e}\u{10ffff}".into(),
        8 => "x".repeat(300).into(),
        9 => json!([]),
        10 => json!([null, 1, "x", {"uid": 1}]),
        11 => json!({}),
        12 => json!({"": {"": null}, "a/b": "~"}),
        13 => {
            json!([{"apiVersion": "v1", "kind": "A", "name": "n", "uid": "u", "controller": true}])
        }
        14 => json!(["odd.example.com/hold", "plain"]),
        _ => json!({"depth": 5}),
    }
}

pub(super) fn continue_token(random: &mut Random) -> String {
    let start = random.one_of(&["a\u{0}", "", "../x", "/", "default/a\u{0}", "zzz"]);
    let revision = [-1, 0, 1, 5, i64::MAX][random.below(5)];
    let version = random.one_of(&["meta.k8s.io/v1", "meta.k8s.io/v1", "nope"]);
    let token = json!({"v": version, "rv": revision, "start": start});
    base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(token.to_string())
}

pub(super) fn framing(random: &mut Random) -> Framing {
    const ALL: [Framing; 8] = [
        Framing::LengthTooSmall,
        Framing::LengthTooLarge,
        Framing::Truncated,
        Framing::TwoLengths,
        Framing::LengthAndChunked,
        Framing::NoLength,
        Framing::NoNumber,
        Framing::NoChunk,
    ];
    ALL[random.below(ALL.len())]
}

impl fmt::Debug for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 1500;
        let protocol = if self.is_http2 {
            "HTTP/2"
        } else {
            self.version
        };
        writeln!(
            f,
            "{} {:.SHOWN$} {protocol} ({:?})",
            self.method, self.target, self.framing
        )?;
        for (name, value) in &self.headers {
            let value = String::from_utf8_lossy(value);
            writeln!(f, "{name}: {value:.200}")?;
        }
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "\n{body:.SHOWN$}")
    }
}
