//! What the flags of `serve` and `dev` mean for each part. Pure; nothing below asks which of the two runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::api::duration;

#[derive(Debug, Clone)]
pub struct Config {
    pub plugins: PathBuf,
    pub data_dir: PathBuf,
    pub address: SocketAddr,
    /// `None`: nothing is encrypted at rest.
    pub encryption: Option<Encryption>,
    /// How long it serves on after it was asked to stop, not ready any more.
    pub shutdown_delay: Duration,
    pub identity: Identity,
    pub store: StoreConfig,
}

/// What objects are kept in.
#[derive(Debug, Clone)]
pub enum StoreConfig {
    /// A file in the data folder.
    Embedded,
    Etcd(EtcdConfig),
}

#[derive(Debug, Clone)]
pub struct EtcdConfig {
    pub servers: Vec<String>,
    pub prefix: String,
    pub ca_file: Option<PathBuf>,
    /// Files of a client certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// A name, and the file of the password.
    pub user: Option<(String, PathBuf)>,
    /// `None`: whoever runs that etcd compacts it.
    pub compaction_interval: Option<Duration>,
}

/// Where the keys of encryption at rest come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// An EncryptionConfiguration.
    pub file: PathBuf,
    pub is_reloaded: bool,
}

/// Whom the server trusts, and who trusts it.
#[derive(Debug, Clone)]
pub enum Identity {
    /// A CA of its own in the data folder signs its certificate and the administrator's.
    Own,
    /// A cluster says who its users are and what they may do.
    Cluster(Box<ClusterIdentity>),
}

#[derive(Debug, Clone)]
pub struct ClusterIdentity {
    /// `None`: the service account of the pod.
    pub kubeconfig: Option<PathBuf>,
    pub authentication_kubeconfig: Option<PathBuf>,
    pub authorization_kubeconfig: Option<PathBuf>,
    pub service: ServiceReference,
    pub certificate: CertificateSource,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// PEM files of certificate, key and CA, mounted from a Secret that somebody else keeps.
    Files {
        certificate: PathBuf,
        key: PathBuf,
        ca: PathBuf,
    },
    /// The host makes CA and certificate and keeps them in this Secret.
    Secret { namespace: String, name: String },
}

/// `NAMESPACE/NAME:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceReference {
    pub namespace: String,
    pub name: String,
    pub port: u16,
}

/// `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretReference {
    pub namespace: String,
    pub name: String,
}

impl FromStr for SecretReference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((namespace, name))
                if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
            {
                Ok(Self {
                    namespace: namespace.into(),
                    name: name.into(),
                })
            }
            _ => Err(
                "expected NAMESPACE/NAME, e.g. outrigger/outrigger-serving-certificate".to_owned(),
            ),
        }
    }
}

/// A duration as Go writes it, e.g. `5s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoDuration(pub Duration);

impl FromStr for GoDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match duration::parse(text) {
            Ok(duration) => Ok(Self(duration)),
            Err(why) => Err(format!("{why}; expected e.g. 5s or 1m30s")),
        }
    }
}

/// The flags of `serve`, as parsed.
#[derive(Debug)]
pub struct ServeFlags {
    pub plugins: PathBuf,
    pub data_dir: PathBuf,
    pub address: SocketAddr,
    pub encryption: Option<Encryption>,
    pub tls_files: Option<(PathBuf, PathBuf)>,
    /// `None`: `ca.crt` beside the certificate.
    pub tls_ca_file: Option<PathBuf>,
    pub kubeconfig: Option<PathBuf>,
    pub authentication_kubeconfig: Option<PathBuf>,
    pub authorization_kubeconfig: Option<PathBuf>,
    pub service: ServiceReference,
    /// `None`: `outrigger-serving-certificate` in the Service's namespace.
    pub serving_secret: Option<SecretReference>,
    pub store: StoreConfig,
    pub shutdown_delay: Duration,
}

