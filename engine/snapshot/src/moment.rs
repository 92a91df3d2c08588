//! An earlier moment at which databases are shown, as far as their files hold it.

use contents::unusable;
use couchfile::data_dir::Range;
use couchfile::database::Database;
use couchfile::packed_seq;
use couchfile::read_at::ReadAt;
use couchfile::states::{Boundary, Reach, State};
use couchfile::time_table::AtTime;
use outcome::{Code, Failure};

use crate::error::Result;
use crate::since::Since;

/// A moment in the past of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// Every shard had this sequence.
    Seqs(Vec<SeqAt>),
    /// Seconds since 1970.
    Time(u64),
}

/// The sequence of a shard, or of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeqAt {
    shard: Of,
    seq: u64,
    /// The first digits of the uuid of the file in which the sequence counts.
    uuid_prefix: Option<String>,
}

/// Which shard a sequence is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// The only one.
    Only,
    Range(Range),
    /// Its number in the order of the ranges.
    Number(usize),
}

/// A shard whose state is looked for.
pub(crate) struct Shard<'s> {
    /// What messages call it.
    pub(crate) name: &'s str,
    pub(crate) range: Range,
    pub(crate) number: usize,
    /// How many shards the database has.
    pub(crate) count: usize,
}

impl Moment {
    /// Reads sequences: a number, `RANGE=NUMBER`, the sequences that CouchDB gives to clients, or those of `couchcopy serve`.
    pub fn of_seqs<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self> {
        let mut seqs = Vec::new();
        for text in texts {
            let one = |shard, seq| SeqAt { shard, seq, uuid_prefix: None };
            if let Ok(seq) = text.parse() {
                seqs.push(one(Of::Only, seq));
            } else if let Some((range, seq)) = text.split_once('=')
                && let (Ok(range), Ok(seq)) = (range.parse(), seq.parse())
            {
                seqs.push(one(Of::Range(range), seq));
            } else if let Ok(Since(numbers)) = text.parse() {
                seqs.extend(numbers.into_iter().enumerate().map(|(i, seq)| one(Of::Number(i), seq)));
            } else {
                let ranges = packed_seq::unpack(text).map_err(|e| {
                    Failure::refused(
                        Code::new("CC-H01"),
                        format!("{text:?} is not a sequence: {e}"),
                        "Give a number, RANGE=NUMBER such as 00000000-7fffffff=42, or a sequence as CouchDB shows it in update_seq \
                         and last_seq. `couchcopy history BACKUP DB` lists the sequences.",
                    )
                })?;
                seqs.extend(ranges.into_iter().map(|found| SeqAt {
                    shard: Of::Range(found.range),
                    seq: found.seq,
                    uuid_prefix: found.uuid_prefix,
                }));
            }
        }
        Ok(Self::Seqs(seqs))
    }

    /// The newest state of a shard that is not after the moment.
    ///
    /// Fails if the file does not hold it.
    pub(crate) fn find<R: ReadAt>(&self, shard: &Shard<'_>, file: &Database<R>) -> Result<State> {
        match self {
            Self::Seqs(seqs) => at_one_of(seqs, shard, file),
            Self::Time(second) => match seq_at(*second, shard, file)? {
                Some(seq) => at_seq(seq, shard, file),
                None => Ok(file.state()),
            },
        }
    }
}

/// The newest state that has not gone beyond a sequence.
fn at_seq<R: ReadAt>(seq: u64, shard: &Shard<'_>, file: &Database<R>) -> Result<State> {
    let newest = file.header().update_seq;
    if newest < seq {
        return Err(Failure::refused(
            Code::new("CC-H02"),
            format!("{} does not reach sequence {seq}: its newest sequence is {newest}", shard.name),
            "Give an earlier sequence, or use a newer backup. `couchcopy history BACKUP DB` lists the sequences.",
        )
        .into());
    }
    let boundary = match seq.checked_add(1) {
        Some(next) => file.boundary(next).map_err(|source| unusable(shard.name, source))?,
        None => None,
    };
    match boundary {
        None => Ok(file.state()),
        Some(Boundary { before: Ok(before), .. }) => Ok(before),
        Some(Boundary { before: Err(reach), after }) => Err(too_old(shard, seq, &after, reach).into()),
    }
}

