//! An etcd that is restored from a snapshot behind a running server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::failures::{context_of, scope};
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_went_back_is_neither_read_nor_written_until_it_is_mended() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    let storage = connect(etcd.options()).await;
    let cache = cache_of(&storage).await;
    let first = commit(&storage, create("a/x", "0")).await.unwrap();
    let old = etcd.snapshot();
    let last = commit(&storage, put("a/x", "1", Expected::At(first)));
    let last = last.await.unwrap();
    let new = etcd.snapshot();
    let mut watcher = cache.watch_after(last).unwrap();

    etcd.put_back(&old);
    // Without a pause: what comes before the feed has looked is not let through either.
    let refused = until("a write to be refused for good", async || {
        let written = commit(&storage, put("a/x", "2", Expected::Anything)).await;
        match written.expect_err("it must not be written") {
            StorageError::ReadOnly(text) => Some(text),
            _ => None,
        }
    });
    let text = refused.await;
    let expected = format!("etcd went back from revision {last} to ");
    assert!(text.starts_with(&expected), "{text}");
    let context = context_of(5);
    let read = storage.refresh(&context, scope()).await;
    assert!(is_about_that(&read, &expected), "{read:?}");
    let read = storage.get(&key("a/x")).await;
    assert!(is_about_that(&read, &expected), "{read:?}");
    let read = storage.list(PREFIX, "", 10).await;
    assert!(is_about_that(&read, &expected), "{read:?}");
    let sink: Arc<dyn Sink> = cache.clone();
    let attached = storage.attach(PREFIX, sink).await;
    assert!(is_about_that(&attached, &expected), "{attached:?}");
    assert_eq!(storage.trouble(), Some(text));
    assert_eq!(shown(&cache), format!("x@{last}"), "caches stay");

    etcd.put_back(&new);
    let now = until("it to be mended", async || {
        storage.refresh(&context_of(5), scope()).await.ok()
    });
    assert!(now.await >= last);
    let next = commit(&storage, put("a/x", "3", Expected::At(last)));
    let next = next.await.unwrap();
    let events = watcher.next().await.unwrap();
    let told: Vec<_> = events.iter().map(|it| it.revision).collect();
    assert_eq!(told, [next], "nothing was missed");
}

/// Others who use the same etcd have moved its revision past that of before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_has_another_past_is_read_again_and_watchers_are_told() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    let line = Line::to(&etcd).await;
    let far = connect(line.options()).await;
    let cache = cache_of(&far).await;
    commit(&far, create("a/gone", "0")).await.unwrap();
    let kept = commit(&far, create("a/x", "0")).await.unwrap();
    let old = etcd.snapshot();
    let gone = commit(&far, delete("a/gone", Expected::Anything)).await;
    let last = commit(&far, put("a/x", "1", Expected::At(kept))).await;
    let last = last.unwrap().max(gone.unwrap());
    let mut watcher = cache.watch_after(last).unwrap();

    line.cut();
    etcd.put_back(&old);
    let others = connect(Options {
        prefix: "/other".into(),
        ..etcd.options()
    })
    .await;
    while others.current_revision() <= last {
        let write = put(
            "a/x",
            &others.current_revision().to_string(),
            Expected::Anything,
        );
        commit(&others, write).await.unwrap();
    }
    line.mend();
    refreshed(&far).await;
    let names: Vec<_> = shown(&cache).split(' ').map(str::to_owned).collect();
    assert_eq!(names[1], format!("x@{kept}"), "{names:?}");
    assert!(names[0].starts_with("gone@"), "{names:?}");
    let ended = watcher.next().await.unwrap_err();
    assert!(matches!(ended, WatchEnd::Expired { .. }), "{ended:?}");
}

fn is_about_that<T>(result: &Result<T, StorageError>, expected: &str) -> bool {
    matches!(result, Err(StorageError::Unavailable(text)) if text.starts_with(expected))
}
