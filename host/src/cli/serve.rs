//! `outrigger serve`: the server behind a cluster's aggregation layer.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::config::{
    Config, Encryption, EtcdConfig, GoDuration, SecretReference, ServeFlags, ServiceReference,
    StoreConfig, parse_interval,
};
use crate::telemetry::LogFormat;

/// Serve API groups to a Kubernetes cluster, behind its aggregation layer.
///
/// Flags that the Go API server library has, too, have its names.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    outrigger serve --plugins /plugins --data-dir /data --secure-port 8443 --service outrigger/outrigger:443\n  \
    outrigger serve --plugins ./plugins --data-dir ./data --secure-port 8443 --kubeconfig ~/.kube/config \\\n    \
    --service outrigger/outrigger:443 --tls-cert-file tls.crt --tls-private-key-file tls.key\n  \
    outrigger serve --plugins /plugins --data-dir /data --service outrigger/outrigger:443 \\\n    \
    --etcd-servers https://etcd:2379 --etcd-cafile ca.crt --etcd-certfile etcd.crt --etcd-keyfile etcd.key")]
pub struct Args {
    /// Folder of the plugins: .wasm files, and `kind: Plugin` documents for their settings.
    #[arg(long, value_name = "FOLDER")]
    plugins: PathBuf,
    /// Folder of the store, and of compiled plugins. One process at a time owns it.
    #[arg(long, value_name = "FOLDER")]
    data_dir: PathBuf,
    /// Port for HTTPS with authentication and authorization.
    #[arg(long, value_name = "PORT", default_value_t = 443)]
    secure_port: u16,
    /// Address to listen on.
    #[arg(long, value_name = "IP", default_value = "0.0.0.0")]
    bind_address: IpAddr,
    /// PEM file of the serving certificate. Read again when it changes. Without it the host makes a certificate
    /// and keeps it in a Secret.
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    tls_cert_file: Option<PathBuf>,
    /// PEM file of the serving certificate's private key.
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    tls_private_key_file: Option<PathBuf>,
    /// PEM file of the CA that signed the serving certificate: the `caBundle` of APIService objects. Without it
    /// `ca.crt` beside the certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    tls_ca_file: Option<PathBuf>,
    /// Kubeconfig of the cluster. Without it the service account of the pod is used.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Kubeconfig for TokenReviews and for reading extension-apiserver-authentication, if another one.
    #[arg(long, value_name = "FILE")]
    authentication_kubeconfig: Option<PathBuf>,
    /// Kubeconfig for SubjectAccessReviews, if another one.
    #[arg(long, value_name = "FILE")]
    authorization_kubeconfig: Option<PathBuf>,
    /// The Service that the cluster reaches this server by: APIService objects point to it, and the serving
    /// certificate is for it.
    #[arg(long, value_name = "NAMESPACE/NAME:PORT")]
    service: ServiceReference,
    /// Secret that the host keeps its own certificate in. Without it `outrigger-serving-certificate` in the
    /// namespace of the Service.
    #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with = "tls_cert_file")]
    serving_secret: Option<SecretReference>,
    /// How long to serve on after SIGTERM, while `/readyz` fails already: until no more requests are sent here.
    /// Then requests under way are finished, for at most 20 s.
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    shutdown_delay_duration: GoDuration,
    #[command(flatten)]
    etcd: EtcdArgs,
    /// How often etcd is compacted, e.g. 5m. For an etcd that is for this server alone: compaction is of all keys in
    /// it. 0: never, whoever runs etcd does it.
    #[arg(long, value_name = "INTERVAL", default_value = "0")]
    etcd_compaction_interval: Interval,
    #[command(flatten)]
    encryption: EncryptionArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// As kube-apiserver's.
#[derive(Debug, clap::Args)]
pub struct EncryptionArgs {
    /// EncryptionConfiguration (apiserver.config.k8s.io/v1): which resources are encrypted at rest, and by which keys.
    #[arg(long, value_name = "FILE")]
    encryption_provider_config: Option<PathBuf>,
    /// Read the encryption configuration again when it changes.
    #[arg(long, requires = "encryption_provider_config")]
    encryption_provider_config_automatic_reload: bool,
}

impl EncryptionArgs {
    pub(super) fn into_config(self) -> Option<Encryption> {
        Some(Encryption {
            file: self.encryption_provider_config?,
            is_reloaded: self.encryption_provider_config_automatic_reload,
        })
    }
}

/// Where an etcd is, and as whom it is used.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "etcd, for several replicas")]
pub struct EtcdArgs {
    /// URLs of etcd's members, separated by commas. Objects are kept there, not in the data folder.
    #[arg(long, value_name = "URLS", value_delimiter = ',')]
    etcd_servers: Vec<String>,
    /// What all keys in etcd begin with. Nobody else may use it.
    #[arg(long, value_name = "PREFIX", default_value = "/outrigger")]
    etcd_prefix: String,
    /// PEM file of the CAs that sign the certificates of etcd's members.
    #[arg(long, value_name = "FILE", requires = "etcd_servers")]
    etcd_cafile: Option<PathBuf>,
    /// PEM file of the client certificate for etcd.
    #[arg(
        long,
        value_name = "FILE",
        requires = "etcd_servers",
        requires = "etcd_keyfile"
    )]
    etcd_certfile: Option<PathBuf>,
    /// PEM file of the client certificate's private key.
    #[arg(long, value_name = "FILE", requires = "etcd_certfile")]
    etcd_keyfile: Option<PathBuf>,
    /// User of etcd, where a client certificate does not say it.
    #[arg(
        long,
        value_name = "NAME",
        requires = "etcd_servers",
        requires = "etcd_password_file"
    )]
    etcd_username: Option<String>,
    /// File of the user's password.
    #[arg(long, value_name = "FILE", requires = "etcd_username")]
    etcd_password_file: Option<PathBuf>,
}

