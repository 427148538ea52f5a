//! A constant load on one resource, and what became of it: which requests failed, and for how long none worked.
//!
//! Writers create objects of their own and change each once; readers get and list; a watch goes on where it ended, and
//! must be told every change once. What was acknowledged is compared with what there is at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::client::{Answer, Client};
use crate::wait;

const WRITERS: usize = 4;
const READERS: usize = 2;

/// Between two requests of one of them.
const PACE: Duration = Duration::from_millis(40);

/// How long the watch may take to tell the last change.
const DEADLINE: Duration = Duration::from_secs(60);

/// A load that goes on; it ends when dropped.
pub struct Load {
    client: Client,
    collection: String,
    record: Arc<Mutex<Record>>,
    view: watch::Receiver<View>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<Result<()>>,
    watching: JoinSet<Result<()>>,
}

/// What became of all requests.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    pub requests: usize,
    /// Status and text, or why there was no answer.
    pub failures: Vec<String>,
    /// Between two that worked.
    pub longest_gap: Duration,
    /// How often the watch ended and went on.
    pub resumed: usize,
    pub longest: Duration,
}

#[derive(Default)]
struct Record {
    summary: Summary,
    worked: Option<Instant>,
    /// Acknowledged creates by name, and whether the change was acknowledged, too.
    acknowledged: BTreeMap<String, bool>,
}

/// What the watch has told: resourceVersions by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct View {
    objects: BTreeMap<String, u64>,
    revision: u64,
    resumed: usize,
}

impl Load {
    /// On `collection`, a path, whose objects `object` makes by their names.
    pub async fn start(
        client: Client,
        collection: &str,
        object: fn(&str) -> Value,
    ) -> Result<Self> {
        let list = client.get(collection).await?.ok()?;
        let items = list["items"].as_array().into_iter().flatten();
        let view = View {
            objects: items.map(named).collect::<Result<_>>()?,
            revision: version(&list)?,
            resumed: 0,
        };
        let record = Arc::new(Mutex::new(Record::default()));
        let (stop, stopped) = watch::channel(false);
        let user = User {
            client: client.clone(),
            collection: collection.to_owned(),
            record: Arc::clone(&record),
            stopped,
        };
        let mut tasks = JoinSet::new();
        for number in 0..WRITERS {
            tasks.spawn(user.clone().write(number, object));
        }
        for _ in 0..READERS {
            tasks.spawn(user.clone().read());
        }
        let (tell, view) = watch::channel(view);
        let mut watching = JoinSet::new();
        watching.spawn(user.watch(tell));
        Ok(Self {
            client,
            collection: collection.to_owned(),
            record,
            view,
            stop,
            tasks,
            watching,
        })
    }

    /// Waits until `count` more requests have worked.
    pub async fn wait_for(&self, count: usize) -> Result<()> {
        let worked = || {
            let summary = lock(&self.record).summary.clone();
            summary.requests - summary.failures.len()
        };
        let enough = worked() + count;
        wait::until("requests that work", DEADLINE, || async {
            let (worked, failures) = (worked(), &lock(&self.record).summary.failures);
            let last = failures.last();
            ensure!(worked >= enough, "{worked} of {enough} have: {last:?}");
            Ok(())
        })
        .await
    }

    /// Ends it, and finds that nothing acknowledged is lost and that the watch has told everything.
    pub async fn finish(mut self) -> Result<Summary> {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        let list = self.client.get(&self.collection).await?.ok()?;
        let items: Vec<Value> = list["items"].as_array().cloned().unwrap_or_default();
        self.check_acknowledged(&items)?;
        let there: BTreeMap<String, u64> = items.iter().map(named).collect::<Result<_>>()?;
        let mut view = self.view.clone();
        let told = view.wait_for(|it| it.objects == there);
        let resumed = tokio::select! {
            told = tokio::time::timeout(DEADLINE, told) => match told {
                Ok(told) => told.context("the watch has ended")?.resumed,
                Err(_) => {
                    let told = &self.view.borrow().objects;
                    let missing: Vec<_> = there.iter().filter(|it| told.get(it.0) != Some(it.1)).collect();
                    bail!("the watch has not told {missing:?}");
                }
            },
            Some(ended) = self.watching.join_next() => {
                ended??;
                bail!("the watch has ended");
            }
        };
        let mut summary = lock(&self.record).summary.clone();
        summary.resumed = resumed;
        Ok(summary)
    }

    fn check_acknowledged(&self, items: &[Value]) -> Result<()> {
        let there: BTreeMap<&str, &Value> = items
            .iter()
            .filter_map(|it| Some((it["metadata"]["name"].as_str()?, it)))
            .collect();
        for (name, is_changed) in &lock(&self.record).acknowledged {
            let object = there
                .get(&**name)
                .with_context(|| format!("{name} was acknowledged and is lost"))?;
            let changed = &object["metadata"]["labels"]["changed"];
            ensure!(
                !is_changed || changed == "yes",
                "the change of {name} was acknowledged and is lost"
            );
        }
        Ok(())
    }
}

/// Who sends requests, one after another.
#[derive(Clone)]
struct User {
    client: Client,
    collection: String,
    record: Arc<Mutex<Record>>,
    stopped: watch::Receiver<bool>,
}

