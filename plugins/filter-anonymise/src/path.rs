//! Paths of members.

use couchcopy_plugin::json::Step;

/// The most steps of a path: the steps that match so far are bits of a number.
const LONGEST: usize = 60;

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// The member with this name, or the element with this number.
    Name(String),
    /// Any one member or element.
    One,
    /// Any number of them.
    Any,
}

/// Paths that the user gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Paths(Vec<Vec<Part>>);

impl Paths {
    /// Reads paths: names with dots between them; `\.` is a dot in a name.
    pub(crate) fn parse(texts: &[String]) -> Result<Self, String> {
        texts.iter().map(|text| parse(text)).collect::<Result<_, _>>().map(Self)
    }
}

fn parse(text: &str) -> Result<Vec<Part>, String> {
    let mut names = vec![String::new()];
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '.' => names.push(String::new()),
            '\\' => names.last_mut().map(|name| name.extend(characters.next())).unwrap_or_default(),
            c => names.last_mut().map(|name| name.push(c)).unwrap_or_default(),
        }
    }
    if names.len() > LONGEST {
        return Err(format!("the path `{text}` has more than {LONGEST} steps"));
    }
    if names.iter().any(String::is_empty) {
        return Err(format!("`{text}` is no path: a name is empty"));
    }
    if names[0].starts_with('_') {
        return Err(format!("`{text}`: members whose names begin with `_` stay as they are"));
    }
    let part = |name: String| match name.as_str() {
        "*" => Part::One,
        "**" => Part::Any,
        _ => Part::Name(name),
    };
    Ok(names.into_iter().map(part).collect())
}

/// How far paths match the place in a document, for each step to it.
pub(crate) struct Depths<'p> {
    paths: &'p Paths,
    /// For each depth and each path a number whose bit `n` says that the first `n` parts match.
    matched: Vec<u64>,
    /// For each depth whether a path ends there or before.
    within: Vec<bool>,
}

impl<'p> Depths<'p> {
    pub(crate) fn new(paths: &'p Paths) -> Self {
        let matched = paths.0.iter().map(|path| closed(path, 1)).collect();
        Self { paths, matched, within: vec![false] }
    }

    /// Whether a path leads to this place. Places come as a walk through a document reaches them.
    pub(crate) fn at(&mut self, place: &[Step<'_>]) -> bool {
        let Some((step, depth)) = place.last().zip(place.len().checked_sub(1)) else { return false };
        let count = self.paths.0.len();
        self.matched.truncate((depth + 1) * count);
        self.within.truncate(depth + 1);
        let mut is_there = false;
        for (i, path) in self.paths.0.iter().enumerate() {
            let before = self.matched.get(depth * count + i).copied().unwrap_or(0);
            let after = if before == 0 { 0 } else { closed(path, next(path, before, step)) };
            is_there |= after >> path.len() & 1 == 1;
            self.matched.push(after);
        }
        self.within.push(is_there || self.within.last().is_some_and(|within| *within));
        is_there
    }

    /// Whether a path leads to this place or to something that holds it.
    pub(crate) fn within(&mut self, place: &[Step<'_>]) -> bool {
        self.at(place);
        self.within.last().is_some_and(|within| *within)
    }
}

/// With what `**` matches without any step.
fn closed(path: &[Part], mut matched: u64) -> u64 {
    for (i, part) in path.iter().enumerate() {
        if *part == Part::Any && matched >> i & 1 == 1 {
            matched |= 1 << (i + 1);
        }
    }
    matched
}

/// What matches one step further.
fn next(path: &[Part], matched: u64, step: &Step<'_>) -> u64 {
    let mut after = 0;
    for (i, part) in path.iter().enumerate().filter(|(i, _)| matched >> i & 1 == 1) {
        after |= match (part, step) {
            (Part::Any, _) => 1 << i,
            (Part::One, _) => 1 << (i + 1),
            (Part::Name(name), Step::Member(member)) if name == member => 1 << (i + 1),
            (Part::Name(name), Step::Element(at)) if name.parse() == Ok(*at) => 1 << (i + 1),
            _ => 0,
        };
    }
    after
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn paths(text: &str) -> Paths {
        let texts: Vec<String> = text.split(' ').map(str::to_owned).collect();
        Paths::parse(&texts).unwrap()
    }

    /// Whether the place is named, walking to it; a number is an element.
    fn leads(text: &str, place: &str) -> bool {
        let paths = paths(text);
        let mut depths = Depths::new(&paths);
        let steps: Vec<Step<'_>> = place
            .split('/')
            .map(|name| name.parse().map_or(Step::Member(Cow::Borrowed(name)), Step::Element))
            .collect();
        let mut found = false;
        for depth in 1..=steps.len() {
            found = depths.at(&steps[..depth]);
        }
        found
    }

    #[test]
    fn places_are_named_by_paths() {
        for (path, place) in [
            ("name", "name"),
            ("a.b", "a/b"),
            ("a.*.c", "a/0/c"),
            ("a.*.c", "a/x/c"),
            ("a.1", "a/1"),
            ("**.c", "c"),
            ("**.c", "a/0/b/c"),
            ("a.**", "a"),
            ("a.**", "a/b/c"),
            ("x a.b", "a/b"),
            (r"a\.b", "a.b"),
            ("**.a.**.b", "x/a/a/y/b"),
        ] {
            assert!(leads(path, place), "{path} {place}");
        }
        for (path, place) in [
            ("name", "names"),
            ("a.b", "a"),
            ("a.b", "a/b/c"),
            ("a.*.c", "a/c"),
            ("**.c", "c/d"),
            ("a.1", "a/2"),
            ("a.b", "a.b"),
        ] {
            assert!(!leads(path, place), "{path} {place}");
        }
    }

    #[test]
    fn what_holds_a_place_is_remembered_only_within_it() {
        let paths = paths("a");
        let mut depths = Depths::new(&paths);
        let member = |name: &'static str| Step::Member(Cow::Borrowed(name));
        assert!(depths.within(&[member("a")]));
        assert!(depths.within(&[member("a"), Step::Element(0)]));
        assert!(!depths.within(&[member("b")]));
        assert!(!depths.within(&[member("b"), member("a")]));
    }

    #[test]
    fn what_is_no_path() {
        let long = vec!["a"; LONGEST + 1].join(".");
        for text in ["", ".", "a.", ".a", "a..b", "_id", "_attachments.x", &long] {
            assert!(Paths::parse(&[text.to_owned()]).is_err(), "{text}");
        }
    }
}
