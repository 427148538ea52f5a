//! A cluster of several members, of which one ends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

/// Of each server, while one member is away.
const WRITES: usize = 20;

/// The leader is one of those that are killed, whichever that is at the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_lose_nothing_while_each_member_in_turn_is_killed() {
    let Some(members) = Etcd::start_members() else {
        return;
    };
    let from = |first: usize| Options {
        servers: (0..3).map(|it| members[(first + it) % 3].url()).collect(),
        ..members[0].options()
    };
    let storages = [connect(from(0)).await, connect(from(1)).await];
    let first = commit(&storages[0], create("a/x", "0")).await.unwrap();
    let mut caches = Vec::new();
    for storage in &storages {
        assert!(refreshed(storage).await >= first);
        caches.push(cache_of(storage).await);
    }
    let mut written = Vec::new();
    for (round, member) in members.iter().enumerate() {
        let mut writers = tokio::task::JoinSet::new();
        for (number, storage) in storages.iter().enumerate() {
            let storage = Arc::clone(storage);
            writers.spawn(async move {
                let mut revisions = Vec::new();
                for step in 0..WRITES {
                    let color = format!("{round}-{number}-{step}");
                    let write = put("a/x", &color, Expected::Anything);
                    revisions.push(commit(&storage, write).await.unwrap());
                }
                revisions
            });
        }
        member.kill();
        written.extend(writers.join_all().await.into_iter().flatten());
        member.resume();
        // The others have no majority without it, if it is not there again before the next one goes.
        connect(member.options()).await.close().await;
    }
    written.sort_unstable();
    for (storage, cache) in storages.iter().zip(&caches) {
        assert!(refreshed(storage).await >= *written.last().unwrap());
        let mut watcher = cache.watch_after(first).unwrap();
        let events = watcher.next().await.unwrap();
        let told: Vec<_> = events.iter().map(|it| it.revision).collect();
        assert_eq!(told, written, "each write once, in order");
        until("no trouble", async || {
            storage.trouble().is_none().then_some(())
        })
        .await;
    }
}