impl User {
    async fn write(self, number: usize, object: fn(&str) -> Value) -> Result<()> {
        let mut ticks = ticks();
        for count in 0.. {
            let name = format!("load-{number}-{count}");
            ticks.tick().await;
            if *self.stopped.borrow() {
                break;
            }
            let object = object(&name);
            let create = self.client.post(&self.collection, &object);
            if !self.noted("POST", create).await {
                continue;
            }
            lock(&self.record).acknowledged.insert(name.clone(), false);
            ticks.tick().await;
            let path = format!("{}/{name}", self.collection);
            let change = json!({"metadata": {"labels": {"changed": "yes"}}});
            let change = self.client.merge_patch(&path, &change);
            if self.noted("PATCH", change).await {
                lock(&self.record).acknowledged.insert(name, true);
            }
        }
        Ok(())
    }

    async fn read(self) -> Result<()> {
        let mut ticks = ticks();
        let list = format!("{}?limit=20", self.collection);
        while !*self.stopped.borrow() {
            ticks.tick().await;
            self.noted("LIST", self.client.get(&list)).await;
            let name = lock(&self.record).acknowledged.keys().next_back().cloned();
            if let Some(name) = name {
                ticks.tick().await;
                let path = format!("{}/{name}", self.collection);
                self.noted("GET", self.client.get(&path)).await;
            }
        }
        Ok(())
    }

    /// Whether the request worked.
    async fn noted(&self, verb: &str, request: impl Future<Output = Result<Answer>>) -> bool {
        let asked = Instant::now();
        let failure = match request.await {
            Ok(answer) if answer.status.is_success() => None,
            Ok(answer) => Some(format!("{verb}: {} {}", answer.status, answer.text())),
            Err(err) => Some(format!("{verb}: {err:#}")),
        };
        let mut record = lock(&self.record);
        let now = Instant::now();
        record.summary.requests += 1;
        record.summary.longest = record.summary.longest.max(now - asked);
        if let Some(failure) = failure {
            record.summary.failures.push(failure);
            return false;
        }
        if let Some(before) = record.worked.replace(now) {
            record.summary.longest_gap = record.summary.longest_gap.max(now - before);
        }
        true
    }

    /// Tells what it is told until it is stopped from outside. Fails where it cannot go on from where it was.
    async fn watch(self, tell: watch::Sender<View>) -> Result<()> {
        let mut ticks = ticks();
        loop {
            ticks.tick().await;
            let revision = tell.borrow().revision;
            let path = format!(
                "{}?watch=true&allowWatchBookmarks=true&resourceVersion={revision}",
                self.collection
            );
            let opened = self
                .client
                .open(Method::GET, &path, &[], Default::default())
                .await;
            // The server is away for a moment.
            let Ok(opened) = opened else { continue };
            if opened.status.as_u16() == 410 {
                bail!("the watch cannot go on from {revision}");
            }
            if !opened.status.is_success() {
                continue;
            }
            let mut events = opened.events();
            while let Ok(Some(line)) = events.next_line().await {
                let event: Value = serde_json::from_slice(&line)?;
                let mut result = Ok(());
                tell.send_modify(|view| result = view.apply(&event));
                result?;
            }
            tell.send_modify(|view| view.resumed += 1);
        }
    }
}

impl View {
    fn apply(&mut self, event: &Value) -> Result<()> {
        let object = &event["object"];
        if event["type"] == "ERROR" {
            bail!("the watch failed: {object}");
        }
        let revision = version(object)?;
        if event["type"] == "BOOKMARK" {
            ensure!(revision >= self.revision, "{event} after {}", self.revision);
            self.revision = revision;
            return Ok(());
        }
        ensure!(
            revision > self.revision,
            "{event} was told after {}",
            self.revision
        );
        self.revision = revision;
        let (name, _) = named(object)?;
        let is_known = self.objects.contains_key(&name);
        ensure!(
            is_known == (event["type"] != "ADDED"),
            "{event} of what was known: {is_known}"
        );
        if event["type"] == "DELETED" {
            self.objects.remove(&name);
        } else {
            self.objects.insert(name, revision);
        }
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests,
            failures,
            longest_gap,
            resumed,
            longest,
        } = self;
        write!(
            f,
            "{requests} requests, {} failed; longest gap {} ms, longest request {} ms; the watch was resumed {resumed} times",
            failures.len(),
            longest_gap.as_millis(),
            longest.as_millis()
        )?;
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for failure in failures {
            let kind = failure.lines().next().unwrap_or_default();
            *kinds.entry(kind.chars().take(160).collect()).or_default() += 1;
        }
        for (kind, count) in kinds.iter().take(8) {
            write!(f, "\n  {count} × {kind}")?;
        }
        Ok(())
    }
}

fn ticks() -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn named(object: &Value) -> Result<(String, u64)> {
    let name = object["metadata"]["name"].as_str().context("no name")?;
    Ok((name.to_owned(), version(object)?))
}

fn version(object: &Value) -> Result<u64> {
    let version = object["metadata"]["resourceVersion"].as_str();
    Ok(version.context("no resourceVersion")?.parse()?)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
