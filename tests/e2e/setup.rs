//! The task "Set up an extension API server" of Kubernetes' documentation, step by step.

use anyhow::{Context as _, Result, ensure};
use outrigger_tests::cluster::Cluster;
use outrigger_tests::host::READY_DEADLINE;
use outrigger_tests::pod::Kubelet;
use outrigger_tests::wait;

use outrigger_tests::installed::{
    APISERVER_FLAGS, APISERVICE, DEPLOYMENT, Installed, NAMESPACE, SECRET, deploy, wait_available,
    write_plugins,
};

/// Step 1, when it is not so: kube-apiserver without a front proxy CA. The server says what is missing, and
/// what it must not do without it: trust the headers of a front proxy.
pub(crate) async fn without_aggregation() -> Result<()> {
    let cluster = Cluster::start_without_aggregation().await?;
    let kubectl = cluster.kubectl("admin", &["system:masters"])?;
    kubectl.ok(&["apply", "-k", &deploy()]).await?;
    let kubelet = Kubelet::new(&cluster, NAMESPACE, DEPLOYMENT).await?;
    let pod = kubelet.start_unready().await?;
    wait::until("the reason in the log", READY_DEADLINE, || async {
        let log = pod.process.log();
        let is_told = log.contains("requestheader-client-ca-file");
        ensure!(is_told, "the log does not say what is missing:\n{log}");
        Ok(())
    })
    .await
}

pub(crate) async fn fifteen_steps() -> Result<Installed> {
    let cluster = Cluster::start(APISERVER_FLAGS).await?;
    let kubectl = cluster.kubectl("admin", &["system:masters"])?;

    // 1 The aggregation layer is enabled.
    let config = kubectl
        .json(&[
            "get",
            "configmap",
            "extension-apiserver-authentication",
            "-n",
            "kube-system",
        ])
        .await?;
    ensure!(
        config["data"]["requestheader-client-ca-file"].is_string(),
        "{config}"
    );
    // 2 Who installs may add APIServices.
    let args = [
        "auth",
        "can-i",
        "create",
        "apiservices.apiregistration.k8s.io",
    ];
    ensure!(kubectl.ok(&args).await?.trim() == "yes", "no rights");

    // 3, 7, 9 to 13: one command.
    kubectl.ok(&["apply", "-k", &deploy()]).await?;
    kubectl.ok(&["get", "namespace", NAMESPACE]).await?;
    kubectl
        .ok(&["get", "serviceaccount", "outrigger", "-n", NAMESPACE])
        .await?;
    let account = format!("--as=system:serviceaccount:{NAMESPACE}:outrigger");
    // 10 and 11: its own rights; 12: delegated authentication and authorization; 13: the reader role.
    for (verb, resource, namespace) in [
        ("create", "apiservices.apiregistration.k8s.io", "default"),
        ("create", "tokenreviews.authentication.k8s.io", "default"),
        (
            "create",
            "subjectaccessreviews.authorization.k8s.io",
            "default",
        ),
        (
            "get",
            "configmaps/extension-apiserver-authentication",
            "kube-system",
        ),
        ("create", "secrets", NAMESPACE),
    ] {
        let said = kubectl
            .run(
                &["auth", "can-i", verb, resource, "-n", namespace, &account],
                "",
            )
            .await?;
        ensure!(said.stdout.trim() == "yes", "{verb} {resource}: {said:?}");
    }
    // It must not read others' Secrets.
    let args = [
        "auth",
        "can-i",
        "list",
        "secrets",
        "-n",
        "kube-system",
        &account,
    ];
    ensure!(
        kubectl.run(&args, "").await?.stdout.trim() == "no",
        "too many rights"
    );

    // The plugin, and 8: the pod starts, loads its certificate and becomes ready.
    write_plugins(&kubectl, &["wardle"], &[]).await?;
    let kubelet = Kubelet::new(&cluster, NAMESPACE, DEPLOYMENT).await?;
    let pod = kubelet.start().await?;

    // 4 to 6: a CA and a serving certificate for the Service, kept in a Secret.
    let secret = kubectl
        .json(&["get", "secret", SECRET, "-n", NAMESPACE])
        .await?;
    for file in ["tls.crt", "tls.key", "ca.crt"] {
        ensure!(secret["data"][file].is_string(), "the Secret has no {file}");
    }
    // 14: the APIService with that CA, and verified by it.
    let service = wait_available(&kubectl, APISERVICE).await?;
    ensure!(
        service["spec"]["caBundle"] == secret["data"]["ca.crt"],
        "another CA: {service}"
    );
    let skips = &service["spec"]["insecureSkipTLSVerify"];
    ensure!(
        skips.is_null() || *skips == false,
        "the certificate is not verified"
    );
    ensure!(
        service["spec"]["service"]["name"] == "outrigger",
        "{service}"
    );
    wait_available(&kubectl, "v1alpha1.wardle.example.com").await?;

    // 15
    let said = kubectl.run(&["get", "flunders"], "").await?;
    ensure!(said.is_success, "{said:?}");
    ensure!(
        said.stderr
            .contains("No resources found in default namespace."),
        "{said:?}"
    );
    let said = kubectl.run(&["get", "fischers"], "").await?;
    said.is_success.then_some(()).context("no fischers")?;
    Ok(Installed {
        pod,
        kubelet,
        kubectl,
        cluster,
    })
}
