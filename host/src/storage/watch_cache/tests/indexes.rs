//! What an index selects is what a walk through all objects selects.

use super::*;
use crate::storage::watch_cache::index::{Attribute, Term};

fn label(value: &str) -> Term {
    Term {
        attribute: Attribute::Label("color".into()),
        value: value.into(),
    }
}

fn field(value: &str) -> Term {
    Term {
        attribute: Attribute::Field("spec.color".into()),
        value: value.into(),
    }
}

/// Narrows the snapshot by its own means and by a walk; whether there was an index for the term.
fn check_narrowed(cache: &WatchCache, snapshot: &Snapshot, term: &Term) -> bool {
    let mut narrowed = snapshot.clone();
    cache.narrow(&mut narrowed, std::slice::from_ref(term));
    for prefix in [PREFIX.to_owned(), format!("{PREFIX}ns1/")] {
        for start in [String::new(), format!("{PREFIX}ns1/n2")] {
            let shown = |it: &Arc<CachedObject>| format!("{}@{}", it.key, it.revision);
            let all = snapshot.range(&prefix, &start);
            let walked: Vec<_> = all.filter(|it| term.selects(it)).map(shown).collect();
            let found: Vec<_> = narrowed.range(&prefix, &start).map(shown).collect();
            if narrowed.is_narrowed() {
                assert_eq!(found, walked, "{term:?} at {}", snapshot.revision);
            }
        }
    }
    narrowed.is_narrowed()
}

#[test]
fn an_index_is_exact_at_every_revision() {
    let mut engine = Engine::start();
    let colors = ["red", "blue", "", "none", "re", "redd"];
    let mut random = 7_u64;
    let mut next = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % below
    };
    let mut past = Vec::new();
    let mut narrowed = 0;
    for step in 0..1500 {
        let name = format!("ns{}/n{}", next(3), next(20));
        let is_there = engine
            .items
            .contains_key(format!("{PREFIX}{name}").as_str());
        let index = usize::try_from(next(colors.len() as u64)).expect("small");
        let color = (!is_there || next(4) > 0).then_some(colors[index]);
        engine.commit(&[(&name, color)]);
        match step {
            200 => engine.cache.index(label("").attribute),
            300 => engine.cache.index(field("").attribute),
            _ => {}
        }
        past.push(engine.cache.snapshot());
        let at = usize::try_from(next(past.len() as u64)).expect("small");
        for snapshot in [&past[at], &engine.cache.snapshot()] {
            for color in colors {
                for term in [label(color), field(color)] {
                    narrowed += usize::from(check_narrowed(&engine.cache, snapshot, &term));
                }
            }
        }
    }
    assert!(
        narrowed > 10_000,
        "only {narrowed} were selected by an index"
    );
}

#[test]
fn an_index_that_nobody_reads_goes() {
    let mut engine = Engine::start();
    let is_kept = |engine: &Engine| {
        let mut snapshot = engine.cache.snapshot();
        engine.cache.narrow(&mut snapshot, &[label("red")]);
        snapshot.is_narrowed()
    };
    engine.cache.index(label("").attribute);
    for _ in 0..2 {
        for step in 0..4096 {
            engine.commit(&[("a/x", Some(if step % 2 == 0 { "red" } else { "blue" }))]);
        }
        assert!(is_kept(&engine));
    }
    for _ in 0..4097 {
        engine.commit(&[("a/x", Some("red"))]);
    }
    assert!(!is_kept(&engine));
}

#[test]
fn there_are_at_most_eight_indexes() {
    let engine = Engine::start();
    for number in 0..20 {
        let attribute = Attribute::Label(format!("l{number}").into());
        engine.cache.index(attribute.clone());
        engine.cache.index(attribute);
    }
    assert_eq!(engine.cache.read().indexes.count(), 8);
}

#[test]
fn an_index_is_wanted_once_long_walks_find_little_twice() {
    let engine = Engine::start();
    let wants = |name: &str, walked, found| {
        let attribute = Attribute::Label(name.into());
        engine.cache.wants_index(&attribute, walked, found)
    };
    for _ in 0..3 {
        assert!(!wants("few", 1023, 0), "a short walk");
        assert!(!wants("many", 10_000, 5_000), "found half of it");
    }
    assert!(!wants("a", 10_000, 10));
    assert!(!wants("b", 10_000, 10));
    assert!(wants("a", 10_000, 10));
    for number in 0..8 {
        assert!(!wants(&number.to_string(), 10_000, 10));
    }
    assert!(!wants("b", 10_000, 10), "that was long ago");
}
