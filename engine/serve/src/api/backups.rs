//! `GET /_backup/backups`: the backups of a repository, or all archives that are served, in the order of time, page by page.

use std::ops::Range;
use std::sync::Arc;

use contents::BackupId;
use serde_json::{Value, json};

use super::context::Context;
use super::reference::Reference;
use super::site::{ServedArchive, Site};
use crate::http::{Call, Done, Failure, HttpError, Reply};

/// Backups in a page, unless the request has a limit, and at most.
const PAGE: usize = 50;
const LARGEST_PAGE: usize = 500;

/// Lists backups.
///
/// `archive` is the number of an archive or a repository. The page holds at most `limit` backups: those just older than the backup
/// `before`, those just newer than `after`, those around `around`, or those around the end of the day `on` (`2026-11-27`, UTC);
/// the newest ones if none of them is given. The backups of a repository are named by their ids, archives by their numbers.
pub(super) fn list(context: Context<'_>, reply: Reply) -> Result<Done, Failure> {
    context.call.only_get()?;
    let site = context.site;
    let series = Series::of(context)?;
    let page = series.page(site, context.call)?;
    let backups: Vec<Value> = match &series {
        Series::Archives(numbers) => {
            numbers[page.clone()].iter().map(|&number| archive(site, number)).collect()
        }
        Series::Backups(number, names) => described(site, *number, &names[page.clone()]),
    };
    reply.json(&json!({ "total": series.len(), "offset": page.start, "backups": backups }))
}

/// Backups of the same databases at several times, the oldest first.
pub(super) enum Series {
    /// Numbers of archives.
    Archives(Vec<usize>),
    /// The number of a repository, and the ids of its backups.
    Backups(usize, Arc<Vec<BackupId>>),
}

impl Series {
    /// The one to which the archive or repository belongs that a request names.
    pub(super) fn of(context: Context<'_>) -> Result<Self, Failure> {
        let site = context.site;
        let number = context.call.parameter("archive").unwrap_or("1").parse::<usize>();
        let served = number.ok().and_then(|number| Some((number, site.served(number)?)));
        let Some((number, served)) = served else {
            return Err(HttpError::not_found("There is no archive with that number.").into());
        };
        if let Some(repository) = &served.repository {
            return Ok(Self::Backups(number, repository.names()?));
        }
        let is_archive = |number: &usize| site.served(*number).is_some_and(|its| its.repository.is_none());
        let mut numbers: Vec<usize> = (1..=site.served.len()).filter(is_archive).collect();
        // Those without a date come first. The sort is stable.
        numbers.sort_by_key(|number| site.served(*number).and_then(date).map(|date| date.replace(' ', "T")));
        Ok(Self::Archives(numbers))
    }

