//! `outrigger dev`: the same server, without a cluster.

use std::net::IpAddr;
use std::path::PathBuf;

use super::serve::{EncryptionArgs, LogArgs};
use crate::config::Config;

/// Serve plugins on this machine, without a cluster: with a CA, certificates and a kubeconfig of its own.
///
/// Writes admin.kubeconfig into the data folder once it is ready. The administrator in it may do everything
/// and nobody else anything; every namespace exists.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    outrigger dev --plugins ./plugins --data-dir ./data --secure-port 6444\n  \
    kubectl --kubeconfig ./data/admin.kubeconfig api-resources")]
pub struct Args {
    /// Folder of the plugins: .wasm files, and `kind: Plugin` documents for their settings.
    #[arg(long, value_name = "FOLDER")]
    plugins: PathBuf,
    /// Folder of the store, the certificates and admin.kubeconfig.
    #[arg(long, value_name = "FOLDER")]
    data_dir: PathBuf,
    /// Port for HTTPS; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 6444)]
    secure_port: u16,
    /// Address to listen on.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    bind_address: IpAddr,
    #[command(flatten)]
    encryption: EncryptionArgs,
    #[command(flatten)]
    log: LogArgs,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self {
            plugins,
            data_dir,
            secure_port,
            bind_address,
            encryption,
            log,
        } = self;
        log.start()?;
        crate::server::run(Config::dev(
            plugins,
            data_dir,
            (bind_address, secure_port).into(),
            encryption.into_config(),
        ))
    }
}
