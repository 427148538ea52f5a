//! Which form an answer takes, from `Accept`, `pretty` and `User-Agent`; and which one a body has.
//!
//! An offer depends on the clause: whole objects are JSON or YAML, their metadata is protobuf too, tables are
//! not. A clause that cannot be met falls through to the next, as clients of metadata count on
//! (k8s.io/apiserver, pkg/endpoints/handlers/negotiation).

mod accept;
mod content_type;

use http::{HeaderMap, header};

use super::request::ResourceRequest;
use crate::api::quote;
use crate::api::request_info::is_true;
use crate::api::status::{self, Result};
use crate::registry::scale::SCALE;

pub(super) use accept::accept_header;
use accept::{Clause, parse};
pub use content_type::content_type;

/// What the server can write and read, in the order in which upstream lists it in its errors.
pub const MEDIA_TYPES: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
];

/// What a watch can be written in.
pub const STREAM_MEDIA_TYPES: &[&str] = &[
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
    let offer = match request.info.subresource.as_str() {
        SCALE => Offer::Scale,
        _ => Offer::Resource,
    };
    accept_offer(&request.headers, request.query("pretty"), offer)
}

/// The form of whole objects, from what it depends on: the headers, and `pretty` of the query.
///
/// # Errors
/// 406 if no clause of `Accept` can be met.
pub fn accept_resource(headers: &HeaderMap, pretty: &str) -> Result<Accepted> {
    accept_offer(headers, pretty, Offer::Resource)
}

fn accept_offer(headers: &HeaderMap, pretty: &str, offer: Offer) -> Result<Accepted> {
    let pretty = is_pretty(headers, pretty);
    negotiate(&accept_header(headers), pretty, offer)
        .ok_or_else(|| status::not_acceptable(MEDIA_TYPES))
}

/// Whether a watch can be sent in the form that was agreed on: YAML cannot be streamed.
///
/// # Errors
/// 406 if it cannot.
pub fn check_stream(accepted: &Accepted) -> Result<()> {
    match accepted.media {
        MediaType::Yaml => Err(status::not_acceptable(STREAM_MEDIA_TYPES)),
        _ => Ok(()),
    }
}

/// The form of an answer that is a Status, or any other object of the server's own. Where nothing fits it is
/// JSON all the same: an error must not be hidden behind another one. `pretty` is the query's parameter.
pub fn accept_status(headers: &HeaderMap, pretty: &str) -> Accepted {
    let pretty = is_pretty(headers, pretty);
    negotiate(&accept_header(headers), pretty, Offer::Status).unwrap_or(Accepted {
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
        for clause in parse(&header) {
            if is_aggregated(&clause) {
                return Ok(None);
            }
            if meet(&clause, pretty, Offer::Status).is_some() {
                break;
            }
        }
    }
    negotiate(&header, pretty, Offer::Status)
        .map(Some)
        .ok_or_else(|| status::not_acceptable(MEDIA_TYPES))
}

/// The most wanted of `offers`, which are whole media types; the first where nothing is asked for.
pub(super) fn accept_one_of(headers: &HeaderMap, offers: &[&'static str]) -> Option<&'static str> {
    let header = accept_header(headers);
    if header.is_empty() {
        return offers.first().copied();
    }
    parse(&header).iter().find_map(|clause| {
        let fits = |offer: &&&str| match (clause.main, clause.sub) {
            ("*", "*") | ("application", "*") => true,
            (main, sub) => {
                offer.strip_prefix(main).and_then(|it| it.strip_prefix('/')) == Some(sub)
            }
        };
        offers.iter().find(fits).copied()
    })
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
        let accepted = fits
            .then(|| options(clause, media, pretty, offer))
            .flatten()?;
        offer.allows(media, accepted.transform).then_some(accepted)
    })
}

/// `application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList`, with or without a profile.
fn is_aggregated(clause: &Clause<'_>) -> bool {
    matches!(
        (clause.main, clause.sub),
        ("application", "json" | "*") | ("*", "*")
    ) && clause.parameter("g") == "apidiscovery.k8s.io"
        && clause.parameter("v") == "v2"
        && clause.parameter("as") == "APIGroupDiscoveryList"
}

/// Reads a clause's parameters; `None` where they ask for something that there is not.
fn options(clause: &Clause<'_>, media: MediaType, pretty: bool, offer: Offer) -> Option<Accepted> {
    let stream = clause.parameter("stream");
    let server_version = clause.parameter("sv");
    let can_stream = media != MediaType::Yaml && stream == "watch";
    let has_version = offer == Offer::Resource && server_version == "v1";
    if !stream.is_empty() && !can_stream || !server_version.is_empty() && !has_version {
        return None;
    }
    let mut accepted = Accepted {
        media,
        transform: Transform::Full,
        pretty: pretty || clause.parameter("pretty") == "1",
    };
    let names = ["as", "g", "v"].map(|it| clause.parameter(it));
    if names.iter().all(|it| it.is_empty()) {
        return Some(accepted);
    }
    let version = match names[1..] {
        ["meta.k8s.io", "v1"] => MetaVersion::V1,
        ["meta.k8s.io", "v1beta1"] => MetaVersion::V1Beta1,
        _ => return None,
    };
    accepted.transform = match names[0] {
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
            "Unable to convert to Table as requested: includeObject: Invalid value: {}: must be 'Metadata', 'Object', 'None', or empty",
            quote(value)
        ))),
    }
}

/// Refuses `?export=true`, which older clients may still send with a get.
///
/// # Errors
/// 400 where it is asked for.
pub fn refuse_export(request: &ResourceRequest) -> Result<()> {
    if !request.has_query("export") {
        return Ok(());
    }
    if is_true(request.query("export")) {
        return Err(status::bad_request(
            "the export parameter, deprecated since v1.14, is no longer supported",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
