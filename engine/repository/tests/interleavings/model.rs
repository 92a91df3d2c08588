//! The protocol of `prune` and of the writer, step by step.

/// Objects by number.
type Objects = u16;

/// Rules of the protocol that can be left out.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// A backup lists the deleting marks after it has put its snapshot.
    pub(crate) lists_marks: bool,
    /// It lists the objects then.
    pub(crate) lists_objects: bool,
    /// It does so in this order.
    pub(crate) marks_before_objects: bool,
    /// It looks for manifests, too.
    pub(crate) confirms_manifests: bool,
    /// It looks for what it has written itself, too.
    pub(crate) confirms_own: bool,
    /// A backup does not build on what is missing when it begins.
    pub(crate) avoids_missing: bool,
    /// A backup does not build on what is marked when it begins.
    pub(crate) avoids_marked: bool,
    /// A prune lists the snapshots after it has put its mark.
    pub(crate) lists_snapshots_again: bool,
    /// A prune lists the marks before the objects: what a mark names and is not in the list is gone for ever.
    pub(crate) lists_marks_first: bool,
    /// A prune takes over what deleting marks of others name, before it deletes these marks.
    pub(crate) keeps_marks_of_others: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            lists_marks: true,
            lists_objects: true,
            marks_before_objects: true,
            confirms_manifests: true,
            confirms_own: true,
            avoids_missing: true,
            avoids_marked: true,
            lists_snapshots_again: true,
            lists_marks_first: true,
            keeps_marks_of_others: true,
        }
    }
}

/// The pack that both first backups need.
const PACK: Objects = 1;
/// The manifests of the first backups.
const MANIFESTS: [Objects; 2] = [1 << 1, 1 << 2];
/// Backups that are there at the beginning. The second one builds on the pack of the first one, and is expired at any moment.
const BEGUN: usize = 2;
/// Backups, with the one that runs alone in the end.
const BACKUPS: usize = BEGUN + 3;
/// Marks: one for each prune, with those that run alone in the end.
const MARKS: usize = 4;

/// The pack and the manifest of a backup.
fn own(number: usize) -> (Objects, Objects) {
    (1 << (3 + 2 * number), 1 << (4 + 2 * number))
}

fn is_manifest(object: Objects) -> bool {
    let of_backups = (0..BACKUPS - BEGUN).any(|number| own(number).1 == object);
    of_backups || MANIFESTS.contains(&object)
}

fn each(objects: Objects) -> impl Iterator<Item = Objects> {
    (0..Objects::BITS).map(|bit| 1 << bit).filter(move |object| objects & object != 0)
}

fn packs(objects: Objects) -> Objects {
    each(objects).filter(|object| !is_manifest(*object)).fold(0, |all, object| all | object)
}

/// What is in the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Store {
    objects: Objects,
    /// What each backup needs that is there.
    snapshots: [Option<Objects>; BACKUPS],
    /// What the deleting mark of each prune names.
    marks: [Option<Objects>; MARKS],
}

impl Store {
    fn needed(&self) -> Objects {
        self.snapshots.iter().flatten().fold(0, |all, needs| all | needs)
    }

    fn marked(&self) -> Objects {
        self.marks.iter().flatten().fold(0, |all, named| all | named)
    }
}

/// A backup that is being made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Backup {
    number: usize,
    step: u8,
    /// What its parent needs.
    parent: Objects,
    avoid: Objects,
    needs: Objects,
    reused: Objects,
    is_lost: bool,
    /// How it ended: made, or withdrawn.
    ended: Option<bool>,
}

impl Backup {
    fn new(number: usize) -> Self {
        Self { number, step: 0, parent: 0, avoid: 0, needs: 0, reused: 0, is_lost: false, ended: None }
    }

    /// What it makes sure of in the end.
    fn confirmed(&self, rules: &Rules) -> Objects {
        let needs = if rules.confirms_own { self.needs } else { self.reused };
        if rules.confirms_manifests { needs } else { packs(needs) }
    }

    fn step(&mut self, rules: &Rules, store: &mut Store) {
        let (pack, manifest) = own(self.number);
        let list_marks = |backup: &mut Self, store: &Store| {
            backup.is_lost |= rules.lists_marks && store.marked() & backup.confirmed(rules) != 0;
        };
        let list_objects = |backup: &mut Self, store: &Store| {
            backup.is_lost |= rules.lists_objects && backup.confirmed(rules) & !store.objects != 0;
        };
        match self.step {
            // The newest backup of which every manifest is there.
            0 => {
                let has_manifests = |needs: &&Objects| {
                    let manifests = *needs & !packs(**needs);
                    !rules.avoids_missing || manifests & !store.objects == 0
                };
                self.parent =
                    store.snapshots.iter().rev().flatten().find(has_manifests).copied().unwrap_or(0);
            }
            1 if rules.avoids_marked => self.avoid |= store.marked(),
            2 if rules.avoids_missing => self.avoid |= !store.objects,
            1 | 2 => {}
            3 => store.objects |= pack,
            4 => {
                self.reused = self.parent & !self.avoid;
                let manifests = self.parent & !packs(self.parent);
                if manifests & self.avoid != 0 {
                    // It does not build on the parent's manifests.
                    self.reused = packs(self.reused);
                }
                store.objects |= manifest;
                self.needs = self.reused | pack | manifest;
            }
            5 => store.snapshots[BEGUN + self.number] = Some(self.needs),
            6 if rules.marks_before_objects => list_marks(self, store),
            6 => list_objects(self, store),
            7 => {
                if rules.marks_before_objects {
                    list_objects(self, store);
                } else {
                    list_marks(self, store);
                }
                if !self.is_lost {
                    self.ended = Some(true);
                }
            }
            _ => {
                store.snapshots[BEGUN + self.number] = None;
                self.ended = Some(false);
            }
        }
        self.step += 1;
    }
}

