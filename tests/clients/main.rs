//! Client libraries that use a plugin's resources behind a real kube-apiserver, as they use any others.
//!
//! client-go and controller-runtime are in the program in `go/`, the Python client in `python/`, kube-rs is in
//! [`kube_rs`]. `OUTRIGGER_PEERS` names the folder with etcd, kube-apiserver and kubectl, `OUTRIGGER_CLIENTS` the
//! program, `OUTRIGGER_PYTHON` a Python with the packages of `python/requirements.txt`; `cargo xtask test --only
//! clients` finds or builds them all. Without them nothing runs, and that is said; with `CI=true` it is a failure.

#![expect(
    clippy::print_stdout,
    reason = "a test runner answers on standard output"
)]

mod go;
mod kube_rs;
mod program;
mod python;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use outrigger_tests::artifacts::{example, guest};
use outrigger_tests::installed::Installed;
use outrigger_tests::tally::Tally;
use outrigger_tests::{cluster, process};

const TESTS: usize = 8;

const SERVICES: [&str; 2] = ["v1beta1.wardle.example.com", "v1.tickets.example.com"];

/// Where programs find the cluster.
pub(crate) struct Clients {
    pub(crate) installed: Installed,
    /// The kubeconfig of kube-apiserver.
    pub(crate) aggregated: PathBuf,
    /// That of the host's own port.
    pub(crate) direct: PathBuf,
    go: PathBuf,
    python: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if std::env::args().any(|it| it == "--list") {
        return ExitCode::SUCCESS;
    }
    let programs = ["OUTRIGGER_CLIENTS", "OUTRIGGER_PYTHON"].map(std::env::var_os);
    let mut tally = Tally::default();
    let (Some(_), [Some(go), Some(python)]) = (cluster::peers(), programs) else {
        println!(
            "clients needs a cluster's programs, Go and Python: `cargo xtask test --only clients` finds or builds them"
        );
        tally.leave_out(TESTS);
        return tally.finish();
    };
    let _ = process::keep_logs();
    run(&mut tally, go.into(), python.into()).await;
    tally.finish()
}

async fn run(tally: &mut Tally, go: PathBuf, python: PathBuf) {
    let mut clients = match Clients::start(go, python).await {
        Ok(it) => it,
        Err(err) => {
            println!("{err:?}\n{}", process::keep_logs().join("\n"));
            tally.failed = TESTS;
            return;
        }
    };
    let it = &mut clients;
    let name = "informers_and_retry_watchers_keep_up_with_10_000_changes_and_a_crash";
    tally.test(name, go::informers(it)).await;
    let name = "a_pager_reads_all_pages_at_one_revision";
    tally.test(name, go::pager(it)).await;
    let name = "candidates_are_elected_by_a_lease_beside_what_they_write";
    tally.test(name, go::leader_election(it)).await;
    let name = "twenty_writers_who_retry_on_conflict_count_to_2_000";
    tally.test(name, go::counting(it)).await;
    let name = "twenty_writers_of_patches_and_applies_lose_none";
    tally.test(name, go::patching(it)).await;
    let name = "controller_runtime_reconciles_over_a_crash";
    tally.test(name, go::controller_runtime(it)).await;
    let name = "kube_rs_reconciles_over_a_crash";
    tally.test(name, kube_rs::reconciles(it)).await;
    let name = "the_python_client_lists_watches_and_begins_again_at_410";
    tally.test(name, python::lists_and_watches(it)).await;
}

impl Clients {
    async fn start(go: PathBuf, python: PathBuf) -> Result<Self> {
        let plugins = [
            ("wardle", example("wardle")?),
            ("tickets", guest("tickets")?),
        ];
        let services = SERVICES.map(str::to_owned);
        let installed = Installed::start(&plugins, &[], &services).await?;
        let aggregated = installed.cluster.path("aggregated.kubeconfig");
        let admin = installed.cluster.user("admin", &["system:masters"])?;
        admin.write(&aggregated)?;
        let direct = installed.cluster.path("direct.kubeconfig");
        installed.direct().await?.write(&direct)?;
        Ok(Self {
            installed,
            aggregated,
            direct,
            go,
            python,
        })
    }

    /// A namespace that no other test uses.
    pub(crate) async fn namespace(&self, name: &str) -> Result<()> {
        let args = ["create", "namespace", name];
        self.installed.kubectl.ok(&args).await?;
        Ok(())
    }

    /// A crash of the host, and its end: kube-apiserver reaches it again.
    pub(crate) async fn crash(&mut self) -> Result<()> {
        self.installed.crash().await
    }
}
