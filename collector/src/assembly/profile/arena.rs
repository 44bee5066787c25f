//! Trees of calls whose outermost call is still open.

use std::collections::HashMap;
use std::sync::Arc;

use super::{PathId, Profile, Weight};

/// A node by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NodeId(usize);

/// Calls of one name under calls of the same path. The name is not known before the call ends.
#[derive(Debug, Default)]
struct Node {
    name: Option<Arc<str>>,
    weight: Weight,
    children: Vec<NodeId>,
}

/// Trees without recursion: they are as deep as the guest calls.
#[derive(Debug, Default)]
pub(super) struct Arena {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
    /// The child of a name.
    children: HashMap<(NodeId, Arc<str>), NodeId>,
}

impl Arena {
    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// A node that has no name yet.
    pub(super) fn add(&mut self) -> NodeId {
        self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node::default());
            NodeId(self.nodes.len() - 1)
        })
    }

    /// A call ended: the node gets its name. Calls that it made of itself are calls of its own.
    pub(super) fn name(&mut self, node: NodeId, name: &Arc<str>, weight: Weight) {
        self.nodes[node.0].name = Some(Arc::clone(name));
        self.nodes[node.0].weight += weight;
        if let Some(same) = self.children.remove(&(node, Arc::clone(name))) {
            self.nodes[node.0].children.retain(|child| *child != same);
            self.merge(node, same);
        }
    }

    /// Puts a node that has a name under another.
    pub(super) fn put_under(&mut self, parent: NodeId, node: NodeId) {
        let Some(name) = self.nodes[node.0].name.clone() else { return };
        match self.children.get(&(parent, Arc::clone(&name))) {
            Some(&same) => self.merge(same, node),
            None => {
                self.children.insert((parent, name), node);
                self.nodes[parent.0].children.push(node);
            }
        }
    }

    /// Adds all that a node has to another, and removes it.
    fn merge(&mut self, into: NodeId, from: NodeId) {
        let mut left = vec![(into, from)];
        while let Some((into, from)) = left.pop() {
            let Node { weight, children, .. } = self.remove(from);
            self.nodes[into.0].weight += weight;
            for child in children {
                let Some(name) = self.nodes[child.0].name.clone() else { continue };
                self.children.remove(&(from, Arc::clone(&name)));
                match self.children.get(&(into, Arc::clone(&name))) {
                    Some(&same) => left.push((same, child)),
                    None => {
                        self.children.insert((into, name), child);
                        self.nodes[into.0].children.push(child);
                    }
                }
            }
        }
    }

    /// Moves a tree to a profile, under a path.
    pub(super) fn drain(&mut self, node: NodeId, under: &[&str], profile: &mut Profile) {
        let start = under.iter().try_fold(PathId::NONE, |from, name| profile.step(from, name));
        let mut left = vec![(node, start)];
        while let Some((node, from)) = left.pop() {
            let Node { name, weight, children } = self.remove(node);
            let path = match &name {
                Some(name) => from.and_then(|from| profile.step(from, name)),
                None => from,
            };
            if weight != Weight::default() {
                profile.add_to(path, weight);
            }
            for child in children {
                if let Some(name) = self.nodes[child.0].name.clone() {
                    self.children.remove(&(node, name));
                }
                left.push((child, path));
            }
        }
    }

    fn remove(&mut self, node: NodeId) -> Node {
        self.free.push(node);
        std::mem::take(&mut self.nodes[node.0])
    }
}
