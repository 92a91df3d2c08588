//! Changes a document where it is.

use std::borrow::Cow;

use super::scan::{JsonError, Scanner, Value};
use super::text::unquote;

/// A step from what holds a value to the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'d> {
    /// The member of an object with this name.
    Member(Cow<'d, str>),
    /// The element of an array, counted from 0.
    Element(usize),
}

/// What becomes of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// It stays; of an array or an object, each value in it is asked about.
    Enter,
    /// It stays with everything in it.
    Keep,
    /// This JSON text takes its place.
    Replace(String),
    /// It goes, with its name if it is a member.
    Remove,
}

/// An array or an object that is open.
struct Open {
    end: u8,
    /// How many values of it have been seen.
    seen: usize,
    /// How many of them stay.
    kept: usize,
    /// The place of the last comma.
    comma: usize,
}

impl Open {
    fn new(value: Value<'_>) -> Self {
        Self { end: if value == Value::Array { b']' } else { b'}' }, seen: 0, kept: 0, comma: 0 }
    }
}

/// The new text, as far as it is known.
struct Edited<'d> {
    from: &'d str,
    text: String,
    /// How much of the old text is dealt with.
    done: usize,
}

impl Edited<'_> {
    /// Puts something in the place of a part of the text, behind all parts that were replaced before.
    fn replace(&mut self, begin: usize, end: usize, by: &str) {
        self.text.push_str(self.from.get(self.done..begin).unwrap_or_default());
        self.text.push_str(by);
        self.done = end;
    }

    fn finish(mut self) -> Option<String> {
        if self.done == 0 {
            return None;
        }
        self.text.push_str(self.from.get(self.done..).unwrap_or_default());
        Some(self.text)
    }
}

