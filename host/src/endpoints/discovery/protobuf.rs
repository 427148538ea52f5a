//! The older discovery's documents as protobuf, made of their JSON. Field numbers are those of
//! k8s.io/apimachinery, pkg/apis/meta/v1/generated.proto.

use prost::Message;
use serde::Deserialize;
use serde_json::Value;

use crate::api::protobuf;

/// The message in its envelope; `None` if the JSON is no document of discovery.
pub(super) fn encode(json: &[u8]) -> Option<Vec<u8>> {
    let value: Value = serde_json::from_slice(json).ok()?;
    let kind = value["kind"].as_str()?.to_owned();
    let message = match kind.as_str() {
        "APIGroupList" => GroupList::deserialize(value).ok()?.encode_to_vec(),
        "APIGroup" => Group::deserialize(value).ok()?.encode_to_vec(),
        "APIResourceList" => ResourceList::deserialize(value).ok()?.encode_to_vec(),
        _ => return None,
    };
    Some(protobuf::object("v1", &kind, &message))
}

#[derive(Clone, PartialEq, Message, Deserialize)]
struct GroupList {
    #[prost(message, repeated, tag = "1")]
    groups: Vec<Group>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Group {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    versions: Vec<GroupVersion>,
    #[prost(message, optional, tag = "3")]
    preferred_version: Option<GroupVersion>,
    #[prost(message, repeated, tag = "4")]
    #[serde(rename = "serverAddressByClientCIDRs")]
    server_addresses: Vec<ServerAddress>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupVersion {
    #[prost(string, tag = "1")]
    group_version: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
struct ServerAddress {
    #[prost(string, tag = "1")]
    #[serde(rename = "clientCIDR")]
    client_cidr: String,
    #[prost(string, tag = "2")]
    #[serde(rename = "serverAddress")]
    server_address: String,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceList {
    #[prost(string, tag = "1")]
    group_version: String,
    #[prost(message, repeated, tag = "2")]
    resources: Vec<Resource>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Resource {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bool, tag = "2")]
    namespaced: bool,
    #[prost(string, tag = "3")]
    kind: String,
    #[prost(message, optional, tag = "4")]
    verbs: Option<Verbs>,
    #[prost(string, repeated, tag = "5")]
    short_names: Vec<String>,
    #[prost(string, tag = "6")]
    singular_name: String,
    #[prost(string, repeated, tag = "7")]
    categories: Vec<String>,
    /// With `version`, of the kind where it is not the list's: clients find out by it which Scale there is.
    #[prost(string, tag = "8")]
    group: String,
    #[prost(string, tag = "9")]
    version: String,
    #[prost(string, tag = "10")]
    storage_version_hash: String,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(transparent)]
struct Verbs {
    #[prost(string, repeated, tag = "1")]
    items: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that follow the envelope of a document.
    fn message<M: Message + Default>(json: &Value) -> M {
        let bytes = encode(json.to_string().as_bytes()).expect("a document");
        let kind = json["kind"].as_str().expect("a string");
        let head = protobuf::envelope("v1", kind, 0);
        // All but the length, which differs.
        let at = head.len() - 1;
        assert_eq!(bytes[..at], head[..at]);
        let mut rest = &bytes[at..];
        let length = prost::encoding::decode_varint(&mut rest).expect("a length");
        assert_eq!(rest.len() as u64, length);
        M::decode(rest).expect("a message")
    }

    #[test]
    fn keeps_what_the_json_says() {
        let resources: ResourceList = message(&serde_json::json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": "a.example.com/v1",
            "resources": [
                {"name": "bs", "singularName": "b", "namespaced": true, "kind": "B",
                 "verbs": ["get", "list"], "shortNames": ["x"], "storageVersionHash": "h="},
                {"name": "bs/status", "singularName": "", "namespaced": true, "kind": "B", "verbs": ["get"]},
                {"name": "bs/scale", "singularName": "", "namespaced": true, "kind": "Scale", "verbs": ["get"],
                 "group": "autoscaling", "version": "v1"},
            ],
        }));
        assert_eq!(resources.group_version, "a.example.com/v1");
        assert_eq!(resources.resources[0].short_names, ["x"]);
        assert_eq!(resources.resources[0].storage_version_hash, "h=");
        let verbs = resources.resources[0].verbs.as_ref().expect("verbs");
        assert_eq!(verbs.items, ["get", "list"]);
        assert_eq!(resources.resources[1].name, "bs/status");
        assert_eq!(resources.resources[1].group, "");
        assert_eq!(resources.resources[2].group, "autoscaling");
        assert_eq!(resources.resources[2].version, "v1");
        let list: GroupList = message(&serde_json::json!({
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [{
                "name": "a.example.com",
                "versions": [{"groupVersion": "a.example.com/v1", "version": "v1"}],
                "preferredVersion": {"groupVersion": "a.example.com/v1", "version": "v1"},
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}],
            }],
        }));
        assert_eq!(list.groups[0].versions[0].version, "v1");
        assert_eq!(list.groups[0].server_addresses[0].client_cidr, "0.0.0.0/0");
    }

    #[test]
    fn has_no_form_for_anything_else() {
        assert_eq!(encode(br#"{"kind":"Status"}"#), None);
    }
}
