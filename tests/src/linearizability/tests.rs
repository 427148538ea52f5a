//! The judge must find what is planted, and nothing in a history that is sound.

use super::*;

/// Two clients on two keys: concurrent reads, refusals, and writes that nobody knows of.
fn sound() -> History {
    let mut history = History::default();
    let mut add = |asked, answered, action, outcome| {
        history.operations.push(Operation {
            asked,
            answered,
            action,
            outcome,
        });
    };
    let a = || "a".to_owned();
    let create = |key: &str, value| Action::Create {
        key: key.into(),
        value,
    };
    let update = |of, value| Action::Update {
        key: a(),
        of,
        value,
    };
    let get = || Action::Get { key: a() };
    let written = |revision| Outcome::Written { revision };
    let found = |revision, value| Outcome::Found { revision, value };
    add(1, 2, get(), Outcome::NotFound);
    add(3, 6, create("a", 1), written(10));
    // While it is created it may be seen or not.
    add(4, 5, get(), Outcome::NotFound);
    add(4, 5, get(), found(10, 1));
    add(7, 8, create("a", 2), Outcome::Conflict);
    add(9, 10, update(10, 3), written(12));
    add(9, 11, update(10, 4), Outcome::Conflict);
    add(12, 13, update(10, 5), Outcome::Conflict);
    add(12, 0, update(12, 6), Outcome::Unknown);
    add(12, 0, create("b", 7), Outcome::Unknown);
    add(14, 15, get(), found(13, 6));
    let items = [(a(), (13, 6))];
    let listed = |revision, items: &[(String, (u64, Value))]| Outcome::Listed {
        revision,
        items: items.iter().cloned().collect(),
    };
    add(16, 17, Action::List, listed(13, &items));
    let patch = Action::Patch { key: a(), value: 8 };
    add(18, 21, patch, written(15));
    add(19, 20, get(), found(15, 8));
    let delete = Action::Delete { key: a(), of: 15 };
    add(22, 23, delete.clone(), Outcome::Deleted);
    add(22, 24, delete, Outcome::NotFound);
    add(25, 26, create("a", 9), written(20));
    add(27, 0, Action::Delete { key: a(), of: 20 }, Outcome::Unknown);
    add(28, 29, get(), Outcome::NotFound);
    add(30, 31, Action::List, listed(25, &[]));
    for (revision, change) in [
        (10, Change::Added(1)),
        (12, Change::Modified(3)),
        (13, Change::Modified(6)),
        (15, Change::Modified(8)),
        (17, Change::Deleted),
        (20, Change::Added(9)),
        (22, Change::Deleted),
    ] {
        let key = a();
        history.events.push(Event {
            revision,
            key,
            change,
        });
    }
    history
}

#[track_caller]
fn check(kind: &str, plant: impl FnOnce(&mut History)) {
    let mut history = sound();
    plant(&mut history);
    let verdict = judge(&history);
    assert!(
        verdict.iter().any(|it| it.starts_with(kind)),
        "{kind} in {verdict:#?}"
    );
}

/// The one operation that was asked and answered so.
fn of(history: &mut History, asked: u64, answered: u64) -> &mut Operation {
    let mut found = history.operations.iter_mut();
    let found = found.rfind(|it| it.asked == asked && it.answered == answered);
    found.expect("an operation")
}

#[test]
fn acquits_a_sound_history() {
    assert_eq!(judge(&sound()), Vec::<String>::new());
    assert_eq!(judge(&History::default()), Vec::<String>::new());
}

#[test]
fn finds_a_lost_acknowledgement() {
    check("lost", |it| {
        it.operations.push(Operation {
            asked: 32,
            answered: 33,
            action: Action::Create {
                key: "b".into(),
                value: 10,
            },
            outcome: Outcome::Written { revision: 30 },
        });
    });
    check("lost", |it| {
        it.events.truncate(6);
        of(it, 27, 0).outcome = Outcome::Deleted;
    });
}

