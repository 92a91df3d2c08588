//! Plugins that decide about documents.

use crate::{Description, Error, Settings, Verdict};

/// A plugin that decides what becomes of each document in a restore.
///
/// couchcopy makes as many of them as it likes and ends them when it likes, so a verdict depends on nothing but the database, the
/// settings and the document.
pub trait DocumentFilter: Sized {
    /// Says what the plugin is called and which settings it has. Must always say the same. It has no commands.
    fn describe() -> Description;

    /// Takes the settings, for documents of this database.
    fn configure(database: &str, settings: Settings<'_>) -> Result<Self, Error>;

    /// Decides about a document, or about one of its conflicts: JSON text as CouchDB's HTTP interface gives it, with `_id`, `_rev`,
    /// `_deleted` where it is a deletion, `_attachments` as stubs, and its own members. `id` is its `_id`.
    ///
    /// What is given back has the same `_id`, `_rev` and `_deleted`. Attachments that it does not name are left out. An error ends
    /// the restore before anything is replaced.
    fn filter(&self, id: &str, document: &str) -> Result<Verdict, Error>;
}

/// Makes the exports of a `document-filter` component from a type that is a [`DocumentFilter`]. Use it once in a crate.
///
/// Where the crate is not built for WebAssembly it only checks the type.
#[macro_export]
macro_rules! export_filter {
    ($plugin:ty) => {
        const _: () = {
            const fn is_a_filter<F: $crate::DocumentFilter>() {}
            is_a_filter::<$plugin>();
        };

        #[cfg(target_family = "wasm")]
        #[doc(hidden)]
        struct CouchcopyFilterComponent;

        #[cfg(target_family = "wasm")]
        ::std::thread_local! {
            static COUCHCOPY_FILTER: ::std::cell::RefCell<::std::option::Option<$plugin>> =
                const { ::std::cell::RefCell::new(None) };
        }

        #[cfg(target_family = "wasm")]
        impl $crate::bindings::description::exports::couchcopy::plugin::describe::Guest for CouchcopyFilterComponent {
            fn describe() -> $crate::Description {
                <$plugin as $crate::DocumentFilter>::describe()
            }
        }

        #[cfg(target_family = "wasm")]
        impl $crate::bindings::documents::exports::couchcopy::plugin::documents::Guest for CouchcopyFilterComponent {
            fn configure(
                database: ::std::string::String,
                settings: ::std::vec::Vec<$crate::SettingValue>,
            ) -> ::std::result::Result<(), $crate::Error> {
                let settings = $crate::Settings::new(&settings);
                let filter = <$plugin as $crate::DocumentFilter>::configure(&database, settings)?;
                COUCHCOPY_FILTER.set(Some(filter));
                Ok(())
            }

            fn filter(
                id: ::std::string::String,
                document: ::std::string::String,
            ) -> ::std::result::Result<$crate::Verdict, $crate::Error> {
                COUCHCOPY_FILTER.with_borrow(|filter| match filter {
                    Some(filter) => $crate::DocumentFilter::filter(filter, &id, &document),
                    None => Err($crate::Error::other("`configure` was not called before")),
                })
            }
        }

        #[cfg(target_family = "wasm")]
        $crate::bindings::description::export_description!(
            CouchcopyFilterComponent with_types_in $crate::bindings::description
        );
        #[cfg(target_family = "wasm")]
        $crate::bindings::documents::export_documents!(
            CouchcopyFilterComponent with_types_in $crate::bindings::documents
        );
    };
}
