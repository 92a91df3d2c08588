use super::*;

const NAMES: [&str; 7] = ["_replicator", "_users", "a", "b", "team/a", "team/b", "team/old/c"];

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn choose(only: &[&str], except: &[&str], rename: &[&str]) -> Result<Vec<(String, String)>> {
    let selection = Selection::parse(&texts(only), &texts(except), &texts(rename))?;
    let chosen = Chosen::of(&selection, || Ok(texts(&NAMES)))?;
    let found: Vec<(String, String)> = NAMES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), chosen.name_of(name)?.to_owned())))
        .collect();
    assert_eq!(found.len() as u64 + chosen.not_chosen, NAMES.len() as u64);
    Ok(found)
}

fn chosen(only: &[&str], except: &[&str]) -> Vec<String> {
    choose(only, except, &[]).unwrap().into_iter().map(|(name, _)| name).collect()
}

fn refusal(only: &[&str], except: &[&str], rename: &[&str]) -> String {
    let error = choose(only, except, rename).unwrap_err();
    assert_eq!(error.kind(), outcome::FailureKind::Refused);
    error.to_string()
}

#[test]
fn patterns_choose_whole_names() {
    assert_eq!(chosen(&[], &[]), NAMES);
    assert_eq!(chosen(&["?"], &[]), ["a", "b"]);
    assert_eq!(chosen(&["team/*"], &[]), ["team/a", "team/b", "team/old/c"]);
    assert_eq!(chosen(&["*a"], &[]), ["a", "team/a"]);
    assert_eq!(chosen(&["a", "team/?"], &["team/b"]), ["a", "team/a"]);
    assert_eq!(chosen(&[], &["team/*", "b"]), ["_replicator", "_users", "a"]);
    assert_eq!(chosen(&[], &["_*"]), ["a", "b", "team/a", "team/b", "team/old/c"]);
    assert_eq!(chosen(&["_users"], &[]), ["_users"]);
}

#[test]
fn new_names() {
    let renamed = choose(&["?"], &[], &["a=b", "b=a"]).unwrap();
    assert_eq!(renamed, [("a".into(), "b".into()), ("b".into(), "a".into())]);
    let renamed = choose(&["team/a"], &[], &["team/a=a"]).unwrap();
    assert_eq!(renamed, [("team/a".into(), "a".into())]);
    assert_eq!(choose(&["a"], &[], &["a=a"]).unwrap(), [("a".into(), "a".into())]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (only, except, rename, words) in [
        (&["x*"][..], &[][..], &[][..], "--only x* matches no database"),
        (&["a"], &["team/z*", "b"], &[], "--except team/z* matches no database"),
        (&["a", "A"], &[], &[], "--only A matches no database"),
        (&[""], &[], &[], "empty pattern"),
        (&["a"], &["?"], &[], "none of the 7 databases"),
        (&[], &[], &["x=y"], "cannot rename x to y: x is not in the archive"),
        (&["b"], &[], &["a=y"], "cannot rename a to y: a is not selected"),
        (&[], &[], &["a=b"], "a and b would both be named b"),
        (&[], &[], &["a=x", "b=x"], "a and b would both be named x"),
        (&[], &[], &["a=x", "a=y"], "two new names for a"),
        (&[], &[], &["a"], "does not have the form"),
        (&[], &[], &["a="], "does not have the form"),
        (&[], &[], &["a=B"], "\"B\" is not a valid name"),
        (&[], &[], &["a=../b"], "is not a valid name"),
        (&[], &[], &["a=_users"], "_users is a system database"),
        (&[], &[], &["_users=users"], "_users is a system database"),
        (&[], &[], &["a=team/_replicator"], "team/_replicator is a system database"),
    ] {
        let told = refusal(only, except, rename);
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn names_are_asked_for_only_where_something_is_chosen() {
    let unasked = Chosen::of(&Selection::default(), || Err(Failure::bug("asked"))).unwrap();
    assert_eq!(unasked.name_of("any"), Some("any"));
}
