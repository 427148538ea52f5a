//! Behind a cluster's aggregation layer: it says who its users are, what they may do, and which namespaces there
//! are; it is told which group-versions are served here.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Identity, Registration, Replicas};
use crate::ambient::{Clock, SystemClock};
use crate::api::GroupVersion;
use crate::authentication::{Authenticators, DelegatedConfig, TokenAuthenticator};
use crate::authorization::{AlwaysAllowed, SubjectAccessReviews};
use crate::cluster::access_reviews::ClusterAccessReviews;
use crate::cluster::apiservice::{ApiServices, Service};
use crate::cluster::authentication_config::AuthenticationConfig;
use crate::cluster::ca_file::CaFile;
use crate::cluster::leadership::Leadership;
use crate::cluster::lease::Election;
use crate::cluster::namespaces::ClusterNamespaces;
use crate::cluster::serving_secret::ServingSecret;
use crate::cluster::token_reviews::ClusterTokenReviews;
use crate::cluster::{self, ClusterStatus};
use crate::config::{CertificateSource, ClusterIdentity};
use crate::serving::{ServingCertificate, Tls};

/// How long kube-apiserver has to let go of a group that is no longer served.
const WITHDRAW_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) async fn establish(
    identity: ClusterIdentity,
    replicas: Replicas,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<Identity> {
    let ClusterIdentity {
        kubeconfig,
        authentication_kubeconfig,
        authorization_kubeconfig,
        service,
        certificate,
    } = identity;
    let client = cluster::client(kubeconfig.as_deref()).await?;
    let authentication_client = client_of(
        &client,
        kubeconfig.as_deref(),
        authentication_kubeconfig.as_deref(),
    )
    .await?;
    let authorization_client = client_of(
        &client,
        kubeconfig.as_deref(),
        authorization_kubeconfig.as_deref(),
    )
    .await?;
    let service = Service {
        namespace: service.namespace,
        name: service.name,
        port: service.port,
    };
    let status = ClusterStatus::default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);

    let (certificate, ca_bundle) =
        serving_certificate(&client, certificate, &service, &clock, &status, tasks).await?;
    let tls = Tls::new(certificate);

    let trusted = Arc::new(ArcSwap::from_pointee(DelegatedConfig::default()));
    let reviews = Arc::new(ClusterTokenReviews::new(
        authentication_client.clone(),
        &status,
    ));
    let tokens = TokenAuthenticator::new(reviews, Vec::new())?;
    let authenticators = Arc::new(Authenticators::new(
        Arc::clone(&trusted),
        Some(tokens),
        true,
    ));
    let config = AuthenticationConfig::new(authentication_client, &status);
    let advertising = Arc::clone(&tls);
    tasks.spawn(async move {
        let publish = |new: DelegatedConfig| {
            advertising.advertise_client_cas(new.certificates());
            trusted.store(Arc::new(new));
        };
        config.run(publish).await;
    });

    let access_reviews = Arc::new(ClusterAccessReviews::new(authorization_client, &status));
    let probing = Arc::clone(&access_reviews);
    tasks.spawn(async move {
        probing.probe().await;
        std::future::pending().await
    });
    let reviews = SubjectAccessReviews::new(access_reviews, Arc::clone(&clock));
    let authorizer = Arc::new(AlwaysAllowed::then(Arc::new(reviews)));

    let namespaces = Arc::new(ClusterNamespaces::new(client.clone(), &status));
    let following = Arc::clone(&namespaces);
    tasks.spawn(async move { following.run().await });

    let election = match replicas {
        // Who owns the store's folder leads.
        Replicas::One => None,
        Replicas::Several => Some(elect(&client, &service, &clock, &status, tasks)),
    };
    let leadership = match &election {
        Some(election) => election.leadership(),
        None => Leadership::alone(),
    };
    let api_services = ApiServices::new(client, service, ca_bundle, leadership, &status);
    let api_services = Arc::new(api_services);
    let keeping = Arc::clone(&api_services);
    tasks.spawn(async move { keeping.run().await });

    Ok(Identity {
        tls,
        authenticators,
        authorizer,
        namespaces,
        registration: Some(Arc::new(Registered {
            api_services,
            election,
            before: Mutex::default(),
        })),
        cluster: Some(status),
        administrator: None,
    })
}

