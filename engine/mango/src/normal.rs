//! The normal form of selectors: fields next to their tests, negations as far down as they go. It decides what a negation
//! means for documents that lack a field, so it is done as CouchDB does it.
//!
//! Source: `mango_selector.erl` (`norm_fields/1`, `norm_negations/1`).

use crate::error::MangoError;
use crate::path::Path;
use crate::selector::{Node, Test};

/// Brings a selector into its normal form.
pub(crate) fn normalise(node: Node) -> Result<Node, MangoError> {
    let node = with_fields(node, "")?;
    let node = without_negations(node)?;
    if let Node::Field(name, _) = &node
        && name.is_empty()
    {
        return Err(MangoError::new("invalid_selector", "One or more conditions is missing a field name."));
    }
    placed(node)
}

/// Moves names of fields down to the tests: `{a: {$and: [x, y]}}` becomes `{$and: [{a: x}, {a: y}]}`.
fn with_fields(node: Node, path: &str) -> Result<Node, MangoError> {
    let all =
        |nodes: Vec<Node>| nodes.into_iter().map(|node| with_fields(node, path)).collect::<Result<_, _>>();
    let inner = |node: Box<Node>| with_fields(*node, "").map(Box::new);
    let field = |node: Node| Ok(Node::Field(path.to_owned(), Box::new(node)));
    match node {
        Node::And(nodes) => all(nodes).map(Node::And),
        Node::Or(nodes) => all(nodes).map(Node::Or),
        Node::Nor(nodes) => all(nodes).map(Node::Nor),
        Node::Not(node) => Ok(Node::Not(Box::new(with_fields(*node, path)?))),
        Node::AnyItem(node) => field(Node::AnyItem(inner(node)?)),
        Node::AllItems(node) => field(Node::AllItems(inner(node)?)),
        Node::AnyKey(node) => field(Node::AnyKey(inner(node)?)),
        Node::Text if path.is_empty() => Ok(Node::Text),
        Node::Text => Err(MangoError::new(
            "bad_field",
            format!("Invalid field normalization on selector: $text below {path}"),
        )),
        Node::Field(name, node) if path.is_empty() => with_fields(*node, &name),
        Node::Field(name, node) => with_fields(*node, &format!("{path}.{name}")),
        Node::Test(_) | Node::Anything | Node::At(..) => field(node),
    }
}

/// Moves negations down.
fn without_negations(node: Node) -> Result<Node, MangoError> {
    match node {
        Node::Not(node) => negated(*node),
        Node::Nor(nodes) => each(nodes, negated).map(Node::And),
        Node::And(nodes) => each(nodes, without_negations).map(Node::And),
        Node::Or(nodes) => each(nodes, without_negations).map(Node::Or),
        // What tests items of arrays stands below a field by now, where CouchDB does not look.
        other => Ok(other),
    }
}

fn negated(node: Node) -> Result<Node, MangoError> {
    Ok(match node {
        Node::Not(node) => without_negations(*node)?,
        Node::Nor(nodes) => Node::Or(each(nodes, without_negations)?),
        Node::And(nodes) => Node::Or(each(nodes, negated)?),
        Node::Or(nodes) => Node::And(each(nodes, negated)?),
        Node::Text => return Err(MangoError::new("bad_arg", "Bad argument for operator $not: $text")),
        Node::Field(name, node) => Node::Field(name, Box::new(negated(*node)?)),
        Node::Test(Test::Less(value)) => Node::Test(Test::GreaterOrEqual(value)),
        Node::Test(Test::LessOrEqual(value)) => Node::Test(Test::Greater(value)),
        Node::Test(Test::Equal(value)) => Node::Test(Test::NotEqual(value)),
        Node::Test(Test::NotEqual(value)) => Node::Test(Test::Equal(value)),
        Node::Test(Test::GreaterOrEqual(value)) => Node::Test(Test::Less(value)),
        Node::Test(Test::Greater(value)) => Node::Test(Test::LessOrEqual(value)),
        Node::Test(Test::In(values)) => Node::Test(Test::NotIn(values)),
        Node::Test(Test::NotIn(values)) => Node::Test(Test::In(values)),
        Node::Test(Test::Exists(exists)) => Node::Test(Test::Exists(!exists)),
        other => Node::Not(Box::new(other)),
    })
}

fn each(nodes: Vec<Node>, change: fn(Node) -> Result<Node, MangoError>) -> Result<Vec<Node>, MangoError> {
    nodes.into_iter().map(change).collect()
}

/// Takes the names of fields apart, once for all documents. Fails if a name makes no field; CouchDB finds that out when it
/// meets a document.
fn placed(node: Node) -> Result<Node, MangoError> {
    let one = |node: Box<Node>| placed(*node).map(Box::new);
    Ok(match node {
        Node::And(nodes) => Node::And(each(nodes, placed)?),
        Node::Or(nodes) => Node::Or(each(nodes, placed)?),
        Node::Nor(nodes) => Node::Nor(each(nodes, placed)?),
        Node::Not(node) => Node::Not(one(node)?),
        Node::AnyItem(node) => Node::AnyItem(one(node)?),
        Node::AllItems(node) => Node::AllItems(one(node)?),
        Node::AnyKey(node) => Node::AnyKey(one(node)?),
        // The item itself: `{$elemMatch: {$gt: 1}}`.
        Node::Field(name, node) if name.is_empty() => placed(*node)?,
        Node::Field(name, node) => Node::At(Path::parse(&name)?, one(node)?),
        other @ (Node::At(..) | Node::Anything | Node::Text | Node::Test(_)) => other,
    })
}