    /// How many backups they are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Archives(numbers) => numbers.len(),
            Self::Backups(_, names) => names.len(),
        }
    }

    /// The backup at a position.
    pub(super) fn reference(&self, position: usize) -> Option<Reference> {
        match self {
            Self::Archives(numbers) => numbers.get(position).map(|number| Reference::newest(*number)),
            Self::Backups(number, names) => names.get(position).map(|name| Reference::of(*number, *name)),
        }
    }

    /// What a backup is called within the series: its id, or its number.
    pub(super) fn id(&self, position: usize) -> Option<String> {
        match self {
            Self::Archives(numbers) => numbers.get(position).map(ToString::to_string),
            Self::Backups(_, names) => names.get(position).map(ToString::to_string),
        }
    }

    /// When a backup began, as it records it or its id says.
    pub(super) fn date(&self, site: &Site, position: usize) -> Option<String> {
        match self {
            Self::Archives(numbers) => site.served(*numbers.get(position)?).and_then(date).map(str::to_owned),
            Self::Backups(_, names) => Some(begun(*names.get(position)?)),
        }
    }

    /// The positions that are before a backup, and after it. A backup that does not exist any more has a place among the others.
    pub(super) fn around(&self, id: &str) -> Result<(usize, usize), Failure> {
        let unknown = || HttpError::bad_request(format!("{id:?} is not the id of a backup."));
        match self {
            Self::Archives(numbers) => {
                let number: usize = id.parse().map_err(|_| unknown())?;
                let position = numbers.iter().position(|its| *its == number).ok_or_else(unknown)?;
                Ok((position, position + 1))
            }
            Self::Backups(_, names) => {
                let id: BackupId = id.parse().map_err(|()| unknown())?;
                let before = names.partition_point(|name| *name < id);
                Ok((before, before + usize::from(names.get(before) == Some(&id))))
            }
        }
    }

    /// The position after the last backup that began on a day, or before it.
    fn until(&self, site: &Site, day: &str) -> Result<usize, Failure> {
        let is_day = day.len() == 10 && day.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if !is_day {
            return Err(HttpError::bad_request("A day is written like 2026-11-27.").into());
        }
        // The ids of a repository are in the order of time, and so are the archives.
        let is_until = |position: usize| {
            self.date(site, position).is_none_or(|date| date.get(..10).unwrap_or_default() <= day)
        };
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = from.midpoint(to);
            if is_until(middle) { from = middle + 1 } else { to = middle }
        }
        Ok(from)
    }

    /// The positions of a page.
    fn page(&self, site: &Site, call: &Call) -> Result<Range<usize>, Failure> {
        let limit = limit(call, PAGE, LARGEST_PAGE)?;
        let len = self.len();
        let ending_at = |end: usize| end.saturating_sub(limit)..end;
        if let Some(id) = call.parameter("before") {
            return Ok(ending_at(self.around(id)?.0));
        }
        if let Some(id) = call.parameter("after") {
            let from = self.around(id)?.1;
            return Ok(from..len.min(from + limit));
        }
        let middle = match (call.parameter("around"), call.parameter("on")) {
            (Some(id), _) => self.around(id)?.0,
            (None, Some(day)) => self.until(site, day)?.saturating_sub(1),
            (None, None) => len,
        };
        // The page at either end is as full as the others.
        let end = len.min(limit.max(middle.saturating_add(limit.div_ceil(2))));
        Ok(ending_at(end))
    }
}

/// The `limit` of a request.
pub(super) fn limit(call: &Call, usual: usize, largest: usize) -> Result<usize, Failure> {
    let Some(text) = call.parameter("limit") else { return Ok(usual) };
    let limit = text.parse::<usize>().ok().filter(|limit| (1..=largest).contains(limit));
    limit.ok_or_else(|| HttpError::query_parse(format!("limit is a number from 1 to {largest}.")).into())
}

fn date(served: &ServedArchive) -> Option<&str> {
    served.archive.snapshot.about().date.as_deref()
}

/// When a backup of a repository began (RFC 3339, UTC), to the second: its id says so.
fn begun(id: BackupId) -> String {
    let id = id.to_string();
    let part = |from: usize, to: usize| id.get(from..to).unwrap_or_default();
    // 20261129T180000.000Z-…
    format!("{}-{}-{}T{}:{}:{}Z", part(0, 4), part(4, 6), part(6, 8), part(9, 11), part(11, 13), part(13, 15))
}

/// An archive of the site.
fn archive(site: &Site, number: usize) -> Value {
    let reference = Reference::newest(number);
    let mut facts =
        json!({"id": number.to_string(), "reference": reference.to_string(), "root": reference.root()});
    if let Some(served) = site.served(number) {
        let about = served.archive.snapshot.about();
        facts["name"] = served.archive.snapshot.name().into();
        facts["date"] = about.date.clone().into();
        facts["nodes"] = about.nodes.clone().into();
    }
    facts
}

/// Backups of a repository, with what the repository records about them.
fn described(site: &Site, number: usize, names: &[BackupId]) -> Vec<Value> {
    let Some(repository) = site.served(number).and_then(|served| served.repository.as_ref()) else {
        return Vec::new();
    };
    let described = repository.backups.described(names).into_iter().map(|(name, backup)| {
        let reference = Reference::of(number, name);
        let mut facts = json!({
            "id": name.to_string(),
            "reference": reference.to_string(),
            "root": reference.root(),
            "name": format!("{}::{name}", repository.backups.place()),
            "date": begun(name),
        });
        match backup {
            Ok(backup) => {
                facts["complete"] = backup.complete.into();
                facts["nodes"] = backup.nodes.into();
                facts["databases"] = backup.databases.into();
                facts["documents"] = backup.documents.into();
            }
            Err(failure) => facts["problem"] = outcome::with_causes(&failure).into(),
        }
        facts
    });
    described.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_say_when_a_backup_began() {
        let id: BackupId = "20261129T180507.123Z-0123456789abcdef".parse().unwrap();
        assert_eq!(begun(id), "2026-11-29T18:05:07Z");
    }
}