/// By a Lease beside the Service, of its name.
fn elect(
    client: &Client,
    service: &Service,
    clock: &Arc<dyn Clock>,
    status: &ClusterStatus,
    tasks: &mut JoinSet<()>,
) -> Arc<Election> {
    let Service {
        namespace, name, ..
    } = service;
    let election = Election::new(client.clone(), namespace, name, Arc::clone(clock), status);
    let election = Arc::new(election);
    let standing = Arc::clone(&election);
    tasks.spawn(async move {
        standing.run().await;
        std::future::pending().await
    });
    election
}

/// The client of another kubeconfig, or the one that there is.
async fn client_of(
    client: &Client,
    kubeconfig: Option<&Path>,
    other: Option<&Path>,
) -> anyhow::Result<Client> {
    if other.is_none() || other == kubeconfig {
        Ok(client.clone())
    } else {
        cluster::client(other).await
    }
}

type CaBundle = watch::Receiver<Option<Arc<str>>>;

/// The certificate, and the CA that kube-apiserver is to verify it against.
async fn serving_certificate(
    client: &Client,
    source: CertificateSource,
    service: &Service,
    clock: &Arc<dyn Clock>,
    status: &ClusterStatus,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<(Arc<ServingCertificate>, CaBundle)> {
    match source {
        CertificateSource::Files {
            certificate,
            key,
            ca,
        } => {
            let served = ServingCertificate::from_files(certificate, key)?;
            let ca = CaFile::open(ca).await?;
            let bundle = ca.ca_bundle();
            tasks.spawn(async move { ca.run().await });
            Ok((served, bundle))
        }
        CertificateSource::Secret { namespace, name } => {
            let secret = ServingSecret::new(
                client.clone(),
                &namespace,
                &name,
                service,
                Arc::clone(clock),
                status,
            )?;
            let mut pairs = secret.certificate();
            let bundle = secret.ca_bundle();
            let pair = pairs.borrow_and_update().clone();
            let served = ServingCertificate::from_pem(&pair.certificate_pem, &pair.key_pem)?;
            tasks.spawn(async move { secret.run().await });
            let replacing = Arc::clone(&served);
            tasks.spawn(async move {
                while pairs.changed().await.is_ok() {
                    let pair = pairs.borrow_and_update().clone();
                    if let Err(error) = replacing.replace(&pair.certificate_pem, &pair.key_pem) {
                        tracing::error!(%error, "the Secret's new certificate cannot be used: the old one is kept");
                    }
                }
            });
            Ok((served, bundle))
        }
    }
}

/// The cluster's APIService objects.
struct Registered {
    api_services: Arc<ApiServices>,
    /// `None` where this is the only replica.
    election: Option<Arc<Election>>,
    before: Mutex<BTreeSet<GroupVersion>>,
}

#[async_trait]
impl Registration for Registered {
    async fn register(&self, served: BTreeSet<GroupVersion>) {
        let before = {
            let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *before, served.clone())
        };
        let leaving: Vec<GroupVersion> = before.difference(&served).cloned().collect();
        if !leaving.is_empty()
            && let Err(error) = self.api_services.withdraw(&leaving, WITHDRAW_TIMEOUT).await
        {
            tracing::warn!(
                error = format!("{error:#}"),
                "a group is no longer served though it is still registered"
            );
        }
        let served: Vec<GroupVersion> = served.into_iter().collect();
        self.api_services.apply(&served);
    }

    fn foreign(&self, served: &GroupVersion) -> Option<String> {
        self.api_services.foreign(served)
    }

    fn is_elsewhere(&self, group_version: &GroupVersion) -> bool {
        self.election.is_some() && self.api_services.is_registered(group_version)
    }

    async fn hand_over(&self) {
        if let Some(election) = &self.election {
            election.resign().await;
        }
    }
}
