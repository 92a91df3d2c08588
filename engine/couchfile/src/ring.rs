//! Which ranges of a database count, where they overlap.
//!
//! While shards are being split, a shard map holds the old range on some nodes and the new ones on others: the same documents
//! twice. CouchDB answers from a *ring*: ranges that cover the hash space without gap or overlap. What is not in the ring is
//! surplus. Counts are sums over a ring, never over all ranges.
//!
//! Source: `mem3_util.erl` (`get_ring/4`, `sort_ranges_fun/2`), `fabric_ring.erl`.

use std::collections::HashMap;

use crate::data_dir::Range;
use crate::shard_map::ShardMap;

/// The ring that CouchDB makes of these ranges: from the start on the longest range that leads to a closed ring. `None` if
/// they leave a gap.
pub fn of(ranges: impl IntoIterator<Item = Range>) -> Option<Vec<Range>> {
    heaviest(ranges, |_| 0)
}

/// The ring with the largest sum of weights; among equal ones that which CouchDB makes. `None` if the ranges leave a gap.
pub fn heaviest(
    ranges: impl IntoIterator<Item = Range>,
    weight: impl Fn(Range) -> u64,
) -> Option<Vec<Range>> {
    let mut ranges: Vec<Range> = ranges.into_iter().filter(|range| range.begin <= range.end).collect();
    ranges.sort_unstable();
    ranges.dedup();
    // From the end of the hash space back: the best way from each begin to the end, with its weight.
    let mut best: HashMap<u32, (u128, Range)> = HashMap::with_capacity(ranges.len());
    for &range in ranges.iter().rev() {
        let rest = match range.end.checked_add(1) {
            None => 0,
            Some(next) => match best.get(&next) {
                Some((rest, _)) => *rest,
                None => continue,
            },
        };
        let sum = rest + u128::from(weight(range));
        let known = best.get(&range.begin);
        // Of equal ones the longest is met first.
        if known.is_none_or(|(known, _)| sum > *known) {
            best.insert(range.begin, (sum, range));
        }
    }
    let mut ring = Vec::new();
    let mut next = Some(0);
    while let Some(begin) = next {
        let (_, range) = best.get(&begin)?;
        ring.push(*range);
        next = range.end.checked_add(1);
    }
    Some(ring)
}

/// Whether ranges, in ascending order, are a ring as they are: no gap and no overlap.
pub fn is_closed<'r>(ranges: impl IntoIterator<Item = &'r Range>) -> bool {
    let mut next = Some(0);
    for range in ranges {
        if next != Some(range.begin) || range.end < range.begin {
            return false;
        }
        next = range.end.checked_add(1);
    }
    next.is_none()
}

