//! The engine on a real etcd, which the folder in `OUTRIGGER_PEERS` has.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod failures;
mod members;
mod peer;
mod refusals;
mod restored;

use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};

use peer::{Etcd, Line, turn};

use super::*;
use crate::storage::conformance::{
    PREFIX, Subject, attached, conformance, context, create, delete, key, put, record, show_event,
};
use crate::storage::copy::Tally;
use crate::storage::watch_cache::{Expired, WatchCache, WatchEnd};
use crate::storage::{Expected, Key};

/// With a prefix of its own; `None` where there is no etcd.
async fn subject() -> Option<Subject> {
    static SUBJECTS: AtomicUsize = AtomicUsize::new(0);
    let turn = turn().await?;
    let number = SUBJECTS.fetch_add(1, Ordering::Relaxed);
    let options = Options {
        prefix: format!("/conformance/{number}"),
        ..turn.etcd.options()
    };
    let storage = connect(options).await;
    Some(Subject::new(storage, turn))
}

conformance!(match subject().await {
    Some(subject) => subject,
    None => return,
});

async fn connect(options: Options) -> Arc<EtcdStorage> {
    Arc::new(EtcdStorage::connect(options).await.unwrap())
}

async fn commit(storage: &EtcdStorage, write: Write) -> Result<Revision, StorageError> {
    storage.commit(&context(), vec![write]).await
}

async fn refreshed(storage: &EtcdStorage) -> Revision {
    let scope = Scope {
        prefix: PREFIX,
        namespace: None,
        name: None,
    };
    storage.refresh(&context(), scope).await.unwrap()
}

async fn cache_of(storage: &Arc<EtcdStorage>) -> Arc<WatchCache> {
    let storage: Arc<dyn Storage> = storage.clone();
    attached(&storage).await
}

/// Names and revisions of what a cache has.
fn shown(cache: &WatchCache) -> String {
    let snapshot = cache.snapshot();
    let objects = snapshot.range(PREFIX, "");
    let shown = objects.map(|it| format!("{}@{}", it.name(), it.revision));
    shown.collect::<Vec<_>>().join(" ")
}

