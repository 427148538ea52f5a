//! Label and field selectors: a byte that chooses, then the selector.

use outrigger::registry::definition::{ObjectModel, SelectableField};
use outrigger::registry::selectors::{FieldSelector, KnownFields, LabelSelector};
use outrigger::storage::watch_cache::Attributes;

/// What can be read can be asked, twice with the same answer.
pub fn run(data: &[u8]) {
    let Some((choice, rest)) = crate::choice(data) else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    if choice % 3 == 0 {
        labels(text);
    } else {
        fields(text, choice % 3 == 1);
    }
}

fn labels(text: &str) {
    let Ok(selector) = LabelSelector::parse(text) else {
        return;
    };
    assert_eq!(LabelSelector::parse(text).as_ref(), Ok(&selector));
    let labels = [("a", "b"), ("app", "x"), ("n", "7")];
    for labels in [&labels[..], &labels[..1], &[]] {
        let attributes = Attributes::new(labels.iter().copied(), [], 0..0);
        let is_selected = selector.matches(attributes.labels());
        assert!(is_selected || !selector.is_empty());
    }
}

fn fields(text: &str, is_typed: bool) {
    let selectable = [SelectableField {
        json_path: ".spec.color".into(),
    }];
    let known = KnownFields {
        object_model: if is_typed {
            ObjectModel::Typed
        } else {
            ObjectModel::Custom
        },
        is_namespaced: true,
        selectable: &selectable,
    };
    let parsed = FieldSelector::parse(text).and_then(|terms| FieldSelector::of(terms, known));
    let Ok(selector) = parsed else {
        return;
    };
    let color = Attributes::new([], [("spec.color", "red")], 0..0);
    for name in ["a", "b", ""] {
        let is_selected = selector.matches("default", name, color.fields());
        assert!(is_selected || !selector.is_empty());
        if let Some(exact) = selector.exact_name() {
            assert!(
                !is_selected || exact == name,
                "{exact:?} is not the only name"
            );
        }
        if let Some(exact) = selector.exact_namespace() {
            assert!(
                !is_selected || exact == "default",
                "{exact:?} is not the only namespace"
            );
        }
    }
}