/// The ranges of a database that count, given which shard files there are. `documents` gives the number of documents (deleted
/// ones counted) in the file of a range, `None` if there is no such file. Of several rings that with most documents is taken:
/// a split that is not finished may lag behind. `others` gives ranges that have files and are not in the map: the shards were
/// split after the map was read.
///
/// `None`: the ranges of the map are right as they are, or no ring can be made of what there is, so that the map has to say
/// what is missing.
pub fn counted(
    map: &ShardMap,
    documents: impl Fn(Range) -> Option<u64>,
    others: impl FnOnce() -> Vec<Range>,
) -> Option<Vec<Range>> {
    let is_there = |range: &Range| documents(*range).is_some();
    if is_closed(map.by_range.keys()) && map.by_range.keys().all(is_there) {
        return None;
    }
    let weight = |range: Range| documents(range).unwrap_or(0);
    let mut present: Vec<Range> = map.by_range.keys().copied().filter(|range| is_there(range)).collect();
    let ring = heaviest(present.iter().copied(), weight).or_else(|| {
        present.extend(others().iter().filter(|range| is_there(range)));
        heaviest(present, weight)
    });
    // Without a ring of files: that of the map, whose missing files can be named.
    let ring = ring.or_else(|| of(map.by_range.keys().copied()))?;
    (!ring.iter().eq(map.by_range.keys())).then_some(ring)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(text: &str) -> Vec<Range> {
        text.split_whitespace().map(|range| range.parse().unwrap()).collect()
    }

    fn shown(ring: Option<Vec<Range>>) -> String {
        let ring = ring.unwrap_or_default();
        ring.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    const HALVES: &str = "00000000-7fffffff 80000000-ffffffff";

    #[test]
    fn a_range_and_its_halves_are_counted_once() {
        let split = format!("00000000-ffffffff {HALVES}");
        assert_eq!(shown(of(ranges(&split))), "00000000-ffffffff");
        assert_eq!(shown(of(ranges(HALVES))), HALVES);
        assert_eq!(shown(of(ranges("00000000-7fffffff"))), "");
        assert_eq!(shown(of(ranges(""))), "");
        let weight = |range: Range| if range.begin == 0 && range.end == u32::MAX { 10 } else { 6 };
        assert_eq!(shown(heaviest(ranges(&split), weight)), HALVES);
    }

    #[test]
    fn a_dead_end_is_left_again() {
        // The longest first range leads to a gap.
        let text = "00000000-9fffffff 00000000-7fffffff 80000000-ffffffff c0000000-ffffffff";
        assert_eq!(shown(of(ranges(text))), HALVES);
    }

    #[test]
    fn a_split_of_a_split_and_q_that_is_no_power_of_two() {
        for q in [3, 5, 9] {
            let mut all = Range::split(q);
            let plain = all.clone();
            let cut = plain[1];
            let middle = cut.begin + (cut.end - cut.begin) / 2;
            let upper = Range { begin: middle + 1, end: cut.end };
            let quarter = upper.begin + (upper.end - upper.begin) / 2;
            all.push(Range { begin: cut.begin, end: middle });
            all.push(upper);
            all.push(Range { begin: upper.begin, end: quarter });
            all.push(Range { begin: quarter + 1, end: upper.end });
            assert_eq!(of(all.clone()), Some(plain));
            all.retain(|range| *range != cut && *range != upper);
            let ring = of(all.clone()).unwrap();
            assert!(is_closed(&ring) && ring.len() == q as usize + 2);
        }
    }

    #[test]
    fn files_decide_where_the_map_has_several_rings() {
        let mut map = ShardMap::new("a", "", 1, 1, &["b@h".into()]);
        for range in ranges(HALVES) {
            map.by_range.insert(range, vec!["a@h".into()]);
        }
        let whole: Range = "00000000-ffffffff".parse().unwrap();
        let count = |whole_has: Option<u64>, half_has: Option<u64>| {
            let documents = move |range: Range| if range == whole { whole_has } else { half_has };
            shown(counted(&map, documents, Vec::new))
        };
        assert_eq!(count(Some(10), Some(5)), "00000000-ffffffff");
        assert_eq!(count(Some(10), Some(6)), HALVES);
        assert_eq!(count(None, Some(1)), HALVES);
        assert_eq!(count(Some(1), None), "00000000-ffffffff");
        assert_eq!(count(None, None), "00000000-ffffffff");
        assert_eq!(map.copies(), 2);
        let reduced = map.with_ranges(&ranges("00000000-ffffffff"));
        assert_eq!(reduced.by_range[&whole], ["b@h", "a@h"]);
    }

    #[test]
    fn shards_that_were_split_after_the_map_was_read_are_found() {
        let map = ShardMap::new("a", "", 1, 1, &["b@h".into()]);
        let halves = ranges(HALVES);
        let documents = |range: Range| halves.contains(&range).then_some(3);
        assert_eq!(shown(counted(&map, documents, || ranges(HALVES))), HALVES);
        assert_eq!(counted(&map, |_| Some(1), Vec::new), None);
        assert_eq!(counted(&map, |_| None, Vec::new), None);
    }

    /// CouchDB's own algorithm: try the longest range first, and go back if it leads nowhere.
    fn by_trying(start: u32, ranges: &[Range]) -> Option<Vec<Range>> {
        let mut here: Vec<Range> = ranges.iter().copied().filter(|range| range.begin == start).collect();
        here.sort_unstable_by_key(|range| std::cmp::Reverse(range.end));
        here.into_iter().find_map(|range| match range.end.checked_add(1) {
            None => Some(vec![range]),
            Some(next) => by_trying(next, ranges).map(|rest| [vec![range], rest].concat()),
        })
    }

    /// Ranges between a few borders, so that many of them meet.
    fn some_ranges() -> impl Strategy<Value = Vec<Range>> {
        let border = 0u64..=8;
        proptest::collection::vec((border.clone(), border), 0..14).prop_map(|pairs| {
            let at = |border: u64| border << 29;
            pairs
                .into_iter()
                .filter(|(from, to)| from < to)
                .map(|(from, to)| Range { begin: at(from) as u32, end: (at(to) - 1) as u32 })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn is_the_ring_that_couchdb_makes(ranges in some_ranges()) {
            prop_assert_eq!(of(ranges.clone()), by_trying(0, &ranges));
        }

        #[test]
        fn a_ring_is_closed_and_the_heaviest(ranges in some_ranges(), weights in proptest::collection::vec(0u64..5, 81)) {
            let weight = |range: Range| {
                weights[((range.begin >> 29) as usize) * 9 + ((u64::from(range.end) + 1) >> 29) as usize]
            };
            let sum = |ring: &[Range]| ring.iter().map(|range| weight(*range)).sum::<u64>();
            let heaviest = heaviest(ranges.clone(), weight);
            prop_assert_eq!(heaviest.is_some(), of(ranges.clone()).is_some());
            if let (Some(heaviest), Some(ring)) = (heaviest, of(ranges)) {
                prop_assert!(is_closed(&heaviest));
                prop_assert!(sum(&heaviest) >= sum(&ring));
            }
        }
    }
}
