//! Names, label keys and label values: what may be in them, in the words of k8s.io/apimachinery,
//! pkg/api/validate/content.
//!
//! A DNS subdomain has at most 253 bytes, a DNS label, a label value and the name part of a key at most 63.
//! Each function returns one text per rule that is broken; nothing means valid.

use crate::registry::definition::NameRule;

const LABEL_MAX: usize = 63;
const SUBDOMAIN_MAX: usize = 253;

const DNS_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS1035_LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const DNS_SUBDOMAIN: &str = r"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const KEY_NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// What `rule` has against `name`. With `is_prefix` something will be appended to it (generateName).
pub fn name_errors(rule: NameRule, name: &str, is_prefix: bool) -> Vec<String> {
    match rule {
        NameRule::PathSegment => path_segment_errors(name, is_prefix),
        NameRule::DnsSubdomain => dns_subdomain_errors(&masked(name, is_prefix)),
        NameRule::DnsLabel => dns_label_errors(&masked(name, is_prefix)),
    }
}

/// A prefix may end in a dash, since what follows makes it a name.
fn masked(name: &str, is_prefix: bool) -> String {
    match name.strip_suffix('-') {
        Some(start) if is_prefix && !start.is_empty() => format!("{start}a"),
        _ => name.to_owned(),
    }
}

fn path_segment_errors(name: &str, is_prefix: bool) -> Vec<String> {
    if !is_prefix && (name == "." || name == "..") {
        return vec![format!("may not be '{name}'")];
    }
    ["/", "%"]
        .into_iter()
        .filter(|it| name.contains(it))
        .map(|it| format!("may not contain '{it}'"))
        .collect()
}

pub fn dns_label_errors(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_MAX {
        errors.push(too_long(LABEL_MAX));
    }
    if !is_dns_label(value) {
        if value.split('.').all(is_dns_label) {
            errors.push("must not contain dots".into());
        } else {
            errors.push(DNS_LABEL.into());
        }
    }
    errors
}

/// A DNS label that begins with a letter: for names of types.
pub fn dns1035_label_errors(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_MAX {
        errors.push(too_long(LABEL_MAX));
    }
    if !is_dns_label(value) || value.starts_with(|it: char| it.is_ascii_digit()) {
        errors.push(DNS1035_LABEL.into());
    }
    errors
}

pub fn dns_subdomain_errors(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > SUBDOMAIN_MAX {
        errors.push(too_long(SUBDOMAIN_MAX));
    }
    if !value.split('.').all(is_dns_label) {
        errors.push(DNS_SUBDOMAIN.into());
    }
    errors
}

/// For label and annotation keys and finalizers: a name with an optional DNS subdomain before it.
pub fn qualified_name_errors(value: &str) -> Vec<String> {
    let parts: Vec<&str> = value.split('/').collect();
    let mut errors = Vec::new();
    let name = match parts[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".into());
            } else {
                let found = dns_subdomain_errors(prefix);
                errors.extend(found.iter().map(|it| format!("prefix part {it}")));
            }
            name
        }
        _ => {
            return vec![format!(
                "a valid label key {KEY_NAME} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".into());
    } else if name.len() > LABEL_MAX {
        errors.push(format!("name part {}", too_long(LABEL_MAX)));
    }
    if !is_key_name(name) {
        errors.push(format!("name part {KEY_NAME}"));
    }
    errors
}

pub fn label_value_errors(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_MAX {
        errors.push(too_long(LABEL_MAX));
    }
    if !value.is_empty() && !is_key_name(value) {
        errors.push(LABEL_VALUE.into());
    }
    errors
}

fn too_long(max: usize) -> String {
    format!("must be no more than {max} characters")
}

fn is_dns_label(value: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    has_shape(value, is_alphanumeric, |byte| byte == b'-')
}

fn is_key_name(value: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_alphanumeric();
    has_shape(value, is_alphanumeric, |byte| {
        matches!(byte, b'-' | b'_' | b'.')
    })
}

/// Not empty, `edge` at both ends, `edge` or `inner` between.
fn has_shape(value: &str, edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = value.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    edge(*first) && edge(*last) && bytes.iter().all(|it| edge(*it) || inner(*it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_segments_are_almost_anything() {
        let errors = |name| name_errors(NameRule::PathSegment, name, false);
        assert!(errors("A_b c").is_empty());
        assert_eq!(
            errors("a/b%"),
            ["may not contain '/'", "may not contain '%'"]
        );
        assert_eq!(errors(".."), ["may not be '..'"]);
        assert!(name_errors(NameRule::PathSegment, "..", true).is_empty());
    }

    #[test]
    fn dns_names_are_strict() {
        let errors = |name| name_errors(NameRule::DnsSubdomain, name, false);
        assert!(errors("a-1.b").is_empty());
        for bad in ["", "A", "a_b", "-a", "a-", "a..b", ".a", "a/b", "\u{e9}"] {
            assert_eq!(errors(bad), [DNS_SUBDOMAIN], "{bad}");
        }
        assert_eq!(
            errors(&"a".repeat(254)),
            ["must be no more than 253 characters"]
        );
        assert_eq!(
            name_errors(NameRule::DnsLabel, "a.b", false),
            ["must not contain dots"]
        );
        assert!(name_errors(NameRule::DnsLabel, "a-", true).is_empty());
        assert!(!name_errors(NameRule::DnsLabel, "-", true).is_empty());
    }

    #[test]
    fn keys_have_at_most_one_prefix() {
        assert!(qualified_name_errors("example.com/My.Name_1").is_empty());
        assert!(qualified_name_errors("a").is_empty());
        assert_eq!(
            qualified_name_errors("/a"),
            ["prefix part must be non-empty"]
        );
        assert_eq!(qualified_name_errors("")[0], "name part must be non-empty");
        assert!(qualified_name_errors("x/y/z")[0].starts_with("a valid label key must consist"));
        assert_eq!(
            qualified_name_errors(&"a".repeat(64)),
            ["name part must be no more than 63 characters"]
        );
    }

    #[test]
    fn label_values_may_be_empty() {
        assert!(label_value_errors("").is_empty());
        assert!(label_value_errors("A_1.b-c").is_empty());
        assert_eq!(label_value_errors("bad value!"), [LABEL_VALUE]);
    }
}
