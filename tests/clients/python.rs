//! The Python client: `python/list_and_watch.py`.

use anyhow::Result;
use outrigger_tests::artifacts::root;
use tokio::process::Command;

use crate::Clients;
use crate::program::Program;

pub(crate) async fn lists_and_watches(it: &mut Clients) -> Result<()> {
    it.namespace("python").await?;
    let mut command = Command::new(&it.python);
    command
        .arg(root().join("tests/clients/python/list_and_watch.py"))
        .arg("python")
        .env("KUBECONFIG", &it.aggregated);
    let log = it.installed.cluster.path("python.log");
    Program::start("the Python client", &mut command, &log)?
        .finish()
        .await?;
    Ok(())
}
