//! What a person reads when an etcd cannot be used.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use expect_test::{Expect, expect};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::*;

/// The text, with what differs from run to run left out.
async fn check_refused(options: Options, hidden: &[(&str, &str)], expected: Expect) {
    let options = Options {
        connect_wait: Duration::from_secs(2),
        ..options
    };
    let err = EtcdStorage::connect(options).await.err().expect("refused");
    let mut shown = err.to_string();
    for (what, name) in hidden {
        shown = shown.replace(what, name);
    }
    assert!(!shown.contains('\n'), "one line: {shown}");
    expected.assert_eq(&shown);
}

#[tokio::test]
async fn options_that_make_no_sense() {
    let options = peer::options("http://127.0.0.1:1".into());
    let with = |server: &str| Options {
        servers: vec![server.into()],
        ..options.clone()
    };
    check_refused(
        with("127.0.0.1:2379"),
        &[],
        expect![[r#"--etcd-servers: "127.0.0.1:2379" begins with neither http:// nor https://"#]],
    )
    .await;
    check_refused(
        with("https://127.0.0.1:2379"),
        &[],
        expect![
            "https://127.0.0.1:2379 needs the CA that signed its certificate: give --etcd-cafile"
        ],
    )
    .await;
    let empty = Options {
        prefix: "/".into(),
        ..options
    };
    check_refused(
        empty,
        &[],
        expect!["--etcd-prefix is empty: name one that nobody else uses, e.g. /outrigger"],
    )
    .await;
}

#[tokio::test]
async fn an_etcd_that_is_not_there() {
    let port = peer::free_port();
    let options = peer::options(format!("http://127.0.0.1:{port}"));
    check_refused(
        options,
        &[(&port.to_string(), "PORT")],
        expect!["etcd at http://127.0.0.1:PORT cannot be reached (tcp connect error: Connection refused (os error 111)): check --etcd-servers, and that it runs"],
    )
    .await;
}

#[tokio::test]
async fn a_prefix_of_somebody_else() {
    let Some(turn) = turn().await else { return };
    let options = Options {
        prefix: "/registry".into(),
        ..turn.etcd.options()
    };
    let client = Client::new(options.clone());
    let put = |key: &str, value: &str| proto::TxnRequest {
        success: vec![
            proto::Operation::Put(proto::PutRequest {
                key: key.to_owned().into(),
                value: value.to_owned().into(),
            })
            .into(),
        ],
        ..Default::default()
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    until("etcd to be ready", async || {
        let foreign = put("/registry/pods/a/x", "k8s");
        client.txn(foreign, deadline).await.ok()
    })
    .await;
    let server = turn.etcd.url();
    let hidden = [(server.as_str(), "SERVER")];
    check_refused(options.clone(), &hidden, expect!["etcd at SERVER has keys below /registry/ that are not of this server (/registry/pods/a/x): give another --etcd-prefix"]).await;
    let request = proto::RangeRequest {
        key: "/registry/".into(),
        range_end: proto::end_of("/registry/"),
        ..Default::default()
    };
    let kept = client.range(request, deadline).await.unwrap();
    assert_eq!(kept.kvs.len(), 1, "nothing was written");

    let store = "/registry/meta/store";
    client
        .txn(put(store, r#"{"format":2,"new":1}"#), deadline)
        .await
        .unwrap();
    check_refused(options.clone(), &hidden, expect!["the store below /registry/ in etcd was written by a newer release (format 2, this one reads up to 1): run that release"]).await;
    client
        .txn(
            put(store, r#"{"format":1,"offset":0,"importing":true}"#),
            deadline,
        )
        .await
        .unwrap();
    check_refused(
        options.clone(),
        &hidden,
        expect!["the copy into /registry/ of etcd at SERVER was cut off: run it again"],
    )
    .await;
    client.txn(put(store, "?"), deadline).await.unwrap();
    check_refused(options, &hidden, expect!["/registry/meta/store in etcd was not written by this server: give another --etcd-prefix"]).await;
}

/// CA, serving and client certificates as PEM files.
fn certificates() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    for name in ["ca", "other-ca"] {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        write(&format!("{name}.crt"), ca.pem());
        if name == "ca" {
            for (name, host) in [("server", "127.0.0.1"), ("client", "client")] {
                let key = KeyPair::generate().unwrap();
                let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
                let signed = params.signed_by(&key, &ca).unwrap();
                write(&format!("{name}.crt"), signed.pem());
                write(&format!("{name}.key"), key.serialize_pem());
            }
        }
    }
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_do_not_fit() {
    let folder = certificates();
    let file = |name: &str| folder.path().join(name);
    let flags = [
        format!("--cert-file={}", file("server.crt").display()),
        format!("--key-file={}", file("server.key").display()),
        format!("--trusted-ca-file={}", file("ca.crt").display()),
        "--client-cert-auth".to_owned(),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let data = tempfile::tempdir().unwrap();
    let Some(etcd) = Etcd::start_secure(data, &flags) else {
        return;
    };
    let server = format!("https://127.0.0.1:{}", etcd.port());
    let hidden = [(server.as_str(), "SERVER")];
    let good = Options {
        ca_file: Some(file("ca.crt")),
        identity: Some((file("client.crt"), file("client.key"))),
        ..peer::options(server.clone())
    };
    let storage = connect(good.clone()).await;
    commit(&storage, create("a/x", "0")).await.unwrap();
    let other_ca = Options {
        ca_file: Some(file("other-ca.crt")),
        ..good.clone()
    };
    check_refused(other_ca, &hidden, expect!["the certificate of etcd at SERVER is not signed by a CA in --etcd-cafile: give the CA that signed it"]).await;
    let nobody = Options {
        identity: None,
        ..good.clone()
    };
    // How the end of such a connection shows is a matter of luck.
    let err = EtcdStorage::connect(Options {
        connect_wait: Duration::from_secs(2),
        ..nobody
    });
    let text = err.await.err().expect("refused").to_string();
    assert!(text.contains("--etcd-certfile"), "{text}");
    let wrong_name = Options {
        servers: vec![server.replace("127.0.0.1", "localhost")],
        ..good.clone()
    };
    let local = server.replace("127.0.0.1", "localhost");
    check_refused(wrong_name, &[(&local, "SERVER")], expect!["the certificate of etcd at SERVER is not for that name: name it in --etcd-servers as its certificate does"]).await;
    let missing = Options {
        ca_file: Some("/does/not/exist".into()),
        ..good
    };
    check_refused(
        missing,
        &hidden,
        expect![
            "--etcd-cafile /does/not/exist cannot be read: No such file or directory (os error 2)"
        ],
    )
    .await;
}

/// The requests of etcd's administration that the test needs: `auth.proto`.
#[derive(Clone, PartialEq, ::prost::Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    second: String,
}

#[derive(Clone, PartialEq, ::prost::Message)]
struct Grant {
    #[prost(string, tag = "1")]
    role: String,
    #[prost(message, optional, tag = "2")]
    permission: Option<Permission>,
}

#[derive(Clone, PartialEq, ::prost::Message)]
struct Permission {
    /// 2: read and write.
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    range_end: Vec<u8>,
}

#[derive(Clone, PartialEq, ::prost::Message)]
struct Nothing {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_and_their_rights() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    let client = Client::new(etcd.options());
    let deadline = Instant::now() + Duration::from_secs(60);
    let named = |name: &str, second: &str| Named {
        name: name.into(),
        second: second.into(),
    };
    let ask = async |path: &'static str, request: Named| {
        until(path, async || {
            let answer = client.call::<_, Nothing>(path, &request, deadline).await;
            answer.ok()
        })
        .await
    };
    ask("/etcdserverpb.Auth/UserAdd", named("root", "secret")).await;
    ask("/etcdserverpb.Auth/UserGrantRole", named("root", "root")).await;
    ask("/etcdserverpb.Auth/UserAdd", named("outrigger", "secret")).await;
    ask("/etcdserverpb.Auth/RoleAdd", named("outrigger", "")).await;
    ask(
        "/etcdserverpb.Auth/UserGrantRole",
        named("outrigger", "outrigger"),
    )
    .await;
    let grant = Grant {
        role: "outrigger".into(),
        permission: Some(Permission {
            kind: 2,
            key: b"/outrigger/".to_vec(),
            range_end: b"/outrigger0".to_vec(),
        }),
    };
    client
        .call::<_, Nothing>("/etcdserverpb.Auth/RoleGrantPermission", &grant, deadline)
        .await
        .unwrap();
    ask("/etcdserverpb.Auth/AuthEnable", named("", "")).await;

    let password = etcd.folder().join("password");
    std::fs::write(&password, "secret\n").unwrap();
    let options = Options {
        credentials: Some(Credentials {
            username: "outrigger".into(),
            password_file: password.clone(),
        }),
        ..etcd.options()
    };
    let storage = connect(options.clone()).await;
    let cache = cache_of(&storage).await;
    let revision = commit(&storage, create("a/x", "0")).await.unwrap();
    assert_eq!(shown(&cache), format!("x@{revision}"));

    let server = etcd.url();
    let file = password.display().to_string();
    let hidden = [(server.as_str(), "SERVER"), (file.as_str(), "FILE")];
    let elsewhere = Options {
        prefix: "/elsewhere".into(),
        ..options.clone()
    };
    check_refused(elsewhere, &hidden, expect!["the user at etcd at SERVER lacks rights: grant a role of it readwrite on the prefix /elsewhere (`etcdctl role grant-permission ROLE readwrite --prefix /elsewhere/`)"]).await;
    check_refused(etcd.options(), &hidden, expect!["etcd at SERVER wants a user: give --etcd-username and --etcd-password-file, or a client certificate with --etcd-certfile and --etcd-keyfile"]).await;
    std::fs::write(&password, "wrong").unwrap();
    check_refused(options, &hidden, expect![[r#"etcd at SERVER does not take the user "outrigger" with the password in FILE: correct --etcd-username, --etcd-password-file, or the user"#]]).await;
}
