//! Thousands of odd requests, as a broken or hostile client makes them. Each is answered properly or its
//! connection is closed; nothing breaks, and what is stored is what was acknowledged.
//!
//! `OUTRIGGER_ODD_SEED` repeats a run, or makes others where it is `new`; `OUTRIGGER_ODD_REQUESTS` makes it longer
//! or shorter; `OUTRIGGER_ODD_COMPARE=1` compares after every request, to find the one that stored what it should not.

mod exchange;
mod generator;
mod spoil;
mod vocabulary;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use outrigger_tests::artifacts::example;
use outrigger_tests::client::Client;
use outrigger_tests::host::{Dev, DevFolders};
use outrigger_tests::random::Random;
use serde_json::Value;

use exchange::{Answer, Outcome, Wire};
use generator::Odd;

const REQUESTS: usize = 2_500;
/// The same requests in each run of the gate; a night takes others.
const SEED: u64 = 1;
/// Requests that wait for a revision that never comes wait for 3 s; a busy machine takes its time.
const DEADLINE: Duration = Duration::from_secs(60);
/// After how many requests everything that is stored is compared, besides after each write.
const COMPARE: usize = 100;

/// What is 500 upstream too: errors that nobody gave a code there.
const UNCLASSIFIED: [&str; 6] = [
    "resourceVersion should not be set on objects to be created",
    "resourceVersion: Invalid value: ",
    "strconv.ParseUint: parsing ",
    "unknown patch type: ",
    NO_LIST,
    "failed to create RequestInfo: unable to determine kind and namespace from url",
];

/// Of one object, where `as=PartialObjectMetadataList` was asked for.
const NO_LIST: &str = "content is not a list";

/// How many requests before a failure are shown.
const SHOWN: usize = 3;

const DEFINITION: &str = r#"{
  "apiVersion": "apiextensions.k8s.io/v1",
  "kind": "CustomResourceDefinition",
  "metadata": {"name": "anchors.odd.example.com"},
  "spec": {
    "group": "odd.example.com",
    "scope": "Namespaced",
    "names": {"plural": "anchors", "singular": "anchor", "kind": "Anchor", "listKind": "AnchorList"},
    "versions": [{
      "name": "v1", "served": true, "storage": true,
      "subresources": {"status": {}},
      "selectableFields": [{"jsonPath": ".spec.chain"}],
      "additionalPrinterColumns": [{"name": "Depth", "type": "integer", "jsonPath": ".spec.depth"}],
      "schema": {"openAPIV3Schema": {"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
          "depth": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 3},
          "chain": {"type": "string", "pattern": "^[A-Z]*$", "maxLength": 400000},
          "ratio": {"type": "number", "nullable": true},
          "marks": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
          "links": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"], "properties": {
              "name": {"type": "string"}, "length": {"x-kubernetes-int-or-string": true}}}},
          "rest": {"x-kubernetes-preserve-unknown-fields": true}}},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}
    }]
  }
}"#;

/// What is compared: every object of every resource, in one version.
const LISTS: [&str; 3] = [
    "/apis/wardle.example.com/v1beta1/flunders",
    "/apis/wardle.example.com/v1alpha1/fischers",
    "/apis/odd.example.com/v1/anchors",
];

/// By kind, namespace and name.
type Stored = BTreeMap<(String, String, String), Value>;

async fn start() -> Result<(DevFolders, Run)> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("wardle")?, "wardle")?;
    std::fs::write(folders.path("plugins").join("anchors.json"), DEFINITION)?;
    let dev = folders.start().await?;
    let run = Run::new(dev).await?;
    Ok((folders, run))
}

#[tokio::test]
async fn tunnels_are_refused() -> Result<()> {
    let (_folders, mut run) = start().await?;
    for path in ["/healthz/ping", "/metrics", LISTS[0]] {
        let mut odd = Odd::get(path);
        odd.method = "CONNECT".to_owned();
        let Outcome::Answered(answer) = run.wire.send(&odd).await? else {
            bail!("{path}: no answer");
        };
        assert_eq!(answer.status, 405, "{path}");
    }
    run.dev.stop().await
}

