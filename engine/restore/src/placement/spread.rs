//! Spreads the copies of ranges over nodes so that every node gets about as many bytes.
//!
//! Within a database, copies are counted first: no node gets two more of them than another one of its group, as in CouchDB's own
//! placement, so that the work on one database is spread, too. Of the nodes with equally few copies, those with the fewest bytes
//! are taken. If the largest databases come first, the small ones even out what those leave.

/// Nodes, by number, and how many of them get a copy of each range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) nodes: Vec<u16>,
    /// At most as many as there are nodes.
    pub(crate) copies: usize,
}

impl Group {
    fn contains(&self, node: u16) -> bool {
        self.nodes.contains(&node)
    }
}

/// The nodes that hold a copy of each range, in the order of the ranges.
pub(crate) type Holders = Vec<Box<[u16]>>;

/// The bytes that have been placed on each node.
#[derive(Debug, Clone)]
pub(crate) struct Spread {
    loads: Vec<u64>,
}

impl Spread {
    /// So many nodes, without anything on them.
    pub(crate) fn over(nodes: usize) -> Self {
        Self { loads: vec![0; nodes] }
    }

    /// Notes copies whose places are given. `sizes` are the bytes of a copy of each range.
    pub(crate) fn note(&mut self, holders: &Holders, sizes: &[u64]) {
        for (holders, size) in holders.iter().zip(sizes) {
            for &node in holders {
                let load = &mut self.loads[usize::from(node)];
                *load = load.saturating_add(*size);
            }
        }
    }

    /// Chooses nodes for the copies of a database. `sizes` are the bytes of a copy of each range. Of nodes that are equally good,
    /// the first one from number `first` on is taken, round the nodes.
    pub(crate) fn place(&mut self, sizes: &[u64], groups: &[Group], first: usize) -> Holders {
        let nodes = self.loads.len();
        let mut copies_of = vec![0_u32; nodes];
        let mut holders: Vec<Vec<u16>> = vec![Vec::new(); sizes.len()];
        let mut order: Vec<usize> = (0..sizes.len()).collect();
        order.sort_by_key(|&range| std::cmp::Reverse(sizes[range]));
        for range in order {
            for group in groups {
                let mut best = group.nodes.clone();
                best.sort_unstable_by_key(|&node| {
                    let node = usize::from(node);
                    (copies_of[node], self.loads[node], (node + nodes - first % nodes.max(1)) % nodes.max(1))
                });
                for &node in best.iter().take(group.copies) {
                    copies_of[usize::from(node)] += 1;
                    let load = &mut self.loads[usize::from(node)];
                    *load = load.saturating_add(sizes[range]);
                    holders[range].push(node);
                }
            }
        }
        holders.into_iter().map(Vec::into_boxed_slice).collect()
    }
}

/// Whether every range has just the copies that the groups demand.
pub(crate) fn fits(holders: &Holders, groups: &[Group]) -> bool {
    holders.iter().all(|holders| {
        let is_once = |(i, node): (usize, &u16)| !holders[..i].contains(node);
        let copies: usize = groups.iter().map(|group| group.copies).sum();
        let has =
            |group: &Group| holders.iter().filter(|node| group.contains(**node)).count() == group.copies;
        holders.len() == copies && holders.iter().enumerate().all(is_once) && groups.iter().all(has)
    })
}

