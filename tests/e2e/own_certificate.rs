//! A serving certificate from elsewhere, as cert-manager keeps one in a Secret.

use anyhow::{Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use outrigger_tests::artifacts::root;
use outrigger_tests::certificates::Authority;
use outrigger_tests::client::Client;
use outrigger_tests::kubeconfig::Kubeconfig;
use outrigger_tests::pod::Kubelet;
use outrigger_tests::wait;
use serde_json::json;

use outrigger_tests::installed::{
    APISERVICE, DEPLOYMENT, FLUNDERS, Installed, NAMESPACE, SECRET, SOON,
};

const OWN_SECRET: &str = "outrigger-serving-cert-manager";
const SERVICE: &str = "outrigger.outrigger.svc";

/// The CA in the host's own Secret, base64.
pub(crate) async fn ca_of(it: &Installed) -> Result<String> {
    let args = ["get", "secret", SECRET, "-n", NAMESPACE];
    let secret = it.kubectl.json(&args).await?;
    Ok(secret["data"]["ca.crt"].to_string())
}

/// The Deployment of the overlay, with this test in cert-manager's place. The pod keeps running while its
/// certificate, and even its CA, are replaced.
pub(crate) async fn reloads(it: &mut Installed) -> Result<()> {
    let patch = root().join("deploy/overlays/cert-manager/deployment.yaml");
    let file = format!("--patch-file={}", patch.display());
    it.pod.stop().await?;
    it.kubectl
        .ok(&["patch", "deployment", DEPLOYMENT, "-n", NAMESPACE, &file])
        .await?;
    let first = Authority::new("first-ca")?;
    issue(it, &first).await?;
    it.kubelet = Kubelet::new(&it.cluster, NAMESPACE, DEPLOYMENT).await?;
    it.pod = it.kubelet.start().await?;
    check(it, &first).await?;

    let second = Authority::new("second-ca")?;
    issue(it, &second).await?;
    it.kubelet.sync_volumes().await?;
    check(it, &second).await?;
    it.pod.process.check_running()
}

/// What cert-manager does when a certificate is due.
async fn issue(it: &Installed, ca: &Authority) -> Result<()> {
    let signed = ca.serving(&[SERVICE])?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": OWN_SECRET, "namespace": NAMESPACE},
        "stringData": {
            "tls.crt": signed.certificate, "tls.key": signed.key, "ca.crt": ca.certificate,
        },
    });
    let args = ["apply", "-f", "-"];
    it.kubectl.ok_with(&args, &secret.to_string()).await?;
    Ok(())
}

/// New connections see a certificate of this CA, and the APIService holds it, so that kubectl works.
async fn check(it: &Installed, ca: &Authority) -> Result<()> {
    let client = Client::new(&Kubeconfig {
        server: format!("https://{SERVICE}:{}", it.kubelet.port),
        ca_pem: ca.certificate.clone(),
        ..Kubeconfig::default()
    })?;
    let client = client.dialling(&format!("127.0.0.1:{}", it.kubelet.port));
    wait::until("a handshake with the new certificate", SOON, || async {
        client.get("/readyz").await.map(drop)
    })
    .await?;
    let expected = BASE64_STANDARD.encode(&ca.certificate);
    let kubectl = &it.kubectl;
    wait::until("the CA in the APIService", SOON, || async {
        let service = kubectl.json(&["get", "apiservice", APISERVICE]).await?;
        ensure!(
            service["spec"]["caBundle"] == expected.as_str(),
            "{service}"
        );
        Ok(())
    })
    .await?;
    it.wait_available(APISERVICE).await?;
    let admin = it.admin()?;
    wait::until("a request through kube-apiserver", SOON, || async {
        admin.get(FLUNDERS).await?.ok().map(drop)
    })
    .await
}
