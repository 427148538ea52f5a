//! URIs as Go's `url.ParseRequestURI` takes them: an absolute URI, or an absolute path.

use std::net::Ipv6Addr;

use super::is_hex;

pub(super) fn is_request_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|it| it < b' ' || it == 0x7f) {
        return false;
    }
    if text == "*" {
        return true;
    }
    let Some((scheme, rest)) = split_scheme(text) else {
        return false;
    };
    let path = rest.split_once('?').map_or(rest, |it| it.0);
    if !path.starts_with('/') {
        // What follows a scheme may be anything; without a scheme it is no URI.
        return !scheme.is_empty();
    }
    let Some(after) = path.strip_prefix("//").filter(|_| !scheme.is_empty()) else {
        return is_escaped(path);
    };
    let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
    is_authority(scheme, authority) && is_escaped(path)
}

/// The scheme may be empty; `None` where a colon begins the text.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if index > 0 => {}
            b':' if index > 0 => return Some((&text[..index], &text[index + 1..])),
            b':' => return None,
            _ => break,
        }
    }
    Some(("", text))
}

fn is_authority(scheme: &str, authority: &str) -> bool {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (user, host),
        None => ("", authority),
    };
    let is_user_byte = |it: u8| it.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&it);
    user.bytes().all(is_user_byte) && is_escaped(user) && is_host(scheme, host)
}

fn is_host(scheme: &str, host: &str) -> bool {
    match host.rfind('[') {
        Some(0) => return is_literal(host),
        Some(_) => return false,
        None => {}
    }
    // Lists of hosts with ports are known of databases, not of the web.
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let colon = if is_web {
        host.find(':')
    } else {
        host.rfind(':')
    };
    colon.is_none_or(|at| is_port(&host[at..])) && is_host_text(host)
}

fn is_literal(host: &str) -> bool {
    let Some((inner, port)) = host[1..].rsplit_once(']') else {
        return false;
    };
    let (address, zone) = match inner.split_once("%25") {
        Some((address, zone)) => (address, Some(zone)),
        None => (inner, None),
    };
    let is_zone = zone.is_none_or(|it| !it.is_empty() && is_zone_text(it));
    is_port(port) && is_zone && address.parse::<Ipv6Addr>().is_ok()
}

/// Nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|it| it.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_host_byte(byte: u8) -> bool {
    !byte.is_ascii() || byte.is_ascii_alphanumeric() || b"!$&'()*+,;=:[]<>\"-_.~".contains(&byte)
}

/// Of ASCII only the percent sign itself can be escaped in a host.
fn is_host_text(text: &str) -> bool {
    is_text(text, |code| code >= 0x80 || code == b'%')
}

fn is_zone_text(text: &str) -> bool {
    is_text(text, |code| {
        code == b'%' || code == b' ' || code.is_ascii() && is_host_byte(code)
    })
}

fn is_text(text: &str, is_escapable: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'%' {
            if !is_host_byte(bytes[at]) {
                return false;
            }
            at += 1;
            continue;
        }
        let code = text
            .get(at + 1..at + 3)
            .filter(|it| is_hex(it))
            .and_then(|it| u8::from_str_radix(it, 16).ok());
        if !code.is_some_and(&is_escapable) {
            return false;
        }
        at += 3;
    }
    true
}

fn is_escaped(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|it| it.get(..2).is_some_and(is_hex))
}
