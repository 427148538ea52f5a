//! The serving certificate that the server makes for itself, and keeps in a Secret so that all replicas have
//! the same.
//!
//! A `kubernetes.io/tls` Secret with `tls.crt`, `tls.key`, `ca.crt` (what kube-apiserver verifies against) and
//! `ca.key`. Who can read it can pretend to be this server, as with any serving certificate; the CA's key adds
//! nothing to that, since nobody but this server's APIServices trusts the CA. Replicas agree by optimistic
//! concurrency: the one whose write is refused takes what the other wrote.

mod material;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::{Notify, watch};

use super::apiservice::Service;
use super::follow::{BackOff, follow_object};
use super::status::{ClusterStatus, Part};
use super::{code, explain};
use crate::ambient::Clock;
use crate::certificates::{CertificateAuthority, KeyedCertificate};
use material::{Decision, Material};

/// How often it is asked whether a renewal is due.
const CHECK: Duration = Duration::from_secs(10 * 60);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

pub struct ServingSecret {
    api: Api<Secret>,
    namespace: String,
    name: String,
    /// Of the certificate: all names by which a cluster may call the Service.
    dns_names: Vec<String>,
    clock: Arc<dyn Clock>,
    /// As the watch has it; outer `None` before the first answer.
    stored: Mutex<Option<Option<Secret>>>,
    changed: Notify,
    certificate: watch::Sender<Arc<KeyedCertificate>>,
    ca_bundle: watch::Sender<Option<Arc<str>>>,
    part: Part,
}

