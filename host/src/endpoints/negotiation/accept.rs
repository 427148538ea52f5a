//! `Accept`: its clauses, and which of them counts first.

use std::borrow::Cow;

use http::{HeaderMap, header};

/// One clause of an Accept header.
pub(super) struct Clause<'a> {
    pub(super) main: &'a str,
    pub(super) sub: &'a str,
    /// 1 where it is not said. 0 is a wish like any other, the last one.
    quality: f32,
    /// In order: of two with the same name the last counts.
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Clause<'a> {
    pub(super) fn parameter(&self, name: &str) -> &'a str {
        let mut found = self.parameters.iter().rev();
        found.find(|it| it.0 == name).map_or("", |it| it.1)
    }

    /// Go's order of clauses (github.com/munnerz/goautoneg), which is none: an exact type goes before a wild
    /// card even where it is wanted less.
    fn is_before(&self, other: &Self) -> bool {
        self.quality > other.quality
            || self.main != "*" && other.main == "*"
            || self.sub != "*" && other.sub == "*"
    }
}

/// The first Accept header; further ones do not count.
pub(in crate::endpoints) fn accept_header(headers: &HeaderMap) -> Cow<'_, str> {
    headers.get(header::ACCEPT).map_or(Cow::Borrowed(""), |it| {
        String::from_utf8_lossy(it.as_bytes())
    })
}

/// The clauses that can be read, the most wanted first.
pub(super) fn parse(header: &str) -> Vec<Clause<'_>> {
    /// Up to so many clauses Go's sort.Sort inserts one after another, and what comes of an order that is none
    /// is what the insertions make of it.
    const INSERTED: usize = 12;
    let mut clauses: Vec<Clause<'_>> = header.split(',').filter_map(parse_clause).collect();
    if clauses.len() > INSERTED {
        clauses.sort_by(|a, b| {
            let wild = |it: &Clause<'_>| (it.main == "*", it.sub == "*");
            b.quality
                .total_cmp(&a.quality)
                .then_with(|| wild(a).cmp(&wild(b)))
        });
        return clauses;
    }
    for end in 1..clauses.len() {
        let mut at = end;
        while at > 0 && clauses[at].is_before(&clauses[at - 1]) {
            clauses.swap(at, at - 1);
            at -= 1;
        }
    }
    clauses
}

/// Only spaces are white here.
fn parse_clause(clause: &str) -> Option<Clause<'_>> {
    let mut parts = clause.trim_matches(' ').split(';');
    let media = parts.next()?;
    let (main, sub) = media.split_once('/').unwrap_or((media, ""));
    let main = main.trim_matches(' ');
    let sub = match sub.split_once('/') {
        None if sub.is_empty() && main == "*" => "*",
        None if sub.is_empty() => return None,
        None => sub,
        Some((sub, "")) => sub,
        Some(_) => return None,
    };
    let mut quality = 1.0;
    let mut parameters = Vec::new();
    for (key, value) in parts.filter_map(|it| it.split_once('=')) {
        let value = match value.split_once('=') {
            None if !value.is_empty() => value,
            Some((value, "")) => value,
            _ => continue,
        };
        match key.trim_matches(' ') {
            "q" => quality = value.parse().unwrap_or(0.0),
            key => parameters.push((key, value.trim_matches(' '))),
        }
    }
    let sub = sub.trim_matches(' ');
    Some(Clause {
        main,
        sub,
        quality,
        parameters,
    })
}
