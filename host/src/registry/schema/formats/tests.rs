use super::*;

fn is_valid(format: &str, text: &str) -> bool {
    match Format::of(format, Types::default()) {
        Some(Format::Text(is_valid)) => is_valid(text),
        _ => true,
    }
}

#[test]
fn formats_take_what_they_name() {
    for (format, good) in [
        ("date", "2024-02-29"),
        ("date-time", "2024-02-29T23:59:59.123Z"),
        ("datetime", "2024-02-29t00:00:00+01:00"),
        ("date-time", "2024-02-29T00:00:00,5z"),
        ("duration", "1h30m"),
        ("duration", "-1.5ms"),
        ("duration", "0"),
        ("duration", "3 days"),
        ("duration", "in 3  weeks or so"),
        ("email", "a.b+c@example.com"),
        ("email", "Name <a@b>"),
        ("email", "\"a b\"@[127.0.0.1] (note)"),
        ("email", "group: a@b;"),
        ("hostname", "a-b.example.com"),
        ("hostname", "a"),
        ("hostname", "\u{e9}.\u{e9}\u{e9}"),
        ("ipv4", "10.0.0.1"),
        ("ipv4", "010.000.00.1"),
        ("ipv4", "::ffff:1.2.3.4"),
        ("ipv6", "fe80::1"),
        ("cidr", "10.0.0.0/8"),
        ("cidr", "fe80::/064"),
        ("mac", "01:23:45:67:89:ab"),
        ("mac", "0123.4567.89ab"),
        ("uri", "https://example.com/a?b=%20"),
        ("uri", "https://u:p@[fe80::1%25en0]:80/a b"),
        ("uri", "mailto:anything at all"),
        ("uri", "/a/b"),
        ("uri", "*"),
        ("uuid", "a8098c1a-f86e-11da-bd1a-00112444be1e"),
        ("uuid", "A8098C1Af86e-11dabd1a-00112444be1e"),
        ("uuid3", "bcd02e22-68f0-3046-a512-327cca9def8f"),
        ("uuid4", "25769c6c-d34d-4bfe-ba98-e0ee856f3e7a"),
        ("isbn", "978-3-16-148410-0"),
        ("isbn10", "0-306-40615-2"),
        ("isbn10", "080442957X"),
        ("creditcard", "4111 1111 1111 1111"),
        ("creditcard", "x3714-496353-98431"),
        ("ssn", "111-11 1111"),
        ("hexcolor", "#FFF"),
        ("rgbcolor", "rgb( 1, 2 ,255)"),
        ("bsonobjectid", "507f1f77bcf86cd799439011"),
        ("byte", "aGVsbG8="),
        ("k8s-short-name", "a-b"),
        ("k8s-long-name", "a.b"),
        ("password", "anything"),
        ("no-such-format", "anything"),
    ] {
        assert!(is_valid(format, good), "{format}: {good}");
    }
}

#[test]
fn formats_refuse_the_rest() {
    for (format, bad) in [
        ("date", "2023-02-29"),
        ("date-time", "yesterday"),
        ("date-time", "2024-02-29 00:00:00Z"),
        ("date-time", "2024-02-29T24:00:00Z"),
        ("date-time", "2024-02-29T23:59:60Z"),
        ("date-time", "2024-02-29T00:00:00"),
        ("date-time", "2024-02-29T00:00:0\u{e9}Z"),
        ("duration", ""),
        ("duration", "1"),
        ("duration", "1x"),
        ("duration", "3 fortnights"),
        ("email", "a@"),
        ("email", "a..b@example.com"),
        ("email", "\"\"@b"),
        ("email", "Name a@b"),
        ("email", "group: a@b, c@d;"),
        ("email", "(a@b"),
        ("hostname", "-a"),
        ("hostname", "ab-c"),
        ("hostname", "a.b"),
        ("hostname", "a_b.example.com"),
        ("hostname", ""),
        ("ipv4", "10.0.0.256"),
        ("ipv6", "10.0.0.1"),
        ("ipv6", "fe80::1%en0"),
        ("cidr", "10.0.0.0/33"),
        ("cidr", "10.0.0.0/+8"),
        ("mac", "01:23"),
        ("mac", "01:23-45:67:89:ab"),
        ("uri", "no scheme"),
        ("uri", "://a"),
        ("uri", "http://%zz"),
        ("uri", "http://a b/"),
        ("uri", "http://a:b"),
        ("uri", "http://[::1"),
        ("uuid", "a8098c1a-f86e-11da-bd1a-00112444be1"),
        ("uuid4", "a8098c1a-f86e-11da-bd1a-00112444be1e"),
        ("isbn", "978-3-16-148410-1"),
        ("creditcard", "4111111111111112"),
        ("creditcard", "9111111111111111"),
        ("ssn", "111111111"),
        ("hexcolor", "#FFFF"),
        ("rgbcolor", "rgb(1,2,256)"),
        ("rgbcolor", "rgb(01,2,3)"),
        ("bsonobjectid", "z"),
        ("byte", "a"),
        ("byte", ""),
        ("byte", "===="),
        ("k8s-short-name", "A"),
        ("k8s-long-name", "a..b"),
    ] {
        assert!(!is_valid(format, bad), "{format}: {bad}");
    }
}

#[test]
fn formats_are_of_types() {
    let of = |format: &str, types: Types| Format::of(format, types);
    let (integer, number) = (Types::named("integer"), Types::named("number"));
    assert!(matches!(of("int32", integer), Some(Format::Int32)));
    assert!(of("int32", number).is_none());
    assert!(of("int32", Types::default()).is_none());
    assert!(matches!(of("float", number), Some(Format::Float)));
    assert!(of("date", integer).is_none());
    assert!(of("date", Types::named("boolean")).is_none());
    assert!(of("date", Types::INT_OR_STRING).is_some());
    assert!(of("uu-id", Types::named("string")).is_some());
}
