//! How a strategic merge patch merges fields: by `x-kubernetes-patch-strategy` and `x-kubernetes-patch-merge-key` of
//! their schemas, and in metadata as the tags of ObjectMeta say (k8s.io/apimachinery, pkg/util/strategicpatch/meta.go).

use super::compile::{Additional, Node};

/// What is known of the fields of an object.
#[derive(Debug, Clone, Copy)]
pub struct PatchMeta<'a>(Kind<'a>);

#[derive(Debug, Clone, Copy)]
enum Kind<'a> {
    Object(&'a Node),
    Node(&'a Node),
    ObjectMeta,
    /// Nothing in it has a strategy.
    Plain,
}

/// How the value of a field is merged, and what is known of what is in it: of its fields, or of its items.
#[derive(Debug, Clone, Copy)]
pub struct Merging<'a> {
    pub below: PatchMeta<'a>,
    /// Of several strategies all but `retainKeys`; empty where there is none.
    pub strategy: &'a str,
    pub merge_key: &'a str,
}

impl<'a> PatchMeta<'a> {
    /// Nothing is known: objects are merged, lists replaced.
    pub const PLAIN: PatchMeta<'static> = PatchMeta(Kind::Plain);

    pub(super) fn of_object(root: &'a Node) -> Self {
        Self(Kind::Object(root))
    }

    /// The field of an object that holds an object.
    ///
    /// # Errors
    /// In apimachinery's words.
    pub fn of_map(self, field: &str) -> Result<Merging<'a>, String> {
        self.merging(field, |node| node)
    }

    /// The field of an object that holds a list; `below` is of its items.
    ///
    /// # Errors
    /// In apimachinery's words.
    pub fn of_list(self, field: &str) -> Result<Merging<'a>, String> {
        self.merging(field, |node| node.items.as_deref().unwrap_or(node))
    }

    fn merging(
        self,
        field: &str,
        inner: impl FnOnce(&'a Node) -> &'a Node,
    ) -> Result<Merging<'a>, String> {
        let node = match (self.0, field) {
            (Kind::Object(_), "metadata") => {
                return Ok(Merging {
                    below: Self(Kind::ObjectMeta),
                    strategy: "",
                    merge_key: "",
                });
            }
            (Kind::ObjectMeta, field) => return Ok(of_metadata(field)),
            (Kind::Plain, _) => return Ok(Merging::PLAIN),
            (Kind::Object(node) | Kind::Node(node), _) => node,
        };
        let Some(child) = node.field(field) else {
            if matches!(node.additional, Additional::Schema(_)) {
                return Err(
                    "merging an object in json but data type is not struct, instead is: map".into(),
                );
            }
            return Ok(Merging::PLAIN);
        };
        Ok(Merging {
            below: Self(Kind::Node(inner(child))),
            strategy: strategy(&child.patch.strategy)?,
            merge_key: &child.patch.merge_key,
        })
    }
}

impl Merging<'_> {
    const PLAIN: Merging<'static> = Merging {
        below: PatchMeta::PLAIN,
        strategy: "",
        merge_key: "",
    };
}

fn of_metadata(field: &str) -> Merging<'static> {
    let (strategy, merge_key) = match field {
        "finalizers" => ("merge", ""),
        "ownerReferences" => ("merge", "uid"),
        _ => ("", ""),
    };
    Merging {
        strategy,
        merge_key,
        ..Merging::PLAIN
    }
}

fn strategy(strategies: &str) -> Result<&str, String> {
    const RETAIN_KEYS: &str = "retainKeys";
    let mut parts = strategies.split(',');
    match (parts.next(), parts.next(), parts.next()) {
        (None | Some(RETAIN_KEYS), None, None) => Ok(""),
        (Some(one), None, None)
        | (Some(RETAIN_KEYS), Some(one), None)
        | (Some(one), Some(RETAIN_KEYS), None) => Ok(one),
        _ => Err(format!(
            "unexpected patch strategy: [{}]",
            strategies.replace(',', " ")
        )),
    }
}
