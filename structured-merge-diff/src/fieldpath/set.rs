//! Sets of fields: a tree whose subtrees are shared.

use std::fmt;
use std::sync::Arc;

use super::{Path, PathElement};

/// A set of fields of an object.
///
/// That a field is in the set says nothing of its parents or its children. Copies are cheap: they share subtrees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    /// The fields at this level, sorted.
    pub(crate) members: Vec<PathElement>,
    /// What is in the set below the fields of this level, sorted. A field here need not be a member.
    pub(crate) children: Vec<Child>,
}

/// A field that has fields of the set below it.
pub(crate) type Child = (PathElement, Arc<Set>);

impl Set {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field, and not its parents. The empty path is the whole object, which nobody owns: it is not added.
    pub fn insert(&mut self, path: &Path) {
        self.insert_elements(&path.0);
    }

    fn insert_elements(&mut self, elements: &[PathElement]) {
        match elements {
            [] => {}
            [last] => self.insert_member(last.clone()),
            [first, rest @ ..] => self.child_mut(first).insert_elements(rest),
        }
    }

    /// Adds a field of this level.
    pub(crate) fn insert_member(&mut self, element: PathElement) {
        if let Err(at) = search(&self.members, &element, |it| it) {
            self.members.insert(at, element);
        }
    }

    /// Adds what is below a field of this level, if there is something.
    pub(crate) fn insert_child(&mut self, element: PathElement, child: Self) {
        if child.is_empty() {
            return;
        }
        match search(&self.children, &element, |(it, _)| it) {
            Ok(at) => {
                let union = self.children[at].1.union(&child);
                self.children[at].1 = Arc::new(union);
            }
            Err(at) => self.children.insert(at, (element, Arc::new(child))),
        }
    }

    /// Sets what is below a field of this level.
    pub(crate) fn replace_child(&mut self, element: PathElement, child: Self) {
        match search(&self.children, &element, |(it, _)| it) {
            Ok(at) => self.children[at].1 = Arc::new(child),
            Err(at) => self.children.insert(at, (element, Arc::new(child))),
        }
    }

    fn child_mut(&mut self, element: &PathElement) -> &mut Self {
        let at = match search(&self.children, element, |(it, _)| it) {
            Ok(at) => at,
            Err(at) => {
                let child = (element.clone(), Arc::default());
                self.children.insert(at, child);
                at
            }
        };
        Arc::make_mut(&mut self.children[at].1)
    }

    /// Whether the field is in the set.
    #[must_use]
    pub fn has(&self, path: &Path) -> bool {
        let Some((last, parents)) = path.0.split_last() else {
            return false;
        };
        let mut set = self;
        for parent in parents {
            match set.child(parent) {
                Some(child) => set = child,
                None => return false,
            }
        }
        set.has_member(last)
    }

    /// Whether a field of this level is in the set.
    #[must_use]
    pub fn has_member(&self, element: &PathElement) -> bool {
        search(&self.members, element, |it| it).is_ok()
    }

    /// What is in the set below a field of this level.
    #[must_use]
    pub fn child(&self, element: &PathElement) -> Option<&Self> {
        search(&self.children, element, |(it, _)| it)
            .ok()
            .map(|at| &*self.children[at].1)
    }

    /// What is in the set below a field of this level, and is not empty.
    pub(crate) fn with_prefix(&self, element: &PathElement) -> Option<&Self> {
        self.child(element).filter(|it| !it.is_empty())
    }

    /// The fields of this level, in order.
    #[must_use]
    pub fn members(&self) -> &[PathElement] {
        &self.members
    }

    /// The fields of this level that have fields of the set below them, in order, with these.
    pub fn children(&self) -> impl Iterator<Item = (&PathElement, &Self)> {
        self.children.iter().map(|(element, set)| (element, &**set))
    }

    /// How many fields are in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        let below: usize = self.children.iter().map(|(_, it)| it.len()).sum();
        self.members.len() + below
    }

    /// Whether no field is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.iter().all(|(_, it)| it.is_empty())
    }

    /// As [`Set::is_empty`], of sets that keep no empty children: nothing below is looked at.
    pub(crate) fn has_nothing(&self) -> bool {
        self.members.is_empty() && self.children.is_empty()
    }

    /// Calls back for each field of the set: those of a level before what is below them.
    pub fn for_each(&self, mut callback: impl FnMut(&Path)) {
        self.for_each_below(&mut Path::default(), &mut callback);
    }

    fn for_each_below(&self, prefix: &mut Path, callback: &mut impl FnMut(&Path)) {
        for member in &self.members {
            prefix.0.push(member.clone());
            callback(prefix);
            prefix.0.pop();
        }
        for (element, child) in &self.children {
            prefix.0.push(element.clone());
            child.for_each_below(prefix, callback);
            prefix.0.pop();
        }
    }

    /// The fields of the set, in the order of [`for_each`](Self::for_each).
    #[must_use]
    pub fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        self.for_each(|path| paths.push(path.clone()));
        paths
    }
}

/// Finds a field among sorted ones. Mostly what is searched for comes after all that is there.
pub(crate) fn search<T>(
    sorted: &[T],
    element: &PathElement,
    of: impl Fn(&T) -> &PathElement,
) -> Result<usize, usize> {
    match sorted.last() {
        Some(last) if of(last) < element => Err(sorted.len()),
        _ => sorted.binary_search_by(|it| of(it).cmp(element)),
    }
}

impl FromIterator<Path> for Set {
    fn from_iter<I: IntoIterator<Item = Path>>(paths: I) -> Self {
        let mut set = Self::new();
        for path in paths {
            set.insert(&path);
        }
        set
    }
}

/// A path on each line.
impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.paths().iter().map(Path::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}
