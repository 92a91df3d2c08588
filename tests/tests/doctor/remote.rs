//! Nodes on other machines.

use std::fs;

use couchcopy_tests::far::Far;
use couchcopy_tests::{Result, fixtures};

use super::common::{check, expected};
use super::plant;

/// The same is found through ssh as on this machine, with and without a complete check.
#[test]
fn nodes_are_examined_through_ssh() -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    let four = fixtures::four_nodes()?;
    let run = |more: &[&str]| {
        let mut arguments: Vec<String> =
            ["doctor", "--json", "--pause", "0", "--via"].map(str::to_owned).into();
        arguments.push(far.via());
        arguments.extend(more.iter().map(|&word| word.to_owned()));
        arguments.extend(four.folders().iter().map(|folder| far.node(folder)));
        far.run(&arguments)
    };
    check(&run(&[])?, &expected(&[]))?;
    let node = &four.nodes[0].data;
    fs::remove_file(plant::shard(node, "q8")?)?;
    plant::zero(&plant::shard(node, "atts")?)?;
    plant::damage_body(&plant::shard(node, "plain")?, b"text")?;
    let wanted = expected(&[("missing-copy", "q8"), ("damaged-copy", "atts"), ("damaged-copy", "plain")]);
    let ended = run(&["--deep"])?;
    check(&ended, &wanted)?;
    assert_eq!(ended.code, Some(3));
    Ok(())
}