/// Walks through an object and asks `each` about every value in it, outer ones first. The path of a value is the steps from the
/// object to it: one for each member of the object itself. Gives the new text; `None` if nothing changes.
///
/// ```
/// use couchcopy_plugin::json::{Edit, Step, edit};
///
/// let changed = edit(r#"{"_id":"a","name":"Ada","tags":["x"]}"#, |path, _| match path {
///     [Step::Member(name)] if name == "name" => Edit::Remove,
///     _ => Edit::Enter,
/// });
/// assert_eq!(changed.unwrap().unwrap(), r#"{"_id":"a","tags":["x"]}"#);
/// ```
pub fn edit<'d>(
    object: &'d str,
    mut each: impl FnMut(&[Step<'d>], Value<'d>) -> Edit,
) -> Result<Option<String>, JsonError> {
    let mut scanner = Scanner::new(object);
    scanner.pass(b'{', "no object")?;
    let mut edited = Edited { from: object, text: String::new(), done: 0 };
    let mut path: Vec<Step<'d>> = Vec::new();
    let mut open = vec![Open::new(Value::Object)];
    while let Some(inside) = open.last_mut() {
        if inside.seen > 0 || scanner.peek() != Some(inside.end) {
            scanner.peek();
            let begin = scanner.at;
            path.push(if inside.end == b'}' {
                let name = unquote(scanner.string()?)?;
                scanner.pass(b':', "no colon")?;
                Step::Member(name)
            } else {
                Step::Element(inside.seen)
            });
            inside.seen += 1;
            scanner.peek();
            let at = scanner.at;
            let value = scanner.value()?;
            let holds_others = matches!(value, Value::Array | Value::Object);
            let decided = each(&path, value);
            if holds_others && decided == Edit::Enter {
                inside.kept += 1;
                open.push(Open::new(value));
                continue;
            }
            if holds_others {
                scanner.skip_rest()?;
            }
            match decided {
                Edit::Enter | Edit::Keep => inside.kept += 1,
                Edit::Replace(text) => {
                    inside.kept += 1;
                    edited.replace(at, scanner.at, &text);
                }
                // The comma before it goes along or, where nothing is before it, the one behind it.
                Edit::Remove if inside.kept > 0 => edited.replace(inside.comma, scanner.at, ""),
                Edit::Remove => edited.replace(begin, scanner.at, ""),
            }
            path.pop();
        }
        // What ends here, too.
        while let Some(inside) = open.last_mut() {
            let found = scanner.peek();
            if found == Some(b',') && inside.seen > 0 {
                inside.comma = scanner.at;
                scanner.at += 1;
                if inside.kept == 0 {
                    edited.replace(inside.comma, scanner.at, "");
                }
                break;
            }
            if found != Some(inside.end) {
                return Err(scanner.error("neither a comma nor an end"));
            }
            scanner.at += 1;
            open.pop();
            path.pop();
        }
    }
    scanner.end()?;
    Ok(edited.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(text: &str, names: &[&str]) -> Option<String> {
        let edited = edit(text, |path, _| match path.last() {
            Some(Step::Member(name)) if names.contains(&&**name) => Edit::Remove,
            Some(Step::Element(at)) if names.contains(&at.to_string().as_str()) => Edit::Remove,
            _ => Edit::Enter,
        });
        edited.unwrap()
    }

    #[test]
    fn members_and_elements_go_with_their_commas() {
        let text = r#"{"a":1,"b":[10,11,12],"c":{"a":{"x":2},"d":3}}"#;
        assert_eq!(removed(text, &["z"]), None);
        for (names, expected) in [
            (&["a"][..], r#"{"b":[10,11,12],"c":{"d":3}}"#),
            (&["a", "b"], r#"{"c":{"d":3}}"#),
            (&["b", "c"], r#"{"a":1}"#),
            (&["a", "b", "c"], "{}"),
            (&["0"], r#"{"a":1,"b":[11,12],"c":{"a":{"x":2},"d":3}}"#),
            (&["0", "1"], r#"{"a":1,"b":[12],"c":{"a":{"x":2},"d":3}}"#),
            (&["1", "2", "x", "d"], r#"{"a":1,"b":[10],"c":{"a":{}}}"#),
            (&["0", "2"], r#"{"a":1,"b":[11],"c":{"a":{"x":2},"d":3}}"#),
        ] {
            assert_eq!(removed(text, names).unwrap(), expected, "{names:?}");
        }
        assert_eq!(removed(r#" { "a" : 1 , "b" : 2 } "#, &["a"]).unwrap().replace(' ', ""), r#"{"b":2}"#);
    }

    #[test]
    fn values_are_replaced_and_kept_whole() {
        let mut seen = Vec::new();
        let text = r#"{"a":{"b":[true,null,-1.5]},"k":{"b":"secret"},"s":"a"}"#;
        let edited = edit(text, |path, value| {
            seen.push(path.len());
            match (path, value) {
                ([Step::Member(name)], _) if name == "k" => Edit::Keep,
                ([.., Step::Element(1)], Value::Null) => Edit::Replace("[]".into()),
                (_, Value::String(text)) => {
                    Edit::Replace(super::super::quote(&unquote(text).unwrap().to_uppercase()))
                }
                _ => Edit::Enter,
            }
        });
        assert_eq!(edited.unwrap().unwrap(), r#"{"a":{"b":[true,[],-1.5]},"k":{"b":"secret"},"s":"A"}"#);
        assert_eq!(seen, [1, 2, 3, 3, 3, 1, 1]);
    }

    #[test]
    fn what_is_no_object() {
        for text in [
            "",
            "1",
            "[]",
            "{",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":1,}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":[1}"#,
            r#"{"a":1]"#,
            "{}{}",
            r#"{"a":tru}"#,
            r#"{"a":1 "b":2}"#,
        ] {
            assert!(edit(text, |_, _| Edit::Enter).is_err(), "{text}");
            // What is passed as a whole is not read in detail.
            let _ = edit(text, |_, _| Edit::Remove);
        }
    }

    #[test]
    fn a_hundred_thousand_levels_need_no_stack() {
        let text = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(edit(&text, |_, _| Edit::Enter).unwrap(), None);
        assert_eq!(edit(&text, |_, _| Edit::Remove).unwrap().unwrap(), "{}");
    }
}