#[tokio::test]
async fn survives_odd_requests_and_stores_what_it_acknowledged() -> Result<()> {
    let seed = Random::seed("OUTRIGGER_ODD_SEED", SEED);
    let count = number("OUTRIGGER_ODD_REQUESTS", REQUESTS)?;
    eprintln!("odd requests: OUTRIGGER_ODD_SEED={seed}");
    let (_folders, mut run) = start().await?;
    let mut random = Random::new(seed);
    for number in 0..count {
        let odd = Odd::generate(&mut random);
        run.one(number, &odd).await.with_context(|| {
            let before = run.last.join("\n\n");
            format!("OUTRIGGER_ODD_SEED={seed}\nbefore:\n{before}\n\nrequest {number}:\n{odd:?}\n")
        })?;
    }
    run.finish(count).await
}

/// Of the environment.
fn number(name: &str, default: usize) -> Result<usize> {
    std::env::var(name).map_or(Ok(default), |it| it.parse().context("a number"))
}

struct Run {
    dev: Dev,
    client: Client,
    wire: Wire,
    /// Apart from what is odd.
    lists: Wire,
    stored: Stored,
    /// How many requests were answered with which status; 0 where the connection was closed.
    outcomes: BTreeMap<u16, usize>,
    written: usize,
    compare: usize,
    /// The requests before, with what came of them.
    last: Vec<String>,
}

impl Run {
    async fn new(dev: Dev) -> Result<Self> {
        for path in LISTS {
            dev.wait_served(path).await?;
        }
        let client = dev.client()?;
        Ok(Self {
            wire: Wire::new(&client),
            lists: Wire::new(&client),
            client,
            dev,
            stored: Stored::new(),
            outcomes: BTreeMap::new(),
            written: 0,
            last: Vec::new(),
            compare: number("OUTRIGGER_ODD_COMPARE", COMPARE)?,
        })
    }

    async fn one(&mut self, number: usize, odd: &Odd) -> Result<()> {
        let sent = tokio::time::timeout(DEADLINE, self.wire.send(odd)).await;
        let outcome = sent.context("no answer in time")??;
        self.dev.process.check_running()?;
        match &outcome {
            Outcome::Closed => {
                *self.outcomes.entry(0).or_default() += 1;
                if odd.may_be_cut_off() {
                    // Perhaps it was acknowledged, and we do not know.
                    self.stored = list_all(&mut self.lists).await?;
                }
            }
            Outcome::Answered(answer) => {
                *self.outcomes.entry(answer.status).or_default() += 1;
                check_answer(answer).with_context(|| format!("{answer:?}"))?;
                if is_acknowledged_write(odd, answer) {
                    self.written += 1;
                    self.check_write(odd, answer)
                        .await
                        .with_context(|| format!("{answer:?}"))?;
                }
            }
        }
        if number.is_multiple_of(self.compare) {
            self.compare().await?;
        }
        self.last.truncate(SHOWN - 1);
        self.last.insert(0, format!("{odd:?}\n-> {outcome:?}"));
        Ok(())
    }

    /// At most one object has changed, into what was answered.
    async fn check_write(&mut self, odd: &Odd, answer: &Answer) -> Result<()> {
        let now = list_all(&mut self.lists).await?;
        let changed: Vec<_> = now
            .iter()
            .filter(|(key, object)| self.stored.get(*key) != Some(*object))
            .map(|(key, _)| key.clone())
            .chain(
                self.stored
                    .keys()
                    .filter(|it| !now.contains_key(*it))
                    .cloned(),
            )
            .collect();
        if odd.method != "DELETE" {
            ensure!(changed.len() <= 1, "one write changed {changed:?}");
            let body = answer.body.as_deref().unwrap_or_default();
            let answered = serde_json::from_slice::<Value>(body).unwrap_or_default();
            if let Some(object) = changed.first().and_then(|it| now.get(it))
                && answered["kind"] == object["kind"]
                && answered["apiVersion"] == object["apiVersion"]
            {
                ensure!(answered == *object, "stored is something else: {object}");
            }
        }
        self.stored = now;
        Ok(())
    }