/// Asks until it is so.
async fn until<T>(what: impl Display, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(60), asking).await;
    answer.unwrap_or_else(|_| panic!("waited for {what}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_server_wrote_the_other_reads_at_once() {
    let Some(turn) = turn().await else { return };
    let options = Options {
        prefix: "/two/readers".into(),
        ..turn.etcd.options()
    };
    let one = connect(options.clone()).await;
    let other = connect(options).await;
    let cache = cache_of(&other).await;
    for step in 0..200 {
        let write = put("a/x", &step.to_string(), Expected::Anything);
        let revision = commit(&one, write).await.unwrap();
        assert!(refreshed(&other).await >= revision);
        assert_eq!(shown(&cache), format!("x@{revision}"));
    }
}

/// What other users of etcd write moves its revision, and nothing tells the watch of it by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_do_not_wait_for_others_who_use_the_same_etcd() {
    let Some(turn) = turn().await else { return };
    let ours = connect(turn.etcd.options()).await;
    let others = connect(Options {
        prefix: "/other".into(),
        ..turn.etcd.options()
    })
    .await;
    let cache = cache_of(&ours).await;
    for step in 0..20 {
        let write = put("a/x", &step.to_string(), Expected::Anything);
        let revision = commit(&others, write).await.unwrap();
        assert!(refreshed(&ours).await >= revision);
        assert!(cache.revision() >= revision);
        assert_eq!(shown(&cache), "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_writers_on_two_servers_one_wins_at_each_revision() {
    const STEPS: usize = 40;
    let Some(turn) = turn().await else { return };
    let options = Options {
        prefix: "/two/writers".into(),
        ..turn.etcd.options()
    };
    let storages = [connect(options.clone()).await, connect(options).await];
    let first = commit(&storages[0], create("a/x", "0")).await.unwrap();
    let mut caches = Vec::new();
    for storage in &storages {
        caches.push(cache_of(storage).await);
    }
    let mut writers = tokio::task::JoinSet::new();
    for (number, storage) in storages.iter().enumerate() {
        let storage = Arc::clone(storage);
        writers.spawn(async move {
            let (mut at, mut won) = (first, Vec::new());
            while won.len() < STEPS {
                let color = format!("{number}-{}", won.len());
                match commit(&storage, put("a/x", &color, Expected::At(at))).await {
                    Ok(revision) => {
                        won.push(revision);
                        at = revision;
                    }
                    Err(StorageError::Conflict { actual, .. }) => at = actual.unwrap().revision,
                    Err(err) => panic!("{err}"),
                }
            }
            won
        });
    }
    let mut won: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    won.sort_unstable();
    let last = *won.last().unwrap();
    won.dedup();
    assert_eq!(won.len(), 2 * STEPS, "a revision was given twice");
    let mut told = Vec::new();
    for (storage, cache) in storages.iter().zip(&caches) {
        assert!(refreshed(storage).await >= last);
        let mut watcher = cache.watch_after(first).unwrap();
        let events = watcher.next().await.unwrap();
        told.push(events.iter().map(|it| show_event(it)).collect::<Vec<_>>());
    }
    assert_eq!(told[0], told[1], "both tell the same, in the same order");
    assert_eq!(told[0].len(), won.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_starts_later_knows_of_the_time_before() {
    let Some(turn) = turn().await else { return };
    let options = Options {
        prefix: "/history".into(),
        ..turn.etcd.options()
    };
    let before = connect(options.clone()).await;
    let r1 = commit(&before, create("a/x", "1")).await.unwrap();
    let r2 = commit(&before, put("a/x", "2", Expected::At(r1)))
        .await
        .unwrap();
    let r3 = commit(&before, delete("a/x", Expected::At(r2)))
        .await
        .unwrap();
    before.close().await;

    let cache = cache_of(&connect(options).await).await;
    let mut watcher = cache.watch_after(r1).unwrap();
    let events = watcher.next().await.unwrap();
    let told: Vec<_> = events.iter().map(|it| show_event(it)).collect();
    let expected = [
        format!("{r2}: a/x=2@{r2} <- a/x=1@{r1}"),
        format!("{r3}: - <- a/x=2@{r2}"),
    ];
    assert_eq!(told, expected);
}

/// 3,000 objects of a kilobyte take more than one page; each is at its own revision.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_many_objects_in_pages_of_one_revision() {
    let Some(turn) = turn().await else { return };
    let options = Options {
        prefix: "/pages".into(),
        ..turn.etcd.options()
    };
    let storage = connect(options).await;
    let large = "x".repeat(1_000);
    for part in 0..30 {
        let names = (0..100).map(|it| format!("a/n{part:02}-{it:02}"));
        let writes = names.map(|it| create(&it, &large)).collect();
        storage.commit(&context(), writes).await.unwrap();
    }
    assert_eq!(
        cache_of(&storage)
            .await
            .snapshot()
            .range(PREFIX, "")
            .count(),
        3_000
    );
    let start = key("a/n07-50");
    let some = storage.list(PREFIX, &start, 1_200).await.unwrap();
    assert_eq!(some.len(), 1_200);
    assert_eq!((&some[0].key, &some[1_199].key), (&start, &key("a/n19-49")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_too_large_for_etcd_says_what_to_raise() {
    let Some(turn) = turn().await else { return };
    let options = Options {
        prefix: "/large".into(),
        ..turn.etcd.options()
    };
    let storage = connect(options).await;
    let many = |count: usize| {
        (0..count)
            .map(|it| create(&format!("a/n{it}"), "red"))
            .collect()
    };
    let large = vec![create("a/x", &"x".repeat(2_000_000))];
    for (writes, flag) in [(many(128), "--max-txn-ops"), (large, "--max-request-bytes")] {
        let refused = storage.commit(&context(), writes).await.unwrap_err();
        let StorageError::Refused(status) = refused else {
            panic!("{refused}");
        };
        assert_eq!(status.code, 413);
        assert!(status.message.contains(flag), "{}", status.message);
    }
    assert_eq!(storage.list(PREFIX, "", 10).await.unwrap(), []);
    storage.commit(&context(), many(127)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_begins_after_the_revisions_of_the_store_it_came_from() {
    let Some(turn) = turn().await else { return };
    let options = Options {
        prefix: "/import".into(),
        ..turn.etcd.options()
    };
    let record = |key: Key, text: &str| Item {
        record: record("a/n", text),
        revision: Revision(0),
        key,
    };
    let mut records: Vec<Item> = (0..250)
        .map(|it| record(key(&format!("a/n{it:03}")), &it.to_string()))
        .collect();
    records.insert(120, record("control/schemas/g/anchors".into(), "note"));
    let mut tally = Tally::default();
    records.iter().for_each(|it| tally.add(it));
    let missing = EtcdStorage::connect_existing(options.clone()).await;
    let missing = missing.err().unwrap().to_string();
    assert!(missing.contains("no store below /import/"), "{missing}");
    let after = Revision(5_000_000);
    let mut import = Import::begin(options.clone(), after).await.unwrap();
    import.put(&records).await.unwrap();
    let early = EtcdStorage::connect(options.clone()).await.err().unwrap();
    assert!(early.to_string().contains("was cut off"), "{early}");
    assert!(import.finish(&tally).await.unwrap() > after);
    let storage = EtcdStorage::connect_existing(options.clone())
        .await
        .unwrap();
    let items = storage.list(PREFIX, "", 1_000).await.unwrap();
    assert!(items.iter().all(|it| it.revision > after));
    let note = records.remove(120);
    let noted = storage.get(&note.key).await.unwrap().unwrap().revision;
    let before = items.iter().filter(|it| it.revision < noted).count();
    let behind = items.iter().filter(|it| it.revision > noted).count();
    assert_eq!((before, behind), (120, 130));
    let found = items.into_iter().map(|it| (it.key, it.record));
    let put = records.into_iter().map(|it| (it.key, it.record));
    assert!(found.eq(put));
    let next = commit(&storage, delete("a/n000", Expected::Anything))
        .await
        .unwrap();
    assert!(next > after);
    let again = Import::begin(options, after).await.err().unwrap();
    assert!(
        again
            .to_string()
            .contains("there is a store below /import/"),
        "{again}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_write_below_the_prefix_can_be_deleted() {
    let Some(turn) = turn().await else { return };
    let options = Options {
        prefix: "/garbage".into(),
        ..turn.etcd.options()
    };
    let storage = connect(options).await;
    let cache = cache_of(&storage).await;
    let written = key("a/garbage");
    let shared = &storage.shared;
    let request = proto::TxnRequest {
        success: vec![
            proto::Operation::Put(proto::PutRequest {
                key: shared.key(&written),
                value: "no JSON".into(),
            })
            .into(),
        ],
        ..Default::default()
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    shared.client.txn(request, deadline).await.unwrap();
    refreshed(&storage).await;
    assert!(cache.get(&written).is_some());
    let item = storage.get(&written).await.unwrap().unwrap();
    assert_eq!(item.record.bytes, "no JSON");
    commit(&storage, delete("a/garbage", Expected::At(item.revision)))
        .await
        .unwrap();
    assert!(cache.get(&written).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compacts_an_etcd_that_is_its_own() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    let storage = connect(Options {
        compaction_interval: Some(Duration::from_millis(50)),
        ..etcd.options()
    })
    .await;
    let first = commit(&storage, create("a/x", "1")).await.unwrap();
    let at = storage.shared.state().etcd(first).unwrap();
    until("the first revision to be compacted", async || {
        commit(&storage, put("a/x", "2", Expected::Anything))
            .await
            .unwrap();
        let request = proto::RangeRequest {
            key: storage.shared.key("x"),
            revision: at,
            ..Default::default()
        };
        let answer = storage.shared.client.range_once(request).await;
        answer
            .is_err_and(|it| it.effect == failure::Effect::Compacted)
            .then_some(())
    })
    .await;
    assert_eq!(storage.trouble(), None);
}