/// So many copies of each of so many ranges, from the first node on, each range beginning one node later.
pub(crate) fn round_robin(ranges: usize, copies: usize, nodes: usize, first: usize) -> Holders {
    let copies = copies.clamp(1, nodes.max(1));
    let holder = |range: usize, copy: usize| ((first + range + copy) % nodes.max(1)) as u16;
    (0..ranges).map(|range| (0..copies).map(|copy| holder(range, copy)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One group of all nodes.
    fn all(nodes: usize, copies: usize) -> [Group; 1] {
        [Group { nodes: (0..nodes as u16).collect(), copies }]
    }

    fn ratio(loads: &[u64]) -> f64 {
        let mean = loads.iter().sum::<u64>() as f64 / loads.len() as f64;
        loads.iter().copied().max().unwrap_or(0) as f64 / mean
    }

    /// Sizes of databases such as clusters have: the largest one as large as the next two together, and so on.
    fn skewed() -> Vec<u64> {
        (1..=60).map(|i| (64 << 30) / i).collect()
    }

    /// The number that a database of that name begins at.
    fn first(database: usize, nodes: usize) -> usize {
        crc32fast::hash(format!("database-{database:02}").as_bytes()) as usize % nodes
    }

    #[test]
    fn the_spread_of_databases_of_unequal_sizes() {
        let (nodes, q, n) = (5, 2, 2);
        let (mut before, mut after) = (Spread::over(nodes), Spread::over(nodes));
        for (i, size) in skewed().into_iter().enumerate() {
            let sizes = vec![size / q as u64; q];
            before.note(&round_robin(q, n, nodes, first(i, nodes)), &sizes);
            let holders = after.place(&sizes, &all(nodes, n), first(i, nodes));
            assert!(fits(&holders, &all(nodes, n)));
        }
        assert_eq!(before.loads.iter().sum::<u64>(), after.loads.iter().sum::<u64>());
        let (before, after) = (ratio(&before.loads), ratio(&after.loads));
        eprintln!("max/mean of bytes: round robin {before:.3}, evened out {after:.3}");
        assert!(before > 1.2 && after < 1.02, "{before} {after}");
    }

    #[test]
    fn ranges_of_a_database_go_to_different_nodes() {
        // The second node is nearly empty, and still gets no second copy before the others have one.
        let mut spread = Spread { loads: vec![900, 1, 900, 900] };
        let holders = spread.place(&[100; 4], &all(4, 1), 0);
        let mut used: Vec<u16> = holders.concat();
        used.sort_unstable();
        assert_eq!(used, [0, 1, 2, 3]);
    }

    #[test]
    fn small_databases_go_where_room_is() {
        let mut spread = Spread::over(3);
        assert_eq!(spread.place(&[100], &all(3, 1), 1), [[1].into()]);
        assert_eq!(spread.place(&[60], &all(3, 1), 1), [[2].into()]);
        assert_eq!(spread.place(&[30], &all(3, 1), 1), [[0].into()]);
        assert_eq!(spread.place(&[30], &all(3, 1), 1), [[0].into()]);
        assert_eq!(spread.place(&[1], &all(3, 1), 1), [[2].into()]);
    }

    #[test]
    fn fitting_is_exact() {
        let groups = [Group { nodes: vec![0, 1], copies: 1 }, Group { nodes: vec![2, 3], copies: 1 }];
        let fits = |holders: &[&[u16]]| {
            let holders: Holders = holders.iter().map(|holders| (*holders).into()).collect();
            fits(&holders, &groups)
        };
        assert!(fits(&[&[0, 2], &[3, 1]]));
        for wrong in [&[0][..], &[0, 1], &[0, 2, 3], &[2, 3], &[0, 4], &[0, 0], &[]] {
            assert!(!fits(&[&[0, 2], wrong]), "{wrong:?}");
        }
    }

    #[test]
    fn round_robin_is_what_it_was() {
        let nodes: Vec<String> = (0..4).map(|i| format!("n{i}@h")).collect();
        let mut map = couchfile::shard_map::ShardMap::new("a", "", 5, 1, &nodes);
        for (copies, first) in [(1, 0), (3, 2), (9, 3)] {
            map.place(&nodes, copies, first);
            let named: Vec<Vec<String>> = round_robin(5, copies, 4, first)
                .iter()
                .map(|holders| holders.iter().map(|&node| nodes[usize::from(node)].clone()).collect())
                .collect();
            assert!(map.by_range.values().eq(&named), "{copies} {first}");
        }
    }

    proptest! {
        /// Whatever the sizes: every range has its copies on different nodes of each zone, the copies of a database are as many on
        /// every node of a zone, give or take one, and the same again is the same.
        #[test]
        fn every_range_has_its_copies(
            sizes in prop::collection::vec(prop::collection::vec(0_u64..1 << 40, 1..9), 1..30),
            zones in prop::collection::vec((1_u16..5, 1_usize..5), 1..4),
        ) {
            let mut groups = Vec::new();
            let mut nodes = 0;
            for (members, copies) in zones {
                let numbers = (nodes..nodes + members).collect();
                groups.push(Group { nodes: numbers, copies: copies.min(usize::from(members)) });
                nodes += members;
            }
            let total = usize::from(nodes);
            let (mut one, mut other) = (Spread::over(total), Spread::over(total));
            for (i, sizes) in sizes.iter().enumerate() {
                let holders = one.place(sizes, &groups, first(i, total));
                prop_assert!(fits(&holders, &groups));
                for group in &groups {
                    let copies = |node: &u16| holders.iter().filter(|holders| holders.contains(node)).count();
                    let counts: Vec<usize> = group.nodes.iter().map(copies).collect();
                    prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
                }
                prop_assert_eq!(holders, other.place(sizes, &groups, first(i, total)));
            }
        }
    }
}
