//! client-go and controller-runtime: what the commands of the program in `go/` need of the harness.

use anyhow::{Result, ensure};

use crate::Clients;
use crate::program::Program;

/// Informers of every kind, those that begin with a WatchList and those that begin with a list, beside writers whose
/// server dies when half is written.
pub(crate) async fn informers(it: &mut Clients) -> Result<()> {
    let mut observers = Vec::new();
    for is_watch_list in ["true", "false"] {
        let environment = [("KUBE_FEATURE_WatchListClient", is_watch_list)];
        observers.push(Program::go_with(it, &["observe"], &environment)?);
    }
    for observer in &mut observers {
        observer.says("synced").await?;
    }
    let journal = it.installed.cluster.path("journal.json");
    let journal = journal.display().to_string();
    let mut churn = Program::go(it, &["churn", &journal])?;
    churn.says("half").await?;
    it.crash().await?;
    show(churn.finish().await?);
    for mut observer in observers {
        observer.tell(&journal).await?;
        show(observer.finish().await?);
    }
    Ok(())
}

pub(crate) async fn pager(it: &mut Clients) -> Result<()> {
    alone(it, "page", &["paged-behind", "paged-directly"]).await
}

pub(crate) async fn leader_election(it: &mut Clients) -> Result<()> {
    alone(it, "lead", &["led"]).await
}

pub(crate) async fn counting(it: &mut Clients) -> Result<()> {
    alone(it, "count", &["counted"]).await
}

pub(crate) async fn patching(it: &mut Clients) -> Result<()> {
    alone(it, "patch", &["patched"]).await
}

/// A command that needs nothing but namespaces.
async fn alone(it: &Clients, command: &str, namespaces: &[&str]) -> Result<()> {
    for namespace in namespaces {
        it.namespace(namespace).await?;
    }
    let program = Program::go(it, &[&[command], namespaces].concat())?;
    show(program.finish().await?);
    Ok(())
}

pub(crate) async fn controller_runtime(it: &mut Clients) -> Result<()> {
    it.namespace("reconciled").await?;
    let mut program = Program::go(it, &["reconcile", "reconciled"])?;
    program.says("restart").await?;
    it.crash().await?;
    program.tell("restarted").await?;
    let said = program.finish().await?;
    ensure!(said.is_empty(), "{said:?}");
    Ok(())
}

fn show(lines: Vec<String>) {
    for line in lines {
        println!("  {line}");
    }
}
