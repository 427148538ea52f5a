//! Reads through the socket: what every answer looks like, and what every mistake is told.

use std::io::Read as _;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use expect_test::expect;
use http::Method;
use outrigger_tests::client::{Answer, Client};
use serde_json::{Value, json};

use crate::anchors::{ALL_ANCHORS, ANCHORS, OLD_ANCHORS, anchor, start};
use crate::api::resource_version;

async fn get(client: &Client, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    client.send(Method::GET, path, headers, Bytes::new()).await
}

async fn put_anchors(client: &Client, names: &[&str]) -> Result<()> {
    for (size, name) in (1..).zip(names) {
        client.post(ANCHORS, &anchor(name, size)).await?.ok()?;
    }
    Ok(())
}

/// `CODE reason: message`, and without a Status the text.
fn told(answer: &Answer) -> String {
    match answer.json() {
        Ok(_) => answer.failure(),
        Err(_) => format!("{} {:?}", answer.status.as_u16(), answer.text()),
    }
}

#[tokio::test]
async fn mistakes_are_told_as_the_go_server_tells_them() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    put_anchors(&client, &["a"]).await?;
    let mut lines = String::new();
    for (method, path) in [
        ("GET", "?limit=ten"),
        ("GET", "?timeoutSeconds=9223372036854775808"),
        ("GET", "?labelSelector=a%20b"),
        ("GET", "?labelSelector=a%20in%20(b"),
        ("GET", "?labelSelector=a%3D%2F"),
        ("GET", "?fieldSelector=nope"),
        ("GET", "?fieldSelector=spec.text%3D1"),
        ("GET", "?fieldSelector=metadata.name%3Da%3Db"),
        ("GET", "?continue=a%3Fc"),
        ("GET", "?resourceVersion=abc"),
        ("GET", "?timeout=abc"),
        ("GET", "?timeout=5"),
        ("GET", "?resourceVersionMatch=Exact"),
        ("GET", "?resourceVersion=0&resourceVersionMatch=Exact"),
        ("GET", "?resourceVersion=1&resourceVersionMatch=Nope"),
        ("GET", "?sendInitialEvents=true"),
        ("GET", "?watch=1&sendInitialEvents=false"),
        ("GET", "?watch=1&resourceVersion=abc"),
        ("GET", "/a?resourceVersion=-1"),
        ("GET", "/a?export=true"),
        ("GET", "/.."),
        ("GET", "/a%25b"),
        ("GET", "/a%zz"),
        ("GET", "/nope"),
        ("GET", "/nope%22%0A"),
        ("GET", "/a/nope"),
        ("GET", "/a/status"),
        ("PROPFIND", ""),
        ("OPTIONS", "/a"),
        ("PUT", ""),
        ("GET", "/../../../../watch"),
    ] {
        let method = Method::from_bytes(method.as_bytes())?;
        let target = match path {
            "/../../../../watch" => "/apis/pier.example.com/v1/watch".to_owned(),
            path => format!("{ANCHORS}{path}"),
        };
        let answer = client
            .send(method.clone(), &target, &[], Bytes::new())
            .await?;
        lines += &format!("{method} {path}: {}\n", told(&answer));
    }
    expect![[r#"
        GET ?limit=ten: 400 BadRequest: strconv.ParseInt: parsing "ten": invalid syntax
        GET ?timeoutSeconds=9223372036854775808: 400 BadRequest: strconv.ParseInt: parsing "9223372036854775808": value out of range
        GET ?labelSelector=a%20b: 400 BadRequest: unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt
        GET ?labelSelector=a%20in%20(b: 400 BadRequest: unable to parse requirement: found '', expected: ',' or ')'
        GET ?labelSelector=a%3D%2F: 400 BadRequest: unable to parse requirement: values[0][a]: Invalid value: "/": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
        GET ?fieldSelector=nope: 400 BadRequest: invalid selector: 'nope'; can't understand 'nope'
        GET ?fieldSelector=spec.text%3D1: 400 BadRequest: field label not supported: spec.text
        GET ?fieldSelector=metadata.name%3Da%3Db: 400 BadRequest: invalid field selector: unescaped character in value: 61
        GET ?continue=a%3Fc: 400 BadRequest: invalid continue token: continue key is not valid: illegal base64 data at input byte 1
        GET ?resourceVersion=abc: 400 BadRequest: invalid resource version: resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax
        GET ?timeout=abc: 400 BadRequest: invalid timeout specified in the request URL - time: invalid duration "abc"
        GET ?timeout=5: 400 BadRequest: invalid timeout specified in the request URL - time: missing unit in duration "5"
        GET ?resourceVersionMatch=Exact: 422 Invalid: ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided
        GET ?resourceVersion=0&resourceVersionMatch=Exact: 422 Invalid: ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"
        GET ?resourceVersion=1&resourceVersionMatch=Nope: 422 Invalid: ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Unsupported value: "Nope": supported values: "Exact", "NotOlderThan", ""
        GET ?sendInitialEvents=true: 422 Invalid: ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list
        GET ?watch=1&sendInitialEvents=false: 422 Invalid: ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan
        GET ?watch=1&resourceVersion=abc: 500 : resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax
        GET /a?resourceVersion=-1: 500 : resourceVersion: Invalid value: "-1": strconv.ParseUint: parsing "-1": invalid syntax
        GET /a?export=true: 400 BadRequest: the export parameter, deprecated since v1.14, is no longer supported
        GET /..: 400 BadRequest: Name parameter invalid: "..": may not be '..'
        GET /a%25b: 400 BadRequest: Name parameter invalid: "a%b": may not contain '%'
        GET /a%zz: 400 "400 Bad Request"
        GET /nope: 404 NotFound: anchors.pier.example.com "nope" not found
        GET /nope%22%0A: 404 NotFound: anchors.pier.example.com "nope\"\n" not found
        GET /a/nope: 404 NotFound: anchors.pier.example.com "a" not found
        GET /a/status: 404 NotFound: anchors.pier.example.com "a" not found
        PROPFIND : 405 MethodNotAllowed:  is not supported on resources of kind "anchors.pier.example.com"
        OPTIONS /a: 405 MethodNotAllowed:  is not supported on resources of kind "anchors.pier.example.com"
        PUT : 400 BadRequest: name must be provided
        GET /../../../../watch: 500 "Internal Server Error: \"/apis/pier.example.com/v1/watch\": failed to create RequestInfo: unable to determine kind and namespace from url, /apis/pier.example.com/v1/watch\n"
    "#]]
    .assert_eq(&lines);
    dev.stop().await
}

#[tokio::test]
async fn paths_of_nobody_are_not_found_and_strangers_are_not_let_in() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    let stranger = Client::unverified(&format!("127.0.0.1:{}", dev.port))?;
    let mut lines = String::new();
    for path in [
        "/nope",
        "/apis/nope.example.com/v1/things",
        "/apis/pier.example.com/v1/things",
        "/apis/pier.example.com/v2/anchors",
        "/apis/pier.example.com/v1/anchors/a",
        "/apis/pier.example.com/v1/namespaces/default/anchors/a/b/c",
    ] {
        let answer = client.get(path).await?;
        lines += &format!(
            "{path}: {}\n",
            told(&answer).chars().take(90).collect::<String>()
        );
    }
    lines += &format!("stranger: {}\n", told(&stranger.get(ANCHORS).await?));
    expect![[r#"
        /nope: 404 : 
        /apis/nope.example.com/v1/things: 404 NotFound: the server could not find the requested resource
        /apis/pier.example.com/v1/things: 404 "404 page not found\n"
        /apis/pier.example.com/v2/anchors: 404 "404 page not found\n"
        /apis/pier.example.com/v1/anchors/a: 404 "404 page not found\n"
        /apis/pier.example.com/v1/namespaces/default/anchors/a/b/c: 404 NotFound: anchors.pier.example.com "a" not found
        stranger: 403 Forbidden: anchors.pier.example.com is forbidden: User "system:anonymous" cannot list resource "anchors" in API group "pier.example.com" in the namespace "default"
    "#]]
    .assert_eq(&lines);
    dev.stop().await
}

#[tokio::test]
async fn what_cannot_be_written_is_refused_in_json() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    put_anchors(&client, &["a"]).await?;
    let mut lines = String::new();
    for (path, accept) in [
        ("/a", "text/html"),
        ("/a", "application/vnd.kubernetes.protobuf"),
        ("/a", "application/vnd.kubernetes.protobuf,application/json"),
        ("/a", "application/yaml"),
        ("/a", "application/*"),
        ("/a", "application/json;q=0.1,application/yaml"),
        (
            "/a",
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        ),
        (
            "/a",
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1",
        ),
        (
            "/a",
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        ),
        ("/a", "application/json;as=Table;g=meta.k8s.io;v=v1"),
        (
            "/a?includeObject=Nope",
            "application/json;as=Table;g=meta.k8s.io;v=v1",
        ),
        (
            "/a",
            "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1",
        ),
        (
            "",
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        ),
        (
            "",
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        ),
        ("?watch=1&timeoutSeconds=1", "application/yaml"),
        (
            "?watch=1&timeoutSeconds=1",
            "application/yaml,application/json",
        ),
        ("?watch=1&limit=x", "application/yaml"),
        ("/nope", "application/vnd.kubernetes.protobuf"),
        ("/nope", "application/yaml"),
    ] {
        let answer = get(&client, &format!("{ANCHORS}{path}"), &[("accept", accept)]).await?;
        let content_type = answer.headers["content-type"].to_str()?;
        let outcome = match answer.status.as_u16() {
            200 => "200".to_owned(),
            _ => told(&answer).chars().take(150).collect(),
        };
        lines += &format!("{path} {accept}\n    {content_type} {outcome}\n");
    }
    expect![[r#"
        /a text/html
            application/json 406 NotAcceptable: only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf
        /a application/vnd.kubernetes.protobuf
            application/vnd.kubernetes.protobuf 406 "k8s\0\n\u{c}\n\u{2}v1\u{12}\u{6}Status\u{12}�\u{1}\n\0\u{12}\u{7}Failure\u{1a}tonly the following media types are accepted: application/json, app
        /a application/vnd.kubernetes.protobuf,application/json
            application/json 200
        /a application/yaml
            application/yaml 200
        /a application/*
            application/json 200
        /a application/json;q=0.1,application/yaml
            application/yaml 200
        /a application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1
            application/json 200
        /a application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1
            application/vnd.kubernetes.protobuf 200
        /a application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1
            application/json 500 : content is not a list
        /a application/json;as=Table;g=meta.k8s.io;v=v1
            application/json 200
        /a?includeObject=Nope application/json;as=Table;g=meta.k8s.io;v=v1
            application/json 400 BadRequest: Unable to convert to Table as requested: includeObject: Invalid value: "Nope": must be 'Metadata', 'Object', 'None', or empty
        /a application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1
            application/json 406 NotAcceptable: only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf
         application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1
            application/json 406 NotAcceptable: you requested PartialObjectMetadata, but the requested object is a list (*unstructured.UnstructuredList)
         application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1
            application/vnd.kubernetes.protobuf 200
        ?watch=1&timeoutSeconds=1 application/yaml
            application/yaml 406 "apiVersion: v1\ncode: 406\nkind: Status\nmessage: \"only the following media types are accepted: application/json;stream=watch, application/vnd.k
        ?watch=1&timeoutSeconds=1 application/yaml,application/json
            application/yaml 406 "apiVersion: v1\ncode: 406\nkind: Status\nmessage: \"only the following media types are accepted: application/json;stream=watch, application/vnd.k
        ?watch=1&limit=x application/yaml
            application/yaml 400 "apiVersion: v1\ncode: 400\nkind: Status\nmessage: \"strconv.ParseInt: parsing \\\"x\\\": invalid syntax\"\nmetadata: {}\nreason: BadRequest\nstat
        /nope application/vnd.kubernetes.protobuf
            application/vnd.kubernetes.protobuf 406 "k8s\0\n\u{c}\n\u{2}v1\u{12}\u{6}Status\u{12}�\u{1}\n\0\u{12}\u{7}Failure\u{1a}tonly the following media types are accepted: application/json, app
        /nope application/yaml
            application/yaml 404 "apiVersion: v1\ncode: 404\ndetails:\n  group: pier.example.com\n  kind: anchors\n  name: nope\nkind: Status\nmessage: anchors.pier.example.com \"
    "#]]
    .assert_eq(&lines);
    dev.stop().await
}

#[tokio::test]
async fn pages_are_read_at_one_revision() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    put_anchors(&client, &["a", "b", "c", "d"]).await?;
    let list = |query: String| {
        let client = client.clone();
        async move { client.get(&format!("{ANCHORS}?{query}")).await?.ok() }
    };
    let names = |list: &Value| -> String {
        let items = list["items"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let name = |it: &Value| it["metadata"]["name"].as_str().unwrap_or("?").to_owned();
        items.iter().map(name).collect::<Vec<_>>().join("")
    };
    let first = list("limit=2".into()).await?;
    assert_eq!(names(&first), "ab");
    assert_eq!(first["metadata"]["remainingItemCount"], 2);
    let token = first["metadata"]["continue"].as_str().context("a token")?;
    client.delete(&format!("{ANCHORS}/c")).await?.ok()?;
    put_anchors(&client, &["e"]).await?;
    let second = list(format!("limit=1&continue={token}")).await?;
    assert_eq!(names(&second), "c");
    assert_eq!(
        second["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    // A page of whatever is there is no page.
    let rest = list(format!("limit=1&resourceVersion=0&continue={token}")).await?;
    assert_eq!(names(&rest), "cd");
    assert_eq!(
        names(&list("limit=1&resourceVersion=0".into()).await?),
        "abde"
    );
    assert_eq!(names(&list("limit=-1".into()).await?), "abde");
    // Selectors may change between pages, and leave no count.
    let selected = list(format!("limit=1&labelSelector=size%3D4&continue={token}")).await?;
    assert_eq!(names(&selected), "d");
    let selected = list("limit=1&labelSelector=size".into()).await?;
    assert_eq!(selected["metadata"].get("remainingItemCount"), None);
    // A limit means the very revision, but not for one object.
    let at = resource_version(&first)?;
    let exact = list(format!("limit=9&resourceVersion={at}")).await?;
    assert_eq!(names(&exact), "abcd");
    let now = list(format!(
        "limit=9&resourceVersion={at}&fieldSelector=metadata.name%3Dc"
    ))
    .await?;
    assert_eq!(names(&now), "");
    let mut lines = String::new();
    for query in [
        format!("continue={token}&resourceVersion={at}"),
        format!("continue={token}&resourceVersion={at}&resourceVersionMatch=Exact"),
        "resourceVersion=1000000&resourceVersionMatch=NotOlderThan".to_owned(),
    ] {
        let answer = client.get(&format!("{ANCHORS}?{query}")).await?;
        lines += &told(&answer);
        lines += match answer.headers.get("retry-after") {
            Some(_) => " (retry)\n",
            None => "\n",
        };
    }
    let current = resource_version(&list(String::new()).await?)?;
    let lines = lines.replace(&format!("current: {current}"), "current: NOW");
    expect![[r#"
        400 BadRequest: specifying resource version is not allowed when using continue
        422 Invalid: ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided
        504 Timeout: Timeout: Too large resource version: 1000000, current: NOW (retry)
    "#]]
    .assert_eq(&lines);
    dev.stop().await
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_ask() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    let mut large = anchor("large", 1);
    large["spec"]["text"] = "x".repeat(200 * 1024).into();
    client.post(ANCHORS, &large).await?.ok()?;
    for path in [format!("{ANCHORS}/large"), ANCHORS.to_owned()] {
        let plain = get(&client, &path, &[]).await?;
        assert_eq!(plain.headers.get("content-encoding"), None);
        assert_eq!(plain.headers["cache-control"], "no-cache, private");
        let compressed = get(&client, &path, &[("accept-encoding", "br, gzip")]).await?;
        assert_eq!(compressed.headers["content-encoding"], "gzip");
        assert_eq!(compressed.headers["vary"], "Accept-Encoding");
        assert_eq!(unzipped(&compressed.body)?, plain.body);
        let quality = get(&client, &path, &[("accept-encoding", "gzip;q=1")]).await?;
        assert_eq!(quality.headers.get("content-encoding"), None);
    }
    client.delete(&format!("{ANCHORS}/large")).await?.ok()?;
    let short = get(&client, ANCHORS, &[("accept-encoding", "gzip")]).await?;
    assert_eq!(short.headers.get("content-encoding"), None);

    // A watch of the state is compressed whatever its length, each of its frames by itself.
    put_anchors(&client, &["a"]).await?;
    let query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1";
    let path = format!("{ANCHORS}?{query}");
    let watched = get(&client, &path, &[("accept-encoding", "gzip")]).await?;
    assert_eq!(watched.headers["content-encoding"], "gzip");
    let events = String::from_utf8(unzipped(&watched.body)?)?;
    let events: Vec<Value> = events
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    assert_eq!(events[0]["type"], "ADDED");
    assert_eq!(
        events[1]["object"]["metadata"]["annotations"],
        json!({"k8s.io/initial-events-end": "true"})
    );
    dev.stop().await
}

fn unzipped(body: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    flate2::read::MultiGzDecoder::new(body).read_to_end(&mut out)?;
    Ok(out)
}

#[tokio::test]
async fn people_get_indented_json_with_its_fields_where_they_were() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    put_anchors(&client, &["a"]).await?;
    let plain = get(&client, &format!("{ANCHORS}/a"), &[]).await?;
    for (query, headers) in [
        ("?pretty=true", &[] as &[(&str, &str)]),
        ("", &[("user-agent", "curl/8.5.0")]),
        ("", &[("accept", "application/json;pretty=1")]),
    ] {
        let pretty = get(&client, &format!("{ANCHORS}/a{query}"), headers).await?;
        let text = pretty.text();
        assert!(text.starts_with("{\n  \"apiVersion\": "), "{text}");
        assert!(text.ends_with('}'), "{text}");
        assert_eq!(pretty.json()?, plain.json()?);
    }
    let refused = get(&client, &format!("{ANCHORS}/b?pretty=1"), &[]).await?;
    assert!(refused.text().starts_with("{\n  \"kind\": \"Status\""));
    dev.stop().await
}

#[tokio::test]
async fn heads_have_no_body() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    put_anchors(&client, &["a"]).await?;
    for (path, code) in [("/a", 200), ("", 200), ("?limit=x", 400), ("/b", 404)] {
        let path = format!("{ANCHORS}{path}");
        for client in [client.clone(), client.http1()] {
            let answer = client.send(Method::HEAD, &path, &[], Bytes::new()).await?;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (code, 0));
            assert_eq!(answer.headers["content-type"], "application/json");
        }
    }
    dev.stop().await
}

/// The events of a watch that ends by itself, as `TYPE name resourceVersion-is-there`.
async fn events(client: &Client, path: &str, headers: &[(&str, &str)]) -> Result<Vec<Value>> {
    let answer = get(client, path, headers).await?;
    anyhow::ensure!(answer.status == 200, "{}", answer.text());
    let text = answer.text();
    let events = text.lines().map(serde_json::from_str);
    Ok(events.collect::<Result<_, _>>()?)
}

fn shown(events: &[Value]) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let show = |event: &Value| {
        let metadata = &event["object"]["metadata"];
        let end = match metadata["annotations"]["k8s.io/initial-events-end"] {
            Value::Null => "",
            _ => "!",
        };
        format!("{} {}{end}", text(&event["type"]), text(&metadata["name"]))
    };
    events.iter().map(show).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn watches_begin_as_they_are_asked_to() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    put_anchors(&client, &["a", "b"]).await?;
    let state = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let watch = "/apis/pier.example.com/v1/watch";
    let mut lines = String::new();
    for path in [
        format!("{ANCHORS}?watch=1"),
        format!("{ANCHORS}?watch&resourceVersion=0&allowWatchBookmarks=1"),
        format!("{ANCHORS}?watch=1&{state}"),
        format!("{ANCHORS}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan"),
        format!("{ANCHORS}?watch=1&fieldSelector=metadata.name%3Db"),
        format!("{ALL_ANCHORS}?watch=1&fieldSelector=metadata.namespace%3Ddefault,spec.size%3D1"),
        format!("{ANCHORS}?watch=1&labelSelector=size+in+(2)"),
        format!("{ANCHORS}?watch=1&resourceVersion=1000000"),
        format!("{ANCHORS}?watch=1&{state}&resourceVersion=1000000"),
        format!("{watch}/anchors?resourceVersion=0"),
        format!("{watch}/namespaces/default/anchors?allowWatchBookmarks=true"),
        format!("{watch}/namespaces/default/anchors/b?x=y"),
    ] {
        let separator = "&timeoutSeconds=4";
        let events = events(&client, &format!("{path}{separator}"), &[]).await?;
        // Those before the end come where they come.
        let events: Vec<Value> = events
            .into_iter()
            .filter(|it| it["type"] != "BOOKMARK" || shown(std::slice::from_ref(it)).ends_with('!'))
            .collect();
        let path = path.rsplit("pier.example.com/v1/").next().unwrap_or(&path);
        lines += &format!("{path}: {}\n", shown(&events));
        if let Some(error) = events.iter().find(|it| it["type"] == "ERROR") {
            let status = &error["object"];
            lines += &format!("    {} {}\n", status["code"], status["reason"]);
        }
    }
    expect![[r#"
        namespaces/default/anchors?watch=1: ADDED a, ADDED b
        namespaces/default/anchors?watch&resourceVersion=0&allowWatchBookmarks=1: ADDED a, ADDED b, BOOKMARK !
        namespaces/default/anchors?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true: ADDED a, ADDED b, BOOKMARK !
        namespaces/default/anchors?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan: 
        namespaces/default/anchors?watch=1&fieldSelector=metadata.name%3Db: ADDED b
        anchors?watch=1&fieldSelector=metadata.namespace%3Ddefault,spec.size%3D1: ADDED a
        namespaces/default/anchors?watch=1&labelSelector=size+in+(2): ADDED b
        namespaces/default/anchors?watch=1&resourceVersion=1000000: 
        namespaces/default/anchors?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion=1000000: ERROR 
            504 "Timeout"
        watch/anchors?resourceVersion=0: ADDED a, ADDED b
        watch/namespaces/default/anchors?allowWatchBookmarks=true: ADDED a, ADDED b
        watch/namespaces/default/anchors/b?x=y: ADDED b
    "#]]
    .assert_eq(&lines);
    let refused = client.get(&format!("{watch}/anchors?{state}")).await?;
    assert_eq!(refused.status, 422, "{}", refused.text());
    let mismatch = client
        .get(&format!(
            "{watch}/namespaces/default/anchors/b?fieldSelector=metadata.name%3Da"
        ))
        .await?;
    assert_eq!(
        told(&mismatch),
        "400 BadRequest: fieldSelector metadata.name doesn't match requested name"
    );
    dev.stop().await
}

#[tokio::test]
async fn objects_enter_and_leave_what_is_watched() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    put_anchors(&client, &["a"]).await?;
    for query in ["fieldSelector=spec.size%3D1", "labelSelector=size%3D1"] {
        let mut watch = client.watch(&format!("{ANCHORS}?watch=1&{query}")).await?;
        assert_eq!(watch.next_change().await?, "ADDED a");
        for size in [2, 3, 1] {
            let patch = json!({
                "metadata": {"labels": {"size": size.to_string()}}, "spec": {"size": size},
            });
            let changed = client.merge_patch(&format!("{ANCHORS}/a"), &patch).await?;
            let changed = changed.ok()?;
            if size == 2 {
                let left = watch.next().await?.context("an event")?;
                assert_eq!(left["type"], "DELETED");
                // The last state that was selected, at the revision that ended it.
                assert_eq!(left["object"]["spec"]["size"], 1);
                assert_eq!(
                    resource_version(&left["object"])?,
                    resource_version(&changed)?
                );
            }
        }
        assert_eq!(watch.next_change().await?, "ADDED a");
    }
    dev.stop().await
}

#[tokio::test]
async fn tables_and_other_versions_are_watched_too() -> Result<()> {
    let (_folders, dev, client) = start().await?;
    put_anchors(&client, &["a", "b"]).await?;
    let table = ("accept", "application/json;as=Table;g=meta.k8s.io;v=v1");
    let query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1";
    for (include, in_row) in [
        ("None", Value::Null),
        ("Metadata", "PartialObjectMetadata".into()),
    ] {
        let path = format!("{ANCHORS}?{query}&includeObject={include}");
        let events = events(&client, &path, &[table]).await?;
        let objects: Vec<&Value> = events.iter().map(|it| &it["object"]).collect();
        assert_eq!(objects[0]["columnDefinitions"][1]["name"], "Size");
        assert_eq!(objects[1]["columnDefinitions"], Value::Null);
        assert_eq!(objects[1]["rows"][0]["cells"], json!(["b", 2]));
        assert_eq!(objects[1]["rows"][0]["object"]["kind"], in_row);
        // The end of the state must be told, whatever rows carry.
        let end = &objects[2]["rows"][0]["object"];
        assert_eq!(end["kind"], "PartialObjectMetadata");
        assert_eq!(
            end["metadata"]["annotations"],
            json!({"k8s.io/initial-events-end": "true"})
        );
    }
    let old = events(&client, &format!("{OLD_ANCHORS}?{query}"), &[]).await?;
    assert_eq!(old[0]["object"]["apiVersion"], "pier.example.com/v1beta1");
    assert_eq!(old[2]["object"]["apiVersion"], "pier.example.com/v1beta1");
    let partial = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1";
    let partial = events(
        &client,
        &format!("{ANCHORS}?{query}"),
        &[("accept", partial)],
    )
    .await?;
    for event in &partial {
        assert_eq!(event["object"]["kind"], "PartialObjectMetadata");
        assert_eq!(event["object"]["apiVersion"], "meta.k8s.io/v1beta1");
        assert_eq!(event["object"].get("spec"), None);
    }
    let bad = get(
        &client,
        &format!("{ANCHORS}?{query}&includeObject=x"),
        &[table],
    )
    .await?;
    assert_eq!(bad.status, 400, "{}", bad.text());
    dev.stop().await
}

/// Informers go on from where they were when the server comes back.
#[tokio::test]
async fn watches_resume_behind_a_restart() -> Result<()> {
    let (folders, dev, client) = start().await?;
    put_anchors(&client, &["a"]).await?;
    let before = resource_version(&client.get(ANCHORS).await?.ok()?)?;
    client.delete(&format!("{ANCHORS}/a")).await?.ok()?;
    put_anchors(&client, &["b"]).await?;
    dev.stop().await?;

    let dev = folders.start().await?;
    let client = dev.client()?;
    dev.wait_served(ANCHORS).await?;
    let path = format!("{ANCHORS}?watch=1&timeoutSeconds=1&resourceVersion={before}");
    let events = events(&client, &path, &[]).await?;
    assert_eq!(shown(&events), "DELETED a, ADDED b");
    assert_ne!(resource_version(&events[0]["object"])?, before);
    dev.stop().await
}
