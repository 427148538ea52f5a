//! One review asked of kube-apiserver, with the tries and the time that it may take.

use std::fmt::Debug;
use std::time::Duration;

use kube::api::PostParams;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::follow::BackOff;
use super::status::Part;
use super::{code, explain};

/// For all tries together: a client waits meanwhile.
const TIMEOUT: Duration = Duration::from_secs(10);

/// As `DefaultAuthWebhookRetryBackoff` of k8s.io/apiserver, pkg/server/options.
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// # Errors
/// No answer after at most `tries`: one line for the log. Where RBAC forbids to ask, `part` says what to do
/// about it.
pub(super) async fn ask<K>(
    client: &Client,
    part: &Part,
    review: &K,
    tries: u32,
) -> anyhow::Result<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let api = Api::<K>::all(client.clone());
    let plural = K::plural(&());
    match tokio::time::timeout(TIMEOUT, with_retries(&api, review, tries)).await {
        Ok(Ok(answer)) => {
            part.works();
            Ok(answer)
        }
        Ok(Err(err)) => {
            let text = explain(&err);
            if code(&err) == Some(403) {
                part.fails(format!(
                    "bind the ClusterRole system:auth-delegator to this server, or nobody is let in who needs {plural}: {text}"
                ));
            }
            anyhow::bail!("cannot create {plural}: {text}")
        }
        Err(_) => anyhow::bail!(
            "cannot create {plural}: no answer of kube-apiserver within {} s",
            TIMEOUT.as_secs()
        ),
    }
}

async fn with_retries<K>(api: &Api<K>, review: &K, tries: u32) -> Result<K, kube::Error>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    let mut back_off = BackOff::new(FIRST_DELAY, TIMEOUT);
    for _ in 1..tries {
        match api.create(&PostParams::default(), review).await {
            Err(err) if is_transient(&err) => tokio::time::sleep(back_off.next()).await,
            answer => return answer,
        }
    }
    api.create(&PostParams::default(), review).await
}

/// Asking twice does no harm, so that a failed connection is reason enough.
fn is_transient(err: &kube::Error) -> bool {
    match err {
        kube::Error::Api(status) => matches!(status.code, 429 | 500 | 503 | 504),
        kube::Error::Service(_) | kube::Error::HyperError(_) => true,
        _ => false,
    }
}
