//! Method, path and query to a RequestInfo: `METHOD SP URI`.

use http::{Method, Uri};
use outrigger::api::RequestInfo;

/// A path that means a resource means one thing, and each of its names is one segment.
pub fn run(data: &[u8]) {
    let Some(space) = data.iter().position(|it| *it == b' ') else {
        return;
    };
    let (Ok(method), Ok(uri)) = (
        Method::from_bytes(&data[..space]),
        Uri::try_from(&data[space + 1..]),
    ) else {
        return;
    };
    let parsed = RequestInfo::parse(&method, &uri);
    assert_eq!(parsed, RequestInfo::parse(&method, &uri));
    let Ok(info) = parsed else {
        return;
    };
    if !info.is_resource_request {
        assert!(info.resource.is_empty() && info.name.is_empty());
        return;
    }
    let is_selected = matches!(info.verb.as_str(), "list" | "watch" | "deletecollection");
    let from_path = [
        &info.group,
        &info.version,
        &info.namespace,
        &info.resource,
        &info.subresource,
    ]
    .into_iter()
    .chain(&info.rest)
    // The name may be that of a field selector, which is no segment.
    .chain(Some(&info.name).filter(|_| !is_selected));
    for segment in from_path {
        assert!(!segment.contains('/'), "{segment:?} in {info:?}");
    }
}
