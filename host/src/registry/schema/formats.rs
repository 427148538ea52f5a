//! The values of `format` that a schema can ask for (k8s.io/kube-openapi, pkg/validation/strfmt; which of them
//! apply to which type: apiextensions-apiserver, pkg/apiserver/validation/formats.go).
//!
//! Formats that upstream does not know are not checked. All take time in proportion to the text.

mod email;
mod network;
mod numbers;
mod time;
mod uri;

use super::compile::{Type, Types};
use crate::registry::object_meta::names;

#[derive(Debug, Clone, Copy)]
pub(super) enum Format {
    Int32,
    Int64,
    Float,
    Double,
    Text(fn(&str) -> bool),
}

impl Format {
    /// What the format means for values of these types; dashes in its name do not count for texts.
    pub(super) fn of(name: &str, types: Types) -> Option<Self> {
        match name {
            "int32" if types.is_only(Type::Integer) => return Some(Self::Int32),
            "int64" if types.is_only(Type::Integer) => return Some(Self::Int64),
            "float" if types.is_only(Type::Number) => return Some(Self::Float),
            "double" if types.is_only(Type::Number) => return Some(Self::Double),
            _ => {}
        }
        let is_of_texts = types.is_any()
            || types.is_only(Type::String)
            || types.has(Type::String) && types.has(Type::Integer);
        let check = match name.replace('-', "").as_str() {
            "bsonobjectid" => numbers::is_bson_object_id,
            "byte" => numbers::is_base64,
            "cidr" => network::is_cidr,
            "creditcard" => numbers::is_credit_card,
            "date" => time::is_date,
            "datetime" => time::is_date_time,
            "duration" => time::is_duration,
            "email" => email::is_email,
            "hexcolor" => numbers::is_hex_color,
            "hostname" => network::is_hostname,
            "ipv4" => network::is_ipv4,
            "ipv6" => network::is_ipv6,
            "isbn" => numbers::is_isbn,
            "isbn10" => numbers::is_isbn10,
            "isbn13" => numbers::is_isbn13,
            "k8slongname" => is_long_name,
            "k8sshortname" => is_short_name,
            "mac" => network::is_mac,
            "password" => anything,
            "rgbcolor" => numbers::is_rgb_color,
            "ssn" => numbers::is_ssn,
            "uri" => uri::is_request_uri,
            "uuid" => numbers::is_uuid,
            "uuid3" => numbers::is_uuid3,
            "uuid4" => numbers::is_uuid4,
            "uuid5" => numbers::is_uuid5,
            _ => return None,
        };
        is_of_texts.then_some(Self::Text(check))
    }
}

fn anything(_: &str) -> bool {
    true
}

fn is_short_name(text: &str) -> bool {
    names::dns_label_errors(text).is_empty()
}

fn is_long_name(text: &str) -> bool {
    names::dns_subdomain_errors(text).is_empty()
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_hexdigit())
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit())
}

/// `d` stands for a digit, everything else for itself.
fn has_shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text
            .bytes()
            .zip(shape.bytes())
            .all(|(byte, wanted)| match wanted {
                b'd' => byte.is_ascii_digit(),
                other => byte == other,
            })
}

#[cfg(test)]
mod tests;
