//! Dropping, copying and comparing values without recursion, however deep they are nested.

use super::{Items, Json, Members};

impl Drop for Items {
    fn drop(&mut self) {
        take_apart(std::mem::take(&mut self.0));
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        if self.0.iter().any(|(_, value)| value.is_container()) {
            take_apart(self.0.drain(..).map(|(_, value)| value).collect());
        }
    }
}

impl Json {
    fn is_container(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Object(_))
    }
}

/// Drops values without recursion over what is in them.
fn take_apart(mut values: Vec<Json>) {
    while let Some(value) = values.pop() {
        match value {
            Json::Array(mut items) => values.append(&mut items.0),
            Json::Object(mut members) => values.extend(members.0.drain(..).map(|(_, value)| value)),
            _ => {}
        }
    }
}

impl Clone for Items {
    fn clone(&self) -> Self {
        Self(self.0.iter().map(copy).collect())
    }
}

impl Clone for Members {
    fn clone(&self) -> Self {
        Self(self.0.iter().map(|(name, value)| (name.clone(), copy(value))).collect())
    }
}

/// A copy: of what holds others by its text, which takes no recursion.
fn copy(value: &Json) -> Json {
    if value.is_container() { Json::parse(&value.to_exact_vec()).unwrap_or_default() } else { value.clone() }
}

impl PartialEq for Items {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && equal(self.0.iter().zip(&other.0).collect())
    }
}

impl PartialEq for Members {
    fn eq(&self, other: &Self) -> bool {
        members_paired(self, other).is_some_and(equal)
    }
}

/// The values of two objects in pairs; `None` if the names differ.
fn members_paired<'j>(a: &'j Members, b: &'j Members) -> Option<Vec<(&'j Json, &'j Json)>> {
    if a.len() != b.len() {
        return None;
    }
    let pair =
        |((name, a), (other, b)): (&'j (String, Json), &'j (String, Json))| (name == other).then_some((a, b));
    a.0.iter().zip(&b.0).map(pair).collect()
}

fn equal<'j>(mut pairs: Vec<(&'j Json, &'j Json)>) -> bool {
    while let Some(pair) = pairs.pop() {
        match pair {
            (Json::Array(a), Json::Array(b)) if a.len() == b.len() => pairs.extend(a.0.iter().zip(&b.0)),
            (Json::Object(a), Json::Object(b)) => match members_paired(a, b) {
                Some(inner) => pairs.extend(inner),
                None => return false,
            },
            (Json::Array(_), Json::Array(_)) => return false,
            // Neither holds others, so this compares no further.
            (a, b) if a != b => return false,
            _ => {}
        }
    }
    true
}
