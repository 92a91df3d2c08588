//! Something that is being written. It gets its name when it is complete.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use encryption::EncryptingWriter;
use outcome::{Failure, Result};

use crate::keys::Keys;
use crate::partial_file::{EarlyWriteBack, PartialFile};
use crate::upload::Upload;

/// A place that is free and will be written. Nothing is there yet.
pub struct Output {
    pub(crate) target: Target,
    pub(crate) name: String,
    pub(crate) keys: Arc<Keys>,
}

pub(crate) enum Target {
    Standard,
    File(PartialFile),
    Object(Box<Reserved>),
}

/// An object that will be written.
pub(crate) struct Reserved {
    pub(crate) bucket: crate::Bucket,
    pub(crate) key: String,
    pub(crate) overwrite: bool,
}

impl Output {
    /// Begins to write about `expected` bytes. What is written is removed again unless it is committed.
    pub fn begin(self, expected: u64) -> Result<Writing> {
        let kind = match self.target {
            Target::Standard => Kind::Standard(BufWriter::with_capacity(1 << 20, io::stdout())),
            Target::File(partial) => {
                let out = partial.writer()?;
                Kind::File(out, partial)
            }
            Target::Object(reserved) => {
                let Reserved { bucket, key, overwrite } = *reserved;
                Kind::Object(Box::new(Upload::new(&bucket, &key, overwrite, expected)))
            }
        };
        if self.keys.recipients.is_empty() {
            return Ok(Writing(Content::Plain(kind)));
        }
        let encrypting = self.keys.recipients.encrypt(&self.name, kind)?;
        Ok(Writing(Content::Encrypted(Box::new(encrypting))))
    }
}

/// Something that is being written.
pub struct Writing(Content);

enum Content {
    Plain(Kind),
    Encrypted(Box<EncryptingWriter<Kind>>),
}

enum Kind {
    Standard(BufWriter<io::Stdout>),
    // In this order: the file is closed before it is removed.
    File(BufWriter<EarlyWriteBack>, PartialFile),
    Object(Box<Upload>),
}

impl Writing {
    /// Makes it durable, and gives it its name.
    pub fn commit(self) -> Result<()> {
        match self.0 {
            Content::Plain(kind) => kind.commit(),
            Content::Encrypted(encrypting) => encrypting.finish()?.commit(),
        }
    }
}

impl Kind {
    fn commit(self) -> Result<()> {
        match self {
            Kind::Standard(mut out) => {
                out.flush().map_err(|error| Failure::io("write to", "standard output", error))
            }
            Kind::File(out, partial) => partial.commit(out),
            Kind::Object(upload) => Ok(upload.commit()?),
        }
    }
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Content::Plain(out) => out.write(bytes),
            Content::Encrypted(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Content::Plain(out) => out.flush(),
            Content::Encrypted(out) => out.flush(),
        }
    }
}

impl Write for Kind {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Kind::Standard(out) => out.write(bytes),
            Kind::File(out, _) => out.write(bytes),
            Kind::Object(upload) => upload.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Kind::Standard(out) => out.flush(),
            Kind::File(out, _) => out.flush(),
            Kind::Object(upload) => upload.flush(),
        }
    }
}
