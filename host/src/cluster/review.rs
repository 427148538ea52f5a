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
const TRIES: u32 = 5;
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// # Errors
/// No answer: one line for the log. Where RBAC forbids to ask, `part` says what to do about it.
pub(super) async fn ask<K>(client: &Client, part: &Part, review: &K) -> anyhow::Result<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let api = Api::<K>::all(client.clone());
    let plural = K::plural(&());
    let answer = tokio::time::timeout(TIMEOUT, with_retries(&api, review)).await;
    match answer {
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

async fn with_retries<K>(api: &Api<K>, review: &K) -> Result<K, kube::Error>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    let mut back_off = BackOff::new(FIRST_DELAY, TIMEOUT);
    let mut tries = 1;
    loop {
        match api.create(&PostParams::default(), review).await {
            Err(err) if tries < TRIES && is_transient(&err) => {
                tries += 1;
                tokio::time::sleep(back_off.next()).await;
            }
            answer => return answer,
        }
    }
}

/// Asking twice does no harm, so that a failed connection is reason enough.
fn is_transient(err: &kube::Error) -> bool {
    match err {
        kube::Error::Api(status) => matches!(status.code, 429 | 500 | 503 | 504),
        kube::Error::Service(_) | kube::Error::HyperError(_) => true,
        _ => false,
    }
}