/// The state at the sequence that is given for a shard.
fn at_one_of<R: ReadAt>(seqs: &[SeqAt], shard: &Shard<'_>, file: &Database<R>) -> Result<State> {
    let is_of = |of: &SeqAt| match of.shard {
        Of::Only => shard.count == 1,
        Of::Range(range) => range == shard.range,
        Of::Number(number) => number == shard.number,
    };
    let mut is_named = false;
    for of in seqs.iter().filter(|of| is_of(of)) {
        is_named = true;
        let Some(prefix) = of.uuid_prefix.as_deref() else { return at_seq(of.seq, shard, file) };
        let is_file = |state: &State| state.header.uuid.as_ref().is_some_and(|uuid| uuid.starts_with(prefix));
        if is_file(&file.state()) {
            return at_seq(of.seq, shard, file);
        }
        // A restore may have given the file another uuid since.
        if let Ok(state) = at_seq(of.seq, shard, file)
            && is_file(&state)
        {
            return Ok(state);
        }
    }
    let (name, range, count) = (shard.name, shard.range, shard.count);
    let add = format!("`couchcopy history BACKUP DB` lists the sequences: give `--at-seq {range}=NUMBER`.");
    Err(if is_named {
        Failure::refused(
            Code::new("CC-H04"),
            format!("the sequence for {range} counts the changes of another copy than the one in {name}"),
            format!("Each copy of a range numbers its changes on its own. {add}"),
        )
    } else {
        Failure::refused(
            Code::new("CC-H03"),
            format!("no sequence is given for {name}, one of {count} shards"),
            format!("Each shard numbers its changes on its own. {add}"),
        )
    }
    .into())
}

/// The sequence of a shard at a time; `None` if the time is after its last change.
fn seq_at<R: ReadAt>(second: u64, shard: &Shard<'_>, file: &Database<R>) -> Result<Option<u64>> {
    let times = file.time_table().map_err(|source| unusable(shard.name, source))?;
    if times.is_empty() {
        return Err(Failure::refused(
            Code::new("CC-H05"),
            format!("{} does not record when its changes were made", shard.name),
            "CouchDB up to 3.5 keeps no times. Give `--at-seq` with a sequence that `couchcopy history BACKUP DB` lists, or a \
             repository: `REPO::MOMENT` is its newest backup that was begun before a moment.",
        )
        .into());
    }
    match times.at(second) {
        AtTime::Newest => Ok(None),
        AtTime::Seq(seq) => Ok(Some(seq.min(file.header().update_seq))),
        AtTime::Unknown => Err(Failure::refused(
            Code::new("CC-H06"),
            format!(
                "{} does not record what it was at that time: its record of times begins later",
                shard.name
            ),
            "Give a later time, or a sequence that `couchcopy history BACKUP DB` lists.",
        )
        .into()),
    }
}

fn too_old(shard: &Shard<'_>, seq: u64, oldest: &State, reach: Reach) -> Failure {
    let why = match reach {
        Reach::Creation => "",
        Reach::Rewritten => "; a compaction removed what was before",
    };
    Failure::refused(
        Code::new("CC-H07"),
        format!("{} reaches back to sequence {} only, not to {seq}{why}", shard.name, oldest.seq()),
        "Give a later sequence, or an older backup.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_of_all_forms_are_read() {
        let of = |texts: &[&str]| Moment::of_seqs(texts.iter().copied());
        let Moment::Seqs(seqs) = of(&["00000000-7fffffff=4", "80000000-ffffffff=9"]).unwrap() else {
            panic!()
        };
        assert_eq!(seqs[1].seq, 9);
        assert!(matches!(seqs[0].shard, Of::Range(range) if range.begin == 0));
        let Moment::Seqs(seqs) = of(&["15-3.0.12"]).unwrap() else { panic!() };
        assert_eq!(seqs.iter().map(|seq| seq.seq).collect::<Vec<_>>(), [3, 0, 12]);
        assert!(matches!(of(&["42"]).unwrap(), Moment::Seqs(seqs) if seqs[0].shard == Of::Only));
        for wrong in ["", "x", "00000000-7fffffff=", "12-", "-1"] {
            assert_eq!(Failure::from(of(&[wrong]).unwrap_err()).code().to_string(), "CC-H01", "{wrong}");
        }
    }
}
