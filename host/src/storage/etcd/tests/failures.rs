//! Members that end, lines that are cut, history that goes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goes_on_after_a_restart_of_etcd_without_a_gap() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    let storage = connect(etcd.options()).await;
    let cache = cache_of(&storage).await;
    let first = commit(&storage, create("a/x", "0")).await.unwrap();
    let mut watcher = cache.watch_after(first).unwrap();
    let mut revisions = Vec::new();
    for round in 0..3 {
        etcd.kill();
        let refused = storage.refresh(&context_of(2), scope()).await;
        assert!(
            matches!(refused, Err(StorageError::Unavailable(_))),
            "{refused:?}"
        );
        assert_eq!(shown(&cache).split('@').next(), Some("x"), "caches stay");
        etcd.resume();
        let color = format!("after {round}");
        let write = put("a/x", &color, Expected::Anything);
        revisions.push(commit(&storage, write).await.unwrap());
    }
    let mut told = Vec::new();
    while told.len() < revisions.len() {
        let events = watcher.next().await.unwrap();
        told.extend(events.iter().map(|it| it.revision));
    }
    assert_eq!(told, revisions);
    until("no trouble", async || {
        storage.trouble().is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uses_another_member_when_one_does_not_answer() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    let down = peer::free_port();
    let storage = connect(Options {
        servers: vec![format!("http://127.0.0.1:{down}"), etcd.url()],
        ..etcd.options()
    })
    .await;
    commit(&storage, create("a/x", "0")).await.unwrap();
    assert_eq!(storage.trouble(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_line_hides_nothing() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    let line = Line::to(&etcd).await;
    let far = connect(line.options()).await;
    let near = connect(etcd.options()).await;
    let cache = cache_of(&far).await;
    let first = commit(&near, create("a/x", "0")).await.unwrap();
    refreshed(&far).await;
    let mut watcher = cache.watch_after(first).unwrap();
    line.cut();
    let mut revisions = Vec::new();
    for step in 0..20 {
        let write = put("a/x", &format!("step {step}"), Expected::Anything);
        revisions.push(commit(&near, write).await.unwrap());
    }
    let trouble = until("the reason", async || far.trouble()).await;
    assert!(trouble.contains("etcd at http"), "{trouble}");
    line.mend();
    assert!(refreshed(&far).await >= revisions[19]);
    let events = watcher.next().await.unwrap();
    let told: Vec<_> = events.iter().map(|it| it.revision).collect();
    assert_eq!(told, revisions);
    until("no trouble", async || far.trouble().is_none().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_compacted_unseen_is_read_again_and_watchers_are_told() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    let line = Line::to(&etcd).await;
    let far = connect(line.options()).await;
    let near = connect(etcd.options()).await;
    let cache = cache_of(&far).await;
    commit(&near, create("a/gone", "0")).await.unwrap();
    let first = commit(&near, create("a/x", "0")).await.unwrap();
    refreshed(&far).await;
    let mut watcher = cache.watch_after(first).unwrap();
    line.cut();
    commit(&near, delete("a/gone", Expected::Anything))
        .await
        .unwrap();
    let last = commit(&near, put("a/x", "1", Expected::At(first)))
        .await
        .unwrap();
    let at = near.shared.state().etcd(last).unwrap();
    near.shared.client.compact(at).await.unwrap();
    line.mend();
    refreshed(&far).await;
    assert_eq!(shown(&cache), format!("x@{last}"));
    let ended = watcher.next().await.unwrap_err();
    assert!(
        matches!(ended, WatchEnd::Expired { oldest } if oldest >= last),
        "{ended:?}"
    );
    let expired = cache.watch_after(first).unwrap_err();
    assert!(
        matches!(expired, Expired { oldest } if oldest >= last),
        "{expired:?}"
    );
    // And it goes on from there.
    let mut watcher = cache.watch_after(far.current_revision()).unwrap();
    let next = commit(&near, create("a/y", "0")).await.unwrap();
    let events = watcher.next().await.unwrap();
    assert_eq!(events[0].revision, next);
}

/// The answer does not come back, and the line breaks: what was written is found, and not written again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_is_lost_is_found() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    let line = Line::to(&etcd).await;
    let far = connect(line.options()).await;
    let near = connect(etcd.options()).await;
    let first = commit(&near, create("a/x", "0")).await.unwrap();
    refreshed(&far).await;
    let writes = [
        create("a/new", "1"),
        put("a/x", "1", Expected::At(first)),
        delete("a/old", Expected::Anything),
    ];
    commit(&near, create("a/old", "0")).await.unwrap();
    for write in writes {
        let (of, is_delete) = (write.key.clone(), write.record.is_none());
        let before = near.get(&of).await.unwrap();
        // What the write looks at comes before its transaction, of which nothing is heard.
        let looked = far.get(&of).await.unwrap();
        assert_eq!(looked, before);
        let batch = Write {
            expected: before
                .as_ref()
                .map_or(Expected::Absent, |it| Expected::At(it.revision)),
            ..write
        };
        let writing = {
            let far = Arc::clone(&far);
            tokio::spawn(async move { commit(&far, batch).await })
        };
        let line = &line;
        until("the write to be in etcd", async || {
            line.mute();
            let now = near.get(&of).await.unwrap();
            if now != before {
                return Some(());
            }
            // The look had no answer: it is asked again.
            line.cut();
            line.mend();
            None
        })
        .await;
        line.cut();
        line.mend();
        let revision = writing.await.unwrap().unwrap();
        let now = near.get(&of).await.unwrap();
        match is_delete {
            true => assert_eq!(now, None),
            false => assert_eq!(now.unwrap().revision, revision, "it was written once"),
        }
    }
}

/// Somebody else has won meanwhile: it is said that the write was not done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_did_not_arrive_loses_to_another() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    let line = Line::to(&etcd).await;
    let far = connect(line.options()).await;
    let near = connect(etcd.options()).await;
    let first = commit(&near, create("a/x", "0")).await.unwrap();
    refreshed(&far).await;
    line.cut();
    let writing = {
        let far = Arc::clone(&far);
        tokio::spawn(async move { commit(&far, delete("a/x", Expected::At(first))).await })
    };
    let won = commit(&near, put("a/x", "1", Expected::At(first)))
        .await
        .unwrap();
    line.mend();
    let lost = writing.await.unwrap().unwrap_err();
    let StorageError::Conflict { actual, .. } = lost else {
        panic!("{lost}");
    };
    assert_eq!(actual.unwrap().revision, won);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_was_deleted_takes_no_writes() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    let storage = connect(etcd.options()).await;
    let first = commit(&storage, create("a/x", "0")).await.unwrap();
    let request = proto::TxnRequest {
        success: vec![
            proto::Operation::Delete(proto::DeleteRangeRequest {
                key: storage.shared.key(""),
                range_end: proto::end_of(&storage.shared.prefix),
            })
            .into(),
        ],
        ..Default::default()
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    storage.shared.client.txn(request, deadline).await.unwrap();
    let refused = commit(&storage, put("a/x", "1", Expected::At(first))).await;
    assert!(refused.is_err(), "{refused:?}");
    let refused = commit(&storage, create("a/y", "1")).await;
    assert!(refused.is_err(), "{refused:?}");
    let trouble = until("the reason", async || storage.trouble()).await;
    assert!(
        trouble.starts_with("the store below /outrigger/ in etcd is gone"),
        "{trouble}"
    );
}

/// etcd is full after about a hundred writes of 100 kB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_etcd_makes_it_read_only() {
    let Some(etcd) = Etcd::start(&["--quota-backend-bytes=8388608"]) else {
        return;
    };
    let storage = connect(etcd.options()).await;
    let large = "x".repeat(500_000);
    let mut refused = None;
    for step in 0..100 {
        match commit(&storage, create(&format!("a/n{step}"), &large)).await {
            Ok(_) => {}
            Err(err) => {
                refused = Some(err);
                break;
            }
        }
    }
    let refused = refused.unwrap();
    let StorageError::ReadOnly(text) = refused else {
        panic!("{refused}");
    };
    assert!(text.contains("is full (alarm NOSPACE)"), "{text}");
    assert_eq!(storage.trouble(), Some(text));
    let item = storage.get(&key("a/n0")).await.unwrap().unwrap();
    refreshed(&storage).await;
    // What frees space is taken.
    let gone = delete("a/n0", Expected::At(item.revision));
    commit(&storage, gone).await.unwrap();
    assert!(storage.get(&key("a/n0")).await.unwrap().is_none());
}

pub(super) fn scope() -> Scope<'static> {
    Scope {
        prefix: PREFIX,
        namespace: None,
        name: None,
    }
}

pub(super) fn context_of(seconds: u64) -> RequestContext {
    RequestContext::background("test", Instant::now() + Duration::from_secs(seconds))
}
