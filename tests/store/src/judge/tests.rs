//! The judge must find what is planted, and nothing in a history that is sound.

use super::*;

/// Two lives of a writer: the first ended in the middle of attempt 4, the second began by resuming the watch.
const SOUND: &str = "relisted 1
opened 1
tried 1 a=a1
done 1 2
saw 2 a=a1
tried 2 b=b1 c=c1
done 2 3
saw 3 b=b1 c=c1
tried 3 a=a2
saw 4 a=a2
done 3 4
tried 4 b=-
saw 5 b=-
opened 5
tried 5 a=-
done 5 6
saw 6 a=-
tried 6 a=a3
done 6 7
saw 7 a=a3
tried 7 c=c2";

fn journal(lines: &str) -> Journal {
    let entries = lines.lines().map(|it| it.parse().expect("an entry"));
    Journal {
        entries: entries.collect(),
    }
}

fn found(revision: u64, items: &str) -> Found {
    let relisted: Entry = format!("relisted {revision} {items}")
        .trim()
        .parse()
        .expect("items");
    match relisted {
        Entry::Relisted { revision, items } => Found { revision, items },
        other => panic!("{other}"),
    }
}

fn is_found() -> Found {
    found(7, "a=a3@7 c=c1@3")
}

#[track_caller]
fn check(journal: &Journal, found: &Found, kind: &str) {
    let verdict = judge(journal, found);
    assert!(
        verdict.iter().any(|it| it.starts_with(kind)),
        "{kind} in {verdict:#?}"
    );
}

#[test]
fn acquits_a_sound_history() {
    assert_eq!(judge(&journal(SOUND), &is_found()), Vec::<String>::new());
}

#[test]
fn acquits_a_write_that_was_made_and_not_acknowledged() {
    let seen = format!("{SOUND}\nsaw 8 c=c2");
    let found = found(8, "a=a3@7 c=c2@8");
    assert_eq!(judge(&journal(&seen), &found), Vec::<String>::new());
}

#[test]
fn finds_a_lost_acknowledgement() {
    check(&journal(SOUND), &found(7, "c=c1@3"), "lost");
    check(&journal(SOUND), &found(6, "a=a1@2 c=c1@3"), "lost");
    // Also where nobody watches.
    let unwatched: Vec<_> = SOUND.lines().filter(|it| !it.starts_with("saw")).collect();
    let mut unwatched = journal(&unwatched.join("\n"));
    unwatched.entries.remove(0);
    assert_eq!(judge(&unwatched, &is_found()), Vec::<String>::new());
    check(&unwatched, &found(7, "a=a2@4 c=c1@3"), "lost");
    check(&unwatched, &found(7, "a=a3@7"), "lost");
    check(&unwatched, &found(5, "a=a3@7 c=c1@3"), "lost");
}

#[test]
fn finds_half_of_a_commit() {
    let half = journal("opened 1\ntried 1 a=a1 b=b1\ndone 1 2");
    check(&half, &found(2, "a=a1@2"), "lost");
}

#[test]
fn finds_a_deleted_object_that_is_back() {
    check(&journal(SOUND), &found(7, "a=a3@7 b=b1@3 c=c1@3"), "missed");
    let back = journal("opened 1\ntried 1 a=a1\ndone 1 2\ntried 2 a=-\ndone 2 3");
    check(&back, &found(3, "a=a1@2"), "lost");
}

#[test]
fn finds_what_nobody_wrote() {
    check(
        &journal(SOUND),
        &found(7, "a=a3@7 c=c1@3 d=d@7"),
        "invented",
    );
    check(&journal(SOUND), &found(7, "a=a9@7 c=c1@3"), "lost");
}

#[test]
fn finds_a_reused_revision() {
    check(
        &journal(&SOUND.replace("done 6 7", "done 6 4")),
        &is_found(),
        "reused",
    );
    check(
        &journal(&SOUND.replace("done 5 6", "done 5 5")),
        &is_found(),
        "reused",
    );
    check(
        &journal(&SOUND.replace("opened 5", "opened 3")),
        &is_found(),
        "reused",
    );
    check(
        &journal(&SOUND.replace("saw 3 b=b1 c=c1", "saw 3 b=b1 c=c9")),
        &is_found(),
        "reused",
    );
    check(&journal(SOUND), &found(7, "a=a2@7 c=c1@3"), "reused");
}

#[test]
fn finds_a_missed_event() {
    let half = SOUND.replace("saw 3 b=b1 c=c1", "saw 3 b=b1");
    check(&journal(&half), &is_found(), "missed");
    for gone in ["saw 2 a=a1\n", "saw 6 a=-\n", "saw 5 b=-\n"] {
        check(&journal(&SOUND.replace(gone, "")), &is_found(), "missed");
    }
}

#[test]
fn finds_events_out_of_order() {
    let swapped = SOUND
        .replace("saw 6 a=-\n", "")
        .replace("saw 7 a=a3", "saw 7 a=a3\nsaw 6 a=-");
    check(&journal(&swapped), &is_found(), "out of order");
}

#[test]
fn does_not_ask_for_events_before_a_relist() {
    let relisted = format!(
        "{}\nrelisted 7 a=a3@7 c=c1@3",
        SOUND.replace("saw 6 a=-\n", "")
    );
    check(&journal(&relisted), &is_found(), "missed");
    let relisted = SOUND
        .replace("saw 6 a=-\n", "")
        .replace("saw 7 a=a3", "relisted 7 a=a3@7 c=c1@3");
    assert_eq!(
        judge(&journal(&relisted), &is_found()),
        Vec::<String>::new()
    );
}