impl ServingSecret {
    /// Until the Secret is read or made, the certificate is one that nobody trusts: enough for the probes of
    /// a kubelet to hear that the server is not ready, and why.
    ///
    /// # Errors
    /// No certificate can be made for the Service's names.
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        service: &Service,
        clock: Arc<dyn Clock>,
        status: &ClusterStatus,
    ) -> anyhow::Result<Self> {
        let dns_names = dns_names(service);
        let temporary = CertificateAuthority::generate("outrigger-temporary")
            .and_then(|ca| ca.issue_serving(&dns_names))
            .context("cannot make a serving certificate")?;
        Ok(Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            dns_names,
            clock,
            stored: Mutex::default(),
            changed: Notify::new(),
            certificate: watch::Sender::new(Arc::new(temporary)),
            ca_bundle: watch::Sender::new(None),
            part: status.required(
                "serving-secret",
                "the Secret of the serving certificate is not read yet",
            ),
        })
    }

    pub fn certificate(&self) -> watch::Receiver<Arc<KeyedCertificate>> {
        self.certificate.subscribe()
    }

    /// PEM; `None` while it is not settled between the replicas.
    pub fn ca_bundle(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.ca_bundle.subscribe()
    }

    /// Makes, renews and follows the Secret. Never returns.
    pub async fn run(&self) {
        tokio::join!(self.watch(), self.reconcile());
    }

    async fn watch(&self) {
        follow_object(self.api.clone(), &self.name, |found| match found {
            Ok(secret) => {
                *self.lock() = Some(secret);
                self.changed.notify_one();
            }
            Err(err) => self.part.fails(self.problem("read", &err)),
        })
        .await;
    }

    async fn reconcile(&self) {
        let mut back_off = BackOff::for_ever();
        loop {
            let stored = self.lock().clone();
            if let Some(stored) = stored {
                match self.settle(stored).await {
                    Ok(is_settled) => {
                        back_off.reset();
                        if is_settled {
                            self.part.works();
                        }
                    }
                    Err(problem) => {
                        self.part.fails(problem);
                        tokio::time::sleep(back_off.next()).await;
                        continue;
                    }
                }
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(CHECK) => {}
            }
        }
    }

    /// Uses what is stored, or stores what must replace it. False where another replica was faster: what it
    /// wrote is read next.
    async fn settle(&self, stored: Option<Secret>) -> Result<bool, String> {
        let data = stored.as_ref().and_then(|it| it.data.as_ref());
        let material = data.map(Material::read).unwrap_or_default();
        let decision = material
            .decide(&self.dns_names, self.clock.now())
            .map_err(|err| format!("Secret {}/{}: {err:#}", self.namespace, self.name))?;
        let material = match decision {
            Decision::Keep => material,
            Decision::Write(material) => match self.write(stored, &material).await? {
                true => material,
                false => return Ok(false),
            },
        };
        self.publish(material);
        Ok(true)
    }

    /// Whether this write won.
    async fn write(&self, stored: Option<Secret>, material: &Material) -> Result<bool, String> {
        let params = PostParams::default();
        let write = async {
            match stored {
                Some(mut secret) => {
                    secret
                        .data
                        .get_or_insert_default()
                        .extend(material.to_data());
                    self.api.replace(&self.name, &params, &secret).await
                }
                None => {
                    self.api
                        .create(&params, &self.secret(material.to_data()))
                        .await
                }
            }
        };
        match tokio::time::timeout(REQUEST_TIMEOUT, write).await {
            Ok(Ok(secret)) => {
                *self.lock() = Some(Some(secret));
                tracing::info!(
                    "wrote a serving certificate into Secret {}/{}",
                    self.namespace,
                    self.name
                );
                Ok(true)
            }
            Ok(Err(err)) if code(&err) == Some(409) => self.read_again().await.map(|()| false),
            Ok(Err(err)) => Err(self.problem("write", &err)),
            Err(_) => Err("kube-apiserver does not answer".into()),
        }
    }

    async fn read_again(&self) -> Result<(), String> {
        match tokio::time::timeout(REQUEST_TIMEOUT, self.api.get_opt(&self.name)).await {
            Ok(Ok(secret)) => {
                *self.lock() = Some(secret);
                self.changed.notify_one();
                Ok(())
            }
            Ok(Err(err)) => Err(self.problem("read", &err)),
            Err(_) => Err("kube-apiserver does not answer".into()),
        }
    }

    fn secret(&self, data: BTreeMap<String, ByteString>) -> Secret {
        let label = ("app.kubernetes.io/managed-by", "outrigger");
        Secret {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                labels: Some(BTreeMap::from([label].map(|(a, b)| (a.into(), b.into())))),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".into()),
            data: Some(data),
            ..Secret::default()
        }
    }

    fn publish(&self, material: Material) {
        let bundle: Arc<str> = Arc::from(material.ca_bundle);
        self.ca_bundle.send_if_modified(|current| {
            let is_new = current.as_ref() != Some(&bundle);
            *current = Some(bundle);
            is_new
        });
        let certificate = KeyedCertificate {
            certificate_pem: material.certificate,
            key_pem: material.key,
        };
        self.certificate.send_if_modified(|current| {
            let is_new = current.certificate_pem != certificate.certificate_pem
                || current.key_pem != certificate.key_pem;
            *current = Arc::new(certificate);
            is_new
        });
    }

    fn problem(&self, verb: &str, err: &kube::Error) -> String {
        let text = explain(err);
        let (namespace, name) = (&self.namespace, &self.name);
        if code(err) == Some(403) {
            format!(
                "this server may not {verb} Secret {namespace}/{name}: it needs get, list, watch, create and update of secrets there (deploy/base/rbac.yaml has the Role), or files by --tls-cert-file: {text}"
            )
        } else {
            format!("cannot {verb} Secret {namespace}/{name}: {text}")
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Option<Secret>>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn dns_names(service: &Service) -> Vec<String> {
    let Service {
        name, namespace, ..
    } = service;
    vec![
        // kube-apiserver asks for this one.
        format!("{name}.{namespace}.svc"),
        name.clone(),
        format!("{name}.{namespace}"),
        format!("{name}.{namespace}.svc.cluster.local"),
    ]
}
