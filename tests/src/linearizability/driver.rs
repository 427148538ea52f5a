//! Makes a history: concurrent clients on a few objects of one collection, and one watcher.
//!
//! Each request has a connection of its own. Where one fails, its client waits until a server is ready again, and goes
//! on with the next one. The clock is a counter: it says what was before what, in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value as Json, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Action, Change, Event, History, Items, Operation, Outcome, Value};
use crate::anchors::{ANCHORS, anchor};
use crate::client::{Answer, Client, Watch};
use crate::host::READY_DEADLINE;
use crate::random::Random;
use crate::wait;

/// What takes longer has an unknown outcome.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a watcher waits for an event, or a bookmark, before it begins again where it is.
const SILENCE: Duration = Duration::from_secs(5);

/// What the clients do.
#[derive(Clone)]
pub struct Plan {
    /// Path of a namespace's objects; there are none in it.
    pub collection: String,
    /// An object with a name and a value, which is an integer at [`Plan::value_at`].
    pub object: fn(&str, Value) -> Json,
    /// JSON pointer of the value, e.g. `/spec/size`.
    pub value_at: &'static str,
    pub clients: usize,
    pub keys: usize,
    /// So many have an outcome that is known at least, of all clients together; it goes on until the fault is over.
    pub operations: u64,
    pub seed: u64,
}

impl Plan {
    /// Eight clients on four anchors. `OUTRIGGER_LINEARIZABILITY_SEED=new` has other requests than the gate, and
    /// `OUTRIGGER_LINEARIZABILITY_OPERATIONS=100000` takes some minutes.
    #[must_use]
    pub fn of_anchors(operations: u64) -> Self {
        Self {
            collection: ANCHORS.into(),
            object: |name, value| anchor(name, i64::try_from(value).unwrap_or(i64::MAX)),
            value_at: "/spec/size",
            clients: 8,
            keys: 4,
            operations: Random::seed("OUTRIGGER_LINEARIZABILITY_OPERATIONS", operations),
            seed: Random::seed("OUTRIGGER_LINEARIZABILITY_SEED", 1),
        }
    }
}

/// How far the clients are.
#[derive(Clone)]
pub struct Progress(watch::Receiver<u64>);

impl Progress {
    /// Waits until so many operations have an outcome that is known.
    ///
    /// # Errors
    /// The clients have ended.
    pub async fn reach(&mut self, operations: u64) -> Result<()> {
        let reached = self.0.wait_for(|it| *it >= operations).await;
        reached.map(drop).context("the clients have ended")
    }

    /// How many there are now.
    #[must_use]
    pub fn now(&self) -> u64 {
        *self.0.borrow()
    }
}

/// Runs the plan against `hosts`, which serve the same store, while `fault` is done to them, or to what is behind them.
///
/// # Errors
/// An answer that no client should get, a server that does not come back, or the fault's own.
pub async fn record(
    hosts: &[Client],
    plan: &Plan,
    fault: impl AsyncFnOnce(Progress) -> Result<()>,
) -> Result<History> {
    let clock = Arc::new(AtomicU64::new(1));
    let mut last = Session::new(hosts, plan, &clock, 0);
    let first = last.perform(Action::List).await?;
    let Outcome::Listed { revision, items } = &first.outcome else {
        bail!("the first list failed: {first:?}");
    };
    ensure!(items.is_empty(), "there are objects already: {items:?}");
    let watching = tokio::spawn(follow(hosts.to_vec(), plan.clone(), *revision));
    let (stop, stopped) = watch::channel(false);
    let done = Arc::new(watch::Sender::new(0));
    let progress = Progress(done.subscribe());
    let mut clients = JoinSet::new();
    for number in 1..=plan.clients {
        let session = Session::new(hosts, plan, &clock, number);
        clients.spawn(session.run(stopped.clone(), Arc::clone(&done)));
    }
    drop(done);
    let mut until_end = progress.clone();
    let faulty = async {
        let both = tokio::try_join!(fault(progress), until_end.reach(plan.operations));
        stop.send_replace(true);
        both.map(drop)
    };
    let collected = async {
        let mut operations = vec![first];
        while let Some(of_one) = clients.join_next().await {
            operations.extend(of_one??);
        }
        anyhow::Ok(operations)
    };
    let ((), mut operations) = tokio::try_join!(faulty, collected)?;
    // All that was done is before the end, and the watcher is done when it has seen that.
    operations.extend(last.perform_surely(|_| Action::List).await?);
    // No client writes such small values.
    let end = |value| Action::Create {
        key: END.into(),
        value,
    };
    operations.extend(last.perform_surely(end).await?);
    let events = tokio::time::timeout(READY_DEADLINE, watching).await;
    let events = events.context("the watcher did not see the end")???;
    Ok(History { operations, events })
}

