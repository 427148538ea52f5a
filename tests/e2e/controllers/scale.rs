//! The autoscaler knows of a resource nothing but its scale.

use anyhow::{Result, ensure};
use outrigger_tests::installed::{Installed, SOON};
use outrigger_tests::wait;
use serde_json::json;

use super::{SHIPS, create_namespace};

/// Where there are no metrics, it still keeps to the bounds.
pub(crate) async fn raises(it: &mut Installed) -> Result<()> {
    let client = it.admin()?;
    create_namespace(&client, "scaled").await?;
    let mut ship = SHIPS.object("raised", &json!({}));
    ship["spec"] = json!({"sails": 1});
    let path = SHIPS.path("scaled");
    client.post(&path, &ship).await?.ok()?;
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "raised"},
        "spec": {
            "scaleTargetRef": {"apiVersion": SHIPS.api_version, "kind": SHIPS.kind, "name": "raised"},
            "minReplicas": 3, "maxReplicas": 5,
        },
    });
    let autoscalers = "/apis/autoscaling/v2/namespaces/scaled/horizontalpodautoscalers";
    client.post(autoscalers, &autoscaler).await?.ok()?;
    let raised = wait::until("3 sails", SOON, || async {
        let ship = client.get(&format!("{path}/raised")).await?.ok()?;
        ensure!(ship["spec"]["sails"] == 3, "{ship}");
        Ok(ship)
    })
    .await?;
    let mut managers = raised["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten();
    let is_noted = managers
        .any(|it| it["subresource"] == "scale" && it["manager"] == "kube-controller-manager");
    ensure!(is_noted, "{raised}");
    client
        .delete(&format!("{autoscalers}/raised"))
        .await?
        .ok()?;
    Ok(())
}
