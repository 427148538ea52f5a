//! Requests through kube-apiserver, as users with and without rights.

use anyhow::{Context as _, Result, ensure};
use outrigger_tests::client::Client;
use outrigger_tests::kubeconfig::Kubeconfig;
use outrigger_tests::wait;
use serde_json::{Value, json};

use outrigger_tests::installed::{FLUNDERS, Installed, NAMESPACE, SECRET, SOON};

pub(crate) fn flunder(name: &str, fischer: &str) -> Value {
    json!({
        "apiVersion": "wardle.example.com/v1beta1", "kind": "Flunder",
        "metadata": {"name": name, "labels": {"of": "e2e"}},
        "spec": {"referenceType": "Fischer", "fischerReference": fischer},
    })
}

pub(crate) async fn every_verb(it: &mut Installed) -> Result<()> {
    let jane = it
        .user(
            "jane",
            "get,list,watch,create,update,patch,delete,deletecollection",
        )
        .await?;
    let jane_client = Client::new(&it.cluster.user("jane", &[])?)?;
    for verb in [
        "get", "list", "watch", "create", "update", "patch", "delete",
    ] {
        let args = ["auth", "can-i", verb, "flunders.wardle.example.com"];
        ensure!(jane.ok(&args).await?.trim() == "yes", "jane may not {verb}");
    }
    let mut watch = jane_client
        .watch(&format!("{FLUNDERS}?watch=true&resourceVersion=0"))
        .await?;

    let said = jane
        .ok_with(&["apply", "-f", "-"], &flunder("a", "one").to_string())
        .await?;
    ensure!(said == "flunder.wardle.example.com/a created\n", "{said}");
    ensure!(watch.next_change().await? == "ADDED a");
    let table = jane.ok(&["get", "flunders"]).await?;
    ensure!(
        table.starts_with("NAME") && table.contains("\na "),
        "{table}"
    );

    let changed = flunder("a", "two").to_string();
    let said = jane.ok_with(&["apply", "-f", "-"], &changed).await?;
    ensure!(
        said == "flunder.wardle.example.com/a configured\n",
        "{said}"
    );
    ensure!(watch.next_change().await? == "MODIFIED a");
    let patch = r#"{"spec":{"fischerReference":"three"}}"#;
    jane.ok(&["patch", "flunder", "a", "--type=merge", "-p", patch])
        .await?;
    let patch = r#"[{"op":"replace","path":"/spec/fischerReference","value":"four"}]"#;
    jane.ok(&["patch", "flunder", "a", "--type=json", "-p", patch])
        .await?;
    jane.ok(&["label", "flunder", "a", "color=red"]).await?;
    let mut object = jane.json(&["get", "flunder", "a"]).await?;
    ensure!(object["spec"]["fischerReference"] == "four", "{object}");
    ensure!(object["metadata"]["labels"]["color"] == "red", "{object}");
    object["spec"]["fischerReference"] = "five".into();
    jane.ok_with(&["replace", "-f", "-"], &object.to_string())
        .await?;
    // The other version shows the same object.
    let args = ["get", "flunders.v1alpha1.wardle.example.com", "a"];
    let older = jane.json(&args).await?;
    ensure!(older["spec"]["reference"] == "five", "{older}");

    let mut refused = flunder("b", "one");
    refused["spec"]["flunderReference"] = "x".into();
    let said = jane
        .refused(&["create", "-f", "-"], &refused.to_string())
        .await?;
    ensure!(
        said.contains("cannot be set with flunderReference"),
        "{said}"
    );

    jane.ok(&["delete", "flunder", "a"]).await?;
    for name in ["c", "d", "e"] {
        let object = flunder(name, "one").to_string();
        jane.ok_with(&["create", "-f", "-"], &object).await?;
    }
    let path = format!("{FLUNDERS}?labelSelector=of%3De2e");
    jane_client.delete(&path).await?.ok()?;
    let left = jane.json(&["get", "flunders"]).await?;
    ensure!(left["items"] == json!([]), "{left}");
    Ok(())
}

pub(crate) async fn stale_writes(it: &mut Installed) -> Result<()> {
    let kubectl = &it.kubectl;
    let create = flunder("stale", "one").to_string();
    kubectl.ok_with(&["create", "-f", "-"], &create).await?;
    let old = kubectl.json(&["get", "flunder", "stale"]).await?;
    kubectl
        .ok(&["label", "flunder", "stale", "newer=true"])
        .await?;
    let said = kubectl
        .refused(&["replace", "-f", "-"], &old.to_string())
        .await?;
    let expected = "Operation cannot be fulfilled on flunders.wardle.example.com \"stale\": the object has been \
                    modified; please apply your changes to the latest version and try again";
    ensure!(said.contains(expected), "{said}");
    let kept = kubectl.json(&["get", "flunder", "stale"]).await?;
    ensure!(kept["metadata"]["labels"]["newer"] == "true", "{kept}");
    kubectl.ok(&["delete", "flunder", "stale"]).await?;
    Ok(())
}

