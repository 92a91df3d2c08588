//! Leaves some members out of every document. A beginning: put your own decision in its place.

use couchcopy_plugin::json::{Edit, Step, edit};
use couchcopy_plugin::{Description, DocumentFilter, Error, Setting, Settings, Verdict, export_filter};

/// The plugin, with its settings.
pub struct Plugin {
    remove: Vec<String>,
}

export_filter!(Plugin);

impl DocumentFilter for Plugin {
    fn describe() -> Description {
        Description::new("@NAME@", env!("CARGO_PKG_VERSION"), "Leaves members out of every document")
            .setting(Setting::required("remove", "Names of the members to leave out, with blanks between them"))
    }

    fn configure(_database: &str, settings: Settings<'_>) -> Result<Self, Error> {
        let remove = settings.words("remove")?;
        // `_id`, `_rev` and `_deleted` have to stay.
        if let Some(name) = remove.iter().find(|name| name.starts_with('_')) {
            return Err(Error::setting("remove", format!("`{name}` cannot be left out")));
        }
        Ok(Self { remove })
    }

    fn filter(&self, id: &str, document: &str) -> Result<Verdict, Error> {
        // Design documents hold code, not data.
        if id.starts_with("_design/") {
            return Ok(Verdict::Keep);
        }
        let edited = edit(document, |path, _| match path {
            [Step::Member(name)] if self.remove.iter().any(|remove| remove == name) => Edit::Remove,
            _ => Edit::Keep,
        })?;
        Ok(edited.map_or(Verdict::Keep, Verdict::Replace))
    }
}

#[cfg(test)]
mod tests {
    use couchcopy_plugin::testing::FilterTest;

    use super::*;

    #[test]
    fn members_are_left_out() {
        let test = FilterTest::<Plugin>::new().set("remove", "name phone");
        let document = r#"{"_id":"a","_rev":"1-x","name":"Ada","type":"person","phone":"1"}"#;
        let expected = r#"{"_id":"a","_rev":"1-x","type":"person"}"#;
        assert_eq!(test.filter(document), Ok(Verdict::Replace(expected.into())));
        assert_eq!(test.filter(expected), Ok(Verdict::Keep));
        let design = r#"{"_id":"_design/a","_rev":"1-x","name":"kept"}"#;
        assert_eq!(test.filter(design), Ok(Verdict::Keep));
    }

    #[test]
    fn what_has_to_stay_cannot_be_left_out() {
        let wrong = FilterTest::<Plugin>::new().set("remove", "_rev").configure();
        assert!(matches!(wrong, Err(Error::InvalidSetting(_))));
    }
}