/// The name of the object whose creation is the last change.
const END: &str = "the-end";

struct Session {
    hosts: Vec<Client>,
    host: usize,
    plan: Plan,
    clock: Arc<AtomicU64>,
    random: Random,
    number: u64,
    written: u64,
    /// The version of each key that this client knows of.
    known: Vec<Option<u64>>,
}

impl Session {
    fn new(hosts: &[Client], plan: &Plan, clock: &Arc<AtomicU64>, number: usize) -> Self {
        let number = number as u64;
        Self {
            hosts: hosts.to_vec(),
            host: usize::try_from(number).unwrap_or(0) % hosts.len(),
            plan: plan.clone(),
            clock: Arc::clone(clock),
            random: Random::new(plan.seed.wrapping_mul(1_000).wrapping_add(number)),
            number,
            written: 0,
            known: vec![None; plan.keys],
        }
    }

    async fn run(
        mut self,
        mut stopped: watch::Receiver<bool>,
        done: Arc<watch::Sender<u64>>,
    ) -> Result<Vec<Operation>> {
        let mut operations = Vec::new();
        while !*stopped.borrow_and_update() {
            let (index, action) = self.choose();
            let operation = self.perform(action).await?;
            match (&operation.outcome, index) {
                (Outcome::Written { revision } | Outcome::Found { revision, .. }, Some(index)) => {
                    self.known[index] = Some(*revision);
                }
                (Outcome::Deleted | Outcome::NotFound, Some(index)) => self.known[index] = None,
                _ => {}
            }
            let is_unknown = operation.outcome == Outcome::Unknown;
            operations.push(operation);
            if is_unknown {
                self.find_host().await?;
            } else {
                done.send_modify(|it| *it += 1);
            }
        }
        Ok(operations)
    }

    fn choose(&mut self) -> (Option<usize>, Action) {
        let index = self.random.below(self.plan.keys);
        let key = format!("object-{index}");
        self.written += 1;
        let value = self.number * 1_000_000 + self.written;
        let action = match (self.random.below(100), self.known[index]) {
            (..10, _) => return (None, Action::List),
            (10..40, _) => Action::Get { key },
            (40..55, Some(of)) => Action::Delete { key, of },
            (40..70, None) => Action::Create { key, value },
            (70..85, _) => Action::Patch { key, value },
            (_, Some(of)) => Action::Update { key, of, value },
            (_, None) => Action::Get { key },
        };
        (Some(index), action)
    }

    async fn perform(&self, action: Action) -> Result<Operation> {
        let asked = self.clock.fetch_add(1, Ordering::SeqCst);
        let answer = tokio::time::timeout(PATIENCE, self.ask(&action)).await;
        let answered = self.clock.fetch_add(1, Ordering::SeqCst);
        let outcome = match answer {
            Ok(Ok(answer)) => outcome(&action, &answer, self.plan.value_at)
                .with_context(|| format!("{action:?}: {}", answer.text()))?,
            // No connection, no whole answer, or none in time.
            Ok(Err(_)) | Err(_) => Outcome::Unknown,
        };
        Ok(Operation {
            asked,
            answered,
            action,
            outcome,
        })
    }

    /// Tries the action of the numbers from 0 on, until it is known what became of one: all tries.
    async fn perform_surely(&mut self, action: impl Fn(u64) -> Action) -> Result<Vec<Operation>> {
        let mut tries = Vec::new();
        for number in 0.. {
            let operation = self.perform(action(number)).await?;
            let is_unknown = operation.outcome == Outcome::Unknown;
            tries.push(operation);
            if !is_unknown {
                break;
            }
            self.find_host().await?;
        }
        Ok(tries)
    }

    async fn ask(&self, action: &Action) -> Result<Answer> {
        let (client, collection) = (&self.hosts[self.host], &self.plan.collection);
        let path = |key: &str| format!("{collection}/{key}");
        let object = |key: &str, value: Value| (self.plan.object)(key, value);
        match action {
            Action::Create { key, value } => client.post(collection, &object(key, *value)).await,
            Action::Update { key, of, value } => {
                let mut object = object(key, *value);
                object["metadata"]["resourceVersion"] = of.to_string().into();
                client.put(&path(key), &object).await
            }
            Action::Patch { key, value } => {
                let object = object(key, *value);
                let patch = json!({"spec": object["spec"]});
                client.merge_patch(&path(key), &patch).await
            }
            Action::Delete { key, of } => {
                let body = json!({"preconditions": {"resourceVersion": of.to_string()}});
                let headers = [("content-type", "application/json")];
                let body = Bytes::from(serde_json::to_vec(&body)?);
                client
                    .send(Method::DELETE, &path(key), &headers, body)
                    .await
            }
            Action::Get { key } => client.get(&path(key)).await,
            Action::List => client.get(collection).await,
        }
    }

