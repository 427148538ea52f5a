//! A plugin that traps on every call stands in the way of its own objects' writes, and of nothing else.

use anyhow::{Result, ensure};
use outrigger_tests::client::Client;
use outrigger_tests::controller_manager;
use outrigger_tests::installed::{Installed, SOON};
use outrigger_tests::process::Process;
use outrigger_tests::wait;
use serde_json::json;

use super::garbage::Family;
use super::{
    CONFIG_MAPS, CRATES, FLUNDERS, SHIPS, create, create_namespace, namespaces, quota, wait_gone,
    write_ships,
};

/// What there is, made while the plugin worked.
struct Fleet {
    held: Vec<String>,
    families: Vec<Family>,
}

/// The controllers are started anew: they must find their way also where they have never seen the plugin work.
pub(crate) async fn go_on(it: &mut Installed, controllers: &mut Process) -> Result<()> {
    let client = it.admin()?;
    let fleet = Fleet::create(&client).await?;
    controllers.kill()?;
    write_ships(it, "ships_wrecked").await?;
    wait_wrecked(&client).await?;
    *controllers = controller_manager::start(&it.cluster)?;

    // All at once: each takes its time.
    for namespace in ["fleet", "harbour", "plain"] {
        namespaces::delete(&client, namespace).await?;
    }
    for family in &fleet.families {
        family.collected(&client).await?;
    }
    let ship = format!("{}/one", SHIPS.path("counted-ships"));
    client.delete(&ship).await?.ok()?;
    quota::wait_used(&client, "counted-ships", SHIPS, 1).await?;
    // The counts of others do not wait for it either.
    create(&client, FLUNDERS, "counted", "four", &json!({})).await?;
    quota::wait_used(&client, "counted", FLUNDERS, 3).await?;

    // Nor does a namespace that has nothing to do with it.
    wait_gone(&client, "/api/v1/namespaces/plain").await?;
    namespaces::wait_held(&client, "fleet", &fleet.held).await?;
    namespaces::let_go(&client, "fleet", &fleet.held).await?;
    it.wait_available("v1.ships.example.com").await?;
    Ok(())
}

/// What only the plugin can delete waits for it, and so does its namespace.
pub(crate) async fn recovers(it: &mut Installed) -> Result<()> {
    let client = it.admin()?;
    let harbour = "/api/v1/namespaces/harbour";
    let namespace = client.get(harbour).await?.ok()?;
    ensure!(namespace["status"]["phase"] == "Terminating", "{namespace}");
    write_ships(it, "ships_afloat").await?;
    wait_gone(&client, harbour).await?;
    super::end(it).await
}

impl Fleet {
    async fn create(client: &Client) -> Result<Self> {
        create_namespace(client, "plain").await?;
        create(client, CONFIG_MAPS, "plain", "one", &json!({})).await?;

        create_namespace(client, "harbour").await?;
        create(client, CRATES, "harbour", "one", &json!({})).await?;

        create_namespace(client, "counted-ships").await?;
        for name in ["one", "two"] {
            create(client, SHIPS, "counted-ships", name, &json!({})).await?;
        }
        quota::limit(client, "counted-ships", SHIPS).await?;
        quota::wait_used(client, "counted-ships", SHIPS, 2).await?;

        create_namespace(client, "garbage-ships").await?;
        let mut families = Vec::new();
        for (owners, dependents) in [(SHIPS, CONFIG_MAPS), (CONFIG_MAPS, SHIPS)] {
            families.push(Family::create(client, "garbage-ships", owners, dependents).await?);
        }
        Ok(Self {
            held: namespaces::fill(client, "fleet", &[SHIPS]).await?,
            families,
        })
    }
}

async fn wait_wrecked(client: &Client) -> Result<()> {
    let path = format!("{}?dryRun=All", SHIPS.path("default"));
    wait::until("the plugin to trap", SOON, || async {
        let object = SHIPS.object("sunk", &json!({}));
        let answer = client.post(&path, &object).await?;
        ensure!(answer.status.is_server_error(), "{}", answer.text());
        Ok(())
    })
    .await
}
