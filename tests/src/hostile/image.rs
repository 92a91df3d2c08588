//! A guest's memory as it is at its start: records as the canonical ABI lays them out, and what they point to.

/// A text as a guest hands it over, which need not be one.
#[derive(Debug, Clone)]
pub enum Text {
    /// These bytes, be they UTF-8 or not.
    Bytes(Vec<u8>),
    /// Whatever is there.
    At {
        /// Where it begins.
        pointer: u32,
        /// How long it is.
        length: u32,
    },
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Bytes(text.into_bytes())
    }
}

/// A list as a guest hands it over.
#[derive(Debug, Clone)]
pub enum List<T> {
    /// These.
    Of(Vec<T>),
    /// The same element so many times.
    Repeated(Box<T>, usize),
    /// Whatever is there.
    At {
        /// Where it begins.
        pointer: u32,
        /// How many elements it is said to have.
        length: u32,
    },
}

impl<T> From<Vec<T>> for List<T> {
    fn from(elements: Vec<T>) -> Self {
        Self::Of(elements)
    }
}

/// A program and its arguments.
#[derive(Debug, Clone)]
pub struct Command {
    /// The program.
    pub program: Text,
    /// Its arguments.
    pub arguments: List<Text>,
}

impl Command {
    /// A command from its words, program first.
    pub fn new(words: &[&str]) -> Self {
        let (program, arguments) = words.split_first().expect("a program");
        Self {
            program: (*program).into(),
            arguments: List::Of(arguments.iter().map(|word| (*word).into()).collect()),
        }
    }
}

/// What `describe` gives.
#[derive(Debug, Clone)]
pub struct Description {
    /// The plugin's name.
    pub name: Text,
    /// Its version.
    pub version: Text,
    /// What it is for.
    pub summary: Text,
    /// Its settings.
    pub settings: List<Setting>,
    /// The commands that it may run.
    pub commands: List<Pattern>,
}

/// A setting.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its name.
    pub name: Text,
    /// What it means.
    pub meaning: Text,
    /// Its default.
    pub default: Option<Text>,
    /// Whether it is required.
    pub required: bool,
}

impl Setting {
    /// A setting without a default.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), meaning: "a setting".into(), default: None, required: false }
    }
}

/// A command pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// Its words.
    pub words: List<Text>,
    /// What it is for.
    pub purpose: Text,
}

impl Pattern {
    /// A pattern from its words.
    pub fn new(words: &[&str]) -> Self {
        Self {
            words: List::Of(words.iter().map(|word| (*word).into()).collect()),
            purpose: "to test with".into(),
        }
    }
}

/// Pointer and length.
pub(super) type Slice = (u32, u32);

/// Bytes that a guest's memory holds from the start.
#[derive(Debug)]
pub(super) struct Image {
    base: u32,
    bytes: Vec<u8>,
}

impl Image {
    /// Nothing yet, from this address on.
    pub(super) fn new(base: u32) -> Self {
        Self { base, bytes: Vec::new() }
    }

    /// Where it begins.
    pub(super) fn base(&self) -> u32 {
        self.base
    }

    /// The first address behind it.
    pub(super) fn end(&self) -> u32 {
        self.base + self.bytes.len() as u32
    }

    /// What it holds.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds bytes; gives their address, a multiple of eight.
    pub(super) fn put(&mut self, bytes: &[u8]) -> u32 {
        while !self.end().is_multiple_of(8) {
            self.bytes.push(0);
        }
        let address = self.end();
        self.bytes.extend_from_slice(bytes);
        address
    }

    pub(super) fn text(&mut self, text: &Text) -> Slice {
        match text {
            Text::Bytes(bytes) => (self.put(bytes), bytes.len() as u32),
            Text::At { pointer, length } => (*pointer, *length),
        }
    }

    fn list<T>(&mut self, list: &List<T>, mut element: impl FnMut(&mut Self, &T) -> Vec<u8>) -> Slice {
        match list {
            List::Of(elements) => {
                let records: Vec<u8> = elements.iter().flat_map(|e| element(self, e)).collect();
                (self.put(&records), elements.len() as u32)
            }
            List::Repeated(one, times) => {
                let record = element(self, one);
                (self.put(&record.repeat(*times)), *times as u32)
            }
            List::At { pointer, length } => (*pointer, *length),
        }
    }

    pub(super) fn texts(&mut self, texts: &List<Text>) -> Slice {
        self.list(texts, |image, text| slice(image.text(text)))
    }

    /// The record `command`: 16 bytes.
    pub(super) fn command(&mut self, command: &Command) -> Vec<u8> {
        let (program, arguments) = (self.text(&command.program), self.texts(&command.arguments));
        [slice(program), slice(arguments)].concat()
    }

    /// The record `description`; gives its address.
    pub(super) fn description(&mut self, description: &Description) -> u32 {
        let settings = self.list(&description.settings, |image, setting| {
            let (name, meaning) = (image.text(&setting.name), image.text(&setting.meaning));
            let default = setting.default.as_ref().map(|text| image.text(text));
            [
                slice(name),
                slice(meaning),
                word(u32::from(default.is_some())),
                slice(default.unwrap_or_default()),
                word(u32::from(setting.required)),
            ]
            .concat()
        });
        let commands = self.list(&description.commands, |image, pattern| {
            let (words, purpose) = (image.texts(&pattern.words), image.text(&pattern.purpose));
            [slice(words), slice(purpose)].concat()
        });
        let texts = [&description.name, &description.version, &description.summary].map(|t| self.text(t));
        let record = [texts[0], texts[1], texts[2], settings, commands].map(slice).concat();
        self.put(&record)
    }
}

pub(super) fn word(value: u32) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

pub(super) fn slice((pointer, length): Slice) -> Vec<u8> {
    [word(pointer), word(length)].concat()
}
