//! Plays one case: its steps in order, as the recorded client went.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use outrigger_tests::client::Client;
use outrigger_tests::recording::case::{Case, Request, Step};
use outrigger_tests::recording::json::Json;
use outrigger_tests::recording::normalise::{Answer, Content, Normaliser};
use outrigger_tests::recording::placeholders::Values;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::exchange::{send, send_telling};

/// From a watch to the next step: the recorded client waited as long.
const HEAD_START: Duration = Duration::from_millis(400);
/// For the beginning of a watch's answer, which may come with its first event only.
const BEGINS_WITHIN: Duration = Duration::from_secs(4);

/// Whom a case is played against.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) reach: Reach,
}

/// Which requests lead to the host.
#[derive(Clone, Copy)]
pub(crate) enum Reach {
    Everything,
    /// Behind kube-apiserver those below these paths; no others are sent. There, namespaces must be made.
    Below(&'static [&'static str]),
}

impl Reach {
    pub(crate) fn has(self, request: &Request) -> bool {
        let is_below = |prefix: &&str| {
            let rest = request.path.strip_prefix(prefix);
            rest.is_some_and(|it| it.is_empty() || it.starts_with(['/', '?']))
        };
        match self {
            Self::Everything => true,
            Self::Below(paths) => paths.iter().any(is_below),
        }
    }

    pub(crate) fn has_part_of(self, case: &Case) -> bool {
        case.compared().any(|it| self.has(it.0))
    }
}

impl Server {
    async fn values(&self) -> Result<Values> {
        static CASES: AtomicUsize = AtomicUsize::new(0);
        let tag = format!("{:08x}", CASES.fetch_add(1, Ordering::Relaxed));
        let namespace = format!("oracle-ns-{tag}");
        if matches!(self.reach, Reach::Below(_)) {
            let object = json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace},
            });
            let answer = self.client.post("/api/v1/namespaces", &object).await?;
            answer.ok().with_context(|| namespace.clone())?;
        }
        Ok(Values {
            namespace,
            id: format!("oracle-id-{tag}"),
            answers: BTreeMap::new(),
        })
    }
}

/// The normalised answers by the steps' ids.
pub(crate) async fn play(case: &Case, server: &Server) -> Result<BTreeMap<String, Json>> {
    let mut values = server.values().await?;
    let mut answers = BTreeMap::new();
    let mut background = JoinSet::new();
    for step in &case.steps {
        let request = match step {
            Step::Pause(pause) => {
                tokio::time::sleep(*pause).await;
                continue;
            }
            Step::Request(request) if server.reach.has(request) => request,
            Step::Request(_) => continue,
        };
        if request.is_background {
            let (server, request, values) = (server.clone(), request.clone(), values.clone());
            let (begins, has_begun) = oneshot::channel();
            background.spawn(async move {
                let answer = send_telling(&server.client, &request, &values, begins).await;
                (request.id, answer)
            });
            let _ = timeout(BEGINS_WITHIN, has_begun).await;
            tokio::time::sleep(HEAD_START).await;
            continue;
        }
        let answer = send(&server.client, request, &values)
            .await
            .with_context(|| request.id.clone())?;
        if let Content::Body(body) = &answer.content {
            let json = body.get("json").cloned().unwrap_or(Json::Null);
            values.answers.insert(request.id.clone(), json);
        }
        answers.insert(request.id.clone(), answer);
    }
    while let Some(done) = background.join_next().await {
        let (id, answer) = done?;
        let answer = answer.with_context(|| id.clone())?;
        answers.insert(id, answer);
    }
    Ok(normalised(case, &values, &answers))
}

fn normalised(
    case: &Case,
    values: &Values,
    answers: &BTreeMap<String, Answer>,
) -> BTreeMap<String, Json> {
    let in_order = case.steps.iter().filter_map(|it| match it {
        Step::Request(request) if !request.is_cleanup => {
            Some((&request.id, answers.get(&request.id)?))
        }
        _ => None,
    });
    let in_order: Vec<_> = in_order.collect();
    let mut normaliser = Normaliser::new(values, in_order.iter().map(|it| it.1));
    let each = in_order.into_iter();
    each.map(|(id, answer)| (id.clone(), normaliser.answer(answer)))
        .collect()
}