/// A prune without a time of grace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Prune {
    number: usize,
    step: u8,
    there: Objects,
    needed: Objects,
    /// The marks that are there before its own.
    others: [bool; MARKS],
    /// What these name.
    marked: Objects,
    inherited: Objects,
    named: Objects,
    delete: Objects,
    ended: bool,
}

impl Prune {
    fn new(number: usize) -> Self {
        Self {
            number,
            step: 0,
            there: 0,
            needed: 0,
            others: [false; MARKS],
            marked: 0,
            inherited: 0,
            named: 0,
            delete: 0,
            ended: false,
        }
    }

    fn list_marks(&mut self, store: &Store) {
        for (other, mark) in self.others.iter_mut().zip(&store.marks) {
            *other = mark.is_some();
        }
        self.marked = store.marked();
    }

    fn step(&mut self, rules: &Rules, store: &mut Store) {
        match (self.step, rules.lists_marks_first) {
            (0, true) | (1, false) => self.list_marks(store),
            (0, false) | (1, true) => self.there = store.objects,
            _ => {}
        }
        match self.step {
            0 | 1 => {}
            2 => {
                self.needed = store.needed();
                self.inherited = if rules.keeps_marks_of_others { self.marked & self.there } else { 0 };
                self.named = (self.there & !self.needed) | self.inherited;
            }
            3 => {
                if self.named != 0 {
                    store.marks[self.number] = Some(self.named);
                }
            }
            4 => {
                if rules.lists_snapshots_again {
                    self.needed = store.needed();
                }
                self.delete = self.named & !self.needed;
            }
            // One request for each.
            5 if self.delete != 0 => {
                let object = self.delete & self.delete.wrapping_neg();
                store.objects &= !object;
                self.delete &= !object;
                return;
            }
            5 => {
                if self.inherited & self.needed == 0 {
                    store.marks[self.number] = None;
                }
            }
            _ => {
                let next = (0..MARKS).find(|other| self.others[*other]);
                match next {
                    Some(other) => {
                        self.others[other] = false;
                        store.marks[other] = None;
                    }
                    None => self.ended = true,
                }
                return;
            }
        }
        self.step += 1;
    }
}

/// The store, and everybody who works on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    store: Store,
    is_expired: bool,
    backups: Vec<Backup>,
    prunes: Vec<Prune>,
}

impl State {
    pub(crate) fn new(backups: usize, prunes: usize) -> Self {
        let mut snapshots = [None; BACKUPS];
        for (snapshot, manifest) in snapshots.iter_mut().zip(MANIFESTS) {
            *snapshot = Some(PACK | manifest);
        }
        let store = Store { objects: PACK | MANIFESTS[0] | MANIFESTS[1], snapshots, marks: [None; MARKS] };
        Self {
            store,
            is_expired: false,
            backups: (0..backups).map(Backup::new).collect(),
            prunes: (0..prunes).map(Prune::new).collect(),
        }
    }

    /// The states after one step of anybody.
    pub(crate) fn successors(&self, rules: &Rules) -> Vec<Self> {
        let mut all = Vec::new();
        if !self.is_expired {
            let mut next = self.clone();
            next.is_expired = true;
            next.store.snapshots[1] = None;
            all.push(next);
        }
        for (number, backup) in self.backups.iter().enumerate() {
            if backup.ended.is_none() {
                let mut next = self.clone();
                next.backups[number].step(rules, &mut next.store);
                all.push(next);
            }
        }
        for (number, prune) in self.prunes.iter().enumerate() {
            if !prune.ended {
                let mut next = self.clone();
                next.prunes[number].step(rules, &mut next.store);
                all.push(next);
            }
        }
        all
    }

    /// Whether a backup lacks an object that was reported as made, or that was there at the beginning.
    pub(crate) fn has_lost(&self) -> bool {
        let made = self.backups.iter().filter(|backup| backup.ended == Some(true));
        let made = made.map(|backup| BEGUN + backup.number).chain(0..BEGUN);
        let mut needs = made.filter_map(|number| self.store.snapshots[number]);
        needs.any(|needs| needs & !self.store.objects != 0)
    }

    /// Whether the newest backup lacks an object.
    pub(crate) fn newest_lacks(&self) -> bool {
        let newest = self.store.snapshots.iter().rev().flatten().next();
        newest.is_some_and(|needs| needs & !self.store.objects != 0)
    }

    pub(crate) fn has_unneeded(&self) -> bool {
        self.store.objects & !self.store.needed() != 0
    }

    /// What is there after another backup, while nobody else does anything; `None` if it is withdrawn.
    pub(crate) fn backup_alone(&self, rules: &Rules) -> Option<Self> {
        let mut state = self.clone();
        let mut backup = Backup::new(BACKUPS - BEGUN - 1);
        while backup.ended.is_none() {
            backup.step(rules, &mut state.store);
        }
        (backup.ended == Some(true)).then_some(state)
    }

    /// What is there after another prune, while nobody else does anything.
    pub(crate) fn prune_alone(&self, rules: &Rules) -> Self {
        let mut state = self.clone();
        // Its mark has a new name.
        let free =
            (0..MARKS).find(|number| *number >= state.prunes.len() && state.store.marks[*number].is_none());
        let mut prune = Prune::new(free.unwrap_or(MARKS - 1));
        while !prune.ended {
            prune.step(rules, &mut state.store);
        }
        state
    }
}