/// clap reads an `Option` as a flag that may be left out.
#[derive(Debug, Clone, Copy)]
struct Interval(Option<Duration>);

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_interval(text).map(Self)
    }
}

impl EtcdArgs {
    /// `None`: no servers are named.
    pub(super) fn into_config(self, compaction_interval: Option<Duration>) -> Option<EtcdConfig> {
        (!self.etcd_servers.is_empty()).then_some(EtcdConfig {
            servers: self.etcd_servers,
            prefix: self.etcd_prefix,
            ca_file: self.etcd_cafile,
            identity: self.etcd_certfile.zip(self.etcd_keyfile),
            user: self.etcd_username.zip(self.etcd_password_file),
            compaction_interval,
        })
    }
}

#[derive(Debug, clap::Args)]
pub struct LogArgs {
    /// What is logged, e.g. `info` or `warn,outrigger=debug`.
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "info,kube_client=off,kube_runtime=off"
    )]
    log_level: String,
    /// The form of log lines.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

impl LogArgs {
    pub(super) fn start(&self) -> anyhow::Result<()> {
        crate::telemetry::start(&self.log_level, self.log_format)
    }
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self {
            plugins,
            data_dir,
            secure_port,
            bind_address,
            tls_cert_file,
            tls_private_key_file,
            tls_ca_file,
            kubeconfig,
            authentication_kubeconfig,
            authorization_kubeconfig,
            service,
            serving_secret,
            etcd,
            encryption,
            shutdown_delay_duration,
            etcd_compaction_interval,
            log,
        } = self;
        log.start()?;
        crate::server::run(Config::serve(ServeFlags {
            plugins,
            data_dir,
            address: (bind_address, secure_port).into(),
            encryption: encryption.into_config(),
            tls_files: tls_cert_file.zip(tls_private_key_file),
            tls_ca_file,
            kubeconfig,
            authentication_kubeconfig,
            authorization_kubeconfig,
            service,
            serving_secret,
            shutdown_delay: shutdown_delay_duration.0,
            store: match etcd.into_config(etcd_compaction_interval.0) {
                Some(config) => StoreConfig::Etcd(config),
                None => StoreConfig::Embedded,
            },
        }))
    }
}