#[test]
fn finds_a_stale_read() {
    // The update to 12 was answered before.
    check("stale", |it| {
        of(it, 14, 15).outcome = Outcome::Found {
            revision: 10,
            value: 1,
        };
    });
    check("stale", |it| {
        of(it, 16, 17).outcome = Outcome::Listed {
            revision: 12,
            items: [("a".to_owned(), (12, 3))].into(),
        };
    });
    // Another client was told already that it is gone.
    check("stale", |it| {
        let mut late = of(it, 28, 29).clone();
        (late.asked, late.answered) = (32, 33);
        late.outcome = Outcome::Found {
            revision: 20,
            value: 9,
        };
        it.operations.push(late);
    });
}

#[test]
fn finds_reads_that_go_back() {
    // One client has read 15, another one reads 13 later, while 15 is still being written.
    check("stale", |it| {
        of(it, 18, 21).answered = 40;
        it.operations.push(Operation {
            asked: 21,
            answered: 21,
            action: Action::Get { key: "a".into() },
            outcome: Outcome::Found {
                revision: 13,
                value: 6,
            },
        });
    });
}

#[test]
fn finds_a_read_of_what_was_not_written_yet() {
    check("stale", |it| {
        of(it, 1, 2).outcome = Outcome::Found {
            revision: 20,
            value: 9,
        };
    });
}

#[test]
fn finds_a_reused_revision() {
    check("reused", |it| {
        of(it, 9, 10).outcome = Outcome::Written { revision: 10 }
    });
    check("reused", |it| it.events[2].revision = 12);
    check("reused", |it| it.events[2].revision = 3);
}

#[test]
fn finds_a_write_that_was_done_twice() {
    check("twice", |it| {
        it.events.push(Event {
            revision: 26,
            key: "a".into(),
            change: Change::Added(9),
        });
    });
    check("twice", |it| of(it, 22, 24).outcome = Outcome::Deleted);
}

#[test]
fn finds_a_missed_event() {
    for index in 0..7 {
        let mut history = sound();
        history.events.remove(index);
        let verdict = judge(&history);
        assert!(!verdict.is_empty(), "without event {index}");
    }
    check("missed", |it| drop(it.events.remove(4)));
}

#[test]
fn finds_writes_that_go_back_in_time() {
    // Asked after 20 was answered, done at 15.
    check("stale", |it| {
        (of(it, 18, 21).asked, of(it, 27, 0).asked) = (27, 27)
    });
    check("stale", |it| {
        let patch = of(it, 18, 21);
        (patch.asked, patch.answered) = (40, 41);
    });
}

#[test]
fn finds_a_condition_that_did_not_hold() {
    check("unconditional", |it| {
        of(it, 9, 10).action = Action::Update {
            key: "a".into(),
            of: 9,
            value: 3,
        };
    });
    check("unconditional", |it| {
        of(it, 9, 10).action = Action::Create {
            key: "a".into(),
            value: 3,
        };
    });
    // One that nobody knows of is judged, too.
    check("unconditional", |it| {
        let unknown = it
            .operations
            .iter_mut()
            .find(|it| it.action.value() == Some(6));
        let unknown = unknown.expect("an operation");
        unknown.action = Action::Update {
            key: "a".into(),
            of: 10,
            value: 6,
        };
    });
}

#[test]
fn finds_what_was_refused_and_done() {
    check("refused", |it| of(it, 9, 10).outcome = Outcome::Conflict);
    // It was at 12 all the time, from before it was asked.
    check("refused", |it| {
        it.operations.push(Operation {
            asked: 32,
            answered: 33,
            action: Action::Create {
                key: "a".into(),
                value: 11,
            },
            outcome: Outcome::Conflict,
        });
    });
}

#[test]
fn finds_what_nobody_asked_for() {
    check("invented", |it| {
        it.events.push(Event {
            revision: 26,
            key: "c".into(),
            change: Change::Added(99),
        });
    });
    check("invented", |it| {
        it.operations.retain(|it| it.asked != 27);
    });
    // Nobody knows what became of it, but it was asked for when the object was gone.
    check("invented", |it| of(it, 27, 0).asked = 30);
}
