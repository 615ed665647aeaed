//! An element of the file, and the line on which it stands.

use roxmltree::Node;

use super::{Fault, Lines};
use crate::quizzes::Percent;

/// An element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'d, 'i> {
    node: Node<'d, 'i>,
    lines: &'d Lines,
}

impl<'d, 'i> Element<'d, 'i> {
    pub(super) const fn new(node: Node<'d, 'i>, lines: &'d Lines) -> Self {
        Self { node, lines }
    }

    pub(super) fn name(self) -> &'d str {
        self.node.tag_name().name()
    }

    pub(super) fn line(self) -> u64 {
        self.lines.line(self.node.range().start)
    }

    /// Something is wrong with it.
    pub(super) fn fault(self, message: impl Into<String>) -> Fault {
        Fault {
            line: self.line(),
            message: message.into(),
        }
    }

    pub(super) fn attribute(self, name: &str) -> Option<&'d str> {
        self.node.attribute(name)
    }

    /// The elements in it.
    pub(super) fn elements(self) -> impl Iterator<Item = Self> {
        let nodes = self.node.children().filter(Node::is_element);
        nodes.map(move |node| Self { node, ..self })
    }

    /// Those of this name.
    pub(super) fn children(self, name: &'static str) -> impl Iterator<Item = Self> {
        self.elements().filter(move |it| it.name() == name)
    }

    /// The first of this name.
    pub(super) fn child(self, name: &str) -> Option<Self> {
        self.elements().find(|it| it.name() == name)
    }

    /// All elements below it.
    pub(super) fn below(self) -> impl Iterator<Item = Self> {
        let nodes = self.node.descendants().skip(1).filter(Node::is_element);
        nodes.map(move |node| Self { node, ..self })
    }

    /// Everything that is written in it.
    pub(super) fn word(self) -> String {
        let texts = self.node.descendants().filter(Node::is_text);
        let whole: String = texts.filter_map(|it| it.text()).collect();
        whole.trim().to_owned()
    }

    /// What is written in its `<text>`; what is written in it, if it has none.
    pub(super) fn text(self) -> String {
        self.child("text").unwrap_or(self).own()
    }

    /// What is written in it, but in no element of it.
    fn own(self) -> String {
        let texts = self.node.children().filter(Node::is_text);
        let whole: String = texts.filter_map(|it| it.text()).collect();
        whole.trim().to_owned()
    }

    /// What part of the points it gives.
    pub(super) fn fraction(self) -> Result<Percent, Fault> {
        let given = self.attribute("fraction").unwrap_or("0");
        given
            .parse()
            .map_err(|_| self.fault(format!("the fraction {given:?} is no number")))
    }
}
