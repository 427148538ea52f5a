//! The wire types of the Kubernetes API: names, Status, whole objects, the options of requests.
//!
//! Nothing here knows of HTTP, of storage or of plugins; every other part may use it.

pub mod base64_url;
pub mod context;
pub mod document;
pub mod duration;
pub mod field_selector;
pub mod go_text;
pub mod group_version;
pub mod object;
pub mod options;
pub mod protobuf;
pub mod query;
pub mod request_info;
pub mod status;
pub mod strconv;
pub mod version_order;

#[cfg(test)]
pub(crate) mod testing;

pub use context::{RequestContext, UserInfo};
pub use go_text::quote;
pub use group_version::{GroupResource, GroupVersion, GroupVersionKind, GroupVersionResource};
pub use object::Object;
pub use request_info::RequestInfo;
pub use status::Status;
