//! Which form an answer takes, from `Accept`, `pretty` and `User-Agent`; and which one a body has.
//!
//! An offer depends on the clause: whole objects are JSON or YAML, their metadata is protobuf too, tables are
//! not. A clause that cannot be met falls through to the next, as clients of metadata count on
//! (k8s.io/apiserver, pkg/endpoints/handlers/negotiation).

use http::{HeaderMap, header};

use super::request::ResourceRequest;
use crate::api::status::{self, Result};
use crate::registry::scale::SCALE;

/// What the server can write and read, in the order in which upstream lists it in its errors.
pub const MEDIA_TYPES: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
];

/// What a watch can be written in.
const STREAM_MEDIA_TYPES: &[&str] = &[
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    Json,
    Yaml,
    Protobuf,
}

impl MediaType {
    const ALL: [Self; 3] = [Self::Json, Self::Yaml, Self::Protobuf];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    fn subtype(self) -> &'static str {
        &self.as_str()["application/".len()..]
    }
}

/// Versions of `meta.k8s.io` in which tables and partial objects are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaVersion {
    V1,
    V1Beta1,
}

impl MetaVersion {
    pub fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// What is made of an object before it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transform {
    Full,
    Table(MetaVersion),
    PartialObjectMetadata(MetaVersion),
    PartialObjectMetadataList(MetaVersion),
}

/// What a client and this server have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    pub media: MediaType,
    pub transform: Transform,
    /// Indented JSON, for people.
    pub pretty: bool,
}

/// The form of an answer to a request for a resource.
///
/// # Errors
/// 406 if no clause of `Accept` can be met.
pub fn accept(request: &ResourceRequest) -> Result<Accepted> {
    let pretty = is_pretty(&request.headers, request.query("pretty"));
    let offer = match request.info.subresource.as_str() {
        SCALE => Offer::Scale,
        _ => Offer::Resource,
    };
    negotiate(accept_header(&request.headers), pretty, offer)
        .ok_or_else(|| status::not_acceptable(MEDIA_TYPES))
}

/// The form of a watch: YAML cannot be streamed.
///
/// # Errors
/// 406 if no clause of `Accept` can be met.
pub fn accept_stream(request: &ResourceRequest) -> Result<Accepted> {
    let accepted = accept(request)?;
    match accepted.media {
        MediaType::Yaml => Err(status::not_acceptable(STREAM_MEDIA_TYPES)),
        _ => Ok(accepted),
    }
}

/// The form of an answer that is a Status, or any other object of the server's own. Where nothing fits it is
/// JSON all the same: an error must not be hidden behind another one. `pretty` is the query's parameter.
pub fn accept_status(headers: &HeaderMap, pretty: &str) -> Accepted {
    let pretty = is_pretty(headers, pretty);
    negotiate(accept_header(headers), pretty, Offer::Status).unwrap_or(Accepted {
        media: MediaType::Json,
        transform: Transform::Full,
        pretty: true,
    })
}

/// The form of what is said of the API itself. `None`: the list of groups with all that is in them
/// (apidiscovery.k8s.io/v2), which only some paths have (`has_aggregated`). `pretty` is the query's parameter.
///
/// # Errors
/// 406 if no clause of `Accept` can be met.
pub(super) fn accept_discovery(
    headers: &HeaderMap,
    pretty: &str,
    has_aggregated: bool,
) -> Result<Option<Accepted>> {
    let pretty = is_pretty(headers, pretty);
    let header = accept_header(headers);
    if has_aggregated {
        for clause in parse(header) {
            if is_aggregated(&clause) {
                return Ok(None);
            }
            if meet(&clause, pretty, Offer::Status).is_some() {
                break;
            }
        }
    }
    negotiate(header, pretty, Offer::Status)
        .map(Some)
        .ok_or_else(|| status::not_acceptable(MEDIA_TYPES))
}