    /// Waits until a server is ready; the next one comes first.
    async fn find_host(&mut self) -> Result<()> {
        self.host = find_host(&self.hosts, self.host + 1).await?;
        Ok(())
    }
}

async fn find_host(hosts: &[Client], first: usize) -> Result<usize> {
    let next = AtomicU64::new(first as u64);
    wait::until("a server that is ready", READY_DEADLINE, || async {
        let tried = next.fetch_add(1, Ordering::Relaxed);
        let host = usize::try_from(tried)? % hosts.len();
        let answer = tokio::time::timeout(PATIENCE, hosts[host].get("/readyz")).await??;
        ensure!(answer.status == StatusCode::OK, "{}", answer.text());
        anyhow::Ok(host)
    })
    .await
}

/// # Errors
/// An answer that no client should get.
fn outcome(action: &Action, answer: &Answer, value_at: &str) -> Result<Outcome> {
    let status = answer.status;
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Ok(Outcome::Unknown);
    }
    let body = answer.json()?;
    match status {
        // An unknown path has no name: to a garbage collector the type would be gone.
        StatusCode::NOT_FOUND if body["details"]["name"].is_string() => Ok(Outcome::NotFound),
        StatusCode::CONFLICT => Ok(Outcome::Conflict),
        StatusCode::OK | StatusCode::CREATED => Ok(match action {
            Action::List => {
                let items = body["items"].as_array().context("no items")?;
                let items = items.iter().map(|it| {
                    let (key, revision, value) = read(it, value_at)?;
                    Ok((key, (revision, value)))
                });
                Outcome::Listed {
                    revision: revision(&body)?,
                    items: items.collect::<Result<Items>>()?,
                }
            }
            Action::Get { .. } => {
                let (_, revision, value) = read(&body, value_at)?;
                Outcome::Found { revision, value }
            }
            Action::Delete { .. } => Outcome::Deleted,
            Action::Create { .. } | Action::Update { .. } | Action::Patch { .. } => {
                let revision = revision(&body)?;
                Outcome::Written { revision }
            }
        }),
        _ => bail!("{status}"),
    }
}

fn revision(object: &Json) -> Result<u64> {
    let text = object["metadata"]["resourceVersion"].as_str();
    Ok(text.context("no resourceVersion")?.parse()?)
}

fn read(object: &Json, value_at: &str) -> Result<(String, u64, Value)> {
    let name = object["metadata"]["name"].as_str().context("no name")?;
    let value = object.pointer(value_at).and_then(Json::as_u64);
    let value = value.with_context(|| format!("{name} has no value"))?;
    Ok((name.to_owned(), revision(object)?, value))
}

/// All changes after a revision, until the end is created; it goes on where it was after every failure.
async fn follow(hosts: Vec<Client>, plan: Plan, mut last: u64) -> Result<Vec<Event>> {
    let (mut events, mut host) = (Vec::new(), 0);
    loop {
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&resourceVersion={last}",
            plan.collection
        );
        let opened = tokio::time::timeout(PATIENCE, hosts[host].watch(&path)).await;
        if let Ok(Ok(mut stream)) = opened {
            while let Some(event) = next(&mut stream).await {
                match event["type"].as_str() {
                    Some("BOOKMARK") => last = revision(&event["object"])?,
                    Some("ERROR") => bail!("the watch was refused: {event}"),
                    Some(kind) => {
                        let (key, revision, value) = read(&event["object"], plan.value_at)?;
                        let change = match kind {
                            "ADDED" => Change::Added(value),
                            "MODIFIED" => Change::Modified(value),
                            _ => Change::Deleted,
                        };
                        last = revision;
                        let is_end = key == END;
                        events.push(Event {
                            revision,
                            key,
                            change,
                        });
                        if is_end {
                            return Ok(events);
                        }
                    }
                    None => bail!("an event without a type: {event}"),
                }
            }
        }
        host = find_host(&hosts, host + 1).await?;
    }
}

/// `None`: it has ended, or is silent.
async fn next(stream: &mut Watch) -> Option<Json> {
    let line = tokio::time::timeout(SILENCE, stream.next_line()).await;
    let line = line.ok()?.ok()??;
    serde_json::from_slice(&line).ok()
}
