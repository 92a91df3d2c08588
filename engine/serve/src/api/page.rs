//! The rows of a list that `skip` and `limit` leave.

use std::io::Write;

use super::view_arguments::ViewArguments;
use crate::http::{Failure, Out};

/// Counts rows, and writes what stands between those that are shown.
pub(super) struct Page {
    skip: u64,
    left: u64,
    between: &'static [u8],
    first: bool,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// It is to be written now.
    Shown,
    /// It is passed over.
    Skipped,
    /// It is beyond the limit, and so are all others.
    Beyond,
}

impl Page {
    /// The rows that are wanted, with `between` between them.
    pub(super) fn of(arguments: &ViewArguments, between: &'static [u8]) -> Self {
        Self { skip: arguments.skip, left: arguments.limit.unwrap_or(u64::MAX), between, first: true }
    }

    /// Takes the next row. Where it is shown, what stands before it is in `out` already.
    pub(super) fn next(&mut self, out: &mut Out) -> Result<Row, Failure> {
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(Row::Skipped);
        }
        if self.left == 0 {
            return Ok(Row::Beyond);
        }
        self.left -= 1;
        if !std::mem::take(&mut self.first) {
            out.write_all(self.between)?;
        }
        Ok(Row::Shown)
    }
}