/// The most wanted of `offers`, which are whole media types; the first where nothing is asked for.
pub(super) fn accept_one_of(headers: &HeaderMap, offers: &[&'static str]) -> Option<&'static str> {
    let header = accept_header(headers);
    if header.is_empty() {
        return offers.first().copied();
    }
    parse(header).iter().find_map(|clause| {
        let fits = |offer: &&&str| match (clause.main, clause.sub) {
            ("*", "*") | ("application", "*") => true,
            (main, sub) => {
                offer.strip_prefix(main).and_then(|it| it.strip_prefix('/')) == Some(sub)
            }
        };
        offers.iter().find(fits).copied()
    })
}

/// The media type of a body; none is JSON.
///
/// # Errors
/// 415 for one that is not read.
pub fn content_type(headers: &HeaderMap) -> Result<MediaType> {
    let value = headers
        .get(header::CONTENT_TYPE)
        .map_or(Ok(""), http::HeaderValue::to_str)
        .unwrap_or("?");
    if value.is_empty() {
        return Ok(MediaType::Json);
    }
    let essence = value.split(';').next().unwrap_or_default().trim();
    MediaType::ALL
        .into_iter()
        .find(|it| essence.eq_ignore_ascii_case(it.as_str()))
        .ok_or_else(|| status::unsupported_media_type(MEDIA_TYPES))
}

/// What an endpoint can write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Offer {
    Resource,
    /// autoscaling/v1 Scale, which has a protobuf form.
    Scale,
    Status,
}

impl Offer {
    fn allows(self, media: MediaType, transform: Transform) -> bool {
        match (self, transform) {
            (Self::Status, transform) => transform == Transform::Full,
            (Self::Scale, Transform::Full) => true,
            (Self::Scale, Transform::Table(_)) => media != MediaType::Protobuf,
            (Self::Resource, Transform::Full | Transform::Table(_)) => media != MediaType::Protobuf,
            (Self::Resource | Self::Scale, _) => true,
        }
    }
}

/// One clause of an Accept header.
struct Clause<'a> {
    main: &'a str,
    sub: &'a str,
    /// 1 where it is not said.
    quality: f32,
    parameters: Vec<(&'a str, &'a str)>,
}

fn accept_header(headers: &HeaderMap) -> &str {
    headers
        .get(header::ACCEPT)
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default()
}

fn negotiate(header: &str, pretty: bool, offer: Offer) -> Option<Accepted> {
    if header.is_empty() {
        return Some(Accepted {
            media: MediaType::Json,
            transform: Transform::Full,
            pretty,
        });
    }
    let clauses = parse(header);
    clauses
        .iter()
        .find_map(|clause| meet(clause, pretty, offer))
}

/// The first form that the clause allows.
fn meet(clause: &Clause<'_>, pretty: bool, offer: Offer) -> Option<Accepted> {
    MediaType::ALL.into_iter().find_map(|media| {
        let fits = match (clause.main, clause.sub) {
            ("*", "*") | ("application", "*") => true,
            ("application", sub) => sub == media.subtype(),
            _ => false,
        };
        let accepted = fits.then(|| options(clause, media, pretty)).flatten()?;
        offer.allows(media, accepted.transform).then_some(accepted)
    })
}

/// `application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList`, with or without a profile.
fn is_aggregated(clause: &Clause<'_>) -> bool {
    let has =
        |key, value| clause.parameters.iter().rev().find(|it| it.0 == key) == Some(&(key, value));
    matches!(clause.main, "application" | "*")
        && matches!(clause.sub, "json" | "*")
        && has("g", "apidiscovery.k8s.io")
        && has("v", "v2")
        && has("as", "APIGroupDiscoveryList")
}

/// The clauses that can be read, the most wanted first, wild cards last among equals.
fn parse(header: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = header.split(',').filter_map(parse_clause).collect();
    clauses.sort_by(|a, b| {
        let wild = |it: &Clause<'_>| (it.main == "*", it.sub == "*");
        b.quality
            .total_cmp(&a.quality)
            .then_with(|| wild(a).cmp(&wild(b)))
    });
    clauses
}

fn parse_clause(clause: &str) -> Option<Clause<'_>> {
    let mut parts = clause.split(';');
    let media = parts.next()?.trim();
    let (main, sub) = match media.split_once('/') {
        Some((main, sub)) if !sub.is_empty() && !sub.contains('/') => (main.trim(), sub.trim()),
        None if media == "*" => ("*", "*"),
        _ => return None,
    };
    let mut quality = 1.0;
    let mut parameters = Vec::new();
    for (key, value) in parts.filter_map(|it| it.split_once('=')) {
        match (key.trim(), value.trim()) {
            ("q", value) => quality = value.parse().unwrap_or(0.0),
            it => parameters.push(it),
        }
    }
    Some(Clause {
        main,
        sub,
        quality,
        parameters,
    })
}

/// Reads a clause's parameters; `None` where they ask for something that there is not.
fn options(clause: &Clause<'_>, media: MediaType, pretty: bool) -> Option<Accepted> {
    let (mut kind, mut group, mut version) = ("", "", "");
    let mut accepted = Accepted {
        media,
        transform: Transform::Full,
        pretty,
    };
    for &(key, value) in &clause.parameters {
        match key {
            "as" => kind = value,
            "g" => group = value,
            "v" => version = value,
            "stream" if !value.is_empty() && (value != "watch" || media == MediaType::Yaml) => {
                return None;
            }
            "sv" if !value.is_empty() && value != "v1" => return None,
            "pretty" => accepted.pretty |= value == "1",
            _ => {}
        }
    }
    if kind.is_empty() && group.is_empty() && version.is_empty() {
        return Some(accepted);
    }
    let version = match (group, version) {
        ("meta.k8s.io", "v1") => MetaVersion::V1,
        ("meta.k8s.io", "v1beta1") => MetaVersion::V1Beta1,
        _ => return None,
    };
    accepted.transform = match kind {
        "Table" => Transform::Table(version),
        "PartialObjectMetadata" => Transform::PartialObjectMetadata(version),
        "PartialObjectMetadataList" => Transform::PartialObjectMetadataList(version),
        _ => return None,
    };
    Some(accepted)
}

