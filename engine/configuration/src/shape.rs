//! What a TOML value has to look like.

/// A table with keys that are known.
pub(crate) struct Table {
    /// What it is, in one sentence.
    pub(crate) doc: &'static str,
    pub(crate) keys: &'static [Key],
}

/// A key of a table.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What it is for, in one sentence.
    pub(crate) doc: &'static str,
    pub(crate) is_required: bool,
    /// A value for it, in TOML.
    pub(crate) example: &'static str,
}

/// What a value has to look like.
pub(crate) enum Kind {
    /// `true` or `false`.
    Flag,
    /// A number from 0 on.
    Count,
    /// A text that this function accepts; it is called by this name.
    Text(&'static str, fn(&str) -> Result<(), String>),
    /// The path of a file or directory that is there already.
    File,
    /// A path.
    Path,
    /// A program and its arguments.
    Command,
    /// A plugin: `"NAME:KEY=VALUE"`, or a table with the key `plugin` and the plugin's settings.
    Plugin,
    /// A value, or a list of such values.
    OneOrMany(&'static Kind),
    /// A list of such values.
    Many(&'static Kind),
    /// A table.
    Table(&'static Table),
    /// Tables with names that the user chooses.
    Named(&'static Table),
    /// A list of tables, each of which has a heading in double brackets.
    Tables(&'static Table),
}

impl Kind {
    /// What is expected, for a message.
    pub(crate) fn expected(&self) -> String {
        match self {
            Self::Flag => "true or false".into(),
            Self::Count => "a number from 0 on".into(),
            Self::Text(what, _) => format!("a text: {what}"),
            Self::File | Self::Path => "a path as a text".into(),
            Self::Command => "a list of words, the program first".into(),
            Self::Plugin => {
                "a plugin: a text such as \"ssh:port=2222\", or a table with the key plugin".into()
            }
            Self::OneOrMany(kind) => format!("{}, or a list of such values", kind.expected()),
            Self::Many(kind) => format!("a list; each value in it is {}", kind.expected()),
            Self::Table(_) => "a table".into(),
            Self::Named(_) => "a table with a name of your choice, such as main".into(),
            Self::Tables(_) => "a list of tables, each with its heading in double brackets".into(),
        }
    }
}