pub(crate) async fn forbidden(it: &mut Installed) -> Result<()> {
    // Through kube-apiserver, which refuses by itself.
    let bob = it.cluster.kubectl("bob", &[])?;
    let said = bob.refused(&["get", "flunders"], "").await?;
    let expected = "flunders.wardle.example.com is forbidden: User \"bob\" cannot list resource \"flunders\" in API \
                    group \"wardle.example.com\" in the namespace \"default\"";
    ensure!(said.contains(expected), "{said}");
    let args = ["auth", "can-i", "create", "flunders.wardle.example.com"];
    ensure!(bob.run(&args, "").await?.stdout.trim() == "no", "bob may");

    // Past kube-apiserver, as a pod could: the server asks whose the token is and what it may.
    let kubectl = &it.kubectl;
    kubectl.ok(&["create", "serviceaccount", "robot"]).await?;
    let direct = direct(it, "robot").await?;
    let answer = direct.get(FLUNDERS).await?;
    let expected = "403 Forbidden: flunders.wardle.example.com is forbidden: User \
                    \"system:serviceaccount:default:robot\" cannot list resource \"flunders\" in API group \
                    \"wardle.example.com\" in the namespace \"default\"";
    ensure!(
        answer.failure().starts_with(expected),
        "{}",
        answer.failure()
    );
    let answer = direct.post(FLUNDERS, &flunder("x", "y")).await?;
    ensure!(answer.status == 403, "{}", answer.text());
    // Nor does it believe who says to be somebody else.
    let headers = [
        ("x-remote-user", "admin"),
        ("x-remote-group", "system:masters"),
    ];
    let answer = direct
        .send(http::Method::GET, FLUNDERS, &headers, bytes::Bytes::new())
        .await?;
    ensure!(answer.status == 403, "{}", answer.text());

    let args = [
        "create",
        "role",
        "readers",
        "--verb=get,list,watch",
        "--resource=flunders.wardle.example.com",
    ];
    kubectl.ok(&args).await?;
    let args = [
        "create",
        "rolebinding",
        "readers",
        "--role=readers",
        "--serviceaccount=default:robot",
    ];
    kubectl.ok(&args).await?;
    // A refusal is remembered for ten seconds.
    wait::until("the new rights", SOON, || async {
        direct.get(FLUNDERS).await?.ok()
    })
    .await?;
    let answer = direct.post(FLUNDERS, &flunder("x", "y")).await?;
    ensure!(answer.status == 403, "{}", answer.text());
    Ok(())
}

/// A client of the pod itself with a service account's token.
async fn direct(it: &Installed, account: &str) -> Result<Client> {
    let token = it.kubectl.ok(&["create", "token", account]).await?;
    let ca = it
        .kubectl
        .ok(&[
            "get",
            "secret",
            SECRET,
            "-n",
            NAMESPACE,
            "-o",
            r#"go-template={{index .data "ca.crt" | base64decode}}"#,
        ])
        .await?;
    let client = Client::new(&Kubeconfig {
        server: format!("https://outrigger.{NAMESPACE}.svc:{}", it.kubelet.port),
        ca_pem: ca,
        token: Some(token.trim().to_owned()),
        ..Kubeconfig::default()
    })?;
    Ok(client.dialling(&format!("127.0.0.1:{}", it.kubelet.port)))
}

pub(crate) async fn impersonation(it: &mut Installed) -> Result<()> {
    // Rights come from a group, so that the server must see the groups, too.
    let kubectl = &it.kubectl;
    let args = [
        "create",
        "rolebinding",
        "team",
        "--role=readers",
        "--group=team",
    ];
    kubectl.ok(&args).await?;
    let member = kubectl.with("--as=carol").with("--as-group=team");
    member.ok(&["get", "flunders"]).await?;
    let create = flunder("carols", "one").to_string();
    let said = member.refused(&["create", "-f", "-"], &create).await?;
    ensure!(
        said.contains("User \"carol\" cannot create resource \"flunders\""),
        "{said}"
    );
    let stranger = kubectl.with("--as=carol");
    let said = stranger.refused(&["get", "flunders"], "").await?;
    said.contains("User \"carol\" cannot list resource")
        .then_some(())
        .context(said)
}