/// `pretty` of the query decides, else whether a person seems to look.
fn is_pretty(headers: &HeaderMap, parameter: &str) -> bool {
    if !parameter.is_empty() {
        return parse_bool(parameter).unwrap_or(false);
    }
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"]
        .iter()
        .any(|it| agent.starts_with(it))
}

/// Go's strconv.ParseBool.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// What rows of a table carry of their objects: `?includeObject=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncludeObject {
    None,
    Metadata,
    Object,
}

/// # Errors
/// 400 for an unknown value.
pub fn include_object(value: &str) -> Result<IncludeObject> {
    match value {
        "None" => Ok(IncludeObject::None),
        "" | "Metadata" => Ok(IncludeObject::Metadata),
        "Object" => Ok(IncludeObject::Object),
        _ => Err(status::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: {value:?}: must be 'Metadata', 'Object', 'None', or empty"
        ))),
    }
}

/// Refuses `?export=true`, which older clients may still send with a get.
///
/// # Errors
/// 400 where it is asked for, or is no boolean.
pub fn refuse_export(request: &ResourceRequest) -> Result<()> {
    if !request.has_query("export") {
        return Ok(());
    }
    // Presence alone is a yes, as in all boolean parameters of the API.
    match request.query("export") {
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(()),
        _ => Err(status::bad_request(
            "the export parameter, deprecated since v1.14, is no longer supported",
        )),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "as expect-test is used")]
    #[track_caller]
    fn check(header: &str, expected: Expect) {
        let show = |offer| match negotiate(header, false, offer) {
            None => "406".to_owned(),
            Some(it) => format!("{:?} {:?}", it.media, it.transform),
        };
        let shown = format!("{} / {}", show(Offer::Resource), show(Offer::Status));
        expected.assert_eq(&shown);
    }

    #[test]
    fn answers_json_when_anything_is_welcome() {
        check("", expect!["Json Full / Json Full"]);
        check("*/*", expect!["Json Full / Json Full"]);
        check("*", expect!["Json Full / Json Full"]);
        check("application/*", expect!["Json Full / Json Full"]);
        check("text/html, */*;q=0.8", expect!["Json Full / Json Full"]);
    }

    #[test]
    fn falls_through_to_the_next_clause_that_can_be_met() {
        check(
            "application/vnd.kubernetes.protobuf,application/json",
            expect!["Json Full / Protobuf Full"],
        );
        check(
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
            expect!["Protobuf PartialObjectMetadata(V1) / Json Full"],
        );
        check(
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
            expect!["Json Table(V1) / Json Full"],
        );
        check(
            "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/yaml",
            expect!["Yaml Full / Yaml Full"],
        );
        check(
            "application/json;as=Scale;v=v1;g=autoscaling,application/yaml",
            expect!["Yaml Full / Yaml Full"],
        );
    }

    #[test]
    fn prefers_by_quality_then_by_precision() {
        check(
            "application/json;q=0.5,application/yaml",
            expect!["Yaml Full / Yaml Full"],
        );
        check("*/*,application/yaml", expect!["Yaml Full / Yaml Full"]);
    }

    #[test]
    fn refuses_what_nothing_can_be_written_in() {
        check("text/html", expect!["406 / 406"]);
        check(
            "application/vnd.kubernetes.protobuf",
            expect!["406 / Protobuf Full"],
        );
        check("application/yaml;stream=watch", expect!["406 / 406"]);
        check("application/json;stream=other", expect!["406 / 406"]);
        check("application/json/x", expect!["406 / 406"]);
    }

    #[test]
    fn indents_for_people_and_where_asked() {
        let mut headers = HeaderMap::new();
        assert!(is_pretty(&headers, "1"));
        assert!(!is_pretty(&headers, ""));
        headers.insert(header::USER_AGENT, "curl/8.5.0".parse().expect("a value"));
        assert!(is_pretty(&headers, ""));
        assert!(!is_pretty(&headers, "false"));
    }

    #[test]
    fn reads_content_types_without_their_parameters() {
        let check = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().expect("a value"));
            content_type(&headers).map_err(|it| it.code)
        };
        assert_eq!(content_type(&HeaderMap::new()), Ok(MediaType::Json));
        assert_eq!(
            check("Application/JSON; charset=utf-8"),
            Ok(MediaType::Json)
        );
        assert_eq!(check("application/yaml"), Ok(MediaType::Yaml));
        assert_eq!(check("text/plain"), Err(415));
    }
}
