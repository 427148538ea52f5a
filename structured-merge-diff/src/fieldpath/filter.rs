//! What keeps fields out of ownership: a status that only the status subresource may set, for instance.

use std::sync::Arc;

use super::{PathElement, Set};

/// Makes a smaller set of a set.
#[derive(Debug, Clone)]
pub enum Filter {
    /// Leaves these fields out, and all that is below them.
    Exclude(Set),
    /// Keeps only the fields that match.
    Include(SetMatcher),
}

impl Filter {
    /// What is left of the set.
    #[must_use]
    pub fn apply(&self, set: &Set) -> Set {
        match self {
            Self::Exclude(fields) => set.recursive_difference(fields),
            Self::Include(matcher) => set.matching(matcher),
        }
    }
}

/// One step of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElementMatcher {
    /// Any field, key, value or index.
    Any,
    /// This one.
    Is(PathElement),
}

impl ElementMatcher {
    fn matches(&self, element: &PathElement) -> bool {
        match self {
            Self::Any => true,
            Self::Is(it) => it == element,
        }
    }
}

/// A pattern of paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetMatcher {
    /// Everything from here on.
    Any,
    /// The steps that match here, each with the pattern for what is below. The first that matches counts.
    Members(Vec<(ElementMatcher, SetMatcher)>),
}

impl SetMatcher {
    /// Matches the path, all that is below it, and the fields that lead to it.
    #[must_use]
    pub fn prefix(path: impl IntoIterator<Item = ElementMatcher>) -> Self {
        let mut steps: Vec<_> = path.into_iter().collect();
        let mut matcher = Self::Any;
        while let Some(step) = steps.pop() {
            matcher = Self::Members(vec![(step, matcher)]);
        }
        matcher
    }

    /// Matches what either matches. `Any` steps come first, and so hide the others of their level.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let (Self::Members(left), Self::Members(right)) = (self, other) else {
            return Self::Any;
        };
        let mut merged = left.clone();
        for (step, below) in right {
            // Two `Any` steps stay apart, as upstream: the one of `self` counts.
            let same = left
                .iter()
                .position(|(it, _)| *it != ElementMatcher::Any && it == step);
            match same {
                Some(at) => merged[at].1 = merged[at].1.merge(below),
                None => merged.push((step.clone(), below.clone())),
            }
        }
        merged.sort_by_key(|(step, _)| *step != ElementMatcher::Any);
        Self::Members(merged)
    }
}

impl Set {
    /// The fields of the set that match.
    #[must_use]
    pub fn matching(&self, matcher: &SetMatcher) -> Self {
        let SetMatcher::Members(steps) = matcher else {
            return self.clone();
        };
        let step_of = |element: &PathElement| steps.iter().find(|(it, _)| it.matches(element));
        let members = self.members.iter().filter(|it| step_of(it).is_some());
        let mut children = Vec::new();
        for (element, child) in &self.children {
            if let Some((_, below)) = step_of(element) {
                let child = child.matching(below);
                if !child.is_empty() {
                    children.push((element.clone(), Arc::new(child)));
                }
            }
        }
        Self {
            members: members.cloned().collect(),
            children,
        }
    }
}
