//! The bytes of a `fieldsV1`.

use structured_merge_diff::fieldpath::Set;

/// A set that is read is written as one that reads the same, and set operations keep to their laws.
pub fn run(data: &[u8]) {
    let Ok(set) = Set::from_json(data) else {
        return;
    };
    let text = set.to_json();
    let again = Set::from_json(text.as_bytes()).expect("what was written can be read");
    assert_eq!(again.to_json(), text, "another set is read than written");
    assert_eq!(set.len(), set.paths().len());
    assert_eq!(set.union(&again), set);
    assert!(set.difference(&again).is_empty(), "a set without itself");
    for path in set.paths() {
        assert!(set.has(&path), "{path:?} is listed and not there");
    }
}
