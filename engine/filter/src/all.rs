//! Several filters, one after the other.

use std::sync::Arc;

use outcome::Result;

use crate::{Filter, Glance, Session, Verdict};

/// Filters that a revision passes in this order: what one of them leaves out, no other sees, and what one replaces, the next sees
/// replaced.
#[derive(Debug, Clone, Default)]
pub struct All {
    filters: Vec<Arc<dyn Filter>>,
}

impl All {
    /// A filter of several ones; `None` if there are none.
    pub fn of(filters: Vec<Arc<dyn Filter>>) -> Option<Arc<dyn Filter>> {
        match filters.len() {
            0 => None,
            1 => filters.into_iter().next(),
            _ => Some(Arc::new(Self { filters })),
        }
    }
}

impl Filter for All {
    fn at_a_glance(&self, revision: Glance<'_>) -> Option<Verdict> {
        let verdicts: Vec<_> = self.filters.iter().map(|filter| filter.at_a_glance(revision)).collect();
        if verdicts.contains(&Some(Verdict::LeaveOut)) {
            return Some(Verdict::LeaveOut);
        }
        verdicts.iter().all(|verdict| *verdict == Some(Verdict::Keep)).then_some(Verdict::Keep)
    }

    fn session(&self, database: &str) -> Result<Box<dyn Session + '_>> {
        let mut sessions = Vec::with_capacity(self.filters.len());
        for filter in &self.filters {
            sessions.push((&**filter, filter.session(database)?));
        }
        Ok(Box::new(Sessions(sessions)))
    }

    fn identity(&self) -> String {
        self.filters.iter().map(|filter| filter.identity()).collect::<Vec<_>>().join(" ")
    }

    fn meaning(&self) -> String {
        self.filters.iter().map(|filter| filter.meaning()).collect::<Vec<_>>().join("\n")
    }
}

/// A session of each filter.
struct Sessions<'f>(Vec<(&'f dyn Filter, Box<dyn Session + 'f>)>);

impl Session for Sessions<'_> {
    fn judge(&mut self, revision: Glance<'_>, document: &[u8]) -> Result<Verdict> {
        let mut replaced: Option<Vec<u8>> = None;
        for (filter, session) in &mut self.0 {
            let verdict = match filter.at_a_glance(revision) {
                Some(verdict) => verdict,
                None => session.judge(revision, replaced.as_deref().unwrap_or(document))?,
            };
            match verdict {
                Verdict::Keep => {}
                Verdict::Replace(content) => replaced = Some(content),
                Verdict::LeaveOut => return Ok(Verdict::LeaveOut),
            }
        }
        Ok(replaced.map_or(Verdict::Keep, Verdict::Replace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Choice;

    /// Adds a member to every document.
    #[derive(Debug)]
    struct Marks;

    impl Filter for Marks {
        fn at_a_glance(&self, _: Glance<'_>) -> Option<Verdict> {
            None
        }

        fn session(&self, _: &str) -> Result<Box<dyn Session + '_>> {
            Ok(Box::new(Self))
        }

        fn identity(&self) -> String {
            "marks".into()
        }
    }

    impl Session for Marks {
        fn judge(&mut self, _: Glance<'_>, document: &[u8]) -> Result<Verdict> {
            let text = String::from_utf8_lossy(document).replacen('{', r#"{"marked":true,"#, 1);
            Ok(Verdict::Replace(text.into_bytes()))
        }
    }

    #[test]
    fn each_sees_what_the_one_before_made() {
        let marked = Arc::new(crate::parse_selector(r#"{"marked": true}"#).unwrap());
        let filter =
            All::of(vec![Arc::new(Choice::WithoutDeleted), Arc::new(Marks), marked.clone()]).unwrap();
        assert_eq!(filter.at_a_glance(Glance { id: "a", deleted: true }), Some(Verdict::LeaveOut));
        assert_eq!(filter.at_a_glance(Glance { id: "a", deleted: false }), None);
        let document = br#"{"_id":"a"}"#;
        let verdict =
            filter.session("db").unwrap().judge(Glance { id: "a", deleted: false }, document).unwrap();
        assert_eq!(verdict, Verdict::Replace(br#"{"marked":true,"_id":"a"}"#.to_vec()));
        let turned = All::of(vec![marked, Arc::new(Marks)]).unwrap();
        assert_eq!(
            turned.session("db").unwrap().judge(Glance { id: "a", deleted: false }, document).unwrap(),
            Verdict::LeaveOut
        );
        assert_eq!(filter.identity(), "--without-deleted marks --selector {\"marked\": true}");
    }

    #[test]
    fn no_filters_are_none() {
        assert!(All::of(Vec::new()).is_none());
    }
}
