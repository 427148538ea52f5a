//! The garbage collector: owners of one group, dependents of another, and what a delete says of them.

use anyhow::{Context as _, Result, ensure};
use outrigger_tests::client::Client;
use outrigger_tests::installed::Installed;
use serde_json::json;

use super::{
    CONFIG_MAPS, FLUNDERS, HOLD, Resource, create, create_namespace, metadata, release,
    wait_deleting, wait_gone,
};

/// The paths of an owner and its dependent, for each way to delete the owner.
pub(super) struct Family {
    background: (String, String),
    foreground: (String, String),
    orphan: (String, String),
}

pub(crate) async fn collects(it: &mut Installed) -> Result<()> {
    let client = it.admin()?;
    create_namespace(&client, "garbage").await?;
    for (owners, dependents) in [(FLUNDERS, CONFIG_MAPS), (CONFIG_MAPS, FLUNDERS)] {
        let family = Family::create(&client, "garbage", owners, dependents).await?;
        family.collected(&client).await?;
    }
    Ok(())
}

impl Family {
    pub(super) async fn create(
        client: &Client,
        namespace: &str,
        owners: Resource,
        dependents: Resource,
    ) -> Result<Self> {
        let pair = async |way: &str, finalizers: &[&str]| -> Result<(String, String)> {
            let name = format!("{way}-{}", owners.plural);
            let owner = create(client, owners, namespace, &name, &json!({})).await?;
            let uid = client.get(&owner).await?.ok()?["metadata"]["uid"].take();
            let reference = json!({
                "apiVersion": owners.api_version, "kind": owners.kind, "name": name, "uid": uid,
                "blockOwnerDeletion": true,
            });
            let owned = json!({"ownerReferences": [reference], "finalizers": finalizers});
            let dependent = format!("of-{name}");
            let dependent = create(client, dependents, namespace, &dependent, &owned).await?;
            Ok((owner, dependent))
        };
        Ok(Self {
            background: pair("background", &[]).await?,
            foreground: pair("foreground", &[HOLD]).await?,
            orphan: pair("orphan", &[]).await?,
        })
    }

    /// Deletes the owners.
    pub(super) async fn collected(&self, client: &Client) -> Result<()> {
        let delete = async |owner: &str, policy: &str| -> Result<()> {
            let path = format!("{owner}?propagationPolicy={policy}");
            client.delete(&path).await?.ok().map(drop)
        };

        // The owner goes first.
        let (owner, dependent) = &self.background;
        delete(owner, "Background").await?;
        ensure!(metadata(client, owner).await?.is_none(), "{owner} is there");
        wait_gone(client, dependent).await?;

        // The dependent goes first.
        let (owner, dependent) = &self.foreground;
        delete(owner, "Foreground").await?;
        wait_deleting(client, dependent).await?;
        let waiting = metadata(client, owner).await?;
        let waiting = waiting.context("the owner did not wait for its dependent")?;
        ensure!(
            waiting["finalizers"] == json!(["foregroundDeletion"]),
            "{waiting}"
        );
        release(client, dependent).await?;
        wait_gone(client, dependent).await?;
        wait_gone(client, owner).await?;

        // The dependent stays, and is told.
        let (owner, dependent) = &self.orphan;
        delete(owner, "Orphan").await?;
        wait_gone(client, owner).await?;
        let orphan = metadata(client, dependent).await?;
        let orphan = orphan.context("the orphan was deleted")?;
        ensure!(orphan["ownerReferences"].is_null(), "{orphan}");
        ensure!(orphan["deletionTimestamp"].is_null(), "{orphan}");
        Ok(())
    }
}
