//! The same strictness for plugins that decide about documents.

use std::marker::PhantomData;

use patterns::Wraps;

use super::description::Described;
use crate::json::members;
use crate::{DocumentFilter, Error, SettingValue, Settings, Verdict};

/// What a document filter may not change.
const FIXED: [&str; 3] = ["_id", "_rev", "_deleted"];

/// Calls a document filter as couchcopy does: with its settings checked, and what it gives back held against the contract.
///
/// ```
/// # use couchcopy_plugin::{Description, DocumentFilter, Error, Settings, Verdict, testing::FilterTest};
/// # struct Old;
/// # impl DocumentFilter for Old {
/// #     fn describe() -> Description {
/// #         Description::new("old", "0.1.0", "Leaves old documents out")
/// #     }
/// #     fn configure(_: &str, _: Settings<'_>) -> Result<Self, Error> {
/// #         Ok(Self)
/// #     }
/// #     fn filter(&self, id: &str, _: &str) -> Result<Verdict, Error> {
/// #         Ok(if id.starts_with("old") { Verdict::LeaveOut } else { Verdict::Keep })
/// #     }
/// # }
/// let test = FilterTest::<Old>::new();
/// assert_eq!(test.filter(r#"{"_id":"old-1","_rev":"1-a"}"#), Ok(Verdict::LeaveOut));
/// ```
#[derive(Debug)]
pub struct FilterTest<F> {
    described: Described,
    database: String,
    plugin: PhantomData<F>,
}

impl<F: DocumentFilter> FilterTest<F> {
    /// For documents of the database `test`, with no settings but the defaults.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "it panics where the plugin is wrong")]
    pub fn new() -> Self {
        let description = F::describe();
        assert_eq!(description, F::describe(), "`describe` must always say the same");
        assert!(description.commands.is_empty(), "a document filter has no commands");
        let described = Described::new(description, Wraps::Never);
        Self { described, database: "test".into(), plugin: PhantomData }
    }

    /// Gives a setting a value.
    #[track_caller]
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.described.set(name, value);
        self
    }

    /// The documents are from this database.
    #[must_use]
    pub fn database(mut self, name: &str) -> Self {
        self.database = name.into();
        self
    }

    /// The plugin with its settings.
    #[track_caller]
    pub fn configure(&self) -> Result<F, Error> {
        let settings: Vec<SettingValue> = self.described.node().settings;
        F::configure(&self.database, Settings::new(&settings))
    }

    /// The verdict on a document. Panics if couchcopy would refuse it.
    #[track_caller]
    pub fn filter(&self, document: &str) -> Result<Verdict, Error> {
        let before = read(document);
        let id = before.iter().find(|(name, _)| name == "_id").map(|(_, value)| value.as_str());
        let id = id.and_then(|id| crate::json::unquote(id).ok()).expect("the document has an `_id`");
        let verdict = self.configure()?.filter(&id, document);
        assert_eq!(
            verdict,
            self.configure()?.filter(&id, document),
            "`filter` must always give the same for the same"
        );
        if let Ok(Verdict::Replace(text)) = &verdict {
            let after = read(text);
            for name in FIXED {
                let of =
                    |members: &[(String, String)]| members.iter().find(|(found, _)| found == name).cloned();
                assert_eq!(of(&before), of(&after), "`{name}` must stay as it is:\n{document}\n{text}");
            }
            let known = |name: &str| before.iter().any(|(found, _)| found == name);
            for (name, _) in after.iter().filter(|(name, _)| name.starts_with('_')) {
                assert!(known(name), "a document filter cannot add `{name}`:\n{text}");
            }
        }
        verdict
    }
}

#[track_caller]
fn read(document: &str) -> Vec<(String, String)> {
    match members(document) {
        Ok(members) => members.into_iter().map(|(name, text)| (name.into_owned(), text.to_owned())).collect(),
        Err(error) => panic!("{error}:\n{document}"),
    }
}
