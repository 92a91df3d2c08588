//! Whether all nodes answer again after a start, and are the nodes that were stopped.

use std::time::{Duration, Instant};

use node::{Node, NodeError};
use outcome::Result;
use plugin_host::State;

use super::Look;
use crate::identity::{Identity, Who, was_running, who_answers};
use crate::{ClusterError, on_each};

/// How often a service plugin is queried about a CouchDB that does not answer.
const ASK_SERVICE: Duration = Duration::from_secs(5);
/// How many times in a row the service plugin has to report that CouchDB does not run.
const STOPPED: u32 = 3;
/// How often, and how far apart, a name and password that were accepted before may be refused.
const REJECTIONS: (u32, Duration) = (3, Duration::from_secs(2));

/// The nodes that have to answer.
pub struct Expected<'e> {
    /// What is known of each node.
    pub identities: &'e [Identity],
    /// The time of the switch-over, if there was one: CouchDB must have started after it.
    pub exchanged: Option<Instant>,
    /// How many nodes were stopped for the switch-over: the first ones. The others ran on.
    pub restarted: usize,
}

/// Checks nodes that have been started.
pub(super) struct Return<'r> {
    nodes: &'r [Node],
    expected: &'r Expected<'r>,
    seen: Vec<Seen>,
}

/// What is known about a node so far.
#[derive(Clone)]
struct Seen {
    /// Whether the node was recognised and started after the switch-over.
    recognised: bool,
    service_asked: Instant,
    /// How many times in a row the service plugin reported the node as stopped.
    stopped: u32,
    rejections: u32,
    rejected: Option<(Instant, String)>,
}

impl<'r> Return<'r> {
    pub(super) fn of(nodes: &'r [Node], expected: &'r Expected<'r>) -> Self {
        let seen = Seen {
            recognised: false,
            service_asked: Instant::now(),
            stopped: 0,
            rejections: 0,
            rejected: None,
        };
        Self { nodes, expected, seen: vec![seen; nodes.len()] }
    }

    /// Checks all nodes.
    pub(super) fn look(&mut self) -> Result<Look> {
        let unknown = Identity::default();
        let (expected, before) = (self.expected, self.seen.clone());
        let found = on_each(self.nodes, |i, node| {
            let mut seen = before[i].clone();
            let identity = expected.identities.get(i).unwrap_or(&unknown);
            let exchanged = expected.exchanged.filter(|_| i < expected.restarted);
            let missing = seen.look(node, identity, exchanged)?;
            Ok((seen, missing))
        });
        let (mut missing, mut lasting) = (Vec::new(), false);
        for (i, found) in found.into_iter().enumerate() {
            let (seen, of_node) = found?;
            missing.extend(of_node);
            lasting |= seen.stopped >= STOPPED;
            self.seen[i] = seen;
        }
        Ok(Look::of(missing, lasting))
    }
}

impl Seen {
    /// Why the node does not count as started yet.
    fn look(
        &mut self,
        node: &Node,
        identity: &Identity,
        exchanged: Option<Instant>,
    ) -> Result<Option<String>> {
        if let Some((since, reason)) = &self.rejected
            && since.elapsed() < REJECTIONS.1
        {
            return Ok(Some(reason.clone()));
        }
        if !self.recognised {
            match who_answers(node, identity) {
                Who::Itself => {}
                Who::Nobody(why) => return Ok(Some(self.absent(node, why))),
                Who::Another(found) => {
                    let url = node.http.url().to_owned();
                    return Err(ClusterError::AnotherCouchDb { node: node.shown(), url, found }.into());
                }
                Who::Rejects(reason) => return self.rejected(node, reason),
            }
            if let Some(exchanged) = exchanged {
                match was_running(node, exchanged) {
                    Ok(None) => {}
                    Ok(Some((uptime, since))) => {
                        let (uptime, exchanged) = (uptime.as_secs(), since.as_secs());
                        return Err(
                            ClusterError::RanMeanwhile { node: node.shown(), uptime, exchanged }.into()
                        );
                    }
                    Err(error) => return Ok(Some(error.to_string())),
                }
            }
            self.recognised = true;
        }
        match node.http.why_not_up_soon() {
            Ok(None) => Ok(None),
            // It was not up before either.
            Ok(Some(_)) if identity.not_up.is_some() => Ok(None),
            Ok(Some(why)) => {
                Ok(Some(format!("{} answers, but reports that it is not up ({why})", node.shown())))
            }
            Err(error) => Ok(Some(self.absent(node, error.to_string()))),
        }
    }

    /// The text for a node that does not answer, with what its service plugin reports after a while.
    fn absent(&mut self, node: &Node, why: String) -> String {
        if self.service_asked.elapsed() > ASK_SERVICE {
            self.service_asked = Instant::now();
            self.stopped = match node.service.status() {
                Ok(State::Stopped) => self.stopped + 1,
                _ => 0,
            };
        }
        if self.stopped > 0 {
            return format!(
                "CouchDB of {} was started and has stopped again, as {} reports; see its log for the reason ({why})",
                node.shown(),
                node.service.shown()
            );
        }
        why
    }

    fn rejected(&mut self, node: &Node, reason: String) -> Result<Option<String>> {
        self.rejections += 1;
        if self.rejections >= REJECTIONS.0 {
            let request = "requests after its start, though it did before".into();
            return Err(NodeError::Unauthorized { node: node.shown(), request, reason }.into());
        }
        let rejection =
            format!("CouchDB of {} does not accept the name and password: {reason}", node.shown());
        self.rejected = Some((Instant::now(), rejection.clone()));
        Ok(Some(rejection))
    }
}