    async fn compare(&mut self) -> Result<()> {
        let now = list_all(&mut self.lists).await?;
        for key in now.keys().chain(self.stored.keys()) {
            let (was, is) = (self.stored.get(key), now.get(key));
            let text = |it: Option<&Value>| it.map_or_else(|| "nothing".into(), Value::to_string);
            ensure!(
                was == is,
                "{key:?} has changed without an acknowledged write from {} to {}",
                text(was),
                text(is)
            );
        }
        Ok(())
    }

    async fn finish(mut self, count: usize) -> Result<()> {
        self.compare().await?;
        let ready = self.client.get("/readyz").await?;
        ensure!(ready.status == 200, "not ready any more: {}", ready.text());
        let log = self.dev.process.log();
        let bad = log
            .lines()
            .find(|it| it.contains("panicked") || it.contains("this is a bug"));
        ensure!(bad.is_none(), "the log has {bad:?}");
        eprintln!(
            "odd requests: by status {:?}, {} writes",
            self.outcomes, self.written
        );
        // Otherwise they would all be refused at the door.
        ensure!(
            self.written * 20 > count,
            "only {} of {count} were writes",
            self.written
        );
        self.dev.stop().await
    }
}

fn check_answer(answer: &Answer) -> Result<()> {
    let body = answer.body.as_deref().unwrap_or_default();
    let text = String::from_utf8_lossy(body);
    ensure!(!text.contains("panic"), "it panicked");
    let is_known = UNCLASSIFIED.iter().any(|it| text.contains(it));
    ensure!(answer.status != 500 || is_known, "an error of the server");
    if answer.header("content-type") == "application/json" && !body.is_empty() {
        let document: Value = serde_json::from_slice(body).context("no JSON")?;
        if document["kind"] == "Status" && document["status"] == "Failure" {
            ensure!(
                document["code"] == answer.status,
                "the Status has another code"
            );
        }
    }
    Ok(())
}

fn is_acknowledged_write(odd: &Odd, answer: &Answer) -> bool {
    let is_write = ["POST", "PUT", "PATCH", "DELETE"].contains(&odd.method.as_str());
    let text = String::from_utf8_lossy(answer.body.as_deref().unwrap_or_default());
    // Written, and then the answer cannot be given in the form that was asked for: as upstream.
    let is_unshown = (answer.status == 406 && text.contains("you requested PartialObjectMetadata"))
        || (answer.status == 500 && text.contains(NO_LIST));
    is_write && (is_unshown || (200..300).contains(&answer.status))
}

async fn list_all(lists: &mut Wire) -> Result<Stored> {
    let mut stored = Stored::new();
    for path in LISTS {
        let list = match lists.send(&Odd::get(path)).await? {
            Outcome::Answered(answer) if answer.status == 200 => {
                serde_json::from_slice::<Value>(answer.body.as_deref().unwrap_or_default())?
            }
            other => bail!("{path} cannot be listed: {other:?}"),
        };
        let kind = list["kind"]
            .as_str()
            .unwrap_or_default()
            .trim_end_matches("List");
        for item in list["items"].as_array().context("no items")? {
            let mut item = item.clone();
            // Lists of typed resources leave out what they say themselves.
            item["kind"] = kind.into();
            item["apiVersion"] = list["apiVersion"].clone();
            let text = |field: &str| item["metadata"][field].as_str().unwrap_or("").to_owned();
            stored.insert((kind.to_owned(), text("namespace"), text("name")), item);
        }
    }
    Ok(stored)
}