impl Config {
    pub fn serve(flags: ServeFlags) -> Self {
        let ServeFlags {
            plugins,
            data_dir,
            address,
            encryption,
            tls_files,
            tls_ca_file,
            kubeconfig,
            authentication_kubeconfig,
            authorization_kubeconfig,
            service,
            serving_secret,
            store,
            shutdown_delay,
        } = flags;
        let certificate = match tls_files {
            Some((certificate, key)) => {
                let ca = tls_ca_file.unwrap_or_else(|| certificate.with_file_name("ca.crt"));
                CertificateSource::Files {
                    certificate,
                    key,
                    ca,
                }
            }
            None => {
                let SecretReference { namespace, name } =
                    serving_secret.unwrap_or_else(|| SecretReference {
                        namespace: service.namespace.clone(),
                        name: "outrigger-serving-certificate".into(),
                    });
                CertificateSource::Secret { namespace, name }
            }
        };
        let identity = ClusterIdentity {
            authentication_kubeconfig: authentication_kubeconfig.or_else(|| kubeconfig.clone()),
            authorization_kubeconfig: authorization_kubeconfig.or_else(|| kubeconfig.clone()),
            kubeconfig,
            service,
            certificate,
        };
        Self {
            plugins,
            data_dir,
            address,
            encryption,
            shutdown_delay,
            identity: Identity::Cluster(Box::new(identity)),
            store,
        }
    }

    pub fn dev(
        plugins: PathBuf,
        data_dir: PathBuf,
        address: SocketAddr,
        encryption: Option<Encryption>,
    ) -> Self {
        Self {
            plugins,
            data_dir,
            address,
            encryption,
            shutdown_delay: Duration::ZERO,
            identity: Identity::Own,
            store: StoreConfig::Embedded,
        }
    }
}

impl FromStr for ServiceReference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = || {
            let (namespace, rest) = text.split_once('/')?;
            let (name, port) = rest.split_once(':').unwrap_or((rest, "443"));
            let port: u16 = port.parse().ok().filter(|it| *it > 0)?;
            let is_name = |it: &str| !it.is_empty() && !it.contains(['/', ':', '.']);
            (is_name(namespace) && is_name(name)).then(|| Self {
                namespace: namespace.into(),
                name: name.into(),
                port,
            })
        };
        parsed()
            .ok_or_else(|| "expected NAMESPACE/NAME:PORT, e.g. outrigger/outrigger:443".to_owned())
    }
}

/// `5m`, `1h30m` or `90s`, as Go's flags take them; `0` is `None`.
pub fn parse_interval(text: &str) -> Result<Option<Duration>, String> {
    // One below zero would be read as none.
    let parsed = duration::parse(text)
        .ok()
        .filter(|_| !text.starts_with('-'));
    match parsed {
        Some(interval) if interval.is_zero() => Ok(None),
        Some(interval) if interval >= Duration::from_secs(1) => Ok(Some(interval)),
        _ => Err("expected an interval of a second or more, e.g. 5m, or 0 for never".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_intervals_as_go_writes_them() {
        let seconds = |text| parse_interval(text).map(|it| it.map(|it| it.as_secs()));
        assert_eq!(seconds("5m0s"), Ok(Some(300)));
        assert_eq!(seconds("1h30m"), Ok(Some(5_400)));
        assert_eq!((seconds("0"), seconds("0s")), (Ok(None), Ok(None)));
        for text in ["", "5", "-5m", "10ms", "soon"] {
            assert!(parse_interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_durations_as_go_writes_them() {
        let read = |text: &str| text.parse::<GoDuration>().map(|it| it.0);
        assert_eq!(read("1m30s"), Ok(Duration::from_secs(90)));
        let refused = "time: missing unit in duration \"5\"; expected e.g. 5s or 1m30s";
        assert_eq!(read("5"), Err(refused.to_owned()));
    }

    #[test]
    fn reads_the_service_that_apiservices_point_to() {
        let service: ServiceReference = "system/api:8443".parse().expect("a service");
        assert_eq!(
            (
                service.namespace.as_str(),
                service.name.as_str(),
                service.port
            ),
            ("system", "api", 8443)
        );
        assert_eq!(
            "system/api".parse::<ServiceReference>().map(|it| it.port),
            Ok(443)
        );
        for text in ["", "api:443", "a/b:0", "a/b:x", "a/b/c:1", "/b:1", "a/:1"] {
            assert!(text.parse::<ServiceReference>().is_err(), "{text}");
        }
    }
}
